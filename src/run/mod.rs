//! What a run is and what may happen to it: pure. No clock, no file, no container; time and observations are
//! arguments, events and actions are results.

pub mod canonical;
pub mod capability;
pub mod id;
pub mod record;
pub mod visible;
