//! The one integration binary: a file a subject.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod container;
mod desk;
mod docs;
mod examples;
mod image;
mod model_server;
