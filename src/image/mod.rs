//! The `image` room.
pub mod base;
