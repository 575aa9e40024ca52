//! A journal that was written anew, and sound in itself: what it says of a signed decision has to be what was signed.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

/// What becomes of a line.
type Edit<'a> = &'a dyn Fn(&str) -> String;

/// Hex digits of what stands before the end of each line.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The lines of a journal chained anew after `edit`, as whoever may write there would.
pub fn rechained(run: &str, journal: &str, edit: Edit<'_>) -> String {
    let digest = |before: &[u8], line: &str| Sha256::digest([before, line.as_bytes()].concat()).to_vec();
    let mut running = digest(b"", &format!("taskforge-journal-v1\n{run}\n"));
    let (mut text, mut at, mut prev) = (String::new(), 0, String::new());
    for line in journal.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["batch"][0] == 1 {
            (at, prev) = (text.len(), hex(&running));
        }
        let (own, _) = line.rsplit_once(", \"at\": ").unwrap();
        let line = format!("{}, \"at\": {at}, \"prev\": \"{prev}\"}}\n", edit(own));
        running = digest(&running, &line);
        text += &line;
    }
    text
}

/// Rewrites a run with all that this machine keeps of its journal's past.
pub fn rewrite(scene: &Scene, run: &str, edit: Edit<'_>) {
    let file = format!("runs/{run}/events.jsonl");
    let text = rechained(run, &scene.read(&file), edit);
    scene.write(&file, text);
    let _ = fs::remove_file(scene.path(&format!(".taskforge/heads/{run}")));
    let _ = fs::remove_dir_all(scene.path(&format!("runs/{run}/checkpoints")));
    for name in ["state.json", "refs.json", "taskforge.json"] {
        let _ = fs::remove_file(scene.path(&format!("runs/{run}/{name}")));
    }
}

/// The exported run, unpacked and rewritten, as the script finds it.
fn script(exported: &Path, run: &str, edit: Edit<'_>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(fs::File::open(exported).unwrap()).unpack(folder.path()).unwrap();
    let own = folder.path().join(run);
    let journal = fs::read_to_string(own.join("events.jsonl")).unwrap();
    fs::write(own.join("events.jsonl"), rechained(run, &journal, edit)).unwrap();
    let _ = fs::remove_dir_all(own.join("checkpoints"));
    Command::new("python3").arg(own.join("verify.py")).arg(&own).output().unwrap()
}

#[test]
fn a_signed_decision_counts_for_nothing_but_what_it_says() {
    let scene = signed();
    crate::words::hosts(&scene, 2);
    scene.start("hosts", "r");
    let waiting = scene.waiting("r");
    let of = |n: usize, field: &str| waiting[n][field].as_str().unwrap().to_owned();
    let (id, digest) = (of(0, "id"), of(0, "digest"));
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "not today"]).ok();
    let exported = scene.outside("run.tar");
    scene.tf(&["audit", "export", "r", "-o", exported.to_str().unwrap()]).ok();
    let whole = scene.read("runs/r/events.jsonl");
    let decided = |from: &'static str, to: String| {
        move |line: &str| if line.contains("\"decision\": {") { line.replace(from, &to) } else { line.to_owned() }
    };
    let at = scene.events("r", "capability.denied")[0]["data"]["decision"]["at"].as_str().unwrap().to_owned();
    let sets_at = {
        let at = at.clone();
        move |line: &str| line.replace(&format!("\"at\": \"{at}\""), "\"at\": \"2020-01-01T00:00:00+00:00\"")
    };
    let edits: [(Edit<'_>, &str); 5] = [
        (&decided("\"capability.denied\"", "\"capability.approved\"".to_owned()), "says deny"),
        (&decided("\"capability.denied\"", "\"capability.superseded\"".to_owned()), "says deny"),
        (&decided("\"comment\": \"not today\"", "\"comment\": \"gladly\"".to_owned()), "says something else"),
        (
            &decided("\"comment\"", "\"instead\": [\"net:x.example:443\"], \"comment\"".to_owned()),
            "says something else",
        ),
        (&sets_at, "says something else"),
    ];
    let allowed = scene.path("allowed_signers");
    let verify = ["audit", "verify", "r", "--allowed-signers", allowed.to_str().unwrap()];
    // Chained anew without a change it is as sound as it was.
    rewrite(&scene, "r", &str::to_owned);
    assert_eq!(scene.read("runs/r/events.jsonl"), whole);
    scene.tf(&verify).ok().says("1 signed decision");
    assert!(script(&exported, "r", &str::to_owned).status.success());
    for (edit, why) in edits {
        scene.write("runs/r/events.jsonl", &whole);
        rewrite(&scene, "r", edit);
        assert_ne!(scene.read("runs/r/events.jsonl"), whole, "{why}");
        scene.tf(&["tick", "r"]).exits(8).complains(why).complains(&id);
        scene.tf(&verify).exits(8).says(why);
        let said = script(&exported, "r", edit);
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(
            said.status.code() == Some(1) && text.contains("says something else than the journal"),
            "{why}: {text}"
        );
    }
    scene.write("runs/r/events.jsonl", &whole);
    rewrite(&scene, "r", &str::to_owned);
    scene.tf(&["tick", "r"]).ok();
    scene.is_sound_so_far("r");
}

#[test]
fn a_decision_without_a_signature_is_held_to_what_it_says_as_well() {
    let scene = scene();
    asked(&scene, "r");
    let (id, digest) = scene.the_one("r");
    scene.tf(&["approve", &id, "--digest", &digest, "-m", "go"]).ok();
    let exported = scene.outside("run.tar");
    scene.tf(&["audit", "export", "r", "-o", exported.to_str().unwrap()]).ok();
    assert!(script(&exported, "r", &str::to_owned).status.success());
    rewrite(&scene, "r", &|line| line.replace("\"comment\": \"go\"", "\"comment\": \"stop\""));
    scene.tf(&["audit", "verify", "r"]).exits(8).says("says something else than the journal has for it");
    // A node's decision of another node, or of none.
    let other = json!("approval-other").to_string();
    let asks = |line: &str| line.replace(&format!("\"approval\": \"{id}\""), &format!("\"approval\": {other}"));
    assert_eq!(script(&exported, "r", &asks).status.code(), Some(1));
}

#[test]
fn what_the_journal_shows_of_a_decision_is_what_was_signed() {
    let scene = signed();
    crate::words::hosts(&scene, 2);
    scene.start("hosts", "r");
    let waiting = scene.waiting("r");
    let of = |field: &str| waiting[0][field].as_str().unwrap().to_owned();
    scene.tf(&["approve", &of("id"), "--digest", &of("digest")]).ok();
    scene.tf(&["audit", "verify", "r"]).ok().says("1 signed decision");
    let whole = scene.read("runs/r/events.jsonl");
    let host = of("what");
    let other = |line: &str| line.replace(&host, "net:evil.example:443");
    let why = format!("what the journal shows of request {} is not what was decided on", of("id"));
    rewrite(&scene, "r", &other);
    scene.tf(&["audit", "verify", "r"]).exits(8).says(&why);
    // Sentences of another program may be others: then it cannot be told.
    let binary = scene.events("r", "run.created")[0]["data"]["binary"].as_str().unwrap().to_owned();
    scene.write("runs/r/events.jsonl", &whole);
    rewrite(&scene, "r", &|line| other(line).replace(&binary, &"0".repeat(64)));
    scene.tf(&["audit", "verify", "r"]).ok().says(&why).says("or was said in other words by the program");
}
