//! The exit codes by which an agent's container tells the host how its attempt ended. `docs/exit-codes.md` lists them
//! beside those of the commands; the host reads them, so a number never changes its meaning.

/// The work is done; the host checks the required files.
pub const DONE: u8 = 0;
/// The attempt failed for a reason of its own, which stands on stderr.
pub const FAILED: u8 = 1;
/// A verb was called wrongly, or the gate refused the grammar of a capability.
pub const USAGE: u8 = 2;
/// There is nothing of the name that a verb was given.
pub const NOTHING: u8 = 3;
/// A verb's request was decided, and the answer is no.
pub const DENIED: u8 = 4;
/// The gate did not greet, or said that the run is killed or that this attempt's time is over.
pub const GATE_REFUSED: u8 = 72;
/// The workspace holds more than it may; the host looks for itself.
pub const OVER_DISK: u8 = 73;
/// The attempt waits for a decision and costs nothing until then.
pub const SUSPENDED: u8 = 75;
/// The wall clock of the attempt ran out.
pub const DEADLINE: u8 = 124;
/// The program exists and could not be executed, as shells report it.
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such program, as shells report it.
pub const NOT_FOUND: u8 = 127;
