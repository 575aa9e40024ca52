//! Every container of a registry that the Engine ever made, as the Engine tells it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::sync::oneshot;

use crate::container::{block, require_engine};

#[derive(Clone)]
struct Made {
    name: String,
    run: String,
}

/// Listens from its making on until it is dropped.
pub struct Events {
    made: Arc<Mutex<Vec<Made>>>,
    _end: Option<oneshot::Sender<()>>,
}

impl Events {
    pub fn of(registry: &str) -> Self {
        let made: Arc<Mutex<Vec<Made>>> = Arc::default();
        let (end, ended) = oneshot::channel::<()>();
        let label = format!("io.taskforge.registry={registry}");
        // From now on, whenever the Engine gets to hear it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let heard = Arc::clone(&made);
        let engine = require_engine();
        std::thread::spawn(move || {
            block(async move {
                let filters = std::collections::HashMap::from([
                    ("label", vec![label]),
                    ("type", vec!["container".to_owned()]),
                    ("event", vec!["create".to_owned()]),
                ]);
                let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
                let mut stream =
                    engine.docker().clone().with_timeout(std::time::Duration::from_secs(3600)).events(Some(options));
                let listen = async {
                    while let Some(Ok(event)) = stream.next().await {
                        let of = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                        let text = |key: &str| of.get(key).cloned().unwrap_or_default();
                        heard.lock().unwrap().push(Made { name: text("name"), run: text("io.taskforge.run") });
                    }
                };
                tokio::select! { () = listen => {}, _ = ended => {} }
            });
        });
        Self { made, _end: Some(end) }
    }

    /// Hears nothing.
    pub fn none() -> Self {
        Self { made: Arc::default(), _end: None }
    }

    /// How often a container of each name was made for `run`.
    pub fn created(&self, run: &str) -> BTreeMap<String, usize> {
        let made = self.made.lock().unwrap();
        let mut counts = BTreeMap::new();
        for made in made.iter().filter(|made| made.run == run) {
            *counts.entry(made.name.clone()).or_insert(0) += 1;
        }
        counts
    }
}
