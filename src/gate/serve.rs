//! The gate's process: reads the policy, opens and closes sockets, says in `status.json` what is in force.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::action::Queue;
use super::doors::Doors;
use super::egress::Lookups;
use super::inbox::Asked;
use super::ledger::Ledger;
use super::pace::Pace;
use super::policy::Policy;
use super::records::{Recorder, RecorderOptions};
use super::role_budget::RoleLedgers;
use super::rules::Rules;
use super::shared::Gate;
use super::status::Status;
use super::turns::Turns;
use super::watch::Watch;
use super::{Error, body, budget};
use crate::provider::{self, Keys};
use crate::run::id::Digest;

/// Where the trusted roots are, unless `SSL_CERT_FILE` says otherwise.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Longer than a service is waited for.
const SETTLES: Duration = Duration::from_secs(60);

/// Where a gate finds what it works with.
#[derive(Debug, Clone)]
pub struct GateOptions {
    /// The run's `gate/` folder.
    pub dir: PathBuf,
    /// The registry's kill folder.
    pub kill: PathBuf,
    /// The folder of `keys.json`.
    pub secrets: PathBuf,
    /// Where all gates of the registry count what models take in a day.
    pub spent: PathBuf,
    /// How long after an action may have been done its absence means that it was not.
    pub settles: Duration,
    /// The PEM bundle of trusted roots.
    pub bundle: PathBuf,
    /// Whether it has a network of its own, to which the Engine brings those who come to what is published.
    pub bridged: bool,
    /// The first 12 digits of the binary's SHA-256, where the caller knows it; else it is computed.
    pub version: Option<String>,
}

impl GateOptions {
    /// Options with the usual bundle, or that of `SSL_CERT_FILE`, and the days' counts where `TASKFORGE_SPENT` says, or
    /// else beside the kill folder. `TASKFORGE_PUBLISHED=bridge` is for a network of its own.
    #[must_use]
    pub fn new(dir: PathBuf, kill: PathBuf, secrets: PathBuf) -> Self {
        let bundle = std::env::var_os("SSL_CERT_FILE").map_or_else(|| BUNDLE.into(), PathBuf::from);
        let spent = std::env::var_os("TASKFORGE_SPENT").map_or_else(|| kill.with_file_name("spent"), PathBuf::from);
        let bridged = std::env::var_os("TASKFORGE_PUBLISHED").is_some_and(|network| network == "bridge");
        Self { dir, kill, secrets, spent, settles: SETTLES, bundle, bridged, version: None }
    }
}

/// Runs the gate until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no kill folder, another gate holds the records, or the records are not what they were.
pub fn serve(options: GateOptions) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(Error::io("start the runtime of", &options.dir))?;
    let dir = options.dir.clone();
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::io("handle signals of", &dir))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::io("handle signals of", &dir))?;
        serve_until(options, async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
    })
}

/// Runs the gate until `stop` is ready; then closes all sockets and lets what is under way end on record.
///
/// # Errors
/// As [`serve`].
pub async fn serve_until(options: GateOptions, stop: impl Future<Output = ()>) -> Result<(), Error> {
    tokio::pin!(stop);
    if !options.kill.is_dir() {
        return Err(Error::NoKillFolder { path: options.kill });
    }
    let watch = Watch::new(&[&options.dir, &options.kill]);
    let mut status = Status {
        format: 1,
        generation: 0,
        pid: std::process::id(),
        started_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        version: options.version.clone().unwrap_or_else(version),
        error: None,
    };
    // What an earlier gate said is not true of this one.
    status.write(&options.dir)?;
    // The records belong to a run, and which one it is stands in the policy.
    let policy = loop {
        match Policy::read(&options.dir) {
            Ok(policy) => break policy,
            Err(e) => {
                let error = Some(e.to_string());
                if status.error != error {
                    status.error = error;
                    status.write(&options.dir)?;
                }
            }
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = watch.changed() => {}
        }
    };
    let run = policy.run.clone();
    let recorder = Recorder::open(&RecorderOptions { gate: &options.dir, run: &run, disk: |file| Box::new(file) })?;
    let client = provider::client(&options.bundle)?;
    let tls = Arc::new(provider::tls(&options.bundle)?);
    // Nothing is granted until the first look at the policy below.
    let ledger = Ledger::new(&options.spent, &run);
    let roles = RoleLedgers::new(&options.spent, &run);
    let nothing = Rules::new(Policy::new(&policy.registry, run), &options.dir, &Keys::default(), &client, None);
    let gate = Arc::new(Gate {
        kill: options.kill.clone(),
        rules: tokio::sync::watch::Sender::new(Arc::new(nothing)),
        turns: recorder.index(|index| Turns::new(index.llm_requests(), index.charged_requests())),
        asked: Asked::open(&options.dir)?,
        ledger,
        roles,
        pace: Pace::default(),
        recorder,
        room: body::room(),
        answers: crate::provider::Room::default(),
        lookups: Lookups::new(),
        tls,
        client: client.clone(),
        acting: Queue::default(),
        settles: options.settles,
        parsing: tokio::sync::Mutex::default(),
    });
    let counting = gate.clone();
    let mut doors = Doors::new(gate, options, client, status);
    // In a task of its own: a disk that takes its time keeps nobody from looking for the kill switch.
    let (look, mut looks) = tokio::sync::mpsc::channel(1);
    let keeping = tokio::spawn({
        let counting = counting.clone();
        async move {
            while looks.recv().await.is_some() {
                settle(&counting).await;
            }
        }
    });
    loop {
        doors.look().await;
        let _ = look.try_send(());
        tokio::select! {
            () = &mut stop => break,
            () = watch.changed() => {}
            () = doors.changed() => {}
        }
    }
    drop(look);
    // A disk that hangs must not keep a container from stopping.
    let _ = tokio::time::timeout(Duration::from_secs(3), async {
        doors.close().await;
        let _ = keeping.await;
        settle(&counting).await;
    })
    .await;
    Ok(())
}

/// Puts what was taken of the days' budgets on the disk.
async fn settle(gate: &Gate) {
    gate.ledger.settle(|date| budget::on(gate, date)).await;
    gate.roles.settle(|role, date| budget::on_role(gate, role, date)).await;
}

/// The first 12 digits of the running binary's SHA-256; `unknown` if it cannot be read.
fn version() -> String {
    let digest = || {
        let mut file = std::fs::File::open("/proc/self/exe")?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match std::io::Read::read(&mut file, &mut buffer)? {
                0 => return Ok::<_, std::io::Error>(Digest::from_bytes(&hash.finalize().into())),
                n => hash.update(&buffer[..n]),
            }
        }
    };
    digest().map_or_else(|_| "unknown".to_owned(), |digest| digest.short().to_owned())
}
