//! Where new work is looked for: what a look finds, what one remembers of the last, and when the next may be. Nothing
//! here begins anything; that what was found becomes a run once, and only once, is the name that [`Item::run`] gives it.

mod folder;
mod github;
mod item;
mod pace;
mod state;
mod times;

#[cfg(any(test, fuzzing))]
pub(crate) use github::read as read_pull;

pub(crate) use folder::{Known, body as webhook_body, look as look_into_folder};
pub(crate) use github::{Listed, Trouble, look as look_at_repository};
pub(crate) use item::Item;
pub use pace::Pace;
pub(crate) use state::{MOST_TRIES, Stamped, load, save};
pub use state::{Part, Unfit, Unread, WatchState};
pub(crate) use times::due;
