//! A secret is planted and used, and then looked for everywhere: in the registry, in what the Engine says, in environments,
//! logs, records, core dumps and the agent's `/proc`, in every form. It is nowhere; and where it is put, it is found.

use std::fs;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::run::stage;
use super::{identity, set};
use crate::gate::tls::{TlsServer, answer};
use crate::gate::upstream::Upstream;
use crate::granted::stage::{RUN, complete, hear, tick_until};
use crate::scene::Scene;

const CANARY: &str = "c4n4ry/Zq81+plus_7kfQe0Lw5Rb2Xn9Tz3Mh6Vj.Ud";

fn doctor(scene: &Scene) -> Vec<Value> {
    // The exit code is about everything that doctor looks at.
    let output = Command::new(env!("CARGO_BIN_EXE_taskforge"))
        .args(["doctor", "--json"])
        .env_clear()
        .env("HOME", scene.outside("home"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(scene.root())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found.as_array().unwrap_or_else(|| panic!("{found:#}")).clone()
}

fn leaks(scene: &Scene) -> Vec<String> {
    let checks = doctor(scene);
    let vault = checks.iter().find(|check| check["name"] == "vault").unwrap();
    assert_eq!(vault["grade"], "good", "{vault}");
    let all: Vec<String> = checks
        .iter()
        .filter(|check| check["name"] == "leaked secret")
        .map(|check| check["detail"].as_str().unwrap().to_owned())
        .collect();
    if all.is_empty() {
        let none = checks.iter().find(|check| check["name"] == "leaked secrets").unwrap();
        assert!(none["detail"].as_str().unwrap().starts_with("none in "), "{none}");
    }
    for leak in &all {
        assert!(!leak.contains(CANARY), "{leak}");
    }
    all
}

fn split_over_lines(text: &str, width: usize) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n")
}

#[test]
fn nothing_holds_the_canary_and_a_leak_is_found_wherever_it_is() {
    let server = TlsServer::start(|got, stream| answer(stream, "200 OK", "x-a: b\r\n", got.head.as_bytes()));
    let api = Upstream::start(|got, wire| {
        wire.answer("200 OK", "application/json", json!({"full_name": got.head}).to_string())
    });
    let host = format!("127.0.0.1:{}", server.port);
    let scene = stage(&format!(
        r#"
import os, sys, time
say(ask("secret:canary@{host}")[0])
say(ask("action:github.repo.read,repo=octo/demo")[0])
say(get("http://127.0.0.1:4180/to/{host}/echo"))
say(act("github.repo.read", repo="octo/demo"))
print(get("http://127.0.0.1:4180/to/{host}/echo"), flush=True)
say("ready")
while not os.path.exists("/workspace/leak"):
    time.sleep(0.05)
held = open("/workspace/leak").read()
child = subprocess.Popen(["sleep", "1000"], env=dict(os.environ, LEAKED=held))
told = subprocess.Popen(["python3", "-c", "import time; time.sleep(1000)", held])
print(held, flush=True)
print(held, file=sys.stderr, flush=True)
say("leaking")
while os.path.exists("/workspace/leak"):
    time.sleep(0.05)
child.kill()
told.kill()
"#
    ));
    set(&scene, "canary", CANARY);
    let settings = scene.read("taskforge.toml");
    let service = format!("[actions.github]\nbaseUrl = \"http://127.0.0.1:{}\"\ntoken = \"vault:canary\"\n", api.port);
    scene.write("taskforge.toml", format!("{settings}\n{service}"));
    scene.start("granted", RUN);
    for number in 1..=2 {
        tick_until(&scene, "a request", || {
            let asked = scene.events(RUN, "capability.requested").len() == number;
            (asked && !scene.waiting(RUN).is_empty()).then_some(())
        });
        scene.approve(RUN);
    }
    hear(&scene, "ready");
    // It was used, twice, by both ways.
    assert!(server.got().iter().all(|got| got.head.contains(CANARY)) && server.got().len() == 2);
    assert!(api.got().iter().all(|got| got.head.contains(CANARY)) && api.got().len() == 1);
    scene.tf(&["tick", RUN]).ok();
    assert_eq!(leaks(&scene), [""; 0], "while the agent runs");

    // Now it is put into each place that was looked at.
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let url = CANARY.replace('/', "%2F").replace('+', "%2B");
    let forms = [
        ("raw", format!("x{CANARY}x")),
        ("base64", STANDARD.encode(CANARY)),
        ("base64", STANDARD.encode(format!("a{CANARY}"))),
        ("base64", STANDARD.encode(format!("ab{CANARY}"))),
        ("hex", hex),
        ("url", url),
        ("split", format!("{}\n{}", &CANARY[..20], &CANARY[20..])),
        ("split", split_over_lines(&STANDARD.encode(CANARY), 19)),
        ("hex", CANARY.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ("piece", CANARY[3..25].to_owned()),
    ];
    for place in
        ["notes.txt", &format!("runs/{RUN}/nodes/work/workspace/core.4711"), &format!("runs/{RUN}/gate/bodies/planted")]
    {
        for (form, text) in &forms {
            scene.write(place, text);
            let found = leaks(&scene);
            assert_eq!(found.len(), 1, "{place} {form}: {found:?}");
            assert!(found[0].starts_with("`canary` lies in ") && found[0].ends_with(&format!("({form})")), "{found:?}");
            assert!(found[0].contains(place.rsplit('/').next().unwrap()), "{found:?}");
        }
        fs::remove_file(scene.path(place)).unwrap();
    }
    // In a file's name, and in where a link leads.
    let named = format!("notes-{}", forms[4].1);
    scene.write(&named, "nothing");
    let found = leaks(&scene);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the name of ") && found[0].ends_with("(hex)"), "{found:?}");
    fs::remove_file(scene.path(&named)).unwrap();
    std::os::unix::fs::symlink(CANARY, scene.path("a-link")).unwrap();
    let found = leaks(&scene);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a-link") && found[0].ends_with("(raw)"), "{found:?}");
    fs::remove_file(scene.path("a-link")).unwrap();
    // In a container's settings.
    let name = format!("tf-canary-{}", scene.id().to_lowercase());
    let label = format!("io.taskforge.registry={}", scene.id());
    let made = Command::new("docker")
        .args([
            "create",
            "--name",
            &name,
            "--label",
            &label,
            "--env",
            &format!("KEY={CANARY}"),
            "taskforge/base:default",
            "true",
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let found = leaks(&scene);
    let removed = Command::new("docker").args(["rm", "-f", &name]).output().unwrap();
    assert!(removed.status.success());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(&format!("docker inspect {name}")), "{found:?}");
    // In the agent's own environment, memory and log, which it cannot have without being told.
    scene.write(&format!("runs/{RUN}/nodes/work/workspace/leak"), CANARY);
    hear(&scene, "leaking");
    // What it printed by then is in the attempt's log after the next tick.
    scene.tf(&["tick", RUN]).ok();
    let found = leaks(&scene).join("\n");
    for place in [
        "environ of process",
        "cmdline of process",
        "memory of process",
        "docker logs tf-",
        "(stderr)",
        "workspace/leak",
        "stdout.log",
        "stderr.log",
    ] {
        assert!(found.contains(place), "{place}: {found}");
    }
    fs::remove_file(scene.path(&format!("runs/{RUN}/nodes/work/workspace/leak"))).unwrap();
    complete(&scene);
    // What it printed stays in the attempt's log: it is said for as long as it lies there.
    assert!(leaks(&scene).iter().all(|leak| leak.contains("stdout.log") || leak.contains("stderr.log")));

    // What cannot be opened is not called clean.
    fs::rename(identity(&scene), scene.outside("away")).unwrap();
    let checks = doctor(&scene);
    let vault = checks.iter().find(|check| check["name"] == "vault").unwrap();
    assert_eq!(vault["grade"], "bad", "{vault}");
    assert!(checks.iter().all(|check| check["name"] != "leaked secrets"));
}
