//! What the engine says to sessions, as the real gateway takes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;
use taskforge::openclaw::{Error, OpenclawCli, Sent};

use super::gateway::Gateway;
use super::model::{Model, Move};

/// Keeps a model from answering what is asked with a message of this test: whoever waits for a turn's end would hang.
#[derive(Clone)]
pub struct Hold {
    held: Arc<(Mutex<bool>, Condvar)>,
    answered: Arc<AtomicBool>,
}

impl Hold {
    pub fn new() -> Self {
        Self { held: Arc::new((Mutex::new(true), Condvar::new())), answered: Arc::new(AtomicBool::new(false)) }
    }

    pub fn model(&self) -> Model {
        let own = self.clone();
        Model::start(move |_| {
            let (lock, changed) = &*own.held;
            drop(changed.wait_while(lock.lock().unwrap(), |held| *held).unwrap());
            own.answered.store(true, Ordering::SeqCst);
            Move::Say("I go on.".to_owned())
        })
    }

    fn release(&self) {
        *self.held.0.lock().unwrap() = false;
        self.held.1.notify_all();
    }

    fn answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }
}

/// A turn is started without waiting for it, and once for each id; a job is changed, but not what it does.
pub fn are_taken(gateway: &Gateway, hold: &Hold) {
    let program = gateway.scene.outside("bin/openclaw");
    let cli = OpenclawCli::find(wrapper(gateway, &program), Duration::from_secs(120)).unwrap();

    let text = "Run demo has work; it's \"quoted\" $(id)\nsecond line";
    assert_eq!(cli.wake("agent:main:main", text, "demo/wake/1").unwrap(), Sent::Started);
    gateway.until("the turn", |gateway| !gateway.model.talks().is_empty());
    assert!(!hold.answered(), "it was not waited for");
    assert_eq!(cli.wake("agent:main:main", text, "demo/wake/1").unwrap(), Sent::Known, "while the turn goes on");
    hold.release();
    gateway.until("the turn's end", |_| hold.answered());
    cli.send_message("agent:main:main", "a second one", "demo/message/1").unwrap();
    gateway.until("the second turn", |gateway| gateway.model.talks().iter().any(|talk| talk.said.len() == 2));
    let talks = gateway.model.talks();
    let said = &talks.last().unwrap().said;
    assert!(said[0].contains(text) && said[1].contains("a second one"), "{said:?}");

    let refused = cli.wake("agent:nobody:main", "x", "demo/wake/2").unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");

    let arguments =
        ["cron", "add", "--name", "driver", "--every", "1h", "--message", "go on", "--no-deliver", "--json"];
    let job = gateway.openclaw_json(&arguments);
    let job = job["job"]["id"].as_str().or_else(|| job["id"].as_str()).unwrap();
    let patch = |patch: serde_json::Value| cli.patch_cron(job, patch.as_object().unwrap());
    patch(json!({"enabled": false, "schedule": {"kind": "cron", "expr": "*/5 * * * *"}})).unwrap();
    let shown = gateway.openclaw_json(&["cron", "get", job]);
    assert_eq!((&shown["enabled"], &shown["schedule"]["expr"]), (&json!(false), &json!("*/5 * * * *")), "{shown:#}");
    let error = patch(json!({"payload": {"kind": "command", "argv": ["id"]}})).unwrap_err();
    assert!(matches!(error, Error::Unfit(_)), "{error}");
    let error = cli.patch_cron("no-such-job", json!({"enabled": true}).as_object().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Refused { message, .. } if message.contains("no-such-job")), "{error}");
    let known = cli.wake("agent:main:main", text, "demo/wake/1").unwrap();
    assert_eq!(known, Sent::Known, "when the turn is over, too");
}

/// `openclaw` with the gateway's home and nothing of this test's environment.
fn wrapper(gateway: &Gateway, program: &std::path::Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = gateway.scene.outside("openclaw-of-the-gateway");
    let (home, bin) = (gateway.scene.outside("home"), gateway.scene.outside("bin"));
    let text = format!(
        "#!/bin/sh\nexec env -i HOME='{}' PATH='{}:/usr/bin:/bin' NO_COLOR=1 CI=1 '{}' \"$@\"\n",
        home.display(),
        bin.display(),
        program.display()
    );
    // Written by another process: an executable that this one has open for writing can be run by nobody.
    let mut child = std::process::Command::new("sh")
        .arg("-c")
        .arg("cat >\"$0\"")
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
