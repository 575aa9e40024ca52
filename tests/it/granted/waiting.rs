//! Deciding on what waits: several at once, one after the other, and what is on record of it afterwards.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use super::stage::RUN;
use crate::scene::{Scene, text};

/// A run whose one node waits for so many hosts, and one more that no test decides.
fn asked(count: usize) -> Scene {
    let scene = Scene::new();
    let mut hosts: Vec<String> = (0..count).map(|n| format!("\"net:h{n:02}.example:443\"")).collect();
    hosts.push("\"net:last.example:443\"".to_owned());
    let more = format!("command: [\"true\"]\ncapabilities: [{}]", hosts.join(", "));
    scene.commands("many", &[("work", &more, &[])]);
    scene.start("many", RUN);
    scene
}

/// The ids of what waits, with the digests, in the order of the names.
fn waiting(scene: &Scene) -> Vec<(String, String)> {
    let mut items = scene.waiting(RUN);
    items.sort_by_key(|item| text(&item["what"]));
    items.iter().map(|item| (text(&item["id"]), text(&item["digest"]))).collect()
}

fn states(scene: &Scene) -> Vec<String> {
    let listed = scene.tf(&["capability", "list", "--run", RUN, "--json"]).ok().json();
    let mut all: Vec<(String, String)> = listed["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| (text(&request["capability"]), text(&request["status"])))
        .collect();
    all.sort();
    all.into_iter().map(|(_, status)| status).collect()
}

#[test]
fn several_are_approved_in_one_command_or_none_is() {
    let scene = asked(3);
    let all = waiting(&scene);
    let [a, b, c, _] = all.as_slice() else { panic!("{all:?}") };
    scene.tf(&["approve", &a.0, &b.0, "--digest", &a.1]).exits(2).complains("2 ids and 1 digests");
    scene.tf(&["approve", &a.0, &a.0, "--digest", &a.1, "--digest", &a.1]).exits(2).complains("named twice");
    // One digest of yesterday, and nothing happens to the other.
    let stale = scene.tf(&["approve", &a.0, &b.0, "--digest", &a.1, "--digest", &c.1]).exits(6);
    stale.complains(&b.0);
    assert_eq!(states(&scene), ["pending"; 4]);
    assert!(!scene.path(&format!("decisions/{}.json", a.0)).exists());
    let done =
        scene.tf(&["approve", &a.0, &b.0, "--digest", &a.1, "--digest", &b.1, "-m", "both", "--json"]).ok().json();
    assert_eq!((&done[0]["decision"]["id"], &done[1]["decision"]["id"]), (&json!(a.0), &json!(b.0)));
    // In one batch of the journal, each over the digest that was shown of it.
    let approved = scene.events(RUN, "capability.approved");
    assert_eq!(approved.len(), 2);
    assert_eq!(approved[0]["batch"][1], approved[1]["batch"][1]);
    for (event, (_, digest)) in approved.iter().zip([a, b]) {
        assert_eq!(event["data"]["decision"]["digest"], digest.as_str());
    }
    scene.tf(&["deny", &waiting(&scene)[0].0, "--digest", &waiting(&scene)[0].1, "-m", "not that"]).ok();
    assert_eq!(states(&scene)[..3], ["applied", "applied", "denied"]);
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound_so_far(RUN);
}

#[test]
fn sixty_approvals_of_one_run_are_all_in_its_history() {
    let scene = asked(60);
    let mut answers = String::new();
    for (id, _) in waiting(&scene).iter().take(60) {
        // Each approval shows the others anew, beside a longer list of what is in force.
        let shown = scene.tf(&["approve", id, "--show", "--json"]).ok().json();
        let digest = text(&shown["digest"]);
        scene.tf(&["approve", id, "--digest", &digest, "-m", &format!("word of {id}")]).ok();
        answers += id;
    }
    let steps = scene.tf(&["capability", "history", "--run", RUN, "--json"]).ok().json();
    let steps = steps["steps"].as_array().unwrap();
    let approved: Vec<_> = steps.iter().filter(|step| step["event"] == "capability.approved").collect();
    assert_eq!(approved.len(), 60);
    for step in &approved {
        let id = text(&step["request"]);
        assert_eq!(step["comment"], format!("word of {id}"));
        assert_eq!((step["digest"].as_str().map(str::len), &step["actor"]), (Some(64), &json!("operator:ada")));
        assert!(answers.contains(&id));
    }
    let seqs: Vec<u64> = steps.iter().map(|step| step["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted());
    let one = text(&approved[7]["request"]);
    let told = scene.tf(&["capability", "history", &one]).ok();
    told.says("requested").says("presented").says("approved").says("applied").says(&format!("word of {one}"));
    scene.tf(&["audit", "verify", RUN]).ok();
    // Filters.
    let count = |arguments: &[&str]| {
        let mut all = vec!["capability", "list", "--json"];
        all.extend(arguments);
        scene.tf(&all).ok().json()["requests"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--state", "applied"]), 60);
    assert_eq!(count(&["--state", "pending,denied"]), 1);
    assert_eq!((count(&["--kind", "net"]), count(&["--kind", "pip,apt"])), (61, 0));
    assert_eq!((count(&["--node", "work"]), count(&["--node", "other"])), (61, 0));
    assert_eq!((count(&["--since", "1d"]), count(&["--since", "2999-01-01T00:00:00Z"])), (61, 0));
    scene.tf(&["capability", "list", "--kind", "nonsense"]).exits(2).complains("is no kind");
    scene.tf(&["capability", "list", "--state", "nonsense"]).exits(2).complains("is no state");
    scene.tf(&["capability", "list", "--since", "yesterday"]).exits(2).complains("neither a time");
}

/// `taskforge review` on a terminal of its own, with `keys` typed into it; what it showed.
fn review(scene: &Scene, keys: &str, editor: &str) -> String {
    let program = env!("CARGO_BIN_EXE_taskforge");
    let mut call = Command::new("script");
    call.args(["-qec", &format!("'{program}' review"), "/dev/null"]).current_dir(scene.root());
    call.env("HOME", scene.outside("home")).env("TASKFORGE_OPERATOR", "ada").env("TERM", "dumb").env("EDITOR", editor);
    call.env_remove("VISUAL").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = call.spawn().expect("`script` is missing: `apt-get install bsdutils`");
    child.stdin.take().unwrap().write_all(keys.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

#[test]
fn review_walks_through_what_waits_and_decides_by_its_keys() {
    let scene = asked(3);
    // Four wait: help, then approve; deny without a word and with one; skip; quit.
    let shown = review(&scene, "?\na\nas we said\nd\n\nd\nuse the files\ns\nq\n", "false");
    for part in
        ["(1 of 4)", "What a grant does", "Review    ", "leave it for later", "A denial needs a word", "2 decided"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let mut all = states(&scene);
    all.sort();
    assert_eq!(all, ["applied", "denied", "pending", "pending"]);
    let denied = &scene.events(RUN, "capability.denied")[0]["data"]["decision"];
    assert_eq!((&denied["comment"], &denied["by"]), (&json!("use the files"), &json!("operator:ada")));
    let approved = &scene.events(RUN, "capability.approved")[0]["data"]["decision"];
    assert_eq!(approved["comment"], "as we said");
    scene.tf(&["audit", "verify", RUN]).ok();
}

#[test]
fn review_goes_back_and_bounds_a_grant_and_names_an_alternative() {
    let scene = asked(3);
    // Leave the first, try a word that says nothing, answer the second with an alternative, go back, bound the first.
    let keys = "k\ns\ni\nnonsense\ni\nnet:other.example:443 net:third.example:443\nthere is this\n\
                k\nt\nsoon\nt\n2h\nf\nnobody\nf\nworkflow\na\nfor now\nq\n";
    let shown = review(&scene, keys, "false");
    for part in
        ["None before it waits.", "`nonsense`", "`soon` is neither a span", "`nobody` is none of", "Approve this, for "]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(shown.matches("(1 of 4)").count(), 3, "at first, after `k` at the beginning and after `k`: {shown}");
    assert!(shown.contains("2 decided; 2 waiting."), "{shown}");
    let suggested = &scene.events(RUN, "capability.superseded")[0]["data"]["decision"];
    assert_eq!(suggested["instead"], json!(["net:other.example:443", "net:third.example:443"]));
    assert_eq!(suggested["comment"], "there is this");
    let approved = &scene.events(RUN, "capability.approved")[0]["data"]["decision"];
    assert!(approved["until"].is_string() && approved["scope"]["workflow"].is_object(), "{approved:#}");
    assert_eq!(approved["comment"], "for now");
    scene.tf(&["audit", "verify", RUN]).ok();
}

#[test]
fn review_decides_nothing_at_the_end_of_its_input_or_by_half_a_line() {
    let scene = asked(1);
    for keys in ["", "\n", "a\n", "d\n", "yes\n", "a\nhalf a wor", "q\n"] {
        // The end of a terminal's input is Ctrl-D.
        review(&scene, &format!("{keys}\u{4}\u{4}"), "false");
        assert_eq!(states(&scene), ["pending"; 2], "{keys:?}");
        assert_eq!(scene.events(RUN, "capability.approved").len(), 0);
    }
}

#[test]
fn review_edits_a_list_in_the_editor_and_shows_it_anew() {
    let scene = asked(1);
    let editor = "sed -i s/h00.example/other.example/";
    let shown = review(&scene, "e\na\n\nq\n", editor);
    assert!(shown.contains("Edited    net:other.example:443"), "{shown}");
    let request = scene.tf(&["capability", "list", "--state", "applied", "--json"]).ok().json()["requests"][0].clone();
    assert_eq!(request["list"], json!(["net:other.example:443"]));
    // An editor that fails, and one that leaves nothing, decide nothing.
    review(&scene, "e\nq\n", "false");
    review(&scene, "e\nq\n", "truncate -s 0");
    assert_eq!(scene.waiting(RUN).len(), 1);
}

#[test]
fn review_takes_answers_from_a_file_where_nobody_can_be_asked() {
    let scene = asked(3);
    scene.tf(&["review"]).exits(2).complains("nobody can be asked here");
    let all = waiting(&scene);
    let [a, b, c, _] = all.as_slice() else { panic!("{all:?}") };
    // A line that says nothing clear keeps all of them from being taken.
    scene.write("answers", format!("approve {} {}\nmaybe {}\n", a.0, a.1, b.0));
    scene.tf(&["review", "--answers", "answers"]).exits(2).complains("line 2");
    assert_eq!(states(&scene), ["pending"; 4]);
    let text = format!("# what we said\nskip {}\ndeny {} {} use the files\napprove {} {}\n", a.0, b.0, b.1, c.0, a.1);
    scene.write("answers", text);
    let said = scene.tf(&["review", "--answers", "answers"]).exits(6);
    said.says(&format!("{}: denied net:h01.example:443", b.0)).says(&format!("{}: not decided", c.0));
    assert_eq!(states(&scene), ["pending", "denied", "pending", "pending"]);
}

#[test]
fn hostile_words_are_shown_as_words_everywhere() {
    let scene = asked(1);
    let (id, digest) = waiting(&scene)[0].clone();
    let evil = "\u{1b}[2Jgone\u{7}\u{202e}\rReview    0000";
    scene.tf(&["approve", &id, "--digest", &digest, "-m", evil]).ok();
    for arguments in [
        &["capability", "show", &id][..],
        &["capability", "history", &id],
        &["capability", "list"],
        &["run", "show", RUN],
    ] {
        let shown = scene.tf(arguments).ok();
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!shown.stdout.contains(bad), "{arguments:?}: {:?}", shown.stdout);
    }
}
