//! What can only be seen across nodes: ids that stand twice, needs without a node, circles.

use std::collections::{HashMap, HashSet, VecDeque};

use super::check::Check;
use super::node::Draft;
use super::problem::Spot;
use super::text::shown;
use crate::run::nearest::nearest;

/// Checks the nodes of one workflow against each other.
pub(super) fn check(check: &mut Check, drafts: &[Draft<'_>]) {
    let mut places: HashMap<&str, (usize, Spot)> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some((id, spot)) = draft.id else { continue };
        if let Some((_, first)) = places.get(id) {
            let hint = format!("the first node of this id stands on line {}", first.line);
            check.problem_with(spot, format!("duplicate node id {}", shown(id)), hint);
        } else {
            places.insert(id, (index, spot));
        }
    }
    let mut edges: Vec<Vec<(usize, Spot)>> = Vec::with_capacity(drafts.len());
    // A hostile file may miss half a million nodes; each name is looked for once.
    let mut missed: HashMap<&str, Option<&str>> = HashMap::new();
    for draft in drafts {
        let mut targets = Vec::new();
        for (need, spot) in &draft.needs {
            if let Some((target, _)) = places.get(need) {
                targets.push((*target, *spot));
                continue;
            }
            let known = missed.len() < 100;
            let near =
                missed.entry(need).or_insert_with(|| if known { nearest(need, places.keys().copied()) } else { None });
            let node = draft.id.map_or_else(|| "a node".to_owned(), |(id, _)| format!("node {}", shown(id)));
            let message = format!("{node} needs {}, and there is no such node", shown(need));
            match near {
                Some(near) => check.problem_with(*spot, message, format!("did you mean `{near}`?")),
                None => check.problem(*spot, message),
            }
        }
        edges.push(targets);
    }
    circles(check, drafts, &edges);
}

/// Reports every circle once, and only the nodes on it: what merely needs a node on a circle is not at fault.
fn circles(check: &mut Check, drafts: &[Draft<'_>], edges: &[Vec<(usize, Spot)>]) {
    let core = core(edges);
    let mut reported: HashSet<usize> = HashSet::new();
    for start in 0..edges.len() {
        if !core[start] || reported.contains(&start) {
            continue;
        }
        let Some(circle) = shortest_circle(start, edges, &core) else { continue };
        let id = |index: &usize| drafts[*index].id.map_or("?", |(id, _)| id);
        let names: Vec<&str> = circle.iter().chain([&start]).map(id).collect();
        // Twenty names of 128 characters fill a screen; the file is at hand.
        let path = if names.len() > 20 {
            format!("{} -> … -> {} ({} nodes)", names[..18].join(" -> "), names[names.len() - 1], circle.len())
        } else {
            names.join(" -> ")
        };
        let next = circle.get(1).copied().unwrap_or(start);
        if let Some((_, spot)) = edges[start].iter().find(|(target, _)| *target == next) {
            let message = format!("these nodes need each other: {path}");
            let message = message.chars().filter(|c| !super::text::is_unsafe(*c)).collect::<String>();
            check.problem_with(*spot, message, "drop one of these needs");
        }
        reported.extend(circle);
    }
}

/// Which nodes remain when all that no circle can pass through are taken away, again and again: those that need
/// nothing, and those that nothing needs.
fn core(edges: &[Vec<(usize, Spot)>]) -> Vec<bool> {
    let mut backward: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for (to, _) in targets {
            backward[*to].push(from);
        }
    }
    let forward: Vec<Vec<usize>> = edges.iter().map(|targets| targets.iter().map(|(to, _)| *to).collect()).collect();
    let mut alive = vec![true; edges.len()];
    peel(&mut alive, &forward, &backward);
    peel(&mut alive, &backward, &forward);
    alive
}

/// Takes away the nodes without a living successor.
fn peel(alive: &mut [bool], successors: &[Vec<usize>], predecessors: &[Vec<usize>]) {
    let mut left: Vec<usize> =
        successors.iter().map(|nodes| nodes.iter().filter(|node| alive[**node]).count()).collect();
    let mut queue: VecDeque<usize> = (0..alive.len()).filter(|node| alive[*node] && left[*node] == 0).collect();
    while let Some(node) = queue.pop_front() {
        alive[node] = false;
        for before in &predecessors[node] {
            left[*before] -= 1;
            if left[*before] == 0 && alive[*before] {
                queue.push_back(*before);
            }
        }
    }
}

/// The shortest way from `start` back to it, without the return; `None` if it only lies between circles.
fn shortest_circle(start: usize, edges: &[Vec<(usize, Spot)>], core: &[bool]) -> Option<Vec<usize>> {
    let mut from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for (next, _) in &edges[node] {
            if *next == start {
                let mut circle = vec![node];
                let mut at = node;
                while at != start {
                    at = *from.get(&at)?;
                    circle.push(at);
                }
                circle.reverse();
                return Some(circle);
            }
            if core[*next] && !from.contains_key(next) {
                from.insert(*next, node);
                queue.push_back(*next);
            }
        }
    }
    None
}
