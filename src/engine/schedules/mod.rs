//! Schedules of agents: a hired agent asks to be given a task at times, a person decides, and from then on it is a watch
//! like those of the settings. What was approved stands in the journal of the run that asked; the file in `schedules/`
//! says where, and what it says beside that is for people.

mod authority;
mod begin;
mod propose;
mod revoke;

pub(crate) use self::authority::{Authority, authority, definition, unreadable};
pub(crate) use self::begin::{begin, clear, end};
pub(crate) use self::propose::{is_the_same, propose};
pub use self::revoke::{RevokedSchedule, revoke as revoke_schedule};
