//! The system calls a container may make: an allow list, sent with every start, so that what an old Engine's default
//! lets through (io_uring, which passes by every other filter) does not depend on the Engine's age.
//!
//! The list was written for this profile by purpose of the calls and checked against Docker's default (`moby/profiles`,
//! Apache-2.0): it is that list for native x86-64 without the calls that a capability would unlock, without io_uring,
//! `modify_ldt`, `statmount`, `listmount`, `uretprobe` and the adjustments of the clock, and with four address families
//! where that has most.

use std::sync::LazyLock;

use crate::run::id::Digest;

/// The profile, in the Engine's own format. For native x86-64 only: the 32-bit entry points would let `socketcall` walk
/// around the rule for `socket`. A name that an old libseccomp does not know is skipped, which denies it.
pub(crate) const PROFILE: &str = include_str!("seccomp.json");

static DIGEST: LazyLock<Digest> = LazyLock::new(|| Digest::of(PROFILE.as_bytes()));

/// SHA-256 of the profile, as it stands in a spec's digest.
#[must_use]
pub fn profile_digest() -> &'static Digest {
    &DIGEST
}

/// What every container of ours is started with, as `HostConfig.SecurityOpt`.
#[must_use]
pub fn security_options() -> Vec<String> {
    with_profile(PROFILE)
}

pub(crate) fn with_profile(profile: &str) -> Vec<String> {
    vec!["no-new-privileges=true".to_owned(), format!("seccomp={profile}")]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashMap;

    fn allowed() -> HashMap<String, bool> {
        let profile: serde_json::Value = serde_json::from_str(PROFILE).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let mut names = HashMap::new();
        for rule in profile["syscalls"].as_array().unwrap() {
            let allows = rule["action"] == "SCMP_ACT_ALLOW";
            for name in rule["names"].as_array().unwrap() {
                let conditional = rule.get("args").is_some();
                let before = names.insert(name.as_str().unwrap().to_owned(), allows);
                assert!(before.is_none() || conditional, "{name} stands twice");
            }
        }
        names.retain(|_, allows| *allows);
        names
    }

    #[test]
    fn what_reaches_the_kernels_doors_is_not_allowed() {
        let allowed = allowed();
        for name in [
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "bpf",
            "perf_event_open",
            "userfaultfd",
            "keyctl",
            "add_key",
            "request_key",
            "mount",
            "umount2",
            "unshare",
            "setns",
            "clone3",
            "open_by_handle_at",
            "init_module",
            "finit_module",
            "kexec_load",
            "reboot",
            "swapon",
            "pivot_root",
            "chroot",
            "acct",
            "fsopen",
            "move_mount",
            "open_tree",
            "mount_setattr",
            "pidfd_getfd",
            "kcmp",
            "iopl",
            "ioperm",
            "settimeofday",
            "clock_settime",
            "quotactl",
            "syslog",
            "vhangup",
            "process_madvise",
            "modify_ldt",
        ] {
            assert!(!allowed.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_every_program_needs_is_allowed() {
        let allowed = allowed();
        for name in ["read", "write", "openat", "execve", "clone", "futex", "mmap", "socket", "epoll_wait", "statx"] {
            assert!(allowed.contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_socket_or_a_clone_is_conditional() {
        let profile: serde_json::Value = serde_json::from_str(PROFILE).unwrap();
        for rule in profile["syscalls"].as_array().unwrap() {
            let names = rule["names"].as_array().unwrap();
            if rule["action"] == "SCMP_ACT_ALLOW" && names.iter().any(|n| n == "socket" || n == "clone") {
                assert_eq!(names.len(), 1);
                assert_eq!(rule["args"].as_array().unwrap().len(), 1);
            }
        }
    }
}
