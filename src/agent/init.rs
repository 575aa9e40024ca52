//! PID 1 of an agent's container: waits for the gate's greeting, offers the gate on 127.0.0.1, runs one program,
//! reaps, forwards signals, keeps the wall clock. It streams nothing it was not asked for and keeps no state.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::error::AgentError;
use super::family::{Family, Reaped};
use super::forwards::Forwards;
use super::gate_client::GateClient;
use super::narration::complain;
use super::{disk, env, exit, forward, gate_watch, held, published};

/// How long the gate is waited for at the start.
const GREETING: Duration = Duration::from_secs(10);
/// Between TERM and KILL when the wall clock is over.
const GRACE: Duration = Duration::from_secs(2);

/// What [`init`] runs and where.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// The gate's unix socket.
    pub socket: PathBuf,
    /// Where the gate is offered to the program; a loopback address.
    pub listen: SocketAddr,
    /// The program's working directory.
    pub workspace: PathBuf,
    /// When the attempt ends.
    pub deadline: Option<DateTime<Utc>>,
    /// How many bytes the workspace may hold.
    pub disk: Option<u64>,
    /// The port that the program listens on, where that is offered through the gate.
    pub publish: Option<u16>,
}

impl InitOptions {
    /// Runs `argv` with the settings that the host put into the environment ([`env`]).
    ///
    /// # Errors
    /// [`AgentError::Setting`] names the variable that cannot be read.
    pub fn from_env(argv: Vec<OsString>) -> Result<Self, AgentError> {
        Ok(Self {
            argv,
            socket: env::gate_socket(),
            listen: env::listen()?,
            workspace: env::workspace(),
            deadline: env::deadline()?,
            disk: env::disk()?,
            publish: env::port()?,
        })
    }
}

/// Runs the attempt to its end and returns the exit code for this process: the program's own (128 and the number, if
/// a signal ended it), or one of [`exit`]. What went wrong stands on stderr.
///
/// It reaps every child of the calling process, so a process that calls this does nothing else.
#[must_use]
pub fn init(options: &InitOptions) -> u8 {
    match super::runtime().and_then(|runtime| runtime.block_on(attempt(options))) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

async fn attempt(options: &InitOptions) -> Result<u8, AgentError> {
    let gate = GateClient::new(&options.socket, GREETING);
    if let Err(error) = gate_watch::greet(&gate).await {
        complain(&error);
        return Ok(exit::GATE_REFUSED);
    }
    if options.deadline.is_some_and(|deadline| deadline <= Utc::now()) {
        complain(&"the time of this attempt was over before it began");
        return Ok(exit::DEADLINE);
    }
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| AgentError::Listen { address: options.listen, source })?;
    let mut ended = signal(SignalKind::child()).map_err(AgentError::Signals)?;
    let mut signals = forwarded_signals()?;
    // What was granted before is there when the program begins.
    let mut forwards = Forwards::new(gate.clone());
    forwards.open_granted().await;
    let mut room = pin!(disk::until_exceeded(options.workspace.clone(), options.disk));
    let mut family = Family::start(&options.argv, &options.workspace)?;
    if let Some(port) = options.publish {
        tokio::spawn(published::keep(gate.clone(), port));
    }
    tokio::spawn(forward::serve(listener, gate.clone()));
    tokio::spawn(forwards.keep());

    let mut watch = pin!(gate_watch::until_ended(&options.socket));
    let mut clock = pin!(until(options.deadline));
    let (mut watching, mut ticking) = (true, true);
    // Once we end the attempt, its code is ours and no longer the program's.
    let mut verdict = None;
    let mut kill_at: Option<Instant> = None;
    loop {
        let Reaped { code, all } = family.reap();
        // Until the grace is over, TERM is being answered by whoever is left, the program or not.
        if let Some(code) = code
            && (all || kill_at.is_none())
        {
            // What it left behind in its group; as PID 1 the kernel ends all the rest with us.
            family.signal(Signal::KILL);
            if verdict != Some(exit::GATE_REFUSED) {
                held::report(&gate).await;
            }
            return Ok(verdict.unwrap_or(code));
        }
        tokio::select! {
            // SIGCHLD says that something has ended, never how many: the loop looks for itself.
            _ = ended.recv() => {}
            Some(signal) = signals.recv() => family.signal(signal),
            refusal = &mut watch, if watching => {
                watching = false;
                let over = options.deadline.is_some_and(|deadline| deadline <= Utc::now());
                if refusal.code == "closed" && over {
                    // The gate closes at the deadline; the clock branch ends the attempt, with grace.
                    continue;
                }
                complain(&refusal);
                verdict = Some(exit::GATE_REFUSED);
                kill_at = None;
                family.signal_everything(Signal::KILL);
            }
            () = &mut room, if watching && verdict.is_none() => {
                complain(&format!("the workspace holds more than {} bytes, or more files than may be", options.disk.unwrap_or(0)));
                verdict = Some(exit::OVER_DISK);
                family.signal_everything(Signal::KILL);
            }
            () = &mut clock, if ticking => {
                ticking = false;
                if verdict.is_none() {
                    complain(&"the time of this attempt is over");
                    verdict = Some(exit::DEADLINE);
                    family.signal_everything(Signal::TERM);
                    kill_at = Some(Instant::now() + GRACE);
                }
            }
            () = tokio::time::sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                kill_at = None;
                family.signal_everything(Signal::KILL);
            }
        }
    }
}

/// Sleeps until the wall clock, not a count of seconds, says so: a machine that slept in between is not given more.
async fn until(deadline: Option<DateTime<Utc>>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    while let Ok(left) = (deadline - Utc::now()).to_std() {
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
    }
}

/// The signals a person or the Engine sends to a container, for the program. As PID 1 we would not even die of those
/// we do not listen to.
fn forwarded_signals() -> Result<mpsc::Receiver<Signal>, AgentError> {
    let (sender, receiver) = mpsc::channel(16);
    for which in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2] {
        let mut stream = signal(SignalKind::from_raw(which.as_raw())).map_err(AgentError::Signals)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(which).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}
