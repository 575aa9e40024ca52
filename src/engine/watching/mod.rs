//! Watches: new work is found, and becomes runs. A look asks each place what is new, begins a run for what is, and writes
//! down how far it got; the run's name is what makes it one, however often it is begun.

mod begin;
mod gather;
mod look;
mod told;

pub use self::look::{Looking, look, look_all};
pub use self::told::{FailedWork, Found, Looked, Standing, WatchStatus, lacks_agent, names, reset, standing, watches};
