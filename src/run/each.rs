//! Several words on one run at once, of people who saw the same: each counts or is refused by itself.

use chrono::{DateTime, Utc};

use super::command::{Command, Verdict};
use super::decide::decide;
use super::event::{DecisionRecord, Event};
use super::id::RequestId;
use super::refusal::Refusal;
use super::state::State;

/// What somebody said of one thing that waits.
pub type Said = (RequestId, Verdict, DecisionRecord);

/// The events of all that can be decided of `words`, each judged by the state that all of them were shown in, as
/// [`Command::DecideAll`] does; and beside each word why it is not among them. Of two sets of packages, each resolved without the
/// other, the first counts.
#[must_use]
pub fn decide_each(state: &State, words: &[Said], now: DateTime<Utc>) -> (Vec<Event>, Vec<Option<Refusal>>) {
    let together = |words: Vec<Said>| decide(state, Command::DecideAll(words), now);
    let mut refusals: Vec<Option<Refusal>> = words.iter().map(|word| together(vec![word.clone()]).err()).collect();
    let alone = |refusals: &[Option<Refusal>]| {
        let fit = words.iter().zip(refusals).filter(|(_, refusal)| refusal.is_none());
        fit.map(|(word, _)| word.clone()).collect::<Vec<_>>()
    };
    if let Ok(events) = together(alone(&refusals)) {
        return (events, refusals);
    }
    let (mut taken, mut events) = (Vec::new(), Vec::new());
    for (word, refusal) in words.iter().zip(&mut refusals).filter(|(_, refusal)| refusal.is_none()) {
        taken.push(word.clone());
        match together(taken.clone()) {
            Ok(all) => events = all,
            Err(why) => {
                taken.pop();
                *refusal = Some(why);
            }
        }
    }
    (events, refusals)
}
