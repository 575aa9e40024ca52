//! One at a time for each key: whoever comes second waits, and finds what the first one did.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The keys that something is done for now.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Queue {
    /// The place where those with `key` wait for each other.
    pub(crate) fn take(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits at any more.
        all.retain(|_, place| Arc::strong_count(place) > 1);
        all.entry(key.to_owned()).or_default().clone()
    }
}
