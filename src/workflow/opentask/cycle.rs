//! Whether nodes need each other in a circle.

use std::collections::HashMap;

/// The first circle as `a -> b -> a`, each needing the next; `None` if there is none. Every need names a node.
pub(super) fn find(nodes: &[(&str, &[String])]) -> Option<String> {
    let places: HashMap<&str, usize> = nodes.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
    let needs: Vec<Vec<usize>> = nodes
        .iter()
        .map(|(_, needs)| needs.iter().filter_map(|need| places.get(need.as_str()).copied()).collect())
        .collect();
    let mut seen = vec![false; nodes.len()];
    let mut on_path = vec![false; nodes.len()];
    for start in 0..nodes.len() {
        if seen[start] {
            continue;
        }
        // Each entry is a node and how many of its needs have been followed.
        let mut path = vec![(start, 0)];
        (seen[start], on_path[start]) = (true, true);
        while let Some((node, followed)) = path.last_mut() {
            let Some(next) = needs[*node].get(*followed).copied() else {
                on_path[*node] = false;
                path.pop();
                continue;
            };
            *followed += 1;
            if on_path[next] {
                let circle = path.iter().map(|(node, _)| *node).skip_while(|node| *node != next).chain([next]);
                let names: Vec<&str> = circle.map(|node| nodes[node].0).collect();
                return Some(names.join(" -> "));
            }
            if !seen[next] {
                (seen[next], on_path[next]) = (true, true);
                path.push((next, 0));
            }
        }
    }
    None
}
