//! What a container may use up.

use super::refusal::Refusal;

/// Hard limits. Disk has none here: what is writable is a tmpfs with a size, or the workspace, which the gate watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resources {
    /// Processors, as a share of time: 0.5 is half of one.
    pub cpus: f64,
    /// Bytes of memory; no swap comes on top. What lies in a tmpfs counts.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Open files a process. Above the Engine's own hard limit a start fails.
    pub files: u64,
    /// Bytes of the largest file a process can write.
    pub file_size: u64,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpus: 1.0, memory: 512 << 20, pids: 128, files: 4096, file_size: 1 << 30 }
    }
}

impl Resources {
    /// The least memory the Engine accepts.
    const LEAST_MEMORY: u64 = 6 << 20;

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let wrong = |what, value: String| Err(Refusal::Limit { what, value });
        if !self.cpus.is_finite() || !(0.01..=1024.0).contains(&self.cpus) {
            return wrong("cpus", self.cpus.to_string());
        }
        if self.memory < Self::LEAST_MEMORY || i64::try_from(self.memory).is_err() {
            return wrong("memory", self.memory.to_string());
        }
        if self.pids == 0 {
            return wrong("pids", self.pids.to_string());
        }
        if self.files < 16 || i64::try_from(self.files).is_err() {
            return wrong("open files", self.files.to_string());
        }
        if self.file_size == 0 || i64::try_from(self.file_size).is_err() {
            return wrong("file size", self.file_size.to_string());
        }
        Ok(())
    }

    /// The Engine counts in billionths of a processor.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be at most 1024")]
    pub(crate) fn nano_cpus(&self) -> i64 {
        (self.cpus * 1e9).round() as i64
    }
}
