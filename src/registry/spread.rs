//! Many small looks at the disk, on several processors.

use std::thread::{self, available_parallelism};

/// More threads than this wait for each other.
const MOST: usize = 4;

/// What `one` makes of each of `items`, in their order. `many` is how many it takes for a second thread to save more than it
/// costs.
pub(crate) fn spread<T: Sync, R: Send>(items: &[T], many: usize, one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let look = |part: &[T]| part.iter().map(&one).collect::<Vec<R>>();
    let threads = if items.len() < many { 1 } else { available_parallelism().map_or(1, |n| n.get().min(MOST)) };
    thread::scope(|scope| {
        let (first, rest) = items.split_at(items.len().div_ceil(threads));
        let started: Vec<_> = rest.chunks(first.len().max(1)).map(|part| scope.spawn(move || look(part))).collect();
        let mut found = look(first);
        for thread in started {
            found.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn each_is_looked_at_once_and_in_its_place() {
        for count in [0, 1, 2, 63, 64, 65, 1000] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(spread(&items, 64, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        }
    }
}
