//! `taskforge schedule status`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Kind};
use crate::schedule::last::{self, Last};
use crate::schedule::{Backend, Installed};

use super::super::output::{BAD, GOOD};
use super::super::root::Context;
use super::{Finding, id, machine, problems};

/// Say what ticks this registry, when it last did, and what keeps it from it
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let (machine, id) = (machine(&registry)?, id(&registry)?);
        let (mut installed, mut unknown) = (Vec::new(), Vec::new());
        for backend in Backend::ALL.into_iter().filter(|backend| machine.has(*backend)) {
            match machine.find(backend, &id) {
                Ok(found) => installed.extend(found),
                Err(error) => unknown.push(format!("{backend}: {error}")),
            }
        }
        let last = last::read(registry.layout());
        let mut findings: Vec<Finding> = installed.iter().flat_map(|one| problems(one, &registry)).collect();
        findings.extend(last.as_ref().and_then(failing));
        let value = json!({"installed": installed, "lastTick": last, "findings": findings, "unknown": unknown});
        context.output.result(&value, || text(&installed, last.as_ref(), &findings, &unknown))?;
        Ok(match (installed.is_empty(), findings.is_empty()) {
            (true, _) => ExitCode::from(Kind::NotFound.exit_code()),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::FAILURE,
        })
    }
}

fn text(installed: &[Installed], last: Option<&Last>, findings: &[Finding], unknown: &[String]) -> String {
    let mut text = String::new();
    for one in installed {
        text.push_str(&format!("{GOOD}{:<9}{GOOD:#} {}  ({})\n", one.backend.to_string(), one.when, one.place));
    }
    if installed.is_empty() {
        text.push_str("Nothing ticks this registry: `taskforge schedule install`\n");
    }
    match last {
        Some(last) => text.push_str(&format!(
            "last tick {}, exit code {}, {} ms\n",
            last.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            last.exit,
            last.milliseconds
        )),
        None if !installed.is_empty() => text.push_str("no tick of a schedule is on record\n"),
        None => {}
    }
    for finding in findings {
        text.push_str(&format!("{BAD}bad{BAD:#}       {}\n          `{}`\n", finding.what, finding.mend));
    }
    for one in unknown {
        text.push_str(&format!("could not be asked: {one}\n"));
    }
    text
}

fn failing(last: &Last) -> Option<Finding> {
    (last.exit != 0).then(|| Finding {
        what: format!(
            "the last {} tick(s) failed: {}",
            last.failures,
            last.error.as_deref().unwrap_or("no reason is on record")
        ),
        mend: "taskforge tick --all".to_owned(),
    })
}
