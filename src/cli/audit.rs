//! `taskforge audit …`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::audit::{self, Lifts};
use crate::engine::{self, Store};
use crate::failure::{Failure, Kind};
use crate::registry::{agents, queries};
use crate::run::id::{AgentName, RunId};

use super::checkpoint;
use super::output::{BAD, DIM, GOOD};
use super::root::Context;
use super::run_arg::RunArg;
use super::terminal::plain;

/// Read and prove the journals
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Print a run's journal for people
    Log {
        run: RunArg,
        /// Only events whose names begin so, such as `capability.`
        #[arg(long)]
        event: Option<String>,
    },
    /// Prove that no byte of the journals, the gate's records and the outputs has changed
    Verify {
        /// One run [default: all, and all agents]
        run: Option<RunArg>,
        /// A hired agent, in place of a run: its journal, its role and what it remembers
        #[arg(long, value_name = "NAME", conflicts_with_all = ["run", "allowed_signers"])]
        agent: Option<AgentName>,
        /// A checkpoint that was kept elsewhere, for the run or agent that it names; can be repeated
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// A file with the public keys to go by, in place of the registry's `checkpoint.pub`
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
        /// Who may sign decisions, as `allowed_signers` from elsewhere, in place of the registry's
        #[arg(long, value_name = "FILE")]
        allowed_signers: Option<PathBuf>,
    },
    /// Sign the journal's head: a checkpoint, to be kept elsewhere
    Seal {
        #[arg(required_unless_present = "agent")]
        run: Option<RunArg>,
        /// A hired agent, in place of a run
        #[arg(long, value_name = "NAME", conflicts_with = "run")]
        agent: Option<AgentName>,
    },
    /// Print the newest checkpoint of a run as it was signed
    Checkpoint {
        #[arg(required_unless_present = "agent")]
        run: Option<RunArg>,
        /// A hired agent, in place of a run
        #[arg(long, value_name = "NAME", conflicts_with = "run")]
        agent: Option<AgentName>,
        /// All of them, oldest first
        #[arg(long)]
        all: bool,
    },
    /// Write all that proves a run into one archive, to be verified without taskforge
    Export {
        run: RunArg,
        /// The archive; the same run gives the same bytes
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

impl Audit {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Log { run, event } => log(context, &run, event.as_deref()),
            Self::Verify { agent: Some(agent), checkpoint, keys, .. } => {
                verify_agent(context, &agent, &checkpoint, keys.as_deref())
            }
            Self::Verify { run, agent: None, checkpoint, keys, allowed_signers } => {
                verify(context, run, &checkpoint, keys.as_deref(), allowed_signers.as_deref())
            }
            Self::Seal { run, agent } => checkpoint::seal(context, run.as_ref(), agent.as_ref()),
            Self::Checkpoint { run, agent, all } => checkpoint::print(context, run.as_ref(), agent.as_ref(), all),
            Self::Export { run, output } => checkpoint::export(context, &run, &output),
        }
    }
}

fn summary(report: &audit::Report) -> String {
    let traffic =
        report.traffic.as_ref().map_or(String::new(), |traffic| format!(", {} gate records", traffic.records));
    let checkpoints = match report.checkpoints {
        0 => String::new(),
        1 => ", 1 checkpoint".to_owned(),
        many => format!(", {many} checkpoints"),
    };
    let signatures = match report.signatures {
        0 => String::new(),
        1 => ", 1 signed decision".to_owned(),
        many => format!(", {many} signed decisions"),
    };
    format!(
        "{}{}: {} lines, {} of ours, {} foreign{traffic}{checkpoints}{signatures}; head {} at byte {}\n",
        if report.agent { "agent " } else { "" },
        report.run,
        report.lines,
        report.ours,
        report.foreign,
        report.head.digest.short(),
        report.head.at
    )
}

fn place(problem: &audit::Problem) -> String {
    if problem.line == 0 {
        return format!("{}: {}", problem.file, problem.what);
    }
    format!("{} line {} (byte {}): {}", problem.file, problem.line, problem.byte, problem.what)
}

