//! `taskforge openclaw setup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::openclaw::{Error, OpenclawCli, allowlist, skill};
use crate::schedule::{Backend, Cadence, Job, Machine};

use super::super::root::Context;
use super::super::{failure_from, schedule};
use super::{Parts, Target};

/// Install the skill, add the tick as a command automation, and print the exec rule that goes with it
///
/// The exec rule is only printed, unless --apply is given: it decides what an agent may run on this machine.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    target: Target,
    /// Install the skill into this workspace instead of the agent's own
    #[arg(long, value_name = "DIR", conflicts_with = "global")]
    workspace: Option<PathBuf>,
    /// Install the skill for every agent
    #[arg(long)]
    global: bool,
    /// Add the exec rule to OpenClaw's approvals; what is there stays
    #[arg(long)]
    apply: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Setup {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let parts = self.target.parts(context)?;
        let skill = self.skill(&parts.cli)?;
        let rule = self.rule(&parts)?;
        let tick = self.tick(&parts)?;
        let value = json!({"dryRun": self.dry_run, "skill": skill, "rule": rule, "tick": tick});
        context.output.result(&value, || self.text(&skill, &rule, &tick))?;
        Ok(ExitCode::SUCCESS)
    }

    fn skill(&self, cli: &OpenclawCli) -> Result<Value, Failure> {
        if let Some(workspace) = &self.workspace {
            let folder = workspace.join("skills").join(skill::NAME);
            let changed = !skill::differences(&folder).is_empty();
            if changed && !self.dry_run {
                skill::write(&folder).map_err(|error| failure_from::io("write", &folder, &error))?;
            }
            return Ok(json!({"folder": folder, "changed": changed}));
        }
        // A skill of another root may hide the one that is to be installed; what counts is what the agent gets.
        let there = cli.skill(&self.target.agent)?;
        let stands = there.as_ref().is_some_and(|there| skill::differences(&there.folder).is_empty());
        if stands || self.dry_run {
            return Ok(json!({"folder": there.map(|there| there.folder), "changed": !stands}));
        }
        let staged = tempfile::tempdir().map_err(|error| failure_from::io("make", "a temporary folder", &error))?;
        let folder = staged.path().join(skill::NAME);
        skill::write(&folder).map_err(|error| failure_from::io("write", &folder, &error))?;
        cli.install_skill(&folder, (!self.global).then_some(self.target.agent.as_str()))?;
        let installed = cli.skill(&self.target.agent)?;
        let Some(installed) = installed.filter(|there| skill::differences(&there.folder).is_empty()) else {
            return Err(Failure::new(Kind::Failed, "the skill was installed, and the agent has another one")
                .hint("`openclaw skills info taskforge` says from where; remove it, then try again"));
        };
        Ok(json!({"folder": installed.folder, "changed": true}))
    }

    fn rule(&self, parts: &Parts) -> Result<Value, Failure> {
        let agent = &self.target.agent;
        let rules = parts.cli.exec_rules(agent)?;
        let merged = allowlist::merged(&rules.document, agent, &parts.binary);
        let changed = merged.is_some();
        if let (Some(merged), true, false) = (&merged, self.apply, self.dry_run) {
            parts.cli.set_approvals(merged)?;
            let now = parts.cli.exec_rules(agent)?;
            if !allowlist::has_entry(&now.document, agent, &parts.binary) {
                return Err(Failure::new(Kind::Failed, "the exec rule was set, and is not there")
                    .hint("`openclaw approvals get` shows what is"));
            }
        }
        let entry = json!({"pattern": parts.binary, "argPattern": allowlist::ARGUMENTS});
        Ok(json!({
            "agent": agent, "entry": entry, "mode": rules.mode, "changed": changed && self.apply,
            "missing": changed && !self.apply,
            "document": merged.filter(|_| !self.apply || self.dry_run),
        }))
    }

    fn tick(&self, parts: &Parts) -> Result<Value, Failure> {
        let Some(registry) = &parts.registry else { return Ok(Value::Null) };
        let id = schedule::id(registry)?;
        let machine = Machine::with(parts.cli.clone());
        let mut job = Job::new(&parts.binary, registry.root(), &id, Cadence::default())?;
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            job = job.variable("DOCKER_HOST", &host);
        }
        // One that ticks already is enough, wherever it stands.
        for backend in [Backend::Systemd, Backend::Cron] {
            if machine.has(backend) && machine.find(backend, &id).is_ok_and(|found| found.is_some()) {
                return Ok(json!({"backend": backend, "changed": false}));
            }
        }
        match machine.install(Backend::Openclaw, &job, self.dry_run) {
            Ok(outcome) => Ok(json!(outcome)),
            // The skill stands already; what is left is one command.
            Err(crate::schedule::Error::Openclaw(error @ Error::Unreachable(_))) if self.dry_run => {
                Ok(json!({"backend": Backend::Openclaw, "changed": true, "problem": error.to_string()}))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn text(&self, skill: &Value, rule: &Value, tick: &Value) -> String {
        let would = |changed: &Value, done: &'static str, planned: &'static str| match (changed == true, self.dry_run) {
            (true, true) => planned,
            (true, false) => done,
            (false, _) => "stands",
        };
        let folder = skill["folder"].as_str().unwrap_or("the agent's workspace");
        let mut text = format!("skill  {}: {folder}\n", would(&skill["changed"], "installed", "would be installed"));
        let entry = &rule["entry"];
        text.push_str(&format!(
            "rule   {}: {} with arguments {}\n",
            if rule["missing"] == true { "is not there" } else { would(&rule["changed"], "added", "would be added") },
            entry["pattern"].as_str().unwrap_or_default(),
            entry["argPattern"].as_str().unwrap_or_default(),
        ));
        if let (true, Some(document)) = (rule["missing"] == true, rule["document"].as_object()) {
            text.push_str("       `taskforge openclaw setup --apply` adds it; or store this with `openclaw approvals set --stdin`:\n");
            text.push_str(&format!("{}\n", Value::Object(document.clone())));
        }
        if rule["mode"] != "allowlist" {
            text.push_str(&format!(
                "       the agent's exec mode is {}: `openclaw config set tools.exec.mode allowlist`\n",
                rule["mode"].as_str().unwrap_or("not told")
            ));
        }
        match tick["backend"].as_str() {
            Some(backend) => text.push_str(&format!(
                "tick   {}: by {backend}\n",
                would(&tick["changed"], "installed", "would be installed")
            )),
            None => {
                text.push_str("tick   no registry is named: `taskforge --registry DIR openclaw setup` adds its tick\n")
            }
        }
        text.push_str("\n`taskforge openclaw check` looks at all of it.\n");
        text
    }
}
