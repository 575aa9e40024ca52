//! `taskforge openclaw check`.

use std::process::ExitCode;
use std::thread;

use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Kind};
use crate::openclaw::{Error, allowlist, skill};
use crate::schedule::{Backend, Machine};

use super::super::output::{BAD, GOOD, WAITING};
use super::super::root::Context;
use super::super::schedule;
use super::{Parts, Target};

/// Check that an agent has the skill, may run `taskforge helper` and nothing more of it, and that runs are ticked
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    target: Target,
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Good,
    Note,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// A stable name.
    name: &'static str,
    grade: Grade,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

const SETUP: &str = "taskforge openclaw setup";

impl Check {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let parts = self.target.parts(context)?;
        let version = || {
            let version = parts.cli.version()?;
            Ok(vec![good("openclaw", format!("{version}, {}", parts.cli.program().display()))])
        };
        // Each call of OpenClaw takes seconds, and none waits for another.
        let parts = &parts;
        let found = thread::scope(|scope| {
            let asked = [
                scope.spawn(version),
                scope.spawn(|| self.skill(parts)),
                scope.spawn(|| self.rules(parts)),
                scope.spawn(|| tick(parts)),
            ];
            asked.map(|one| one.join().unwrap_or_else(|_| Err(Failure::new(Kind::Failed, "a check broke off"))))
        });
        let mut findings = Vec::new();
        for some in found {
            findings.extend(some?);
        }
        let sick = findings.iter().any(|finding| finding.grade == Grade::Bad);
        context.output.result(&findings, || {
            let mut text = String::new();
            for finding in &findings {
                let (style, word) = match finding.grade {
                    Grade::Good => (GOOD, "ok"),
                    Grade::Note => (WAITING, "note"),
                    Grade::Bad => (BAD, "bad"),
                };
                text.push_str(&format!("{style}{word:<5}{style:#} {:<15} {}\n", finding.name, finding.detail));
                if let Some(fix) = &finding.fix {
                    text.push_str(&format!("      {:<15} `{fix}`\n", ""));
                }
            }
            text
        })?;
        Ok(if sick { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn skill(&self, parts: &Parts) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let agent = &self.target.agent;
        let Some(there) = parts.cli.skill(agent)? else {
            findings.push(bad("skill", format!("agent {agent} has no skill taskforge"), SETUP));
            return Ok(findings);
        };
        let different = skill::differences(&there.folder);
        let folder = there.folder.display();
        findings.push(if different.is_empty() {
            good("skill", format!("{folder}, as this binary ships it"))
        } else {
            bad("skill", format!("{folder} is not what this binary ships: {}", different.join(", ")), SETUP)
        });
        findings.push(if there.eligible && there.visible {
            good("skill-eligible", format!("agent {agent} is offered it"))
        } else if there.missing.iter().any(|name| name == "taskforge") {
            let fix = format!("install -m 755 {} /usr/local/bin/taskforge", parts.binary.display());
            bad("skill-eligible", "OpenClaw does not find taskforge in its own PATH".to_owned(), &fix)
        } else if there.disabled {
            bad(
                "skill-eligible",
                "it is disabled".to_owned(),
                "openclaw config set skills.entries.taskforge.enabled true",
            )
        } else {
            let missing = there.missing.join(", ");
            bad(
                "skill-eligible",
                format!("agent {agent} is not offered it; missing: {missing}"),
                "openclaw skills info taskforge",
            )
        });
        Ok(findings)
    }

    fn rules(&self, parts: &Parts) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let agent = &self.target.agent;
        let rules = parts.cli.exec_rules(agent)?;
        const MODE: &str = "openclaw config set tools.exec.mode allowlist";
        findings.push(match rules.mode.as_str() {
            "allowlist" => good("exec-mode", format!("agent {agent} runs only what its list names")),
            "deny" => bad("exec-mode", format!("agent {agent} may run nothing, `taskforge helper` neither"), MODE),
            "full" => bad(
                "exec-mode",
                format!(
                    "agent {agent} may run anything as this user, `taskforge approve` too: no decision is safe from it"
                ),
                MODE,
            ),
            other => bad(
                "exec-mode",
                format!(
                    "agent {agent} runs commands in mode {other:?}: without a person at hand that is denied, and \
                         with one a click runs `taskforge approve`"
                ),
                MODE,
            ),
        });
        findings.push(if allowlist::has_entry(&rules.document, agent, &parts.binary) {
            good("exec-rule", format!("{} with arguments {}", parts.binary.display(), allowlist::ARGUMENTS))
        } else {
            let detail = format!("no rule lets agent {agent} run {} helper", parts.binary.display());
            bad("exec-rule", detail, "taskforge openclaw setup --apply")
        });
        for danger in allowlist::dangers(&rules.document, agent, &parts.binary) {
            let detail = format!("the rule {} lets agent {agent} run taskforge with {}", danger.pattern, danger.why);
            let fix = format!(
                "openclaw approvals allowlist remove '{}' --agent {agent}",
                danger.pattern.replace('\'', "'\\''")
            );
            findings.push(bad("exec-other-rule", detail, &fix));
        }
        Ok(findings)
    }
}

fn tick(parts: &Parts) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let Some(registry) = &parts.registry else {
        findings.push(Finding {
            name: "tick",
            grade: Grade::Note,
            detail: "no registry is named, so its tick was not looked for".to_owned(),
            fix: Some("taskforge --registry DIR openclaw check".to_owned()),
        });
        return Ok(findings);
    };
    let id = schedule::id(registry)?;
    let machine = Machine::with(parts.cli.clone());
    let mut found = Vec::new();
    for backend in Backend::ALL.into_iter().filter(|backend| machine.has(*backend)) {
        match machine.find(backend, &id) {
            Ok(one) => found.extend(one),
            Err(crate::schedule::Error::Openclaw(error @ Error::Unreachable(_))) => {
                findings.push(bad("gateway", error.to_string(), "openclaw gateway status"));
            }
            Err(error) if backend == Backend::Openclaw => return Err(error.into()),
            Err(_) => {}
        }
    }
    if found.is_empty() {
        findings.push(bad("tick", format!("nothing ticks {}", registry.root().display()), SETUP));
    }
    for one in found {
        let problems = schedule::problems(&one, registry);
        if problems.is_empty() {
            findings.push(good("tick", format!("by {}, {}", one.backend, one.when)));
        }
        for problem in problems {
            findings.push(bad("tick", problem.what, &problem.mend));
        }
    }
    Ok(findings)
}

fn good(name: &'static str, detail: String) -> Finding {
    Finding { name, grade: Grade::Good, detail, fix: None }
}

fn bad(name: &'static str, detail: String, fix: &str) -> Finding {
    Finding { name, grade: Grade::Bad, detail, fix: Some(fix.to_owned()) }
}
