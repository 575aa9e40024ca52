//! Every reader of bytes that somebody else wrote, as a function of those bytes: what the fuzz targets in `fuzz/` and
//! the tests here call. None of them may panic, touch a file, or need memory that is not in proportion to its input.
//! Built for tests and for fuzzing only.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hint::black_box;

use chrono::DateTime;
use serde_json::Value;

use crate::capability::Decision;
use crate::capability::policy::{Asked, Expectations, Policies};
use crate::cli::json_argument;
use crate::gate::{Hello, Policy, Records, read_hello};
use crate::provider;
use crate::registry::{Config, Scan, controls, inbox};
use crate::role::agent::{self, Entry as Remembered, check_value, recall};
use crate::role::{PROMPT_LIMIT, Role, Skill};
use crate::run::apply::fold;
use crate::run::capability::Capability;
use crate::run::deployment::Proposal;
use crate::run::foreign::{SeenRun, begin};
use crate::run::id::{Digest, RequestId, RoleName, RunId, SkillName};
use crate::run::projection::{refs_json, service_json, state_json};
use crate::run::ruling::Effect;
use crate::run::timetable::{SHOWN, Timetable, When};
use crate::signature::{AllowedSigners, DECISION};
use crate::workflow::Workflow;

/// A reader: its name, which is that of its seeds and of its fuzz target, and what it does with the bytes.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them.
pub const ENTRIES: [Entry; 25] = [
    ("workflow", workflow),
    ("journal", journal),
    ("controls", controls),
    ("arguments", arguments),
    ("foreign", foreign),
    ("decision", decision),
    ("settings", settings),
    ("hello", hello),
    ("capability", capability),
    ("proposal", proposal),
    ("timetable", timetable),
    ("policy", policy),
    ("rules", rules),
    ("models", models),
    ("answers", answers),
    ("signature", signature),
    ("signers", signers),
    ("agent", agent),
    ("role", role),
    ("dotenv", dotenv),
    ("vault", vault),
    ("actions", actions),
    ("hired", hired),
    ("messages", messages),
    ("pulls", pulls),
];

/// A `*.task.md`.
pub fn workflow(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Workflow::parse("w.task.md", text) {
        Ok(workflow) => {
            black_box(workflow.render(&BTreeMap::new()).is_ok());
        }
        // What is wrong is shown with the lines around it.
        Err(problems) => {
            black_box(problems.to_string());
        }
    }
}

/// A `roles/r.role.md`, or a `skills/r/SKILL.md`.
pub fn role(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (Ok(role), Ok(skill)) = (RoleName::parse("r"), SkillName::parse("r")) else { return };
    match Role::parse(&role, "r.role.md", text) {
        Ok(role) => {
            assert!(role.prompt.len() <= PROMPT_LIMIT, "a prompt beyond its bound");
            black_box(role.soul());
        }
        // What is wrong is shown with the lines around it.
        Err(problems) => {
            black_box(problems.to_string());
        }
    }
    if let Err(problems) = Skill::parse(&skill, "SKILL.md", text) {
        black_box(problems.to_string());
    }
}

/// An `events.jsonl` of the run `r`, and what it comes down to.
pub fn journal(bytes: &[u8]) {
    let Ok(run) = RunId::parse("r") else { return };
    let scan = Scan::of(&run, bytes);
    assert!(scan.head.at <= bytes.len() as u64, "a head behind the end");
    for finding in &scan.findings {
        black_box(finding.what.to_string());
    }
    if let Ok(state) = fold(&scan.records) {
        black_box((state_json(&state), refs_json(&state), service_json(&state)));
    }
}

/// A `control.jsonl` of the run `r`.
pub fn controls(bytes: &[u8]) {
    let Ok(run) = RunId::parse("r") else { return };
    let records = controls::read_bytes(bytes, &run);
    assert!(records.iter().all(|record| record.run_id == "r"), "another run's control was taken");
    black_box(records);
}

/// JSON on a command line.
pub fn arguments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    black_box(json_argument::object("--payload-json", Some(text)).is_ok());
    black_box(json_argument::strings("--artifacts-json", Some(text)).is_ok());
}

