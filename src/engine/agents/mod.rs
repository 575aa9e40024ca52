//! Hired agents: hiring, listing, the end of one; whose turn it is; what one remembers. What they do they do in runs.

mod claim;
mod hire;
mod list;
mod memory;
mod offboard;
mod store;
mod task;
mod verify;

pub use self::hire::{Hired, hire};
pub use self::list::{ListedAgent, agents};
#[cfg(any(test, fuzzing))]
pub(crate) use self::memory::change;
pub use self::memory::{Remembered, forget, history, remember};
pub use self::offboard::{Offboarding, offboard};
pub use self::store::AgentStore;
#[cfg(test)]
pub(crate) use self::store::Projection;
pub use self::task::{Task, exchange_text, task_text};
pub use self::verify::{verify as verify_agent, verify_against as verify_agent_against};

pub(crate) use self::claim::{Room, claim, is_hired, leave, queue, release, room};
pub(crate) use self::memory::{publish as publish_memory, recalled, take as take_memory};
