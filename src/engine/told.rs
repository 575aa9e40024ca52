//! What an agent is told in its prompt of what became of its requests, in the words of whoever decided.

use crate::run::id::NodeId;
use crate::run::state::{Request, RequestStatus, State};
use crate::run::visible::visible_line;

/// Longest words of a person or a tool that are repeated, in characters.
const WORDS: usize = 500;

/// One sentence for each request of `node` that has an outcome, in the order in which they were made.
pub(super) fn outcomes(state: &State, node: &NodeId) -> Vec<String> {
    own(state, node).filter_map(outcome).collect()
}

/// Those of them that take away what the agent was told it has.
pub(super) fn losses(state: &State, node: &NodeId) -> Vec<String> {
    own(state, node).filter(|request| request.has_ended()).filter_map(outcome).collect()
}

fn own<'a>(state: &'a State, node: &'a NodeId) -> impl Iterator<Item = &'a Request> {
    state.requests.iter().filter(move |request| request.askers.iter().any(|(asker, _)| asker == node))
}

fn outcome(request: &Request) -> Option<String> {
    let asked = &request.capability;
    let comment = request.decision.as_ref().map(|decision| decision.comment.as_str()).unwrap_or_default();
    let said = |words: &str| match words.trim() {
        "" => ".".to_owned(),
        words => format!(": {}", visible_line(words, WORDS)),
    };
    let list = |all: Vec<String>| all.join(", ");
    Some(match request.status {
        RequestStatus::Denied => format!("{asked} was denied{}", said(comment)),
        RequestStatus::Superseded => {
            let instead = request.decision.iter().flat_map(|decision| &decision.instead).map(ToString::to_string);
            format!("{asked} was not granted; ask for {} instead{}", list(instead.collect()), said(comment))
        }
        RequestStatus::Expired if !request.has_ended() => format!("{asked} was not granted{}", said(&request.problem)),
        RequestStatus::Expired => format!("{asked} is granted no more{}", said(&request.problem)),
        RequestStatus::Revoked => format!("{asked} was taken back{}", said(&request.problem)),
        RequestStatus::Unresolvable | RequestStatus::Failed => {
            format!("{asked} cannot be had{}", said(&request.problem))
        }
        RequestStatus::Approved | RequestStatus::Applied => {
            let granted = list(super::images::granted_names(request));
            let withheld = request.edited.iter().flat_map(|edited| edited.withheld()).map(ToString::to_string);
            match list(withheld.collect()) {
                without if without.is_empty() => format!("{asked} was granted as {granted}{}", said(comment)),
                without => format!("{asked} was granted as {granted}, without {without}{}", said(comment)),
            }
        }
        RequestStatus::Requested | RequestStatus::Pending => return None,
    })
}
