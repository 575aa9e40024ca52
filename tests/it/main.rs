//! Tests against the real parts: one binary, one file a subject. What is missing makes a test fail with the command
//! that installs it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod base;
mod container;
