//! `shell`: one command in a process group of its own, with a time limit and bounded output. Whatever the command
//! started in its group ends with it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::watch;

use crate::agent::capture::Capture;
use crate::agent::exit;

/// How long the pipes are read after the command's end. Only a process that left the group can hold them open.
const DRAIN: Duration = Duration::from_secs(1);

/// Defaults for programs that would else wait or decorate for a person who is not there. Without network a retry of
/// pip only costs time; and a distribution's pip must come as far as the gate, whose refusal says what to do, instead
/// of advising against the system's own packages in a container that has a read-only root anyway.
const QUIET: [(&str, &str); 6] = [
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("PIP_RETRIES", "0"),
    ("PIP_BREAK_SYSTEM_PACKAGES", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// Runs `command` with `/bin/sh` in `workdir`: `{"exit","stdout","stderr","truncated","timedOut"?}`. `exit` is 128
/// and the number for a command that a signal ended, 124 for one that ran out of time.
pub(crate) async fn shell(workdir: &Path, command: &str, limit: Duration) -> Value {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).current_dir(workdir).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in QUIET {
        if std::env::var_os(name).is_none() {
            shell.env(name, value);
        }
    }
    let mut child = match shell.spawn() {
        Ok(child) => child,
        Err(error) => return json!({"error": format!("shell: cannot start /bin/sh: {error}")}),
    };
    let (stop, stopped) = watch::channel(false);
    let stdout = tokio::spawn(read(child.stdout.take(), stopped.clone()));
    let stderr = tokio::spawn(read(child.stderr.take(), stopped));

    let mut timed_out = false;
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let mut ended = tokio::task::spawn_blocking(move || wait_without_reaping(pid));
        if tokio::time::timeout(limit, &mut ended).await.is_err() {
            timed_out = true;
            // A shell with job control may have moved itself to another group.
            let _ = kill_process(pid, Signal::KILL);
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = ended.await;
        }
        // The leader is not reaped yet, so its number, and thus the group's, cannot belong to anyone else.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait().await;
    let mut pipes = std::pin::pin!(async { tokio::join!(stdout, stderr) });
    let (stdout, stderr) = match tokio::time::timeout(DRAIN, &mut pipes).await {
        Ok(both) => both,
        Err(_) => {
            let _ = stop.send(true);
            pipes.await
        }
    };
    let (stdout, stderr) = (stdout.unwrap_or_default(), stderr.unwrap_or_default());

    let code = match status {
        _ if timed_out => i32::from(exit::DEADLINE),
        Ok(status) => {
            use std::os::unix::process::ExitStatusExt;
            status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
        }
        Err(error) => return json!({"error": format!("shell: cannot learn how the command ended: {error}")}),
    };
    let truncated = stdout.is_truncated() || stderr.is_truncated();
    let mut result = json!({
        "exit": code,
        "stdout": stdout.into_text(),
        "stderr": stderr.into_text(),
        "truncated": truncated,
    });
    if timed_out {
        result["timedOut"] = true.into();
    }
    result
}

fn wait_without_reaping(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, mut stopped: watch::Receiver<bool>) -> Capture {
    let mut capture = Capture::default();
    let Some(mut pipe) = pipe else { return capture };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            count = pipe.read(&mut buffer) => match count {
                Ok(count @ 1..) => capture.feed(&buffer[..count]),
                _ => return capture,
            },
            _ = stopped.changed() => return capture,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(command: &str, limit: Duration) -> Value {
        let folder = tempfile::tempdir().unwrap();
        crate::agent::runtime().unwrap().block_on(shell(folder.path(), command, limit))
    }

    const LONG: Duration = Duration::from_secs(60);

    fn is_gone(pid: &str) -> bool {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            // Dead and waiting to be reaped by whoever inherited it.
            Ok(stat) => stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'),
            Err(_) => true,
        }
    }

    fn until_gone(pid: &str) {
        assert!(pid.parse::<u32>().is_ok(), "{pid:?}");
        for _ in 0..600 {
            if is_gone(pid) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("process {pid} still runs");
    }

    #[test]
    fn returns_what_the_command_said() {
        assert_eq!(
            run("echo out; echo err >&2; exit 3", LONG).to_string(),
            r#"{"exit":3,"stdout":"out\n","stderr":"err\n","truncated":false}"#
        );
        assert_eq!(run("kill -KILL $$", LONG)["exit"], 137);
        assert_eq!(run("cat", LONG)["exit"], 0, "stdin is empty");
        assert_eq!(run("printf 'a\\377b'", LONG)["stdout"], "a\u{fffd}b");
    }

    #[test]
    fn output_without_end_is_cut() {
        let result = run("yes 0123456789 | head -c 3000000; echo end", LONG);
        let stdout = result["stdout"].as_str().unwrap();
        assert_eq!(result["truncated"], true);
        assert!(stdout.len() < 17_000 && stdout.ends_with("end\n") && stdout.contains("bytes cut"));
    }

    #[test]
    fn what_it_left_behind_is_ended() {
        let result = run("sleep 1000 & echo $!", LONG);
        assert_eq!(result["exit"], 0);
        until_gone(result["stdout"].as_str().unwrap().trim());
    }

    #[test]
    fn time_runs_out_for_the_whole_group() {
        let result = run("trap '' TERM; sleep 1000 & echo $!; sleep 1000", Duration::from_millis(400));
        assert_eq!(result["exit"], 124);
        assert_eq!(result["timedOut"], true);
        until_gone(result["stdout"].as_str().unwrap().trim());
    }

    #[test]
    fn a_process_that_left_the_group_does_not_hold_the_result() {
        let result = run("setsid sh -c 'echo $$; :>up; exec sleep 1000' & until [ -e up ]; do sleep 0.01; done", LONG);
        let pid = result["stdout"].as_str().unwrap().trim().to_owned();
        assert_eq!(result["exit"], 0);
        assert!(!is_gone(&pid), "{result}");
        kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    }
}
