//! The files that are made from the journal, against what the journal comes to.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::registry::project::read_file;
use crate::registry::{RunLayout, Scan};
use crate::run::adoption::Adoption;
use crate::run::event::Event;
use crate::run::state::State;

use super::super::adopt::{self, Look};
use super::super::error::Error;
use super::super::project;
use super::super::store::Store;
use super::finding::{Finding, Kind};

/// The largest file that is compared, in bytes; none of ours comes near it.
const LARGEST: u64 = 64 << 20;

const REWRITE: &str = "it is written again from the journal, and what stands there is kept";

/// What is wrong with the projections, and what others changed in them.
pub(super) fn look(store: &Store<'_>, state: &State, scan: &Scan) -> Result<Vec<Finding>, Error> {
    let layout = store.layout();
    let mut found = Vec::new();
    let mut skipped = Vec::new();
    let shared = [layout.state(), layout.refs()];
    // What is no file at all says nothing that could be taken over.
    if shared.iter().all(|path| is_file_or_absent(path))
        && let Look::Changed(adoption) = adopt::look(store, state, scan)?
    {
        found.push(adopted(&adoption));
        skipped = vec![layout.state(), layout.refs(), layout.taskforge()];
    }
    for (path, text) in project::all(&layout, state, &scan.head)? {
        if !skipped.contains(&path)
            && let Some(what) = differs(&path, text.as_bytes())
        {
            found.push(Finding::safe(Kind::Projection, relative(&layout, &path), what, REWRITE));
        }
    }
    Ok(found)
}

fn differs(path: &Path, expected: &[u8]) -> Option<&'static str> {
    match read_file(path, LARGEST) {
        Ok(None) => Some("is missing"),
        Ok(Some(bytes)) if bytes == expected => None,
        Ok(Some(bytes)) if serde_json::from_slice::<Value>(&bytes).is_err() => Some("is not JSON"),
        Ok(Some(_)) => Some("is behind the journal, or says something else than it"),
        Err(_) => Some("is not a file that can be read"),
    }
}

/// What the next command takes over, with what it refuses by name.
fn adopted(adoption: &Adoption) -> Finding {
    let event = Event::RegistryAdopted(Box::new(adoption.clone()));
    let mut what = event.to_draft().message.unwrap_or_default();
    for refused in &adoption.refused {
        what.push_str(&format!(" Refused of {}: {}.", refused.what, refused.why.trim_end_matches('.')));
    }
    let what = format!("was changed by another program: {}", what.trim());
    let remedy = "it is taken over as the next command would, and the files are kept as they are now";
    Finding::safe(Kind::Adoption, "state.json", what, remedy)
}

fn is_file_or_absent(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(found) => found.is_file() && found.len() <= LARGEST,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn relative(layout: &RunLayout, path: &Path) -> String {
    path.strip_prefix(layout.root()).unwrap_or(path).display().to_string()
}
