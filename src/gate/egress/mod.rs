//! The way out to everything that is not an LLM. What a grant names can be reached and nothing else: the name is looked
//! up here, the address that was judged is the one that is connected to, and inside TLS and HTTP no other name passes.
//!
//! Every try is on record before it is refused and before it is let through, and every passage gets its end on record.

mod counted;
mod fetch;
mod hello;
mod inside;
mod leash;
mod lookup;
mod pass;
mod passage;
mod plain;
mod rewound;
mod target;
mod tunnel;
mod vetted;

pub(crate) use counted::{Counted, Counts};
pub(crate) use fetch::{Asked, fetch};
pub(crate) use hello::{Hello, Unfit, read as read_hello};
pub(crate) use leash::Leash;
pub(crate) use lookup::Lookups;
pub(crate) use passage::{FETCH, Passage, hint, open};
pub(crate) use plain::forward;
pub(crate) use target::Target;
pub(crate) use tunnel::tunnel;
#[cfg(any(test, fuzzing))]
pub(crate) use vetted::Records;