/// The `state.json` (the first line) and `refs.json` (the rest) of a run that another program made.
pub fn foreign(bytes: &[u8]) {
    let (state, refs) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => bytes.split_at(at),
        None => (bytes, &b"{}"[..]),
    };
    let Ok(state) = serde_json::from_slice::<Value>(state) else { return };
    let refs = serde_json::from_slice::<Value>(refs).unwrap_or(Value::Null);
    match SeenRun::read(&state, &refs) {
        Ok(seen) => {
            black_box(begin(&seen, "r".to_owned(), Digest::of(b"")).is_ok());
        }
        Err(why) => {
            black_box(why);
        }
    }
}

/// A `decisions/<id>.json`.
pub fn decision(bytes: &[u8]) {
    if let Ok(decision) = Decision::parse(bytes) {
        let again = Decision::parse(&decision.to_bytes());
        assert!(again.is_ok_and(|again| again == decision), "a decision that does not read back");
    }
}

/// A `decisions/<id>.json.sig`, over a text that it is not for.
pub fn signature(bytes: &[u8]) {
    let signed = AllowedSigners::default().verify(DECISION, "ada", b"hello", bytes, &[]);
    assert!(signed.is_err(), "nobody is allowed, and somebody signed");
    black_box(signed.err().map(|error| error.to_string()));
    black_box(crate::signature::check_any(bytes));
}

/// An `allowed_signers`.
pub fn signers(bytes: &[u8]) {
    if let Ok(allowed) = AllowedSigners::parse(bytes) {
        for entry in allowed.entries() {
            black_box((entry.is_of("ada@example.org"), entry.allows(DECISION), entry.name()));
        }
    }
}

/// What an ssh-agent answers.
pub fn agent(bytes: &[u8]) {
    black_box(crate::signature::agent_answers(bytes));
}

/// A `.env` file.
pub fn dotenv(bytes: &[u8]) {
    if let Ok(settings) = crate::vault::dotenv::parse(bytes) {
        for (name, value) in &settings {
            black_box((crate::vault::dotenv::secret_name(name), value.len()));
            assert!(value.len() <= bytes.len(), "a value that is more than the file");
        }
    }
}

/// A `vault/log.jsonl` of the registry `r`.
pub fn vault(bytes: &[u8]) {
    if let Ok(log) = crate::vault::Log::read("r", bytes) {
        black_box((log.secrets.len(), log.recipients.len()));
    }
}

/// What an agent wants done: the name of an action on the first line, its arguments as JSON behind it.
pub fn actions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (name, arguments) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(Value::Object(arguments)) = serde_json::from_str(arguments) else { return };
    let Ok(action) = crate::gate::Action::parse(name, arguments) else { return };
    // What names nothing allows nothing.
    assert!(action.check(&crate::run::capability::ActionRules::default()).is_err(), "allowed by no rule");
    black_box((action.is_write(), action.target(), action.capability(name)));
}

/// A hired agent's `events.jsonl`, and what it is told that it remembers.
pub fn hired(bytes: &[u8]) {
    let Ok(name) = RunId::parse("r") else { return };
    let scan = Scan::of(&name, bytes);
    let Ok(agent) = agent::fold(&scan.records) else { return };
    for budget in [0, 100, 8192] {
        let recalled = recall(&agent.remembered, budget);
        assert!(recalled.left_out.len() <= agent.remembered.len(), "more is left out than there is");
        black_box(recalled.text);
    }
}

/// A `gate/inbox/<id>.json`: what an agent remembers, or asks to have done by a child.
pub fn messages(bytes: &[u8]) {
    let Ok(id) = RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4A") else { return };
    let Ok(message) = inbox::parse(&id, bytes) else { return };
    black_box((message.is_of_gate(), crate::engine::children::is_readable(&message)));
    let Ok((key, Some(value))) = crate::engine::agents::change(&message) else { return };
    assert!(!key.as_str().contains('/') && !key.as_str().starts_with('.'), "a key that leads elsewhere");
    if check_value([], &key, &value).is_ok() {
        let told = recall(&BTreeMap::from([(key, Remembered { value, at: chrono::DateTime::UNIX_EPOCH })]), 1 << 20);
        // A heading, and each of its entries on one line, whatever stands in it.
        assert!(!told.text.chars().any(|c| c.is_control() && c != '\n'), "what it remembers acts");
    }
}

