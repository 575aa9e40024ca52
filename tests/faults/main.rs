//! Durability of the real binary: traced by `ptrace`, killed at every system call that touches the registry, given errors and
//! short writes in place of what it asked for, and its recorded calls replayed with every loss that a power cut may cause.
//! Then a fresh process looks: what was acknowledged is there, the rest is whole or absent, and the work goes on.
//!
//! `TASKFORGE_FAULTS=nightly` draws 6,000 trials instead of some hundreds; `TASKFORGE_FAULTS_SEED=N` draws the same again.
#![allow(clippy::unwrap_used, clippy::expect_used, unsafe_code)]

mod commands;
mod dice;
mod judge;
mod replay;
mod standing;
mod syncs;
mod tracee;
mod tracer;
mod trials;
mod world;
