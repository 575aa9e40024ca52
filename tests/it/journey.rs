//! The main job from end to end: the shipped example with its recorded model, in real containers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};
use taskforge::run::id::Digest;

use crate::docker_api;
use crate::model_server::{ModelServer, repository};
use crate::scene::{Scene, ends, node, text};

/// What pip has installed in an image, by name.
fn installed(image: &str) -> BTreeMap<String, String> {
    let list = docker_api::output(image, &["python3", "-m", "pip", "list", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    list.as_array().unwrap().iter().map(|p| (text(&p["name"]).replace('_', "-"), text(&p["version"]))).collect()
}

/// Ids of processes of this machine that work on the registry.
fn processes(scene: &Scene) -> Vec<String> {
    let root = scene.root().canonicalize().unwrap().display().to_string();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&root)).collect()
}

/// The content of a tool result, as JSON.
fn result(message: &Value) -> Value {
    serde_json::from_str(message["content"].as_str().unwrap()).unwrap()
}

#[test]
fn the_example_from_its_start_to_its_proof() {
    let scene = Scene::with_own_base();
    the_box_has_no_network(&scene);
    the_refusal_becomes_a_request(&scene);
    the_run_waits_and_costs_nothing(&scene);
    let (id, digest) = the_review_shows_everything(&scene);
    only_what_was_shown_is_approved(&scene, &id, &digest);
    scene.drive("demo-1", 11);
    the_image_is_the_lock(&scene);
    the_same_agent_went_on(&scene);
    the_report_is_approved_and_summed_up(&scene);
    the_journal_proves_it(&scene);
    the_second_run_builds_nothing(&scene);
}

fn the_box_has_no_network(scene: &Scene) {
    scene.start_example("demo-1");
    // Nothing but a tick takes a container away, so that each can be looked at.
    let shown = scene.show("demo-1");
    let gather = docker_api::inspect(&text(&node(&shown, "gather")["attempts"][0]["container"])).unwrap();
    let shown = scene.tick_until("demo-1", |shown| node(shown, "analyse")["attempts"][0]["startedAt"].is_string());
    let analyse = docker_api::inspect(&text(&node(&shown, "analyse")["attempts"][0]["container"])).unwrap();
    for container in [gather, analyse] {
        assert_eq!(container["HostConfig"]["NetworkMode"], "none");
        let networks = container["NetworkSettings"]["Networks"].as_object().unwrap();
        assert!(networks.keys().all(|name| name == "none"), "{networks:?}");
        assert_eq!(container["HostConfig"]["ReadonlyRootfs"], true);
        assert_eq!(container["HostConfig"]["CapDrop"], json!(["ALL"]));
    }
}

fn the_refusal_becomes_a_request(scene: &Scene) {
    scene.tf(&["run", "watch", "demo-1", "--drive"]).exits(11).complains("waits for you  pip:pygal==3.1.3");
    let conversation = scene.conversation("demo-1", "analyse");
    let last = conversation.last().unwrap();
    assert_eq!(last["role"], "tool");
    let asked = &conversation[conversation.len() - 2]["tool_calls"][0]["function"];
    assert!(text(&asked["arguments"]).contains("pip install"), "{asked}");
    let failed = result(last);
    assert!(text(&failed["stdout"]).contains("ERROR: No matching distribution found for pygal==3.1.3"), "{failed}");
    let refused = &failed["refused"][0];
    assert_eq!(refused["code"], "capability_required", "{failed}");
    assert!(text(&refused["capability"]).starts_with("net:"), "{failed}");
    let log = scene.read("runs/demo-1/gate/traffic.jsonl");
    assert!(log.lines().any(|line| line.contains("\"kind\":\"egress.denied\"")), "{log}");
    let shown = scene.show("demo-1");
    assert_eq!(ends(&shown, "analyse"), [("suspended".to_owned(), String::new())]);
    assert_eq!(node(&shown, "analyse")["attempts"][0]["exitCode"], 75);
}

