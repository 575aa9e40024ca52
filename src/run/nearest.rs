//! The name that was probably meant.

/// The candidate nearest to `text` by edit distance, if one is near enough to be worth suggesting. `snake_case`,
/// `kebab-case` and another capitalisation of the same name are as near as it gets.
pub(crate) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Nothing longer is a misspelling of a key, and the distance takes quadratic time.
    const LIMIT: usize = 64;
    let wanted = folded(text);
    if wanted.is_empty() || wanted.len() > LIMIT {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| *candidate != text)
        .map(|candidate| (candidate, folded(candidate)))
        .filter(|(_, letters)| letters.len() <= LIMIT)
        .map(|(candidate, letters)| (distance(&wanted, &letters), letters.len().max(wanted.len()), candidate))
        .filter(|(distance, length, _)| *distance <= length.div_ceil(3).min(3) && distance < length)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

fn folded(text: &str) -> Vec<char> {
    text.chars().take(65).filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut cost = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["workflowId", "title", "nodes", "prompt", "timeoutMs"];

    #[test]
    fn suggests_what_was_meant() {
        assert_eq!(nearest("promt", KEYS), Some("prompt"));
        assert_eq!(nearest("titel", KEYS), Some("title"));
        assert_eq!(nearest("workflow_id", KEYS), Some("workflowId"));
        assert_eq!(nearest("NODES", KEYS), Some("nodes"));
        assert_eq!(nearest("timeout-ms", KEYS), Some("timeoutMs"));
    }

    #[test]
    fn suggests_nothing_far_away() {
        assert_eq!(nearest("banana", KEYS), None);
        assert_eq!(nearest("x", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(nearest(&"prompt".repeat(1000), KEYS), None);
    }
}
