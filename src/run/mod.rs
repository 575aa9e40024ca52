//! What a run is and what may happen to it: pure. No clock, no file, no container; time and observations are
//! arguments, events and actions are results.

pub mod address;
pub mod adoption;
pub mod agenda;
pub mod apply;
pub mod canonical;
pub mod capability;
pub mod command;
mod consequence;
pub mod consistency;
pub mod decide;
pub mod definition;
pub mod deployment;
pub mod each;
pub mod event;
pub mod folder;
pub mod foreign;
pub mod id;
pub mod nearest;
pub mod outgoing;
pub mod package_set;
pub mod plan;
pub mod projection;
pub mod quantity;
pub mod record;
pub mod refusal;
pub mod review;
pub mod ruling;
pub mod session;
pub mod share;
pub mod state;
pub mod status;
pub mod terms;
pub mod time;
pub mod timetable;
pub mod visible;

#[cfg(test)]
mod tests;