fn the_run_waits_and_costs_nothing(scene: &Scene) {
    assert_eq!(docker_api::containers(&scene.id()), Vec::<Value>::new());
    assert_eq!(processes(scene), Vec::<String>::new());
    let before = fs::read(scene.path("runs/demo-1/events.jsonl")).unwrap();
    assert_eq!(scene.tf(&["tick"]).ok().stdout, "");
    assert_eq!(fs::read(scene.path("runs/demo-1/events.jsonl")).unwrap(), before);
    assert_eq!(scene.tf(&["run", "list", "--json"]).ok().json()[0]["waiting"], 1);
}

fn the_review_shows_everything(scene: &Scene) -> (String, String) {
    let waiting = scene.waiting("demo-1");
    assert_eq!(waiting.len(), 1);
    let item = &waiting[0];
    assert_eq!((&item["what"], &item["by"]), (&json!("pip:pygal==3.1.3"), &json!("agent:analyse")));
    let (id, digest) = scene.the_one("demo-1");
    assert_eq!(item["digest"], digest.as_str());
    scene.tf(&["inbox"]).ok().says(&id).says("pip:pygal==3.1.3").says("Decisions are unproven");

    let resolved = scene.events("demo-1", "capability.resolved");
    let resolution = &resolved[0]["data"]["resolution"];
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("Asked     pip:pygal==3.1.3").says("FROM ").says("--require-hashes").says("--no-index");
    shown.says(&format!("Review    {digest}")).says("In force afterwards\n  pip:pygal==3.1.3\n");
    let lock = resolution["lock"]["pip"].as_array().unwrap();
    assert!(lock.len() > 1 && lock.iter().any(|package| package["name"] == "pygal"), "{lock:?}");
    for package in lock {
        let (name, version, hash) = (text(&package["name"]), text(&package["version"]), text(&package["sha256"]));
        shown.says(&format!("{name}=={version} --hash=sha256:{hash}"));
        assert!(Digest::parse(&hash).is_ok());
    }
    assert_eq!(resolution["review"], digest.as_str());
    (id, digest)
}

fn only_what_was_shown_is_approved(scene: &Scene, id: &str, digest: &str) {
    let other = digest.replace(|c: char| c != '0', "0");
    let before = scene.read("runs/demo-1/events.jsonl");
    let stale = scene.tf(&["approve", id, "--digest", &other, "--json"]).exits(6);
    assert_eq!(stale.error()["code"], "stale");
    scene.tf(&["approve", id, "--digest", &digest[..11]]).exits(2).complains("at least 12 digits");
    scene.tf(&["approve", id]).exits(2).complains("nobody can be asked here");
    assert_eq!(scene.read("runs/demo-1/events.jsonl"), before, "a refused decision left a trace");

    scene.tf(&["approve", id, "--digest", &digest[..12]]).ok().says("Approved pip:pygal==3.1.3");
    let again = scene.tf(&["approve", id, "--digest", digest, "--json"]).exits(7);
    assert_eq!(again.error()["code"], "conflict");
    scene.tf(&["deny", id, "--digest", digest, "-m", "no"]).exits(7).complains("was decided already");
    assert_eq!(scene.events("demo-1", "capability.approved").len(), 1);
    assert_eq!(scene.events("demo-1", "capability.denied").len(), 0);
}

fn the_image_is_the_lock(scene: &Scene) {
    let shown = scene.show("demo-1");
    assert_eq!(shown["imagesBuilt"], 1);
    let resolution = &shown["requests"][0]["resolution"];
    let recipe = text(&resolution["recipe"]);
    let image = format!("taskforge/agent:{}", &recipe[..12]);
    assert_eq!(docker_api::image(&image).unwrap()["Id"], shown["requests"][0]["image"]);
    let base = installed(&text(&resolution["base"]));
    let mut expected = base.clone();
    for package in resolution["lock"]["pip"].as_array().unwrap() {
        expected.insert(text(&package["name"]), text(&package["version"]));
    }
    assert!(!base.contains_key("pygal"));
    assert_eq!(installed(&image), expected);
    let folder = format!("images/{}", &recipe[..12]);
    let lock = scene.read(&format!("{folder}/packages.lock"));
    assert!(lock.contains("pygal") && lock.contains("sha256"), "{lock}");
    assert!(scene.read(&format!("{folder}/Dockerfile")).contains("--require-hashes"));
    assert!(scene.path(&format!("{folder}/build.log")).is_file());
}

