//! One tick: look, plan, perform, journal. The engine joins the pure core with the rooms at the edge; what may happen
//! it leaves to `run::decide`, what should happen to `run::plan`. It never waits for a person, and it holds no run
//! lock while Docker, a build or the network is waited for.

mod actor;
pub mod binary;
mod collect;
mod decisions;
mod dispatch;
mod docker;
mod error;
mod follow;
mod gate;
mod images;
mod inbox;
mod ingest;
mod kill;
mod notify;
mod observe;
mod policy;
mod project;
mod secrets;
mod start;
mod store;
mod tick;

pub use actor::operator;
pub use decisions::{Decided, decide_on, find_waiting, show};
pub use error::Error;
pub use follow::{Ending, Until, follow};
pub use inbox::{Waiting, inbox};
pub use kill::{Killed, finish_kill, kill, unlock};
pub use start::{Start, Started, start};
pub use store::Store;
pub use tick::{Ticked, tick};
