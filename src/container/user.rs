//! Which user a run's containers have. Agents and gate are apart wherever the operator can give them different users,
//! and never root.

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::remap::Remap;

/// Who runs `taskforge`, as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    pub uid: u32,
    pub gid: u32,
}

/// The users of a run's containers, each as (uid, gid).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Users {
    /// Owns the run's workspaces.
    pub agent: (u32, u32),
    /// Owns the run's `gate/` folder.
    pub gate: (u32, u32),
}

/// No user below this one is an agent, in whatever way users are counted.
const LEAST: u32 = 1000;

/// Why no users can be given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserError {
    #[error("`containers.uidRange` {start}-{end} is not a range of at least two user ids from 1000 to 4294967293")]
    Range { start: u32, end: u32 },
    #[error("the operator's group is root's (gid 0), and a container never has it")]
    RootGroup,
    #[error(
        "the Engine maps users (userns-remap), and only root can give files to those it maps to: run taskforge as root"
    )]
    Remapped,
    #[error("the Engine maps {size} users only, and a run needs two above {LEAST}: see /etc/subuid")]
    Mapped { size: u32 },
}

impl Operator {
    /// This process's effective user.
    #[must_use]
    pub fn current() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }
}

impl Users {
    /// The users of a run. An operator who is not root can give no other: agents and gate are then kept apart by what
    /// is mounted. Root gives each run an even id of `range` (both ends belong to it) to its agents and the odd one
    /// after it to its gate, chosen by SHA-256 of registry and run, so that it is the same after any crash. Two runs
    /// meet at the same id once in half the range's size; what keeps them apart then is, again, what is mounted. Where the
    /// Engine maps users, the ids are those on the host of as many in its mapping.
    ///
    /// # Errors
    /// [`UserError`] if the range is no range, the operator's group is root's, or the mapping has no room.
    pub fn of_run(
        operator: Operator,
        registry: &str,
        run: &str,
        range: (u32, u32),
        remap: Option<Remap>,
    ) -> Result<Self, UserError> {
        if operator.uid != 0 && remap.is_some() {
            return Err(UserError::Remapped);
        }
        if operator.uid != 0 {
            if operator.gid == 0 {
                return Err(UserError::RootGroup);
            }
            let own = (operator.uid, operator.gid);
            return Ok(Self { agent: own, gate: own });
        }
        let (start, end) = range;
        // The last two ids are not ids: -1 means "leave it", and -2 is nobody's on some systems.
        if start < 1000 || end <= start || end > u32::MAX - 2 {
            return Err(UserError::Range { start, end });
        }
        let first = start + start % 2;
        let slots = end.saturating_sub(first).div_ceil(2);
        if slots == 0 {
            return Err(UserError::Range { start, end });
        }
        let mut hasher = Sha256::new();
        for part in [registry, run] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = hasher.finalize();
        let number = hash.iter().take(8).fold(0u64, |sum, &byte| (sum << 8) | u64::from(byte));
        let slot = u32::try_from(number % u64::from(slots)).unwrap_or(0);
        let agent = first + 2 * slot;
        if let Some(remap) = remap {
            return Self::within(remap, agent);
        }
        Ok(Self { agent: (agent, agent), gate: (agent + 1, agent + 1) })
    }

    /// The same, in what `remap` has room for: a pair stays a pair.
    fn within(remap: Remap, agent: u32) -> Result<Self, UserError> {
        let Remap { uid, gid, size } = remap;
        // The last id of a mapping may be nobody's.
        let room = size.saturating_sub(LEAST + 1) & !1;
        if room < 2 {
            return Err(UserError::Mapped { size });
        }
        let inside = LEAST + (agent - LEAST) % room;
        let on_host = |id: u32| Some((uid.checked_add(id)?, gid.checked_add(id)?));
        match (on_host(inside), on_host(inside + 1)) {
            (Some(agent), Some(gate)) => Ok(Self { agent, gate }),
            _ => Err(UserError::Mapped { size }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ROOT: Operator = Operator { uid: 0, gid: 0 };

    #[test]
    fn a_plain_operator_is_the_user() {
        let users = Users::of_run(Operator { uid: 1000, gid: 100 }, "r", "demo-1", (200_000, 265_535), None).unwrap();
        assert_eq!(users, Users { agent: (1000, 100), gate: (1000, 100) });
        assert!(Users::of_run(Operator { uid: 1000, gid: 0 }, "r", "demo-1", (0, 0), None).is_err());
    }

    #[test]
    fn ranges_that_are_none() {
        for range in [(0, 10), (999, 2000), (2000, 2000), (2001, 2002), (3000, 2000), (5000, u32::MAX)] {
            assert!(Users::of_run(ROOT, "r", "demo-1", range, None).is_err(), "{range:?}");
        }
        Users::of_run(ROOT, "r", "demo-1", (2000, 2001), None).unwrap();
    }

    #[test]
    fn where_users_are_mapped_they_are_of_the_mapping() {
        let remap = |size| Some(Remap { uid: 100_000, gid: 300_000, size });
        for run in ["demo-1", "demo-2", "x"] {
            let users = Users::of_run(ROOT, "r", run, (200_000, 265_535), remap(65_536)).unwrap();
            let ((agent, group), (gate, gates)) = (users.agent, users.gate);
            assert!((101_000..165_536).contains(&agent) && gate == agent + 1 && agent % 2 == 0, "{users:?}");
            assert_eq!((group, gates), (agent + 200_000, gate + 200_000));
        }
        assert!(Users::of_run(ROOT, "r", "x", (200_000, 265_535), remap(1001)).is_err());
        let plain = Operator { uid: 1000, gid: 100 };
        assert!(Users::of_run(plain, "r", "x", (200_000, 265_535), remap(65_536)).is_err());
    }

    proptest! {
        #[test]
        fn root_gives_ids_of_the_range(
            run in "[a-z0-9-]{1,20}", start in 1000u32..4_000_000_000, size in 1u32..70_000,
        ) {
            let end = start.saturating_add(size).min(u32::MAX - 2);
            if let Ok(users) = Users::of_run(ROOT, "r", &run, (start, end), None) {
                prop_assert!(users.agent.0 >= start && users.gate.0 <= end);
                prop_assert_eq!(users.agent.0 % 2, 0);
                prop_assert_eq!(users.gate.0, users.agent.0 + 1);
                prop_assert_eq!(users, Users::of_run(ROOT, "r", &run, (start, end), None).unwrap());
            } else {
                prop_assert!(size < 2);
            }
        }
    }
}
