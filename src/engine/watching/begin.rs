//! A piece of work becomes a run, or is found to be one already.

use crate::engine::agents::{Task, task_text};
use crate::engine::error::Error;
use crate::engine::start::{Start, check_start, start};
use crate::registry::Registry;
use crate::registry::config::{Watch, WatchSource};
use crate::run::id::RunId;
use crate::watch::{Item, webhook_body};
use crate::workflow::template::fill;

/// What became of a piece of work.
pub(super) enum Begun {
    /// It is a run now.
    New,
    /// It was one before.
    Known,
    /// Nothing can be made of it, with the reason; other work may do.
    Unfit(String),
}

/// Begins `run` for `item`, or looks whether that could be done.
///
/// # Errors
/// Why no work of this watch can be begun.
pub(super) fn begin(registry: &Registry, watch: &Watch, item: &Item, run: &RunId, dry: bool) -> Result<Begun, Error> {
    if registry.layout().run(run).root().symlink_metadata().is_ok() {
        return Ok(Begun::Known);
    }
    let start_with = match prepared(watch, item, run) {
        Ok(start_with) => start_with,
        Err(why) => return Ok(Begun::Unfit(why)),
    };
    let result =
        if dry { check_start(registry, &start_with).map(drop) } else { start(registry, &start_with).map(drop) };
    match result {
        Ok(()) => Ok(Begun::New),
        // Somebody else was faster.
        Err(Error::Registry(crate::registry::Error::RunExists { .. })) => Ok(Begun::Known),
        // A parameter that the workflow does not take, a file that is gone: of this piece of work only.
        Err(error @ (Error::Usage(_) | Error::Input { .. } | Error::NoInput(_))) => Ok(Begun::Unfit(error.to_string())),
        // A task that becomes no workflow with what stands in this one. A workflow's own file is wrong for all of them.
        Err(error @ Error::Workflow(_)) if watch.task.is_some() => Ok(Begun::Unfit(error.to_string())),
        Err(error) => Err(error),
    }
}

fn prepared(watch: &Watch, item: &Item, run: &RunId) -> Result<Start, String> {
    let mut fields = item.fields.clone();
    if let (WatchSource::Webhook, Some((path, digest))) = (watch.source, &item.input) {
        let (body, now) = webhook_body(path)?;
        if now != *digest {
            return Err("it changed while it was looked at".to_owned());
        }
        fields.insert("body".to_owned(), body);
    }
    let filled = |what: &str, text: &str| fill(text, &fields).map_err(|why| format!("{what} {}", why.message));
    let (inputs, held) = item.input.clone().map_or((Vec::new(), None), |(path, digest)| (vec![path], Some(digest)));
    let mut prepared = Start { inputs, held, run: Some(run.clone()), ..Start::default() };
    match (&watch.agent, &watch.task) {
        (Some(agent), Some(task)) => {
            let text = filled("its task", task)?;
            if text.trim().is_empty() {
                return Err("its task is empty".to_owned());
            }
            let names: Vec<String> =
                prepared.inputs.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
            let task = Task { agent: agent.clone(), text, title: None, retries: watch.retries() };
            prepared.text = Some((format!("agent:{agent}"), task_text(&task, &names)));
        }
        _ => {
            prepared.workflow.clone_from(&watch.workflow);
            for (name, text) in &watch.params {
                prepared.params.insert(name.clone(), filled(&format!("its parameter {name}"), text)?);
            }
        }
    }
    Ok(prepared)
}
