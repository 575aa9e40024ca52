//! Engines that are set up in other ways than the machine's: each is a real one that the test starts.

mod elsewhere;
mod mapped;
mod own;
mod remapped;
mod rootless;
mod runtimes;

pub use own::OwnEngine;
