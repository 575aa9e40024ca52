//! Where nodes and edges of a run are drawn: in rows, each node below everything it needs, at most [`WIDEST`] of them
//! beside each other. An edge across rows goes through them in lanes of its own, so that it runs behind no node.
//! (The scheme of Sugiyama, Tagawa and Toda, 1981: rows, order within them by neighbours, then places.)

use std::collections::VecDeque;

/// The most nodes in a row.
pub(super) const WIDEST: usize = 5;

/// A node's box and the room around it, in pixels.
pub(super) const WIDTH: f64 = 204.0;
pub(super) const HEIGHT: f64 = 76.0;
const GAP: f64 = 24.0;
const ROW: f64 = HEIGHT + 44.0;
/// The room of an edge that passes through a row.
const LANE: f64 = 14.0;
/// Beyond so many passages edges are drawn straight, behind the nodes.
const MOST_LANES: usize = 4_000;

/// A drawing: every node's corner, and every edge as the points it goes through, from top to bottom.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Left and top of each node.
    pub(super) nodes: Vec<(f64, f64)>,
    pub(super) edges: Vec<Edge>,
}

/// One need.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Pairs of points: an edge leaves a row where it entered it, and only bends between rows.
    pub(super) points: Vec<(f64, f64)>,
}

/// Something that takes room in a row: a node, or an edge on its way.
#[derive(Debug, Clone)]
struct Slot {
    width: f64,
    /// Slots in the row above and the row below that it is joined to.
    above: Vec<usize>,
    below: Vec<usize>,
    /// The centre.
    x: f64,
}

