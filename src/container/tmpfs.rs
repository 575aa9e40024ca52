//! File systems in memory: what is writable in a sealed container besides its workspace.

/// One tmpfs. It is always `nosuid` and `nodev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Absolute path inside the container.
    pub target: String,
    /// Bytes; they count towards the container's memory.
    pub size: u64,
    /// Permission bits, as in `0o1777`.
    pub mode: u32,
    /// Who owns it, as (uid, gid).
    pub owner: (u32, u32),
    /// Whether programs in it may be executed: only builders need that.
    pub exec: bool,
}

impl Tmpfs {
    /// The three of an agent: `/tmp` for anyone, `/run` and `/home/agent` for `user`.
    #[must_use]
    pub fn for_agent(user: (u32, u32)) -> Vec<Self> {
        let make = |target: &str, mib: u64, mode, owner| Self {
            target: target.to_owned(),
            size: mib << 20,
            mode,
            owner,
            exec: false,
        };
        vec![make("/tmp", 128, 0o1777, (0, 0)), make("/run", 16, 0o755, user), make("/home/agent", 128, 0o700, user)]
    }

    /// The options as `mount` takes them.
    pub(crate) fn options(&self) -> String {
        let exec = if self.exec { "exec" } else { "noexec" };
        let (uid, gid) = self.owner;
        format!("rw,nosuid,nodev,{exec},size={},mode={:o},uid={uid},gid={gid}", self.size, self.mode)
    }
}
