//! Which user a run's containers have. Agents and gate are apart wherever the operator can give them different users,
//! and never root.

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::engine::Engine;
use super::error::Error as ContainerError;

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

/// Why no users can be given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UserError {
    #[error("`containers.uidRange` {start}-{end} is not a range of at least two user ids from 1000 to 4294967293")]
    Range { start: u32, end: u32 },
    #[error("the operator's group is root's (gid 0), and a container never has it")]
    RootGroup,
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
    /// meet at the same id once in half the range's size; what keeps them apart then is, again, what is mounted.
    ///
    /// # Errors
    /// [`UserError`] if the range is no range, or the operator's group is root's.
    pub fn of_run(operator: Operator, registry: &str, run: &str, range: (u32, u32)) -> Result<Self, UserError> {
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
        Ok(Self { agent: (agent, agent), gate: (agent + 1, agent + 1) })
    }
}

impl Engine {
    /// Refuses an Engine where a container's uid is another uid on the host. One request; asked once a run.
    ///
    /// # Errors
    /// [`ContainerError::UserNamespace`] names the mode.
    pub async fn check_users(&self) -> Result<(), ContainerError> {
        let info = self.docker().info().await.map_err(|error| self.explain("describe itself", error))?;
        check_namespaces(info.security_options.as_deref().unwrap_or_default())
    }
}

/// Refuses an Engine where a container's uid is another uid on the host: workspaces would belong to nobody we know.
///
/// # Errors
/// [`ContainerError::UserNamespace`] names the mode. `options` is `SecurityOptions` of the Engine's `/info`.
pub(crate) fn check_namespaces(options: &[String]) -> Result<(), ContainerError> {
    for (mark, what) in [("name=userns", "userns-remap"), ("name=rootless", "rootless mode")] {
        if options.iter().any(|option| option.split(',').any(|part| part == mark)) {
            return Err(ContainerError::UserNamespace { what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ROOT: Operator = Operator { uid: 0, gid: 0 };

    #[test]
    fn a_plain_operator_is_the_user() {
        let users = Users::of_run(Operator { uid: 1000, gid: 100 }, "r", "demo-1", (200_000, 265_535)).unwrap();
        assert_eq!(users, Users { agent: (1000, 100), gate: (1000, 100) });
        assert!(Users::of_run(Operator { uid: 1000, gid: 0 }, "r", "demo-1", (0, 0)).is_err());
    }

    #[test]
    fn ranges_that_are_none() {
        for range in [(0, 10), (999, 2000), (2000, 2000), (2001, 2002), (3000, 2000), (5000, u32::MAX)] {
            assert!(Users::of_run(ROOT, "r", "demo-1", range).is_err(), "{range:?}");
        }
        Users::of_run(ROOT, "r", "demo-1", (2000, 2001)).unwrap();
    }

    #[test]
    fn remapped_engines_are_refused() {
        let options = |text: &str| vec!["name=seccomp,profile=default".to_owned(), text.to_owned()];
        assert!(check_namespaces(&options("name=cgroupns")).is_ok());
        assert!(check_namespaces(&options("name=userns")).is_err());
        assert!(check_namespaces(&options("name=rootless")).is_err());
    }

    proptest! {
        #[test]
        fn root_gives_ids_of_the_range(
            run in "[a-z0-9-]{1,20}", start in 1000u32..4_000_000_000, size in 1u32..70_000,
        ) {
            let end = start.saturating_add(size).min(u32::MAX - 2);
            if let Ok(users) = Users::of_run(ROOT, "r", &run, (start, end)) {
                prop_assert!(users.agent.0 >= start && users.gate.0 <= end);
                prop_assert_eq!(users.agent.0 % 2, 0);
                prop_assert_eq!(users.gate.0, users.agent.0 + 1);
                prop_assert_eq!(users, Users::of_run(ROOT, "r", &run, (start, end)).unwrap());
            } else {
                prop_assert!(size < 2);
            }
        }
    }
}
