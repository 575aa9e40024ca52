//! One look at each place of a watch. Nothing is written here, and no run begun.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt as _};

use crate::engine::error::Error;
use crate::engine::images::ca_bundle;
use crate::gate::action::http::Service;
use crate::provider::{Key, client};
use crate::registry::Registry;
use crate::registry::config::{Watch, WatchSource};
use crate::vault::{Identities, Vault};
use crate::watch::{self, Item, Listed, Part, Stamped, Trouble, Unread, WatchState};

/// How many repositories are asked about at once.
const AT_ONCE: usize = 8;
/// No request is begun after so long; what is left over comes first in the next look.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one place came to.
pub(super) enum Gathered {
    Unchanged,
    Found { items: Vec<Item>, etag: Option<String>, files: Files, odd: Option<String> },
}

/// A folder's files as they were seen: those that can be used and those that cannot.
#[derive(Default)]
pub(super) struct Files {
    pub(super) seen: BTreeMap<String, Stamped>,
    pub(super) unread: BTreeMap<String, Unread>,
}

/// What all of them came to.
#[derive(Default)]
pub(super) struct Round {
    pub(super) parts: Vec<(String, Result<Gathered, Trouble>)>,
    /// How long the service wants to be left alone from now on.
    pub(super) pause: Option<Duration>,
}

/// What a watch knows, and how it is asked.
pub(super) struct Question<'a> {
    pub(super) registry: &'a Registry,
    pub(super) watch: &'a Watch,
    pub(super) state: &'a WatchState,
    /// As if nothing had been asked before.
    pub(super) anew: bool,
    pub(super) now: DateTime<Utc>,
}

/// Looks at every place whose turn it is.
///
/// # Errors
/// What keeps it from looking at any.
pub(super) fn gather(question: &Question<'_>) -> Result<Round, Error> {
    match question.watch.source {
        WatchSource::GithubPr => repositories(question),
        WatchSource::Schedule => Ok(Round { parts: vec![("times".to_owned(), times(question))], pause: None }),
        WatchSource::File | WatchSource::Webhook => {
            Ok(Round { parts: vec![("folder".to_owned(), folder(question))], pause: None })
        }
    }
}

fn trouble(message: String) -> Trouble {
    Trouble { everywhere: true, message, wait: None }
}

fn times(question: &Question<'_>) -> Result<Gathered, Trouble> {
    let pattern = question.watch.cron.as_deref().unwrap_or_default();
    // One that begins now, or whose clock was set back, has missed nothing.
    let since = question.state.until.filter(|until| *until <= question.now).unwrap_or(question.now);
    let due = watch::due(pattern, since, question.now).map_err(|why| trouble(format!("{pattern}: {why}")))?;
    Ok(Gathered::Found { items: due.into_iter().collect(), etag: None, files: Files::default(), odd: None })
}

fn folder(question: &Question<'_>) -> Result<Gathered, Trouble> {
    let watch = question.watch;
    let folder = question.registry.root().join(watch.folder.clone().unwrap_or_default());
    let json = watch.source == WatchSource::Webhook;
    let glob = watch.glob.as_deref().unwrap_or(if json { "*.json" } else { "*" });
    let none = Part::default();
    let part = question.state.parts.get("folder").unwrap_or(&none);
    let known = watch::Known { files: &part.files, unread: &part.unread };
    let most = usize::try_from(watch.at_once).unwrap_or(usize::MAX).saturating_mul(2);
    let seen = watch::look_into_folder(&folder, glob, json, known, most)
        .map_err(|error| trouble(format!("cannot look into {}: {error}", folder.display())))?;
    let odd = match seen.odd.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [first, others @ ..] => Some(format!("{first}; and {} more", others.len())),
    };
    let files = Files { seen: seen.files, unread: seen.unread };
    Ok(Gathered::Found { items: seen.items, etag: None, files, odd })
}

fn repositories(question: &Question<'_>) -> Result<Round, Error> {
    let state = question.state;
    let due =
        |name: &&String| question.anew || state.parts.get(*name).is_none_or(|part| part.pace.is_due(question.now));
    let mut names: Vec<&String> = question.watch.repositories.iter().filter(due).collect();
    // Those that nobody has looked at for longest come first, so that no one of them keeps the others from it.
    names.sort_by_key(|name| state.parts.get(*name).and_then(|part| part.looked));
    if names.is_empty() {
        return Ok(Round::default());
    }
    let service = service(question.registry)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let turns: BTreeMap<String, usize> = names.iter().enumerate().map(|(turn, name)| ((*name).clone(), turn)).collect();
    let (stop, begun) = (Cell::new(false), Instant::now());
    let drafts = question.watch.drafts.unwrap_or_default();
    let ask = |name: &String| {
        let etag = state.parts.get(name).filter(|_| !question.anew).and_then(|part| part.tag(question.now));
        let (name, service, stop) = (name.clone(), &service, &stop);
        async move {
            if stop.get() || begun.elapsed() > PATIENCE {
                return None;
            }
            let looked = watch::look_at_repository(service, &name, etag.as_deref(), drafts).await;
            if matches!(&looked, Err(trouble) if trouble.everywhere) {
                stop.set(true);
            }
            Some((name, looked))
        }
    };
    let answers: Vec<_> =
        runtime.block_on(stream::iter(names.into_iter().map(ask)).buffer_unordered(AT_ONCE).collect());
    let mut round = Round::default();
    for (name, looked) in answers.into_iter().flatten() {
        let gathered = looked.map(|(listed, pause)| {
            round.pause = round.pause.max(pause);
            match listed {
                Listed::Unchanged => Gathered::Unchanged,
                Listed::Found { mut items, etag, odd } => {
                    // What has waited for longest comes first.
                    items.reverse();
                    Gathered::Found { items, etag, files: Files::default(), odd }
                }
            }
        });
        round.parts.push((name, gathered));
    }
    // Whose turn it is, and not whose answer came first or whose name does: there may be work for none of the others left.
    round.parts.sort_by_key(|(name, _)| turns.get(name).copied());
    Ok(round)
}

/// GitHub, as `[actions.github]` has it, with the token from the vault.
fn service(registry: &Registry) -> Result<Service, Error> {
    let missing = || Error::Usage("[actions.github] is not set".to_owned());
    let github = registry.config()?.actions.github.as_ref().ok_or_else(missing)?;
    let vault = Vault::of(registry)?;
    // Nobody is at the keyboard of a tick.
    let (log, identities) = (vault.log()?, Identities::open(registry, &|_| None)?);
    let token = vault.get(&log, github.token.name(), &identities)?;
    let bundle = ca_bundle(registry)?.unwrap_or_default();
    let client = client(&bundle).map_err(|error| Error::Usage(error.to_string()))?;
    Ok(Service::new(client, &github.base_url, Key::new(token.expose().trim().to_owned())))
}
