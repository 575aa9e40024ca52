//! A gateway of its own for each test: own home, own port, own token, and a model server on loopback. The package is the
//! one that `tests/setup.sh` puts into the cache; a test that does not find it there has it installed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::model::Model;
use crate::model_server::repository;
use crate::scene::Scene;

/// Far longer than anything here takes, on however busy a machine.
const BOUND: Duration = Duration::from_secs(240);

/// The folder of the package.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let script = repository("tests/setup.sh");
        let made = Command::new("bash").arg(script).arg("ensure_openclaw").env("ASSUME_YES", "1").output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "`bash tests/setup.sh ensure_openclaw` failed:\n{said}");
        PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
    })
}

pub struct Gateway {
    pub scene: Scene,
    pub model: Model,
    child: Child,
    port: u16,
}

impl Gateway {
    /// A registry, a model that answers as `model` does, and a gateway whose agent `main` runs what its list names.
    pub fn start(model: Model) -> Self {
        let mut scene = Scene::new();
        let bin = scene.outside("bin");
        fs::create_dir(&bin).unwrap();
        // A copy, because what a rule trusts is a path.
        fs::copy(env!("CARGO_BIN_EXE_taskforge"), bin.join("taskforge")).unwrap();
        for program in ["node", "openclaw"] {
            symlink(package().join("bin").join(program), bin.join(program)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let state = scene.outside("home").join(".openclaw");
        fs::create_dir_all(&state).unwrap();
        fs::create_dir(scene.outside("agent")).unwrap();
        let config = config(&model, port, &scene.outside("agent"), &bin);
        fs::write(state.join("openclaw.json"), config.to_string()).unwrap();
        let text = scene.read("taskforge.toml").replace("# [openclaw]\n", "[openclaw]\n");
        let cli = format!("cli = \"{}\"\n", bin.join("openclaw").display());
        let text: String = text
            .split_inclusive('\n')
            .map(|line| if line.starts_with("# cli = \"openclaw\"") { cli.as_str() } else { line })
            .collect();
        scene.write("taskforge.toml", text);
        for (name, value) in environment(&bin) {
            scene.env(name, &value);
        }
        let log = File::create(scene.outside("gateway.log")).unwrap();
        // It ends with this test, also where nothing gets to end it.
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "openclaw",
            "gateway",
            "run",
            "--bind",
            "loopback",
            "--port",
            &port.to_string(),
        ]);
        command.env_clear().envs(environment(&bin)).env("HOME", scene.outside("home")).process_group(0);
        command.current_dir(scene.outside("agent")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut gateway = Self { scene, model, child, port };
        let begun = Instant::now();
        gateway.wait();
        eprintln!("{:?} for the gateway", begun.elapsed());
        gateway
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.scene.outside("gateway.log")).unwrap();
            assert!(ended.is_none() && begun.elapsed() < BOUND, "the gateway does not answer: {ended:?}\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(request).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("\"ok\":true")
    }

    /// `openclaw` with these arguments, which must succeed.
    pub fn openclaw(&self, arguments: &[&str]) -> String {
        let bin = self.scene.outside("bin");
        let mut command = assert_cmd::Command::new(bin.join("openclaw"));
        command.env_clear().envs(environment(&bin)).env("HOME", self.scene.outside("home")).args(arguments);
        let begun = Instant::now();
        let output = command.current_dir(self.scene.outside("agent")).timeout(BOUND).output().unwrap();
        eprintln!("{:?} for `openclaw {}`", begun.elapsed(), arguments[..2.min(arguments.len())].join(" "));
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "`openclaw {}`\n{stdout}\n{stderr}", arguments.join(" "));
        stdout
    }

    pub fn openclaw_json(&self, arguments: &[&str]) -> Value {
        let text = self.openclaw(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The binary that OpenClaw's agents find.
    pub fn binary(&self) -> String {
        self.scene.outside("bin/taskforge").display().to_string()
    }

    /// Waits until `there`; the model's conversation tells what went wrong otherwise.
    pub fn until(&self, what: &str, there: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !there(self) {
            assert!(
                begun.elapsed() < BOUND,
                "{what} does not come about; the model was asked:\n{}",
                self.model.story()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn environment(bin: &Path) -> Vec<(&'static str, String)> {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let quiet = ["CI", "DO_NOT_TRACK", "NO_COLOR", "OPENCLAW_NO_AUTO_UPDATE", "OPENCLAW_DISABLE_BONJOUR"];
    quiet.map(|name| (name, "1".to_owned())).into_iter().chain([("PATH", path)]).collect()
}

fn config(model: &Model, port: u16, workspace: &Path, bin: &Path) -> Value {
    let free = json!({"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0});
    let scripted = json!({
        "id": "scripted", "name": "scripted", "reasoning": false, "input": ["text"], "cost": free,
        "contextWindow": 200_000, "maxTokens": 8192,
    });
    json!({
        "update": {"checkOnStart": false},
        "telemetry": {"enabled": false},
        "gateway": {"mode": "local", "port": port, "bind": "loopback",
            "auth": {"mode": "token", "token": format!("token-of-a-test-{port}")}},
        "models": {"providers": {"test": {
            "baseUrl": model.base_url(), "apiKey": "none", "api": "openai-completions", "models": [scripted],
        }}},
        "agents": {"defaults": {
            "model": {"primary": "test/scripted"}, "skipBootstrap": true, "workspace": workspace,
        }},
        // A login shell's PATH would come first otherwise.
        "tools": {"exec": {"mode": "allowlist", "pathPrepend": [bin]}},
    })
}
