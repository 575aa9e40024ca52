//! Making the base image from packages with `mmdebstrap`. What runs is a fixed list of words; the one script in it is
//! a constant.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::distribution::Distribution;
use super::error::BaseError;
use super::sources;
use crate::container::{Engine, ImageRef, Operator};

/// Changes with what is made below, so that `doctor` can tell an old base image from a new one.
pub(super) const RECIPE: &str = "2";
/// The label of a bootstrapped image that holds the recipe.
pub(super) const LABEL: &str = "io.taskforge.base.recipe";

const PACKAGES: &str = "ca-certificates,python3-minimal,python3-pip";

/// Documentation is a third of such a system; licences stay.
const LEFT_OUT: [&str; 6] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/*",
];

/// Runs on the host with the new root as `$1`. pip installs into the system here (the image is the environment), and
/// fails at once where it would wait for a network that is not there. The mount points are made beforehand, because the
/// root is read-only later. The host's name and name servers, which were needed on the way, go.
const FINISH: &str = r#"set -eu
rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED
printf '[global]\nretries = 0\ntimeout = 5\ndisable-pip-version-check = true\nno-input = true\n' > "$1"/etc/pip.conf
mkdir -p "$1"/workspace "$1"/inputs "$1"/taskforge/bin "$1"/taskforge/gate "$1"/home
# An Engine gives a tmpfs the mode of the folder that it covers, whatever it was told.
mkdir -m 0700 "$1"/home/agent
printf 'agent\n' > "$1"/etc/hostname
: > "$1"/etc/resolv.conf
"#;

/// What unpacking takes, and the archive beside it.
const ROOM: u64 = 1_200 << 20;
const TMPFS_MAGIC: i64 = 0x0102_1994;
const MINUTES: u64 = 20;

/// Makes the image and answers what of, as in `debian bookworm`.
pub(super) async fn bootstrap(
    engine: &Engine,
    name: &ImageRef,
    progress: &mut dyn FnMut(&str),
) -> Result<String, BaseError> {
    let distribution = Distribution::of_this_machine()?;
    let tool = on_path("mmdebstrap").ok_or(BaseError::ToolMissing)?;
    let mode = mode(Operator::current())?;
    let folder = folder().map_err(|source| BaseError::Io {
        path: std::env::temp_dir().display().to_string(),
        doing: "given a folder to work in",
        source,
    })?;
    let tar = folder.path().join("base.tar");
    let mirrors = mirrors(&distribution).await;
    let from = format!("{} {}", distribution.kind.as_str(), distribution.suite);
    progress(&format!("making {name} from {from}: this takes half a minute, once"));

    let mut command = Command::new(tool);
    command
        .args(arguments(&distribution, mode, &tar, &mirrors))
        .env("TMPDIR", folder.path())
        .env("LC_ALL", "C.UTF-8")
        // The start of 1980, the earliest time that a wheel, being a zip, can hold.
        .env("SOURCE_DATE_EPOCH", "315532800")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(MINUTES * 60), run(command, progress))
        .await
        .map_err(|_| BaseError::TooSlow { minutes: MINUTES })??;

    progress("giving it to the Engine");
    let changes = vec![
        format!("LABEL {LABEL}={RECIPE}"),
        format!("LABEL io.taskforge.base.distribution={}", distribution.kind.as_str()),
        format!("LABEL io.taskforge.base.suite={}", distribution.suite),
        "CMD [\"/bin/sh\"]".to_owned(),
    ];
    engine.import_file(&tar, name, changes).await?;
    Ok(from)
}

fn arguments(distribution: &Distribution, mode: &str, tar: &Path, mirrors: &[String]) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![
        format!("--mode={mode}").into(),
        "--variant=apt".into(),
        "--format=tar".into(),
        format!("--components={}", distribution.kind.components()).into(),
        format!("--include={PACKAGES}").into(),
    ];
    words.extend(LEFT_OUT.iter().map(|option| format!("--dpkgopt={option}").into()));
    words.push(format!("--customize-hook={FINISH}").into());
    words.push(distribution.suite.clone().into());
    words.push(tar.into());
    words.extend(mirrors.iter().map(OsString::from));
    words
}

/// The host's own mirrors; none if apt cannot say, and `mmdebstrap` then takes the distribution's.
async fn mirrors(distribution: &Distribution) -> Vec<String> {
    let answer = Command::new("apt-get")
        .args(["indextargets", "--format", sources::FORMAT, "Created-By: Packages"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let Ok(answer) = answer else {
        return Vec::new();
    };
    let keyring = Path::new(distribution.kind.keyring());
    sources::mirrors(&String::from_utf8_lossy(&answer.stdout), distribution, keyring.exists().then_some(keyring))
}

/// Runs to the end, hands on the lines that tell of a step, and keeps the last ones for when it fails.
async fn run(mut command: Command, progress: &mut dyn FnMut(&str)) -> Result<(), BaseError> {
    let io = |source| BaseError::Io { path: "mmdebstrap".to_owned(), doing: "run", source };
    let mut child = command.spawn().map_err(io)?;
    let mut last = VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).split(b'\n');
        while let Some(line) = lines.next_segment().await.map_err(io)? {
            let line: String = String::from_utf8_lossy(&line).trim().chars().take(200).collect();
            if let Some(step) = line.strip_prefix("I: ") {
                progress(step);
            }
            if last.len() == 15 {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    let status = child.wait().await.map_err(io)?;
    if status.success() {
        return Ok(());
    }
    let tail = last.into_iter().collect::<Vec<_>>().join("\n");
    Err(BaseError::Failed { status: status.to_string(), tail })
}

/// Root makes it as it is; anyone else needs user ids below their own.
fn mode(operator: Operator) -> Result<&'static str, BaseError> {
    if operator.uid == 0 {
        return Ok("root");
    }
    let subordinate = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    let name = std::env::var("USER").unwrap_or_default();
    let uid = operator.uid.to_string();
    let listed = subordinate
        .lines()
        .filter_map(|line| line.split(':').next())
        .any(|owner| owner == uid || (!name.is_empty() && owner == name));
    if listed && on_path("newuidmap").is_some() { Ok("unshare") } else { Err(BaseError::NotRoot) }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A folder in memory if there is room for it (unpacking on a disk takes twice as long), else where temporary files go.
fn folder() -> std::io::Result<tempfile::TempDir> {
    let candidates = [std::env::temp_dir(), "/dev/shm".into(), "/run".into()];
    let place = candidates.iter().find(|place| is_roomy_memory(place)).unwrap_or(&candidates[0]);
    let folder = tempfile::Builder::new().prefix("taskforge-base-").tempdir_in(place)?;
    // Whoever unpacks without being root does so as another user.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

fn is_roomy_memory(place: &Path) -> bool {
    let (Ok(kind), Ok(space)) = (statfs(place), statvfs(place)) else {
        return false;
    };
    let usable = !space.f_flag.intersects(StatVfsMountFlags::NOEXEC | StatVfsMountFlags::NODEV);
    kind.f_type == TMPFS_MAGIC && usable && space.f_bavail.saturating_mul(space.f_frsize) > ROOM
}

#[cfg(test)]
mod tests {
    use super::super::distribution::Kind;
    use super::*;

    #[test]
    fn what_is_run() {
        let distribution = Distribution { kind: Kind::Debian, suite: "bookworm".into() };
        let mirrors = ["deb http://mirror.example/debian/ bookworm main".to_owned()];
        let words = arguments(&distribution, "root", Path::new("/t/base.tar"), &mirrors);
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(
            words[..5],
            [
                "--mode=root",
                "--variant=apt",
                "--format=tar",
                "--components=main",
                "--include=ca-certificates,python3-minimal,python3-pip"
            ]
        );
        assert_eq!(words[words.len() - 3..], ["bookworm", "/t/base.tar", mirrors[0].as_str()]);
    }

    #[test]
    fn a_tool_is_found_on_the_path() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-of-ours").is_none());
    }
}
