//! `taskforge schedule` with the real `crontab` and systemd's own reading of units. The crontab is a folder of the test,
//! bound over the machine's in a mount namespace: nobody's real one is touched.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::scene::Scene;

const SPOOL: &str = "/var/spool/cron/crontabs";
/// Everything that a shell, a crontab or a unit gives a meaning to.
const HOSTILE: &str = "100% it's; \"q\" $HOME %h \\x `id` é";

struct Place {
    scene: Scene,
    registry: PathBuf,
    spool: PathBuf,
}

impl Place {
    fn new() -> Self {
        for (program, package) in [("crontab", "cron"), ("systemd-analyze", "systemd"), ("unshare", "util-linux")] {
            let found =
                std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|path| path.join(program).exists());
            assert!(found, "{program} is missing: `apt-get install {package}`");
        }
        let scene = Scene::empty();
        let registry = scene.outside(HOSTILE);
        scene.tf(&["init", registry.to_str().unwrap()]).ok();
        let spool = scene.outside("spool");
        fs::create_dir(&spool).unwrap();
        let made = as_root(&["chown", "root:crontab"]).arg(&spool).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        assert!(as_root(&["chmod", "1730"]).arg(&spool).output().unwrap().status.success());
        Self { scene, registry, spool }
    }

    /// A command in which the crontabs are those of this test.
    fn call(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = as_root(&["unshare", "--mount", "sh", "-c"]);
        command.arg(format!("mount --bind \"$1\" {SPOOL} && shift && exec \"$@\"")).arg("sh").arg(&self.spool);
        command.args(["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin"]);
        command.arg(format!("HOME={}", self.scene.outside("home").display()));
        command.arg(program).args(arguments).output().unwrap()
    }

    fn schedule(&self, arguments: &[&str], code: i32) -> String {
        let registry = self.registry.to_str().unwrap();
        let arguments = [&["--registry", registry, "schedule"], arguments].concat();
        let output = self.call(env!("CARGO_BIN_EXE_taskforge"), &arguments);
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
        stdout + &stderr
    }

    fn crontab(&self) -> String {
        let output = self.call("crontab", &["-l"]);
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self, code: i32) -> serde_json::Value {
        serde_json::from_str(&self.schedule(&["status", "--json"], code)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Made by root where the test is not.
        let _ = as_root(&["rm", "-rf"]).arg(&self.spool).output();
    }
}