fn the_same_agent_went_on(scene: &Scene) {
    let shown = scene.show("demo-1");
    let outcomes: Vec<String> = ends(&shown, "analyse").into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, ["suspended", "succeeded"]);
    let requests = scene.requests("demo-1", "analyse");
    let first = requests.iter().rev().find(|(attempt, _)| *attempt == 1).unwrap();
    let next = requests.iter().find(|(attempt, _)| *attempt == 2).unwrap();
    let (before, after) = (&first.1, &next.1);
    assert_eq!(after[..before.len()], before[..], "the conversation did not go on where it was");
    let asked = &after[before.len()]["tool_calls"][0]["function"];
    assert_eq!(asked["name"], "request_capability");
    let answer = result(&after[before.len() + 1]);
    assert_eq!((&answer["status"], &answer["granted"]), (&json!("approved"), &json!(["pip:pygal==3.1.3"])));
    assert_eq!(after.len(), before.len() + 2);
    // The script of the first attempt is older than the decision, and the second attempt ran it.
    let script = fs::metadata(scene.path("runs/demo-1/nodes/analyse/workspace/analyse.py")).unwrap();
    let decided = text(&scene.events("demo-1", "capability.approved")[0]["timestamp"]);
    let decided = chrono::DateTime::parse_from_rfc3339(&decided).unwrap();
    assert!(script.mtime() <= decided.timestamp());
    assert!(scene.tf(&["run", "logs", "demo-1", "analyse", "--attempt", "2"]).ok().stdout.contains("analyse.py"));
}

