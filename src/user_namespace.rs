//! The user namespace of this process: whether ids here are the machine's own, and if not, whose they are outside
//! (`user_namespaces(7)`).

const UIDS: &str = "/proc/self/uid_map";
const GIDS: &str = "/proc/self/gid_map";

/// How many ids there are from 0 on, users and groups alike; none in the machine's own namespace, which has all.
pub(crate) fn ids() -> Option<u32> {
    let of = |path| std::fs::read_to_string(path).ok().and_then(|map| room(&map));
    of(UIDS).zip(of(GIDS)).map(|(uids, gids)| uids.min(gids))
}

/// Who `uid` is outside of the namespace.
pub(crate) fn outside(uid: u32) -> u32 {
    std::fs::read_to_string(UIDS).ok().and_then(|map| translate(&map, uid)).unwrap_or(uid)
}

/// The lines of a map: first id, who that is outside, how many.
fn lines(map: &str) -> impl Iterator<Item = (u32, u32, u32)> {
    map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u32>().ok());
        Some((fields.next()??, fields.next()??, fields.next()??))
    })
}

fn room(map: &str) -> Option<u32> {
    let mut lines: Vec<_> = lines(map).collect();
    if lines == [(0, 0, u32::MAX)] {
        return None;
    }
    lines.sort_unstable();
    let end = |end: u32, (first, _, count): (u32, u32, u32)| if first == end { end.saturating_add(count) } else { end };
    Some(lines.into_iter().fold(0, end))
}

fn translate(map: &str, uid: u32) -> Option<u32> {
    let (first, outside, _) = lines(map).find(|(first, _, count)| uid >= *first && uid - first < *count)?;
    outside.checked_add(uid - first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Of a rootless Engine.
    const MAP: &str = "         0       1000          1\n         1     100000      65536\n";

    #[test]
    fn the_machines_own_has_no_bound() {
        assert_eq!(room("         0          0 4294967295\n"), None);
        assert_eq!(
            (room(MAP), room("0 1000 1\n"), room("5 1000 9\n"), room("")),
            (Some(65_537), Some(1), Some(0), Some(0))
        );
        // What lies behind a gap does not follow.
        assert_eq!(room("0 1000 1\n9 100000 65536\n"), Some(1));
    }

    #[test]
    fn an_id_is_somebody_outside() {
        assert_eq!(
            (translate(MAP, 0), translate(MAP, 1), translate(MAP, 65_536)),
            (Some(1000), Some(100_000), Some(165_535))
        );
        assert_eq!(translate(MAP, 65_537), None);
        assert_eq!(translate("0 0 4294967295\n", 7), Some(7));
    }
}
