//! OpenClaw as a node's agent: one headless turn of the real program, without its gateway. What is written for it
//! before the start are its settings and the prompt; how it ended is read from the envelope that it prints.

mod envelope;
mod settings;

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use tokio::time::Instant;

use self::envelope::Envelope;
use super::brief::Brief;
use super::capability_request::poll;
use super::decision::Standing;
use super::error::AgentError;
use super::gate_client::GateClient;
use super::narration::{Narration, complain};
use super::verbs::unanswered;
use super::{env, exit};

/// Where the image has them, see `taskforge image openclaw`.
const NODE: &str = "/usr/local/bin/node";
const PROGRAM: &str = "/node_modules/openclaw/openclaw.mjs";
/// The most of its answer that is read, in bytes.
const ANSWER: u64 = 16 << 20;
/// The most of its last words that becomes the node's result, in characters: the gate takes 256 KiB.
const SUMMARY: usize = 50_000;
const PATIENCE: Duration = Duration::from_secs(10);
/// Without a deadline of the host, in seconds.
const DAY: i64 = 86_400;

/// Where OpenClaw runs.
#[derive(Debug, Clone)]
pub struct OpenclawOptions {
    /// The gate's unix socket.
    pub socket: PathBuf,
    pub workspace: PathBuf,
    /// Node and what it is to run.
    pub program: [PathBuf; 2],
    /// The node's role, if it has one: its `SOUL.md` and its skills.
    pub role: PathBuf,
    /// A folder in memory: settings, prompt and OpenClaw's own state.
    pub home: PathBuf,
}

impl OpenclawOptions {
    /// The settings that the host put into the environment ([`env`]).
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            socket: env::gate_socket(),
            workspace: env::workspace(),
            program: [NODE.into(), PROGRAM.into()],
            role: "/taskforge/role".into(),
            home: env::home(),
        }
    }
}

/// Works on the brief until OpenClaw's turn ends, telling its outcome to `out`; what went wrong stands on stderr.
/// Returns the exit code for this process, one of [`exit`].
#[must_use]
pub fn openclaw(options: &OpenclawOptions, out: &mut dyn Write) -> u8 {
    let mut turn = || -> Result<u8, AgentError> {
        let runtime = super::runtime()?;
        let gate = GateClient::new(&options.socket, PATIENCE);
        let brief = runtime.block_on(async {
            let reply = gate.get("/taskforge/v1/brief").await?;
            serde_json::from_value::<Brief>(reply.json()?).map_err(|error| reply.unexpected(error.to_string()))
        })?;
        let asked = options.home.join("asked");
        let ended = run(options, &brief, &asked)?;
        runtime.block_on(conclude(options, &gate, &brief, &asked, &ended, &mut Narration::new(out)))
    };
    match turn() {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

/// How the program ended.
struct Ended {
    code: Option<i32>,
    answer: Result<Envelope, String>,
}

fn run(options: &OpenclawOptions, brief: &Brief, asked: &Path) -> Result<Ended, AgentError> {
    let [node, program] = &options.program;
    if !program.exists() {
        let program = program.display();
        return Err(AgentError::NoOpenclaw { program: program.to_string() });
    }
    let (state, prompt) = (options.home.join(".openclaw"), options.home.join("prompt.md"));
    let config = state.join("openclaw.json");
    std::fs::create_dir_all(&state).map_err(AgentError::home(&state))?;
    let skills = skills(&options.role);
    let named = skills.as_ref().map(|names| (options.role.join("skills"), names));
    let named = named.as_ref().map(|(folder, names)| (folder.as_path(), names.as_slice()));
    let settings = settings::settings(&brief.model, &options.workspace, named);
    std::fs::write(&config, settings.to_string()).map_err(AgentError::home(&config))?;
    let text = format!("{}\n# Your task\n\n{}\n", brief.system, brief.prompt.trim_end());
    std::fs::write(&prompt, text).map_err(AgentError::home(&prompt))?;
    let left = env::deadline()?.map_or(DAY, |deadline| (deadline - Utc::now()).num_seconds().max(1));
    let mut child = Command::new(node)
        .arg(program)
        .args(["agent", "exec", "--json", "--timeout", &left.to_string()])
        .args([Path::new("--message-file"), &prompt, Path::new("--config"), &config, Path::new("--cwd")])
        .arg(&options.workspace)
        .env("OPENCLAW_STATE_DIR", &state)
        .env("OPENCLAW_CONFIG_PATH", &config)
        .envs(settings::ENVIRONMENT)
        .env(env::ASKED, asked)
        .current_dir(&options.workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| AgentError::Spawn { program: node.display().to_string(), source })?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // What cannot be read whole is no envelope, and is said to be none.
        let _ = stdout.take(ANSWER).read_to_end(&mut answer);
    }
    let code = child.wait().map_err(|source| AgentError::Spawn { program: node.display().to_string(), source })?.code();
    Ok(Ended { code, answer: Envelope::read(&answer) })
}

/// The skills of the node's role; none if it has no role.
fn skills(role: &Path) -> Option<Vec<String>> {
    if !role.is_dir() {
        return None;
    }
    let entries = std::fs::read_dir(role.join("skills")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Some(names)
}

async fn conclude(
    options: &OpenclawOptions,
    gate: &GateClient,
    brief: &Brief,
    asked: &Path,
    ended: &Ended,
    narration: &mut Narration<'_>,
) -> Result<u8, AgentError> {
    if let Ok(envelope) = &ended.answer {
        narration.step(&format!("openclaw: {}", envelope.summary()));
        narration.detail(&envelope.last_words);
    }
    let written = |output: &String| {
        // The host has the last word on patterns.
        output.contains(['*', '?', '[']) || options.workspace.join(output).exists()
    };
    let finished = !brief.outputs.is_empty() && brief.outputs.iter().all(written);
    if !finished && let Some(request) = waiting(gate, asked).await? {
        narration.step(&format!("waiting for a decision on request {request}"));
        return Ok(exit::SUSPENDED);
    }
    match (&ended.answer, ended.code) {
        (Ok(envelope), Some(0)) if envelope.ok => {
            let summary: String = envelope.last_words.chars().take(SUMMARY).collect();
            if !summary.trim().is_empty() {
                gate.post("/taskforge/v1/result", &json!({"summary": summary})).await?.accepted()?;
            }
            Ok(exit::DONE)
        }
        (Ok(envelope), _) if envelope.timed_out => {
            complain(&"OpenClaw was not done when the time of this attempt was over");
            Ok(exit::DEADLINE)
        }
        (Ok(envelope), code) => {
            let why = envelope.error.clone().unwrap_or_else(|| format!("it ended with {}", shown(code)));
            Err(AgentError::Openclaw(why))
        }
        (Err(why), code) => Err(AgentError::Openclaw(format!("it ended with {}, and {why}", shown(code)))),
    }
}

fn shown(code: Option<i32>) -> String {
    code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"))
}

/// A request that OpenClaw's last word on is that it is undecided: it is in force, if at all, in the next attempt.
async fn waiting(gate: &GateClient, asked: &Path) -> Result<Option<String>, AgentError> {
    for request in unanswered(asked) {
        match poll(gate, &request, Instant::now()).await? {
            Standing::Pending | Standing::Approved(_) => return Ok(Some(request)),
            Standing::Refused(_) => {}
        }
    }
    Ok(None)
}