fn log(context: &Context<'_>, run: &RunArg, event: Option<&str>) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    let mut records = Store::open(&registry, &run.find(&registry)?)?.records()?;
    records.retain(|record| event.is_none_or(|prefix| record.event.starts_with(prefix)));
    context.output.result(&records, || {
        let mut text = String::new();
        for record in &records {
            let message = plain(record.message.as_deref().unwrap_or_default()).replace('\n', " ");
            text.push_str(&format!(
                "{DIM}{:>4}  {}{DIM:#}  {:<22} {:<16} {message}\n",
                record.seq,
                record.timestamp.get(..19).unwrap_or(&record.timestamp),
                record.event,
                plain(&record.actor),
            ));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verify(
    context: &Context<'_>,
    run: Option<RunArg>,
    files: &[PathBuf],
    keys: Option<&Path>,
    signers: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    let run = run.map(|run| run.find(&registry)).transpose()?;
    let given = checkpoint::given(files, run.as_ref().map(RunId::as_str), keys, signers)?;
    let (runs, agents, lifts) = match run {
        Some(run) => (vec![run], Vec::new(), Lifts::default()),
        None => {
            let lifts = engine::verify_lifts(&registry, given.of("").allowed.as_ref());
            (queries::list_runs(&registry)?, agents::list(&registry)?, lifts.unwrap_or_else(|error| unread(&error)))
        }
    };
    if let Some((file, named)) = given.names().find(|(_, named)| {
        let agent = named.strip_prefix('@');
        !runs.iter().any(|run| run.as_str() == *named) && !agents.iter().any(|name| agent == Some(name.as_str()))
    }) {
        return Err(Failure::new(
            Kind::NotFound,
            format!("{file} is a checkpoint of run {named:?}, which is not here"),
        ));
    }
    let mut reports: Vec<audit::Report> = Vec::new();
    for run in runs {
        reports.push(engine::verify_against(&registry, &run, &given.of(run.as_str()))?);
    }
    for agent in agents {
        let name = engine::Sealable::Agent(&agent).name();
        reports.push(engine::verify_agent_against(&registry, &agent, &given.of(&name))?);
    }
    print(context, &reports, &lifts)
}

/// A history of lifts that nothing can be said of does not hold up the rest.
fn unread(error: &engine::Error) -> Lifts {
    let problems = vec![audit::Problem::of(".taskforge/kill", 0, 0, error.to_string())];
    Lifts { problems, ..Lifts::default() }
}

fn verify_agent(
    context: &Context<'_>,
    agent: &AgentName,
    files: &[PathBuf],
    keys: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let name = engine::Sealable::Agent(agent).name();
    let given = checkpoint::given(files, Some(&name), keys, None)?;
    let report = engine::verify_agent_against(&context.registry()?, agent, &given.of(&name))?;
    print(context, &[report], &Lifts::default())
}

fn print(context: &Context<'_>, reports: &[audit::Report], lifts: &Lifts) -> Result<ExitCode, Failure> {
    let sound = reports.iter().all(|report| report.problems.is_empty()) && lifts.problems.is_empty();
    let mut value: Vec<Value> = reports.iter().map(|report| json!(report)).collect();
    let lifted = *lifts != Lifts::default();
    value.extend(lifted.then(|| json!(lifts)));
    context.output.result(&value, || {
        let mut text = String::new();
        for report in reports {
            text.push_str(&verdict(&summary(report), &report.problems));
            for warning in &report.warnings {
                text.push_str(&format!("  {}\n", plain(&place(warning))));
            }
        }
        if lifted {
            let (count, plural) = (lifts.lifts, if lifts.lifts == 1 { "" } else { "s" });
            let what = format!("kill switch: {count} lift{plural}, {} signed\n", lifts.signatures);
            text.push_str(&verdict(&what, &lifts.problems));
        }
        text
    })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(Kind::Integrity.exit_code()) })
}

/// A line on what was verified, and one on each thing that is wrong with it.
fn verdict(what: &str, problems: &[audit::Problem]) -> String {
    let (style, word) = if problems.is_empty() { (GOOD, "sound") } else { (BAD, "NOT SOUND") };
    let mut text = format!("{style}{word}{style:#}  {what}");
    for problem in problems {
        text.push_str(&format!("  {BAD}{}{BAD:#}\n", plain(&place(problem))));
    }
    text
}
