//! A timer of the person's own systemd: two files, and `systemctl --user` where a manager of theirs answers.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use crate::program;
use crate::registry::project::{read_file, write_durable};

use super::backend::Backend;
use super::error::{Error, Result};
use super::job::Job;
use super::{Asleep, Installed, Outcome, units};

const TIMEOUT: Duration = Duration::from_secs(20);
const LIMIT: u64 = 1 << 20;

/// Writes both units and starts the timer.
///
/// # Errors
/// Those of the file system, and of a manager that answers and refuses.
pub(super) fn install(job: &Job, dry: bool) -> Result<Outcome> {
    let folder = folder()?;
    let name = units::name(&job.id);
    let texts = [(format!("{name}.service"), units::service(job)), (format!("{name}.timer"), units::timer(job)?)];
    let mut outcome = Outcome {
        backend: Backend::Systemd,
        place: folder.join(format!("{name}.timer")).display().to_string(),
        text: String::new(),
        changed: false,
        left: Vec::new(),
    };
    for (file, text) in &texts {
        let path = folder.join(file);
        outcome.text.push_str(&format!("# {}\n{text}\n", path.display()));
        if read_file(&path, LIMIT)?.as_deref() != Some(text.as_bytes()) {
            outcome.changed = true;
            if !dry {
                make_folder(&folder)?;
                write_durable(&path, text.as_bytes())?;
            }
        }
    }
    let timer = format!("{name}.timer");
    if manager_answers() {
        if !dry {
            systemctl(&["daemon-reload"])?;
            // `enable` alone leaves a timer that runs with its old text.
            systemctl(&["enable", &timer])?;
            systemctl(&["restart", &timer])?;
        }
    } else {
        outcome.left.push(Asleep {
            why: "no systemd of this user answers here, so the timer is not started".to_owned(),
            mend: format!("systemctl --user daemon-reload && systemctl --user enable --now {timer}"),
        });
    }
    outcome.left.extend(lingering());
    Ok(outcome)
}

/// Stops the timer and removes both units; whether there were any.
///
/// # Errors
/// As [`install`].
pub(super) fn remove(id: &str, dry: bool) -> Result<bool> {
    let folder = folder()?;
    let name = units::name(id);
    let paths = ["timer", "service"].map(|kind| folder.join(format!("{name}.{kind}")));
    if !paths.iter().any(|path| path.symlink_metadata().is_ok()) {
        return Ok(false);
    }
    if dry {
        return Ok(true);
    }
    let answers = manager_answers();
    if answers {
        systemctl(&["disable", "--now", &format!("{name}.timer")])?;
    } else {
        // What `enable` made, for the next login's manager.
        remove_file(&folder.join("timers.target.wants").join(format!("{name}.timer")))?;
    }
    for path in &paths {
        remove_file(path)?;
    }
    if answers {
        systemctl(&["daemon-reload"])?;
    }
    Ok(true)
}

/// The registry's timer.
///
/// # Errors
/// Those of the file system.
pub(super) fn find(id: &str) -> Result<Option<Installed>> {
    let Ok(folder) = folder() else { return Ok(None) };
    let name = units::name(id);
    let timer = folder.join(format!("{name}.timer"));
    let text = |path: &Path| -> Result<String> {
        Ok(read_file(path, LIMIT)?.map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    if timer.symlink_metadata().is_err() {
        return Ok(None);
    }
    let (when, command) = units::read(&text(&folder.join(format!("{name}.service")))?, &text(&timer)?);
    let start = format!("systemctl --user daemon-reload && systemctl --user enable --now {name}.timer");
    let asleep = if !manager_answers() {
        Some(Asleep { why: "no systemd of this user answers here".to_owned(), mend: start })
    } else if systemctl(&["is-active", "--quiet", &format!("{name}.timer")]).is_err() {
        Some(Asleep { why: "the timer is not started".to_owned(), mend: start })
    } else {
        lingering()
    };
    Ok(Some(Installed { backend: Backend::Systemd, place: timer.display().to_string(), when, command, asleep }))
}

/// Whether a manager of this user answers.
pub(super) fn manager_answers() -> bool {
    systemctl(&["show-environment"]).is_ok()
}

/// Without lingering, a user's timers end with their last session.
fn lingering() -> Option<Asleep> {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok();
    let user = name.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    let said = call("loginctl", &["show-user", &user, "--property=Linger", "--value"]).unwrap_or_default();
    (said.trim() != "yes").then(|| Asleep {
        why: if said.trim() == "no" {
            "the timer runs only while you are logged in".to_owned()
        } else {
            "whether the timer runs while you are not logged in could not be found out".to_owned()
        },
        mend: format!("loginctl enable-linger {user}"),
    })
}

fn folder() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = from("XDG_CONFIG_HOME").or_else(|| from("HOME").map(|home| home.join(".config")));
    let config = config.ok_or_else(|| Error::Unfit("neither HOME nor XDG_CONFIG_HOME names a folder".to_owned()))?;
    Ok(config.join("systemd/user"))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::Io { what: format!("cannot make {}", path.display()), source })
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(Error::Io { what: format!("cannot remove {}", path.display()), source })
        }
        _ => Ok(()),
    }
}

fn systemctl(arguments: &[&str]) -> Result<String> {
    call("systemctl", &[&["--user", "--no-pager", "--quiet"], arguments].concat())
}

fn call(name: &'static str, arguments: &[&str]) -> Result<String> {
    let mut command = process::Command::new(name);
    command.args(arguments).env("LC_ALL", "C").env("SYSTEMD_COLORS", "0");
    let failed = |said: String| Error::Failed { program: format!("{name} {}", arguments.join(" ")), said };
    let output = program::run(command, b"", TIMEOUT, LIMIT).map_err(|failure| match failure {
        program::Failure::Start(error) if error.kind() == ErrorKind::NotFound => Error::Missing(name),
        other => failed(other.to_string()),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
