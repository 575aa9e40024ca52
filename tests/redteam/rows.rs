//! The rows of the table that a container of ours is made by, and the attack that each holds off.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Network,
    User,
    Groups,
    ReadOnlyRoot,
    Capabilities,
    NoNewPrivileges,
    Seccomp,
    Masked,
    Devices,
    Processes,
    SharedMemory,
    HostName,
    ControlGroups,
    Memory,
    Swap,
    Processors,
    WallClock,
    Pids,
    OpenFiles,
    FileSize,
    CoreDumps,
    TmpfsSize,
    TmpfsNoexec,
    ShmSize,
    LogRotation,
    Restarts,
    ReadOnlyInputs,
    ReadOnlyShim,
    ReadOnlySocket,
    NoSocket,
    NoRegistry,
    NoSecret,
    Init,
}

/// One row, and an attack that gets through without it.
pub struct Needed {
    pub row: Row,
    /// A row that holds the attack off as well, so that it is taken away, too.
    pub backed_by: Option<Row>,
    pub attack: &'static str,
}

impl Needed {
    pub fn name(&self) -> String {
        match self.backed_by {
            Some(backing) => format!("{:?} ({backing:?} gone too)", self.row),
            None => format!("{:?}", self.row),
        }
    }
}

const fn alone(row: Row, attack: &'static str) -> Needed {
    Needed { row, backed_by: None, attack }
}

const fn behind(row: Row, backing: Row, attack: &'static str) -> Needed {
    Needed { row, backed_by: Some(backing), attack }
}

pub fn all() -> Vec<Needed> {
    vec![
        alone(Row::Network, "tcp to the internet"),
        alone(Row::User, "overwrite a file of root's in the workspace"),
        alone(Row::Groups, "overwrite a file of root's group"),
        alone(Row::ReadOnlyRoot, "write outside of the workspace"),
        // The kernel gives a capability only to root or by a program's file, which `NoNewPrivileges` closes: what a user may
        // have at most is of no use to one who has nothing.
        behind(Row::Capabilities, Row::User, "take another user's id"),
        alone(Row::NoNewPrivileges, "become root by a setuid program"),
        alone(Row::Seccomp, "leave a key in the kernel's keyring"),
        alone(Row::Masked, "read what a neighbour's keys are called"),
        alone(Row::Devices, "write to a disk of the host's"),
        alone(Row::Processes, "kill a neighbour's process"),
        alone(Row::SharedMemory, "write into a neighbour's shared memory"),
        alone(Row::HostName, "read the host's name"),
        alone(Row::ControlGroups, "read where the host keeps the container"),
        alone(Row::Memory, "take more memory than granted"),
        alone(Row::Swap, "take swap beyond the memory granted"),
        alone(Row::Processors, "take more of the processors than granted"),
        alone(Row::WallClock, "outlive its time"),
        alone(Row::Pids, "fork without end"),
        alone(Row::OpenFiles, "open files without end"),
        alone(Row::FileSize, "write a file larger than granted"),
        alone(Row::CoreDumps, "allow itself core dumps"),
        alone(Row::TmpfsSize, "fill the temporary folder"),
        alone(Row::TmpfsNoexec, "run a program from the temporary folder"),
        alone(Row::ShmSize, "fill the shared memory"),
        alone(Row::LogRotation, "fill the disk through the log"),
        alone(Row::Restarts, "come back after its end"),
        alone(Row::ReadOnlyInputs, "change an input"),
        // Both are root's, too.
        behind(Row::ReadOnlyShim, Row::User, "replace the program it is started by"),
        behind(Row::ReadOnlySocket, Row::User, "put itself in the gate's place"),
        alone(Row::NoSocket, "talk to the Engine"),
        alone(Row::NoRegistry, "approve itself by writing a decision"),
        alone(Row::NoSecret, "read the provider's key from the environment"),
        alone(Row::Init, "fill the workspace between two looks of the host's"),
    ]
}