fn as_root(words: &[&str]) -> Command {
    let root = rustix::process::getuid().is_root();
    let words = if root { words.to_vec() } else { [&["sudo", "-n"], words].concat() };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

#[test]
fn a_line_of_the_crontab_is_ours_and_all_others_stay() {
    let place = Place::new();
    assert_eq!(place.status(3)["installed"], json!([]));
    place.schedule(&["install", "--backend", "cron", "--dry-run"], 0);
    assert_eq!(place.crontab(), "");

    let theirs = "# of the person\nMAILTO=\"\"\n5 4 * * * echo 100\\% # taskforge:tick:other\n";
    let file = place.scene.outside("theirs");
    fs::write(&file, theirs).unwrap();
    assert!(place.call("crontab", &[file.to_str().unwrap()]).status.success());
    assert!(place.schedule(&["install", "--backend", "cron"], 0).starts_with("Installed"));
    let crontab = place.crontab();
    let line = crontab.strip_prefix(theirs).unwrap_or_else(|| panic!("{crontab}"));
    assert_eq!(line.lines().count(), 1, "{crontab}");
    assert!(place.schedule(&["install", "--backend", "cron"], 0).starts_with("Unchanged"));
    assert_eq!(place.crontab(), crontab);

    // What cron would hand to the shell ticks this registry, and nothing that stands in its path is obeyed.
    let command = line.trim_end().splitn(6, ' ').nth(5).unwrap().replace("\\%", "%");
    let home = place.scene.outside("home");
    let ran = as_root(&["env", "-i"])
        .arg(format!("HOME={}", home.display()))
        .args(["SHELL=/bin/sh", "PATH=/usr/bin:/bin", "/bin/sh", "-c", &command])
        .current_dir(&home)
        .output()
        .unwrap();
    assert!(ran.status.success() && ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    assert_eq!(fs::read_to_string(place.registry.join(".taskforge/tick.err")).unwrap(), "");
    let status = place.status(0);
    assert_eq!((&status["lastTick"]["exit"], &status["findings"]), (&json!(0), &json!([])));
    assert_eq!(status["installed"][0]["command"]["registry"], json!(place.registry));

    place.schedule(&["install", "--backend", "cron", "--every", "5m"], 0);
    assert!(place.crontab().lines().nth(3).unwrap().starts_with("*/5 * * * * PATH="), "{}", place.crontab());
    assert_eq!(place.crontab().lines().count(), 4);
    for wrong in [&["--every", "7m"][..], &["--cron", "@daily"], &["--every", "1m", "--cron", "* * * * *"]] {
        place.schedule(&[&["install", "--backend", "cron"], wrong].concat(), 2);
    }

    // A tick that fails is on record, with how often.
    let registry = ["--registry", place.registry.to_str().unwrap()];
    place.scene.tf(&[&["kill", "--reason", "a test"][..], &registry].concat()).ok();
    for _ in 0..2 {
        place.scene.tf(&[&["tick", "--all", "--record"][..], &registry].concat()).exits(10);
    }
    let found = place.status(1);
    assert_eq!(found["lastTick"]["failures"], json!(2), "{found:#}");

    assert!(place.schedule(&["remove"], 0).contains("Removed from cron"));
    assert_eq!(place.crontab(), theirs);
    assert!(place.schedule(&["remove"], 0).contains("There was none"));
}

#[test]
fn a_crontab_that_cannot_be_read_is_not_replaced() {
    let place = Place::new();
    // A crontab that lists nothing for a reason of its own, and would take what it is given.
    let bin = place.scene.outside("bin");
    fs::create_dir(&bin).unwrap();
    let script = "#!/bin/sh\ncase $1 in -l) echo 'you are not allowed to use this program' >&2; exit 1;; esac\ncat >\"$HOME/written\"\n";
    fs::write(bin.join("crontab"), script).unwrap();
    fs::set_permissions(bin.join("crontab"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let registry = place.registry.to_str().unwrap();
    let arguments = ["schedule", "install", "--backend", "cron", "--registry", registry];
    place.scene.tf(&arguments).env("PATH", &path).exits(1).complains("you are not allowed to use this program");
    assert!(!place.scene.outside("home/written").exists());
    place.scene.tf(&arguments).env("PATH", "/nowhere").exits(9).complains("there is no program `crontab`");
}

#[test]
fn systemd_reads_the_units_as_they_are_meant() {
    let place = Place::new();
    let run = place.scene.outside("run");
    fs::create_dir(&run).unwrap();
    let said = place.schedule(&["install", "--backend", "systemd", "--cron", "*/30 8-18 * * mon-fri"], 0);
    assert!(said.contains("systemctl --user daemon-reload && systemctl --user enable --now"), "{said}");
    let folder = place.scene.outside("home/.config/systemd/user");
    let unit = |kind: &str| folder.join(format!("taskforge-tick-{}.{kind}", place.id().to_lowercase()));
    let verify = |unit: &Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--user", "--man=no"]).arg(unit).env("SYSTEMD_LOG_LEVEL", "debug");
        let output = command.env("XDG_RUNTIME_DIR", &run).env("HOME", place.scene.outside("home")).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned())
    };
    let (good, told) = verify(&unit("timer"));
    assert!(good, "{told}");
    let (good, told) = verify(&unit("service"));
    assert!(good, "{told}");
    // Its own words for what it would run.
    let line =
        told.lines().find_map(|line| line.trim().strip_prefix("Command Line: ")).unwrap_or_else(|| panic!("{told}"));
    let registry = line.split(" --registry ").nth(1).unwrap();
    // Shown as for a shell, which is how it is read back here.
    let shown = Command::new("sh").arg("-c").arg(format!("printf %s {registry}")).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), place.registry.to_str().unwrap());
    // That it notices: a program that is not there.
    let text = fs::read_to_string(unit("service")).unwrap();
    let broken = place.scene.outside("home/.config/systemd/user/broken.service");
    fs::write(&broken, text.replace(env!("CARGO_BIN_EXE_taskforge"), "/nowhere/taskforge")).unwrap();
    assert!(!verify(&broken).0);

    let found = place.status(1);
    assert_eq!(found["installed"][0]["when"], "Mon,Tue,Wed,Thu,Fri *-*-* 08,09,10,11,12,13,14,15,16,17,18:00,30:00");
    assert_eq!(found["installed"][0]["command"]["registry"], json!(place.registry));
    assert!(found["findings"][0]["mend"].as_str().unwrap().starts_with("systemctl --user"), "{found:#}");
    place.schedule(&["install", "--backend", "systemd", "--cron", "0 0 1 * 1"], 2);
    assert!(place.schedule(&["remove"], 0).contains("Removed from systemd"));
    assert!(!unit("timer").exists() && !unit("service").exists());
}

/// A user's manager that answers is told in an order that leaves no timer with its old text.
#[test]
fn a_manager_that_answers_is_told() {
    let place = Place::new();
    let bin = place.scene.outside("bin");
    fs::create_dir(&bin).unwrap();
    for (program, script) in
        [("systemctl", "#!/bin/sh\necho \"$*\" >>\"$HOME/told\"\n"), ("loginctl", "#!/bin/sh\necho no\n")]
    {
        fs::write(bin.join(program), script).unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let call = |arguments: &[&str]| {
        let registry = ["--registry", place.registry.to_str().unwrap()];
        place.scene.tf(&[&["schedule"], arguments, &registry].concat()).env("PATH", &path).env("USER", "ada")
    };
    call(&["install"]).ok().says("loginctl enable-linger ada");
    let timer = format!("taskforge-tick-{}.timer", place.id().to_lowercase());
    let told = || {
        let text = fs::read_to_string(place.scene.outside("home/told")).unwrap();
        fs::remove_file(place.scene.outside("home/told")).unwrap();
        let lines = text.lines().map(|line| line.replace("--user --no-pager --quiet ", ""));
        lines.filter(|line| line != "show-environment").collect::<Vec<_>>()
    };
    assert_eq!(told(), ["daemon-reload".to_owned(), format!("enable {timer}"), format!("restart {timer}")]);
    call(&["status"]).exits(1).says("the timer runs only while you are logged in");
    told();
    call(&["remove", "--backend", "systemd"]).ok();
    assert_eq!(told(), [format!("disable --now {timer}"), "daemon-reload".to_owned()]);
}

impl Place {
    fn id(&self) -> String {
        let text = fs::read_to_string(self.registry.join("taskforge.toml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("id = \"")).unwrap();
        line.split('"').next().unwrap().to_owned()
    }
}