/// What a service says that the open pull requests of `acme/tool` are.
pub fn pulls(bytes: &[u8]) {
    let Ok(Value::Array(pulls)) = serde_json::from_slice(bytes) else { return };
    for pull in &pulls {
        let Ok((_, Some(item))) = crate::watch::read_pull("acme/tool", pull, false) else { continue };
        let run = item.run("reviews");
        assert!(run.is_ok_and(|run| run.as_str().starts_with("reviews-acme-tool-")), "work without a name");
        for value in item.fields.values().filter_map(Value::as_str) {
            assert!(!value.contains(char::is_control) && value.chars().count() <= 200, "a field that is no line");
        }
    }
}

/// A `taskforge.toml`, with its watches and actions.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::of(text) {
        Ok(config) => {
            black_box(config.watch.iter().map(|(name, watch)| (name.len(), watch.target())).collect::<Vec<_>>());
        }
        // What is wrong is shown with the line.
        Err(error) => {
            black_box(error.to_string());
        }
    }
}

/// A file of `policies/`, rules and expected answers alike.
pub fn rules(bytes: &[u8]) {
    let policies = Policies::parse(vec![("p.yaml".to_owned(), bytes.to_vec())]);
    if let Ok(capability) = Capability::parse("pip:pandas") {
        let ruling = policies.rule_on(&Asked::alone(&capability, "w", None));
        assert!(policies.problems().is_empty() || ruling.effect == Effect::Deny, "unreadable, and not shut");
    }
    black_box((policies.doubts(), Expectations::parse("p.test.yaml", bytes).is_ok()));
}

/// What a client sends into a tunnel that is to carry TLS.
pub fn hello(bytes: &[u8]) {
    let mut records = Records::new(|hello: &Hello| hello.name.as_deref() == Some("api.example.org"));
    if let Ok(Some((hello, end))) = read_hello(bytes) {
        assert!(end <= bytes.len(), "a hello that ends behind the end");
        black_box((hello, records.push(&bytes[end..]).is_ok()));
    }
    let mut records = Records::new(|_: &Hello| true);
    black_box(records.push(bytes).is_ok());
}

/// What an agent asks for.
pub fn capability(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(capability) = Capability::parse(text) {
        let again = Capability::parse(&capability.to_string());
        assert!(again.is_ok_and(|again| again == capability), "a capability that does not read back");
    }
}

/// What an agent wants to have deployed: what passes is shown as it is and stays below the workspace.
pub fn proposal(bytes: &[u8]) {
    let Ok(proposal) = serde_json::from_slice::<Proposal>(bytes) else { return };
    match Proposal::check(Some(&proposal), Some(8000)) {
        Ok(()) => {
            let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
            let folder = std::path::Path::new(&proposal.folder);
            assert!(proposal.folder == "." || folder.components().all(plain), "out of its place");
            assert!(!proposal.command.iter().any(|word| word.contains(char::is_control)), "a word that acts");
        }
        Err(error) => {
            black_box(error.to_string());
        }
    }
}

/// What an agent wants to be told at times: what passes is shown as it is, and its times go on.
pub fn timetable(bytes: &[u8]) {
    let Ok(timetable) = serde_json::from_slice::<Timetable>(bytes) else { return };
    let now = DateTime::UNIX_EPOCH + chrono::Duration::days(20_000);
    match Timetable::check(Some(&timetable), true) {
        Ok(()) => {
            assert!(!timetable.task.contains(|c: char| c.is_control() && c != '\n'), "a task that acts");
            let Ok(when) = When::parse(&timetable.when) else { panic!("a time that is none") };
            let next = when.next(now, SHOWN);
            assert!(next.windows(2).all(|pair| pair[0] < pair[1]) && next.iter().all(|time| *time > now), "it stands");
            assert!(when.latest(now).is_none_or(|latest| latest <= now), "a time to come");
            black_box(when.least_gap(now));
        }
        Err(error) => {
            black_box(error.to_string());
        }
    }
}

/// A `gate/policy.json`.
pub fn policy(bytes: &[u8]) {
    black_box(Policy::parse(bytes).is_ok());
}

/// What an agent asks of a model, on each wire, and what becomes of it for each provider.
pub fn models(bytes: &[u8]) {
    black_box(provider::hostile::asked(bytes));
}

/// What a provider says: the first byte chooses the wire, and whether it streams; the rest is what came.
pub fn answers(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    black_box(provider::hostile::said(*choice, bytes));
}
