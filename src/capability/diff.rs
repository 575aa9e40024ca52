//! The difference of two short texts, line by line: a longest common subsequence.

/// One line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Same(&'a str),
    Added(&'a str),
    Removed(&'a str),
}

/// Beyond this many cells of the table the texts are shown whole, one after the other.
const CELLS: usize = 4_000_000;

pub(super) fn diff<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > CELLS {
        return old.into_iter().map(Line::Removed).chain(new.into_iter().map(Line::Added)).collect();
    }
    // common[i * width + j]: length of the longest common subsequence of old[i..] and new[j..].
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            lines.push(Line::Removed(old[i]));
            i += 1;
        } else {
            lines.push(Line::Added(new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_came_and_went() {
        assert_eq!(
            diff("a\nb\nc", "a\nx\nc\nd"),
            [Line::Same("a"), Line::Removed("b"), Line::Added("x"), Line::Same("c"), Line::Added("d")]
        );
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_off(old in prop::collection::vec("[a-c]", 0..12), new in prop::collection::vec("[a-c]", 0..12)) {
            let (before, after) = (old.join("\n"), new.join("\n"));
            let lines = diff(&before, &after);
            let side = |keep: fn(&Line<'_>) -> bool| {
                let text = |l: &Line<'_>| match *l { Line::Same(t) | Line::Added(t) | Line::Removed(t) => t.to_owned() };
                lines.iter().filter(|l| keep(l)).map(text).collect::<Vec<_>>()
            };
            prop_assert_eq!(side(|l| !matches!(l, Line::Added(_))), old);
            prop_assert_eq!(side(|l| !matches!(l, Line::Removed(_))), new);
        }
    }
}
