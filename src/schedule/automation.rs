//! A command automation of OpenClaw's gateway. It runs beside the agents, without a model and without their rules for
//! commands, as the gateway's user.

use serde_json::Value;

use crate::openclaw::OpenclawCli;

use super::backend::Backend;
use super::error::Result;
use super::job::{Command, Job, mark};
use super::{Asleep, Installed, Outcome};

/// The arguments of `openclaw` that make it; the same key again changes it instead of making another.
pub(super) fn arguments(job: &Job) -> Vec<String> {
    let argv = Value::from(job.command.argv()).to_string();
    let name = format!("taskforge tick {}", job.command.registry.display());
    let words = ["cron", "add", "--name", &name, "--declaration-key", &mark(&job.id), "--command-argv", &argv];
    let mut arguments: Vec<String> = words.map(str::to_owned).into();
    arguments.extend(job.cadence.options());
    for (name, value) in job.environment() {
        arguments.extend(["--command-env".to_owned(), format!("{name}={value}")]);
    }
    arguments.extend(["--command-cwd", "/", "--no-deliver", "--json"].map(str::to_owned));
    arguments
}

/// Makes or changes it.
///
/// # Errors
/// Those of OpenClaw's command line.
pub(super) fn install(cli: &OpenclawCli, job: &Job, dry: bool) -> Result<Outcome> {
    let arguments = arguments(job);
    let text = format!("openclaw {}\n", arguments.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" "));
    let found = find(cli, &job.id)?;
    let mut outcome = Outcome {
        backend: Backend::Openclaw,
        place: found.as_ref().map_or_else(|| "an automation of OpenClaw".to_owned(), |found| found.place.clone()),
        text,
        changed: true,
        left: Vec::new(),
    };
    if dry {
        return Ok(outcome);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = cli.json(&words)?;
    outcome.changed = answer["created"] == true || answer["updated"] == true;
    if let Some(id) = answer["job"]["id"].as_str() {
        outcome.place = place(id);
    }
    Ok(outcome)
}

/// Removes it; whether there was one.
///
/// # Errors
/// Those of OpenClaw's command line.
pub(super) fn remove(cli: &OpenclawCli, id: &str, dry: bool) -> Result<bool> {
    let Some(job) = job(cli, id)? else { return Ok(false) };
    if let (false, Some(job)) = (dry, job["id"].as_str()) {
        cli.json(&["cron", "remove", job, "--json"])?;
    }
    Ok(true)
}

/// The registry's automation.
///
/// # Errors
/// Those of OpenClaw's command line.
pub(super) fn find(cli: &OpenclawCli, id: &str) -> Result<Option<Installed>> {
    let Some(job) = job(cli, id)? else { return Ok(None) };
    let name = job["id"].as_str().unwrap_or_default();
    let argv: Option<Vec<String>> = serde_json::from_value(job["payload"]["argv"].clone()).ok();
    let schedule = &job["schedule"];
    let when = match (schedule["expr"].as_str(), schedule["everyMs"].as_u64()) {
        (Some(expression), _) => expression.to_owned(),
        (None, Some(milliseconds)) => format!("every {} s", milliseconds / 1000),
        (None, None) => schedule.to_string(),
    };
    let asleep = (job["enabled"] != true)
        .then(|| Asleep { why: "the automation is disabled".to_owned(), mend: format!("openclaw cron enable {name}") });
    Ok(Some(Installed {
        backend: Backend::Openclaw,
        place: place(name),
        when,
        command: argv.and_then(|argv| Command::from_argv(&argv)),
        asleep,
    }))
}

fn job(cli: &OpenclawCli, id: &str) -> Result<Option<Value>> {
    let mut answer = cli.json(&["cron", "list", "--all", "--json"])?;
    let jobs = answer["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(jobs.into_iter().find(|job| job["declarationKey"].as_str() == Some(&mark(id))))
}

fn place(id: &str) -> String {
    format!("OpenClaw's automation {id}")
}

/// A word as one would type it.
fn shown(word: &str) -> String {
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-:=".contains(&byte));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::schedule::Cadence;

    #[test]
    fn the_command_of_an_automation_begins_with_the_verb() {
        let job = Job::new(Path::new("/b"), Path::new("/r \"q\""), "01ABC", Cadence::default()).unwrap();
        let arguments = arguments(&job);
        let argv = arguments.iter().position(|word| word == "--command-argv").unwrap() + 1;
        assert_eq!(arguments[argv], r#"["/b","tick","--all","--record","--registry","/r \"q\""]"#);
        assert_eq!(arguments.iter().filter(|word| *word == "--every").count(), 1);
        assert!(arguments.contains(&"taskforge:tick:01ABC".to_owned()));
    }
}