fn the_report_is_approved_and_summed_up(scene: &Scene) {
    let (id, digest) = scene.the_one("demo-1");
    scene.tf(&["approve", &id, "--show"]).ok().says("nodes/analyse/report.md").says("nodes/analyse/chart.svg");
    // Somebody changes the report between the look and the yes: what stands in the journal is what counts.
    scene.tf(&["approve", "demo-1/approve-report", "--digest", &digest, "--comment", "well done"]).ok();
    scene.drive("demo-1", 0);
    let shown = scene.show("demo-1");
    assert_eq!((&shown["status"], &shown["waitsFor"]), (&json!("completed"), &json!([])));
    assert_eq!(node(&shown, "approve-report")["decision"]["by"], "operator:ada");
    assert_eq!(node(&shown, "approve-report")["decision"]["comment"], "well done");

    let mut left = BTreeSet::new();
    for line in scene.events("demo-1", "node.completed") {
        for artifact in line["data"]["artifacts"].as_array().into_iter().flatten() {
            let bytes = fs::read(scene.path(&format!("runs/demo-1/{}", text(&artifact["path"])))).unwrap();
            assert_eq!(artifact["sha256"], Digest::of(&bytes).as_str(), "{artifact}");
            assert_eq!(artifact["bytes"], bytes.len());
            left.insert(text(&artifact["path"]));
        }
    }
    let wanted = ["analyse/chart.svg", "analyse/report.md", "gather/profile.json", "wrap-up/report.md"];
    assert_eq!(left, wanted.iter().map(|path| format!("nodes/{path}")).collect());
    let chart = scene.read("runs/demo-1/nodes/analyse/chart.svg");
    assert!(chart.contains("<svg") && chart.contains("pygal") && chart.trim_end().ends_with("</svg>"));
    let total = revenue();
    let report = scene.read("runs/demo-1/nodes/analyse/report.md");
    assert!(report.replace([',', '*'], "").contains(&total), "{total} does not stand in\n{report}");
    assert!(scene.read("runs/demo-1/nodes/wrap-up/report.md").lines().count() <= 8);
    let listed = scene.tf(&["run", "artifacts", "demo-1", "--json"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
}

/// The total that the report has to name, added up here: each order once, none without its numbers.
fn revenue() -> String {
    let orders = fs::read_to_string(repository("examples/sales.csv")).unwrap();
    let mut seen = BTreeSet::new();
    let hundredths = |text: &str| -> i128 {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{part:0<2}").parse().unwrap()
    };
    let mut cents = 0;
    for line in orders.lines().skip(1) {
        let row: Vec<&str> = line.split(',').collect();
        let (units, price, discount) = (row[4], row[5], row[6]);
        if !seen.insert(row[0]) || units.is_empty() || price.is_empty() || discount.is_empty() {
            continue;
        }
        // In ten thousandths of a unit of money; a half goes to the even neighbour.
        let exact = units.parse::<i128>().unwrap() * hundredths(price) * (100 - hundredths(discount));
        let (down, rest) = (exact / 100, exact % 100);
        cents += down + i128::from(rest > 50 || (rest == 50 && down % 2 == 1));
    }
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn the_journal_proves_it(scene: &Scene) {
    scene.is_sound("demo-1");
    let report = "runs/demo-1/nodes/analyse/report.md";
    let original = scene.read(report);
    scene.write(report, original.replace('1', "2"));
    scene.tf(&["audit", "verify", "demo-1"]).exits(8).says("NOT SOUND").says("nodes/analyse/report.md");
    scene.write(report, original);
    scene.is_sound("demo-1");
}

fn the_second_run_builds_nothing(scene: &Scene) {
    scene.start_example("demo-2");
    for code in [11, 11, 0] {
        scene.drive("demo-2", code);
        if code == 11 {
            scene.approve("demo-2");
        }
    }
    let shown = scene.show("demo-2");
    assert_eq!((&shown["status"], &shown["imagesBuilt"]), (&json!("completed"), &json!(0)));
    let digest = |run: &str| text(&scene.show(run)["requests"][0]["resolution"]["recipe"]);
    assert_eq!(digest("demo-1"), digest("demo-2"));
    scene.is_sound("demo-2");
}

#[test]
fn two_approvals_at_once_build_one_image() {
    let scene = Scene::with_own_base();
    let creations = docker_api::Creations::of(&scene.id());
    let container = "command: [\"python3\", \"-c\", \"import zipp; open('ok', 'w').write('x')\"]\n\
                     capabilities: [\"pip:zipp\"]";
    scene.commands("pair", &[("work", container, &["ok"])]);
    for run in ["one", "two"] {
        scene.start("pair", run);
        scene.drive(run, 11);
    }
    std::thread::scope(|scope| {
        for run in ["one", "two"] {
            let scene = &scene;
            scope.spawn(move || {
                let (id, digest) = scene.the_one(run);
                scene.tf(&["approve", &id, "--digest", &digest]).ok();
                scene.drive(run, 0);
            });
        }
    });
    scene.start("pair", "three");
    scene.drive("three", 11);
    scene.approve("three");
    scene.drive("three", 0);
    assert_eq!(scene.show("three")["imagesBuilt"], 0);
    // The builder's container is the build, whatever the runs say of it.
    let roles = creations.roles();
    assert_eq!(roles.iter().filter(|role| *role == "build").count(), 1, "{roles:?}");
    for run in ["one", "two", "three"] {
        scene.is_sound(run);
    }
}

#[test]
fn a_review_is_stale_once_the_set_it_builds_upon_has_grown() {
    let scene = Scene::with_own_base();
    let container = "command: [\"python3\", \"-c\", \"import zipp, six\"]\n\
                     capabilities: [\"pip:zipp\", \"pip:six\"]";
    scene.commands("set", &[("work", container, &[])]);
    scene.start("set", "set-1");
    scene.drive("set-1", 11);
    let reviewed: Vec<(String, String)> =
        scene.waiting("set-1").iter().map(|item| (text(&item["id"]), text(&item["digest"]))).collect();
    let [(first, zipp), (second, six)] = &reviewed[..] else { panic!("{reviewed:?}") };
    scene.tf(&["approve", first, "--digest", zipp]).ok();
    // The set is another one now: what was shown for the second is not what would be built.
    scene.tick_until("set-1", |_| scene.waiting("set-1").iter().any(|item| item["digest"] != six.as_str()));
    let stale = scene.tf(&["approve", second, "--digest", six, "--json"]).exits(6);
    assert_eq!(stale.error()["code"], "stale");
    scene.tf(&["approve", second, "--show"]).ok().says("pip:zipp==").says("+ pip six").says("  pip zipp");
    scene.approve("set-1");
    scene.drive("set-1", 0);
    scene.is_sound("set-1");
}

#[test]
fn a_denial_reaches_the_agent_in_the_persons_words() {
    const WORDS: &str = "Nothing is installed before the audit; draw it by hand.";
    let server = ModelServer::start(&[]);
    let scene = Scene::new();
    scene.talks_to(&server, "");
    scene.start_example("no");
    scene.drive("no", 11);
    let (id, digest) = scene.the_one("no");
    scene.tf(&["deny", &id, "--digest", &digest, "--comment", WORDS]).ok().says("Denied pip:pygal==3.1.3");
    scene.drive("no", 11);
    let requests = scene.requests("no", "analyse");
    let (_, told) = requests.iter().find(|(attempt, _)| *attempt == 2).unwrap();
    let answer = result(told.last().unwrap());
    assert_eq!((&answer["status"], &answer["comment"]), (&json!("denied"), &json!(WORDS)));
    assert!(scene.read("runs/no/nodes/analyse/report.md").contains(WORDS));
    assert!(!scene.read("runs/no/nodes/analyse/chart.svg").contains("pygal"));

    let (id, digest) = scene.the_one("no");
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "not yet"]).ok();
    scene.drive("no", 1);
    let shown = scene.show("no");
    assert_eq!((&shown["status"], &shown["imagesBuilt"]), (&json!("failed"), &json!(0)));
    assert_eq!(node(&shown, "approve-report")["failure"], json!(["denied", "denied by operator:ada: not yet"]));
    scene.is_sound("no");
}

#[test]
fn the_recording_answers_no_other_conversation() {
    let scene = Scene::new();
    let transcript = scene.read("workflows/sales-report.replay.jsonl");
    let without: Vec<&str> = transcript.lines().filter(|line| !line.contains("pip install")).collect();
    assert_eq!(without.len() + 1, transcript.lines().count());
    scene.write("workflows/sales-report.replay.jsonl", without.join("\n") + "\n");
    scene.start_example("skipped");
    scene.drive("skipped", 1);
    assert_mismatch(&scene, "skipped", "analyse");

    scene.write("workflows/sales-report.replay.jsonl", transcript);
    let orders = fs::read_to_string(repository("examples/sales.csv")).unwrap();
    let last = orders.trim_end().rfind('\n').unwrap();
    let input = scene.outside("sales.csv");
    fs::write(&input, &orders[..=last]).unwrap();
    scene.tf(&["run", "start", "sales-report", "--input", input.to_str().unwrap(), "--run-id", "shorter"]).ok();
    scene.drive("shorter", 1);
    assert_mismatch(&scene, "shorter", "gather");
}

fn assert_mismatch(scene: &Scene, run: &str, id: &str) {
    let shown = scene.show(run);
    assert_eq!(shown["status"], "failed");
    let reason = text(&node(&shown, id)["failure"][1]);
    assert!(reason.contains("replay_mismatch"), "{reason}");
    scene.tf(&["run", "show", run]).ok().says("replay_mismatch");
    let failed = scene.tf(&["llm", "log", run, "--json"]).ok().json();
    let outcome = &failed.as_array().unwrap().last().unwrap()["outcome"];
    assert_eq!(outcome["fields"]["code"], "replay_mismatch", "{outcome}");
    scene.tf(&["llm", "log", run]).ok().says("llm.error replay_mismatch");
    scene.is_sound(run);
}