/// Places nodes of which `needs[i]` are those that node `i` needs. Needs that are no nodes, or that would close a
/// circle, are left out.
pub(super) fn layout(needs: &[Vec<usize>]) -> Layout {
    let (rows, needs) = rows(needs);
    let mut slots: Vec<Slot> =
        needs.iter().map(|_| Slot { width: WIDTH, above: Vec::new(), below: Vec::new(), x: 0.0 }).collect();
    let depth = rows.iter().max().map_or(0, |last| last + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (node, row) in rows.iter().enumerate() {
        order[*row].push(node);
    }
    let edges: Vec<(usize, usize)> =
        needs.iter().enumerate().flat_map(|(to, from)| from.iter().map(move |from| (*from, to))).collect();
    let passages: usize = edges.iter().map(|(from, to)| rows[*to] - rows[*from] - 1).sum();
    let paths: Vec<Vec<usize>> = edges
        .iter()
        .map(|(from, to)| {
            let mut path = vec![*from];
            if passages <= MOST_LANES {
                for between in &mut order[rows[*from] + 1..rows[*to]] {
                    slots.push(Slot { width: LANE, above: Vec::new(), below: Vec::new(), x: 0.0 });
                    between.push(slots.len() - 1);
                    path.push(slots.len() - 1);
                }
            }
            path.push(*to);
            path
        })
        .collect();
    for path in &paths {
        for pair in path.windows(2) {
            slots[pair[0]].below.push(pair[1]);
            slots[pair[1]].above.push(pair[0]);
        }
    }
    arrange(&slots, &mut order);
    let width = place(&mut slots, &order);
    let top = |row: usize| {
        #[allow(clippy::cast_precision_loss)] // a thousand rows
        let row = row as f64;
        GAP + row * ROW
    };
    let edges = edges
        .iter()
        .zip(&paths)
        .map(|((from, to), path)| {
            let mut points = vec![(slots[*from].x, top(rows[*from]) + HEIGHT)];
            for (step, slot) in path[1..path.len() - 1].iter().enumerate() {
                let y = top(rows[*from] + step + 1);
                points.extend([(slots[*slot].x, y), (slots[*slot].x, y + HEIGHT)]);
            }
            points.push((slots[*to].x, top(rows[*to])));
            Edge { from: *from, to: *to, points }
        })
        .collect();
    let nodes = rows.iter().enumerate().map(|(node, row)| (slots[node].x - WIDTH / 2.0, top(*row))).collect();
    Layout { width, height: if depth == 0 { 0.0 } else { top(depth) - (ROW - HEIGHT) + GAP }, nodes, edges }
}

/// The row of each node, and the needs that go downward.
fn rows(needs: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let count = needs.len();
    let mut kept: Vec<Vec<usize>> = needs.to_vec();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (node, needs) in kept.iter_mut().enumerate() {
        needs.retain(|need| *need < count && *need != node);
        needs.sort_unstable();
        needs.dedup();
        for need in needs {
            dependents[*need].push(node);
        }
    }
    let mut open: Vec<usize> = kept.iter().map(Vec::len).collect();
    let mut ready: VecDeque<usize> = (0..count).filter(|node| open[*node] == 0).collect();
    let mut rows: Vec<Option<usize>> = vec![None; count];
    let mut taken: Vec<usize> = Vec::new();
    let mut rest = 0..count;
    // Where nothing is ready and something is left there is a circle; its first node does without what is missing.
    while let Some(node) = ready.pop_front().or_else(|| rest.find(|node| rows[*node].is_none())) {
        if rows[node].is_some() {
            continue;
        }
        kept[node].retain(|need| rows[*need].is_some());
        let mut row = kept[node].iter().filter_map(|need| rows[*need]).max().map_or(0, |row| row + 1);
        while taken.get(row).is_some_and(|taken| *taken >= WIDEST) {
            row += 1;
        }
        if row == taken.len() {
            taken.push(0);
        }
        taken[row] += 1;
        rows[node] = Some(row);
        for dependent in &dependents[node] {
            open[*dependent] = open[*dependent].saturating_sub(1);
            if open[*dependent] == 0 {
                ready.push_back(*dependent);
            }
        }
    }
    (rows.into_iter().map(|row| row.unwrap_or(0)).collect(), kept)
}

/// Orders each row by where its neighbours stand, from above and from below in turn, and keeps the order with the fewest
/// crossings.
fn arrange(slots: &[Slot], order: &mut Vec<Vec<usize>>) {
    let mut position = vec![0.0; slots.len()];
    number(order, &mut position);
    let (mut best, mut fewest) = (order.clone(), crossings(slots, order, &position));
    for sweep in 0..8 {
        let is_down = sweep % 2 == 0;
        let depth = order.len();
        for step in 1..depth {
            let row = if is_down { step } else { depth - 1 - step };
            let middle = |slot: &usize| {
                let neighbours = if is_down { &slots[*slot].above } else { &slots[*slot].below };
                mean(neighbours.iter().map(|other| position[*other])).unwrap_or(position[*slot])
            };
            let mut keyed: Vec<(f64, usize)> = order[row].iter().map(|slot| (middle(slot), *slot)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            order[row] = keyed.into_iter().map(|(_, slot)| slot).collect();
            number(&order[row..=row], &mut position);
        }
        let found = crossings(slots, order, &position);
        if found < fewest {
            (best, fewest) = (order.clone(), found);
        }
    }
    *order = best;
}

/// The place of each slot in its row, from 0 to 1, so that rows of different lengths can be compared.
#[allow(clippy::cast_precision_loss)]
fn number(order: &[Vec<usize>], position: &mut [f64]) {
    for row in order {
        for (place, slot) in row.iter().enumerate() {
            position[*slot] = (place as f64 + 0.5) / row.len() as f64;
        }
    }
}

/// How many pairs of joints between two rows cross; not looked at where there are very many.
fn crossings(slots: &[Slot], order: &[Vec<usize>], position: &[f64]) -> usize {
    let mut found = 0;
    for row in order {
        let joints: Vec<(f64, f64)> =
            row.iter().flat_map(|slot| slots[*slot].below.iter().map(|to| (position[*slot], position[*to]))).collect();
        if joints.len() > 300 {
            continue;
        }
        for (n, (a, b)) in joints.iter().enumerate() {
            found += joints[..n].iter().filter(|(c, d)| (a - c) * (b - d) < 0.0).count();
        }
    }
    found
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Gives each slot its centre and says how wide the drawing is.
fn place(slots: &mut [Slot], order: &[Vec<usize>]) -> f64 {
    for row in order {
        let targets = vec![0.0; row.len()];
        spread(slots, row, &targets);
    }
    for sweep in 0..24 {
        let depth = order.len();
        for step in 0..depth {
            let row = &order[if sweep % 2 == 0 { step } else { depth - 1 - step }];
            let targets: Vec<f64> = row
                .iter()
                .map(|slot| {
                    let Slot { above, below, x, .. } = &slots[*slot];
                    let is_lane = slots[*slot].width < WIDTH;
                    let neighbours = above.iter().chain(below);
                    // An edge would rather be straight on its way than near its ends.
                    let weighed = neighbours.flat_map(|other| {
                        let weight = if is_lane && slots[*other].width < WIDTH { 8 } else { 1 };
                        std::iter::repeat_n(slots[*other].x, weight)
                    });
                    mean(weighed).unwrap_or(*x)
                })
                .collect();
            spread(slots, row, &targets);
        }
    }
    let edge = |side: f64| order.iter().flatten().map(move |slot| (*slot, side));
    let left = edge(-0.5).map(|(slot, side)| slots[slot].x + side * slots[slot].width).fold(f64::INFINITY, f64::min);
    if !left.is_finite() {
        return 0.0;
    }
    for slot in slots.iter_mut() {
        slot.x = (slot.x - left + GAP).round();
    }
    edge(0.5).map(|(slot, side)| slots[slot].x + side * slots[slot].width).fold(0.0, f64::max) + GAP
}

/// Moves the slots of a row as near to their targets as their order and their widths let them: the least sum of squares,
/// found by pooling neighbours that would overlap.
fn spread(slots: &mut [Slot], row: &[usize], targets: &[f64]) {
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0.0;
    for (n, slot) in row.iter().enumerate() {
        if n > 0 {
            let (before, this) = (slots[row[n - 1]].width, slots[*slot].width);
            offset += (before + this) / 2.0 + if before.min(this) < WIDTH { GAP / 2.0 } else { GAP };
        }
        offsets.push(offset);
    }
    // Blocks of slots that stand as close as they may: the sum of what they want, and how many they are.
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    for (target, offset) in targets.iter().zip(&offsets) {
        let mut block = (target - offset, 1.0);
        while let Some(last) = blocks.last().filter(|last| last.0 / last.1 > block.0 / block.1) {
            block = (block.0 + last.0, block.1 + last.1);
            blocks.pop();
        }
        blocks.push(block);
    }
    let mut n = 0;
    for (sum, size) in blocks {
        let mut left = size;
        while left > 0.5 && n < row.len() {
            slots[row[n]].x = sum / size + offsets[n];
            n += 1;
            left -= 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What every drawing has to be.
    fn check(needs: &[Vec<usize>], drawn: &Layout) {
        assert_eq!(drawn.nodes.len(), needs.len());
        for (n, (x, y)) in drawn.nodes.iter().enumerate() {
            assert!(*x >= 0.0 && *y >= 0.0 && x + WIDTH <= drawn.width && y + HEIGHT <= drawn.height, "{n} is outside");
            for (other_x, other_y) in &drawn.nodes[..n] {
                assert!((x - other_x).abs() >= WIDTH + 1.0 || (y - other_y).abs() >= HEIGHT + 1.0, "{n} overlaps");
            }
        }
        for edge in &drawn.edges {
            assert!(needs[edge.to].contains(&edge.from));
            assert!(edge.points.windows(2).all(|pair| pair[0].1 < pair[1].1), "{edge:?} does not go down");
        }
    }

    /// Whether a straight part of an edge, which is vertical, goes through a node.
    fn is_clear(drawn: &Layout) -> bool {
        drawn.edges.iter().flat_map(|edge| edge.points[1..edge.points.len() - 1].chunks(2)).all(|pair| {
            drawn.nodes.iter().all(|(x, y)| {
                let beside = pair[0].0 <= *x || pair[0].0 >= x + WIDTH;
                beside || pair[1].1 <= *y || pair[0].1 >= y + HEIGHT
            })
        })
    }

    #[test]
    fn nothing_one_and_a_diamond() {
        assert_eq!(layout(&[]), Layout::default());
        let one = layout(&[vec![]]);
        assert_eq!((one.width, one.nodes.len()), (WIDTH + 2.0 * GAP, 1));
        let drawn = layout(&[vec![], vec![0], vec![0], vec![1, 2]]);
        let [top, left, right, bottom] = drawn.nodes[..] else { panic!("{drawn:?}") };
        assert_eq!((top.0, left.1), (bottom.0, right.1));
        assert_eq!(top.0 - left.0, right.0 - top.0, "not in the middle");
    }

    #[test]
    fn a_circle_and_needs_of_nobody_are_drawn_without_them() {
        let needs = [vec![1, 7], vec![2], vec![0, 2], vec![0]];
        let drawn = layout(&needs);
        check(&needs, &drawn);
        assert_eq!(drawn.edges.len(), 3);
    }

    #[test]
    fn a_thousand_nodes_in_every_shape() {
        let fan = |n: usize| if n == 0 { vec![] } else { vec![0] };
        let chain = |n: usize| n.checked_sub(1).into_iter().collect::<Vec<_>>();
        let ladder = |n: usize| (1..=9).filter_map(|back| n.checked_sub(back * back)).collect::<Vec<_>>();
        for shape in
            [(0..1000).map(fan).collect::<Vec<_>>(), (0..1000).map(chain).collect(), (0..1000).map(ladder).collect()]
        {
            let drawn = layout(&shape);
            check(&shape, &drawn);
        }
    }

    proptest! {
        #[test]
        fn nodes_never_overlap_and_edges_go_down(
            needs in prop::collection::vec(prop::collection::vec(0..45usize, 0..4), 0..40),
        ) {
            let drawn = layout(&needs);
            check(&needs, &drawn);
            prop_assert!(is_clear(&drawn));
        }
    }
}
