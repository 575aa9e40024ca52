#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The real parts together: one binary, one file a subject.

mod image;
