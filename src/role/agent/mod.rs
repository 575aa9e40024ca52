//! A hired agent as its journal tells: who it is, what it does at the moment, what waits for it, what it remembers.
//! Pure: events in, a state out.

mod event;
mod memory;
mod state;
#[cfg(test)]
mod tests;

pub use self::event::{AgentEvent, Task, Written, is_known};
pub use self::memory::{
    Entry, KeyError, Lately, MOST_DAY_BYTES, MOST_DAY_CHANGES, MOST_ENTRIES, MOST_JOURNAL, MOST_TOTAL, MOST_VALUE,
    MemoryError, MemoryKey, Recalled, check_value, recall,
};
pub use self::state::{Agent, AgentRefusal, AgentStatus, FoldError, fold};
