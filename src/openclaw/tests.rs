//! How the command line is called, against `tests/openclaw/stand-in.sh`, whose behaviour is the name it is called by.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Error, OpenclawCli, Sent};

/// Long enough to never be reached by a program that ends.
const LONG: Duration = Duration::from_secs(60);

struct StandIn {
    folder: tempfile::TempDir,
    cli: OpenclawCli,
}

fn stand_in(behaviour: &str, timeout: Duration) -> StandIn {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(behaviour);
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openclaw/stand-in.sh"), &program).unwrap();
    let cli = OpenclawCli::find(&program, timeout).unwrap();
    StandIn { folder, cli }
}

fn wake(behaviour: &str) -> super::error::Result<Sent> {
    stand_in(behaviour, LONG).cli.wake("agent:main:main", "go on", "demo-1/wake/1")
}

#[test]
fn a_message_is_one_argument_whatever_it_holds() {
    let stand_in = stand_in("arguments", LONG);
    let text = "it's \"$(id)\" `id`\n--token x; % \u{2028} é";
    assert_eq!(stand_in.cli.send_message("agent:main:main", text, "c-1").unwrap(), Sent::Started);
    // The arguments come back on standard error, one a line.
    let output = stand_in.cli.run(&["gateway", "--x", text], b"").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("gateway\n--x\n{text}\n"));
}

#[test]
fn what_the_gateway_answers_is_told_apart() {
    assert_eq!(wake("arguments").unwrap(), Sent::Started);
    assert_eq!(wake("known").unwrap(), Sent::Known);
    assert_eq!(wake("talks").unwrap(), Sent::Known, "lines of talk before the answer are passed over");
    assert!(matches!(wake("odd").unwrap_err(), Error::Unexpected { .. }));
    assert!(matches!(wake("echo").unwrap_err(), Error::Unexpected { .. }));
    let refused = wake("refuses").unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { code, message } if code == "INVALID_REQUEST" && message == "no such agent")
    );
    assert!(!refused.is_temporary());
    let absent = wake("absent").unwrap_err();
    assert!(matches!(absent, Error::Unreachable(_)) && absent.is_temporary());
    let failed = wake("fails").unwrap_err();
    assert_eq!(failed.to_string(), "`openclaw gateway call chat.send` failed with exit code 7: engine too old");
}

#[test]
fn nothing_unfit_reaches_the_program() {
    // A program that would refuse everything: the error has to be ours.
    let StandIn { cli, folder: _folder } = &stand_in("refuses", LONG);
    let long = "x".repeat(20_000);
    for (session, text, id) in [
        ("", "t", "i"),
        ("a\nb", "t", "i"),
        ("s", "", "i"),
        ("s", " \n", "i"),
        ("s", "a\0b", "i"),
        ("s", &long, "i"),
        ("s", "t", ""),
        (&long, "t", "i"),
    ] {
        let error = cli.wake(session, text, id).unwrap_err();
        assert!(matches!(error, Error::Unfit(_)), "{session:.20} {text:.20}: {error}");
    }
    let error = cli.patch_cron("job", &Map::new()).unwrap_err();
    assert!(matches!(error, Error::Unfit(_)));
    let patch = json!({"enabled": false});
    let error = cli.patch_cron("job", patch.as_object().unwrap()).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[test]
fn standard_input_is_passed_and_need_not_be_read() {
    let echo = stand_in("echo", LONG);
    let large = Value::String("x".repeat(300_000));
    assert_eq!(echo.cli.json_with(&["approvals", "set"], large.to_string().as_bytes()).unwrap(), large);
    let deaf = stand_in("known", LONG);
    deaf.cli.json_with(&["approvals", "set"], &vec![b'x'; 300_000]).unwrap();
}

#[test]
fn a_call_that_does_not_end_is_ended_with_all_that_it_started() {
    for behaviour in ["hangs", "leaves"] {
        let stand_in = stand_in(behaviour, Duration::from_millis(300));
        let error = stand_in.cli.json(&["status"]).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }) && error.is_temporary(), "{error}");
        let folder = stand_in.folder.path().as_os_str().as_encoded_bytes();
        // Killed is not yet gone; what was not killed lives for longer than this waits.
        let gone = (0..1000).any(|_| {
            let gone = !names(folder);
            if !gone {
                std::thread::sleep(Duration::from_millis(10));
            }
            gone
        });
        assert!(gone, "{behaviour}");
    }
}

/// Whether a process has `folder` in its arguments.
fn names(folder: &[u8]) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.windows(folder.len()).any(|part| part == folder))
}

#[test]
fn output_is_bounded() {
    let error = stand_in("floods", LONG).cli.json(&["status"]).unwrap_err();
    assert!(matches!(error, Error::TooMuch { .. }), "{error}");
    // Much talk on standard error neither blocks the program nor fills our memory.
    assert_eq!(stand_in("complains", LONG).cli.json(&["status"]).unwrap(), json!({}));
}

#[test]
fn its_own_folder_is_first_in_its_path() {
    let stand_in = stand_in("environment", LONG);
    let answer = stand_in.cli.json(&[]).unwrap();
    let first = format!("{}:", stand_in.folder.path().display());
    assert!(answer["path"].as_str().unwrap().starts_with(&first), "{answer}");
    assert_eq!(answer["color"], "1");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    for name in ["/nowhere/openclaw", "no-such-openclaw", "./no-such-openclaw", ""] {
        let error = OpenclawCli::find(name, LONG).unwrap_err();
        assert_eq!(error.to_string(), format!("there is no program {name}"));
    }
    assert!(OpenclawCli::find("sh", LONG).unwrap().program().is_absolute());
}
