//! What happens to a registry's containers, as it happens: so that following a run costs nothing between events.

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _};

use super::engine::Engine;
use super::error::Error;
use super::labels::{Labels, REGISTRY};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// It ended, with this exit code.
    Died(i64),
    /// The kernel ended one of its processes for want of memory.
    OutOfMemory,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    pub id: String,
    pub name: String,
    pub owner: Option<Labels>,
    pub happening: Happening,
}

impl Engine {
    /// What happens from `since` on, in a stream that does not end by itself. The request is made when the stream is
    /// first polled; the Engine keeps some hundred past events, so that one who takes `since`, looks at the containers
    /// and polls then, misses none. A lost Engine is an error, and then the end.
    pub fn events(
        &self,
        registry: &str,
        since: DateTime<Utc>,
    ) -> impl Stream<Item = Result<Occurrence, Error>> + use<> {
        let filters: HashMap<String, Vec<String>> = [
            ("type", vec!["container".to_owned()]),
            ("event", vec!["die".to_owned(), "oom".to_owned()]),
            ("label", vec![format!("{REGISTRY}={registry}")]),
        ]
        .into_iter()
        .map(|(key, values)| (key.to_owned(), values))
        .collect();
        let engine = self.clone();
        let since = format!("{}.{:09}", since.timestamp(), since.timestamp_subsec_nanos());
        let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
        let stream = self.docker().events(Some(options));
        stream.filter_map(move |message| {
            let item = match message {
                Ok(message) => occurrence(message).map(Ok),
                Err(error) => Some(Err(engine.explain("tell what happens", error))),
            };
            std::future::ready(item)
        })
    }
}

fn occurrence(message: EventMessage) -> Option<Occurrence> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let happening = match message.action.as_deref()? {
        "die" => Happening::Died(attributes.get("exitCode").and_then(|code| code.parse().ok()).unwrap_or(-1)),
        "oom" => Happening::OutOfMemory,
        _ => return None,
    };
    Some(Occurrence {
        id: actor.id.unwrap_or_default(),
        name: attributes.get("name").cloned().unwrap_or_default(),
        owner: Labels::read(|key| attributes.get(key)),
        happening,
    })
}
