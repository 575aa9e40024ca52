//! Telling a person that something waits, by the command that `taskforge.toml` names. It is told at least once; a
//! command that fails says so on standard error and is tried again with the next tick.

use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use crate::run::command::Command;
use crate::run::id::RequestId;

use super::actor::TICK;
use super::error::Error;
use super::inbox::waiting_of;
use super::store::Store;

pub(crate) fn notify(store: &Store<'_>, ids: Vec<RequestId>) -> Result<(), Error> {
    let Some(command) = &store.registry().config()?.notify.command else { return Ok(()) };
    let state = store.load()?;
    let waiting: Vec<_> = waiting_of(&state).into_iter().filter(|waiting| ids.contains(&waiting.id)).collect();
    let text = serde_json::to_vec(&waiting).map_err(Error::Json)?;
    match run(command, &text) {
        Ok(()) => store.commit(TICK, Command::Notified { ids }).map(drop),
        Err(reason) => {
            eprintln!("warning: the notify command failed: {}", crate::run::visible::visible(&reason));
            Ok(())
        }
    }
}

fn run(command: &[String], input: &[u8]) -> Result<(), String> {
    let (program, args) = command.split_first().ok_or("it is empty")?;
    let mut child = Process::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input is no failure.
        let _ = stdin.write_all(input);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}")) }
}
