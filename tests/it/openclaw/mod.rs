//! The real OpenClaw: its package from npm, its gateway, and a scripted model in the place of a thinking one.

mod contained;
mod gateway;
mod hired;
mod journey;
mod messages;
pub mod model;
mod settings;
