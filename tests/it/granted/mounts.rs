//! `mount:…`: folders of the host, before a person's word, after it, after it was taken back; and what gets nowhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use chrono::{SubsecRound as _, Utc};
use serde_json::json;

use super::stage::{RUN, complete, hear, said, stage, start, tick_until, wait_for_request};
use crate::docker_api;
use crate::scene::{Scene, ends, text};

/// What an agent can do with a folder.
const LOOK: &str = r#"
import errno, os
def read(path):
    try:
        return open(path).read()
    except OSError as error:
        return errno.errorcode[error.errno]
def write(path, text):
    try:
        open(path, "w").write(text)
        return "written"
    except OSError as error:
        return errno.errorcode[error.errno]
"#;

/// A registry that allows the folder `data`, in which there is `sets` with one file, open to everybody.
fn with_data(script: impl FnOnce(&str) -> String) -> (Scene, PathBuf) {
    // The place is known only once the scene is made, and the script only then.
    let scene = stage("");
    let data = scene.outside("data").parent().unwrap().canonicalize().unwrap().join("data");
    let sets = data.join("sets");
    fs::create_dir_all(&sets).unwrap();
    fs::write(sets.join("a.csv"), "1,2").unwrap();
    fs::set_permissions(&sets, fs::Permissions::from_mode(0o777)).unwrap();
    allow(&scene, &[&data]);
    let script = script(sets.to_str().unwrap());
    let command = json!(["python3", "-c", format!("{}\n{LOOK}\n{script}", super::stage::PRELUDE)]);
    scene.commands("granted", &[("work", &format!("command: {command}"), &["said.txt"])]);
    (scene, data)
}

fn allow(scene: &Scene, roots: &[&PathBuf]) {
    let text = scene.read("taskforge.toml");
    let text = text.split("\n[mounts]").next().unwrap().to_owned();
    scene.write("taskforge.toml", format!("{text}\n[mounts]\nroots = {}\n", json!(roots)));
}

fn decide(scene: &Scene) -> String {
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    id
}

#[test]
fn a_folder_is_there_in_the_next_attempt_and_gone_in_the_one_after_it_was_taken_back() {
    let (scene, data) = with_data(|sets| {
        format!(
            r#"
say(read("/mnt{sets}/a.csv"), read("{sets}/a.csv"))
code, answer = ask("mount:{sets}:ro", 0)
say(code, answer["status"], answer.get("path"), *answer.get("granted", []))
if code == 75: sys.exit(75)
say(read("/mnt{sets}/a.csv"), write("/mnt{sets}/a.csv", "x"), write("/mnt{sets}/new", "x"))
if len(open("/workspace/said.txt").readlines()) < 6:
    say("holding")
    import time
    while True: time.sleep(1)
"#
        )
    });
    let sets = data.join("sets");
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    let asked = format!("mount:{}:ro", sets.display());
    assert_eq!(said(&scene), ["ENOENT ENOENT", "75 pending None"]);
    let (id, digest) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&sets).unwrap());
    shown.says(&format!("The folder {} of this machine is at /mnt{}", sets.display(), sets.display()));
    shown.says("the kernel refuses every write").says(&format!("inode {inode} on device ")).says("with mode 0777");
    let presented = &scene.events(RUN, "capability.presented")[0]["data"]["presented"]["folder"];
    assert_eq!(presented["inode"], inode);

    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    hear(&scene, "holding");
    let granted = format!("0 approved /mnt{} {asked}", sets.display());
    assert_eq!(said(&scene)[2..], ["1,2 ENOENT", &granted, "1,2 EROFS EROFS", "holding"]);
    assert_eq!(fs::read_dir(&sets).unwrap().count(), 1);
    let plan = &scene.events(RUN, "node.dispatching")[1]["data"]["plan"]["mounts"][0];
    assert_eq!((&plan["request"], &plan["readOnly"]), (&json!(id), &json!(true)));
    let inspected = scene.tf(&["container", "inspect", &format!("{RUN}/work"), "--json"]).ok().json();
    assert_eq!(inspected["grade"], 100, "{inspected:#}");
    assert_eq!(scene.events(RUN, "image.building").len(), 0);

    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "that is enough"]).ok();
    revoked.says(&format!("Revoked {asked} of run {RUN}: attempt work/2 had it and was ended"));
    // It was over when the command returned, and what followed has it no more.
    let end = &scene.events(RUN, "attempt.ended")[1]["data"]["end"];
    assert_eq!(end["outcome"], "revoked");
    assert!(text(&end["detail"]).contains("taken back"), "{end:#}");
    tick_until(&scene, "the third attempt", || (said(&scene).len() >= 7).then_some(()));
    assert_eq!(said(&scene)[6], "ENOENT ENOENT");
    wait_for_request(&scene);
    let (again, digest) = scene.the_one(RUN);
    assert_ne!(again, id, "it is decided again");
    scene.tf(&["deny", &again, "--digest", &digest, "-m", "no more"]).ok();
    complete(&scene);
    let said = said(&scene);
    assert_eq!(said.last().unwrap(), "ENOENT ENOENT ENOENT", "{said:?}");
    let third = &scene.events(RUN, "node.dispatching")[2]["data"]["plan"];
    assert!(third["mounts"].is_null(), "{third:#}");
    scene.is_sound(RUN);
}

#[test]
fn a_writable_folder_can_be_written_and_wins_over_the_same_one_read_only() {
    let (scene, data) = with_data(|sets| {
        format!(
            r#"
if ask("mount:{sets}:ro", 0)[0] + ask("mount:{sets}:rw", 0)[0]: sys.exit(75)
say(write("/mnt{sets}/b.csv", "3,4"), read("/mnt{sets}/a.csv"))
options = [line.split()[5].split(",") for line in open("/proc/self/mountinfo") if line.split()[4] == "/mnt{sets}"]
say(len(options), "rw" in options[0])
"#
        )
    });
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    for waiting in scene.waiting(RUN) {
        let id = text(&waiting["id"]);
        let shown = scene.tf(&["approve", &id, "--show", "--json"]).ok().json();
        scene.tf(&["approve", &id, "--digest", &text(&shown["digest"])]).exits(0);
    }
    complete(&scene);
    assert_eq!(said(&scene), ["written 1,2", "1 True"]);
    assert_eq!(fs::read_to_string(data.join("sets/b.csv")).unwrap(), "3,4");
    assert_eq!(scene.events(RUN, "node.dispatching")[1]["data"]["plan"]["mounts"].as_array().unwrap().len(), 1);
    scene.is_sound(RUN);
}

#[test]
fn an_agent_that_waits_is_told_to_go_on_in_its_next_attempt() {
    let (scene, _) = with_data(|sets| {
        format!(
            r#"
code, answer = ask("mount:{sets}:ro", 100)
say(code, answer["status"])
sys.exit(code)
"#
        )
    });
    start(&scene);
    decide(&scene);
    complete(&scene);
    assert_eq!(said(&scene), ["75 pending", "0 approved"]);
    scene.is_sound(RUN);
}

#[test]
fn what_leads_elsewhere_is_refused_before_anybody_is_asked() {
    let (scene, data) = with_data(|sets| {
        let data = sets.strip_suffix("/sets").unwrap();
        let registry = data.replace("/data", "/registry");
        format!(
            r#"
for path in ["{data}/link", "{data}/link/x", "{data}/file", "{data}/none", "{data}/socket", "/etc", "/opt", "{registry}",
             "{registry}/.git", "{registry}/runs"]:
    code, answer = ask("mount:" + path + ":rw")
    say(code, answer["status"], answer.get("comment"))
bad = ["mount:{data}/../etc:ro", "mount:{data}/./sets:ro", "mount:{data}//sets:ro", "mount:{data}/sets/:ro", "mount:sets:ro",
       "mount:{data}/sets", "mount:{data}/sets:rwx", "mount:/:ro", "mount:{data}/s\u0435ts:ro", "mount:{data}/a b:ro",
       "mount:{data}/sets:ro,Z", "mount:{data}/$HOME:ro"]
say(*[name for name in bad if ask(name, 0)[0] != 2])
"#
        )
    });
    let registry = scene.root().canonicalize().unwrap();
    fs::create_dir_all(registry.join(".git")).unwrap();
    symlink("/etc", data.join("link")).unwrap();
    fs::write(data.join("file"), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap();
    allow(&scene, &[&data, &PathBuf::from("/etc"), &registry]);
    scene.start("granted", RUN);
    complete(&scene);
    let said = said(&scene);
    let reasons = [
        "has a symlink on its way",
        "has a symlink on its way",
        "is not a folder",
        "there is no",
        "is not a folder",
        "lies in /etc",
        "none of the roots",
        "the registry",
        "the registry",
        "the registry",
    ];
    for (said, reason) in said.iter().zip(reasons) {
        assert!(said.starts_with("4 unresolvable") && said.contains(reason), "{reason}: {said}");
    }
    assert_eq!(said[reasons.len()], "", "{said:#?}");
    assert!(scene.events(RUN, "capability.presented").is_empty(), "nobody was asked");
    scene.is_sound(RUN);
}

#[test]
fn what_is_the_operators_own_is_refused_or_said_with_a_warning() {
    let (scene, data) = with_data(|sets| {
        let home = sets.replace("/data/sets", "/home");
        let data = sets.strip_suffix("/sets").unwrap();
        format!(
            r#"
for path in ["{home}", "{home}/.config", "{home}/.config/taskforge", "{home}/.config/taskforge/vault", "{data}", "{data}/other",
             "{data}/other/.taskforge", "{data}/other/workflows"]:
    code, answer = ask("mount:" + path + ":ro")
    say(code, answer["status"], answer.get("comment"))
say(ask("mount:{home}/.ssh:ro")[0])
"#
        )
    });
    let home = scene.outside("home").canonicalize().unwrap();
    for folder in [home.join(".config/taskforge/vault"), home.join(".ssh"), data.join("other/.taskforge")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::create_dir(data.join("other/workflows")).unwrap();
    allow(&scene, &[&data, &home]);
    start(&scene);
    let refused = said(&scene);
    assert_eq!(refused.len(), 8, "{refused:#?}");
    for (at, said) in refused.iter().enumerate() {
        let what = if at < 4 { "taskforge's own keys and settings" } else { "another registry" };
        let ends = said.ends_with(&format!("is, contains or lies in {what}"));
        assert!(said.starts_with("4 unresolvable") && ends, "{said}");
    }
    assert_eq!(scene.events(RUN, "capability.presented").len(), 1, "of the others nobody was asked");
    let (id, digest) = scene.the_one(RUN);
    let ssh = home.join(".ssh").display().to_string();
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says(&format!("Careful: keys and credentials are kept there: {ssh}."));
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "not these"]).ok();
    complete(&scene);
    assert_eq!(said(&scene)[8], "4");
    scene.is_sound(RUN);
}

#[test]
fn without_roots_no_folder_can_be_granted() {
    let scene = stage("code, answer = ask(\"mount:/data/sets:ro\")\nsay(code, answer.get(\"comment\"))");
    scene.start("granted", RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["4 no folder can be granted: `[mounts] roots` in taskforge.toml names none"]);
    scene.is_sound(RUN);
}

/// A bind of a bind: the folder is one of the registry's under another name.
#[test]
fn a_bind_of_the_registry_is_the_registry() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (scene, data) =
        with_data(|sets| format!("code, answer = ask(\"mount:{sets}:ro\")\nsay(code, answer.get(\"comment\"))"));
    let mounted = Bound::new(&scene.root().join("workflows"), &data.join("sets"));
    scene.start("granted", RUN);
    complete(&scene);
    drop(mounted);
    let said = said(&scene);
    assert!(said[0].starts_with("4 ") && said[0].ends_with("is, contains or lies in the registry"), "{said:?}");
}

struct Bound(PathBuf);

impl Bound {
    fn new(source: &std::path::Path, target: &std::path::Path) -> Self {
        rustix::mount::mount_bind(source, target).unwrap();
        Self(target.to_owned())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_folder_that_was_swapped_after_the_decision_is_not_mounted() {
    let (scene, data) = with_data(|sets| format!("say(1)\nsys.exit(ask(\"mount:{sets}:rw\", 0)[0])"));
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    let (id, digest) = scene.the_one(RUN);
    // The run stands still, so that nothing starts between the word and the swap.
    scene.tf(&["control", "pause", RUN]).ok();
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let sets = data.join("sets");
    let elsewhere = scene.outside("elsewhere");
    fs::rename(&sets, &elsewhere).unwrap();
    symlink(&elsewhere, &sets).unwrap();
    scene.tf(&["control", "resume", RUN]).ok();
    scene.drive(RUN, 1);
    let shown = scene.show(RUN);
    let last = ends(&shown, "work").pop().unwrap();
    assert!(last.0 == "not_started" && last.1.contains("has a symlink on its way"), "{last:?}");
    scene.is_sound(RUN);

    // A folder in its place is another folder.
    fs::remove_file(&sets).unwrap();
    fs::create_dir(&sets).unwrap();
    scene.tf(&["run", "retry", RUN, "work"]).ok();
    scene.drive(RUN, 1);
    let last = ends(&scene.show(RUN), "work").pop().unwrap();
    assert!(last.0 == "not_started" && last.1.contains("is not the folder that was granted"), "{last:?}");

    // The very folder, back at its place, is what was granted.
    fs::remove_dir(&sets).unwrap();
    fs::rename(&elsewhere, &sets).unwrap();
    scene.tf(&["run", "retry", RUN, "work"]).ok();
    scene.drive(RUN, 0);
    scene.is_sound(RUN);
}

#[test]
fn a_folder_that_was_swapped_before_the_decision_is_shown_anew() {
    let (scene, data) = with_data(|sets| format!("code, answer = ask(\"mount:{sets}:rw\")\nsay(code, answer)"));
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    let sets = data.join("sets");
    fs::rename(&sets, scene.outside("elsewhere")).unwrap();
    fs::create_dir(&sets).unwrap();
    scene.tf(&["approve", &id, "--digest", &digest]).exits(6);
    let (_, anew) = scene.the_one(RUN);
    assert_ne!(anew, digest);
    scene.tf(&["deny", &id, "--digest", &anew, "-m", "it moves"]).ok();
    complete(&scene);
    assert!(said(&scene)[0].contains("it moves"));
    scene.is_sound(RUN);
}

#[test]
fn written_rules_allow_and_deny_folders() {
    let (scene, data) = with_data(|sets| {
        format!(
            r#"
code, answer = ask("mount:{sets}:rw", 0)
say(code, answer.get("comment"))
code, answer = ask("mount:{sets}:ro")
say(code)
if code: sys.exit(code)
say(read("/mnt{sets}/a.csv"))
"#
        )
    });
    let rules = format!(
        "format: 1\nrules:\n- {{effect: deny, kind: mount, name: '*:rw', because: look only}}\n- {{effect: allow, kind: mount, name: '{}/*:ro'}}\n",
        data.display()
    );
    fs::write(scene.path("policies/p.yaml"), rules).unwrap();
    scene.start("granted", RUN);
    complete(&scene);
    let said = said(&scene);
    assert!(said.contains(&"4 look only".to_owned()), "{said:?}");
    assert_eq!(said[said.len() - 2..], ["0", "1,2"]);
    let allowed = &scene.events(RUN, "capability.approved")[0]["data"]["decision"]["by"];
    assert_eq!(allowed, "policy:p.yaml:4");
    scene.is_sound(RUN);
}

#[test]
fn a_folder_that_the_workflow_declares_is_there_in_the_first_attempt() {
    let (scene, data) = with_data(|_| String::new());
    let sets = data.join("sets");
    let script = format!("{}\n{LOOK}\nsay(read(\"/mnt{}/a.csv\"))", super::stage::PRELUDE, sets.display());
    let container =
        format!("command: {}\ncapabilities: [\"mount:{}:ro\"]", json!(["python3", "-c", script]), sets.display());
    scene.commands("granted", &[("work", &container, &["said.txt"])]);
    start(&scene);
    assert!(scene.events(RUN, "node.dispatching").is_empty());
    decide(&scene);
    complete(&scene);
    assert_eq!(said(&scene), ["1,2"]);
    scene.is_sound(RUN);
}

#[test]
fn a_folder_for_a_time_is_gone_with_its_container_when_the_time_is_over_though_nobody_ticks() {
    let (scene, _data) = with_data(|sets| {
        format!(
            r#"
import time
there = os.path.isdir("/mnt{sets}")
say(there)
if there:
    while True: time.sleep(0.1)
if len(open("/workspace/said.txt").readlines()) > 2: sys.exit(0)
code, answer = ask("mount:{sets}:ro", 0)
sys.exit(code)
"#
        )
    });
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    let (id, digest) = scene.the_one(RUN);
    let until = Utc::now().trunc_subsecs(0) + chrono::Duration::seconds(20);
    scene.tf(&["approve", &id, "--digest", &digest, "--until", &until.to_rfc3339()]).ok();
    hear(&scene, "True");
    let name = text(&scene.events(RUN, "node.dispatching")[1]["data"]["plan"]["container"]);
    let runs = || docker_api::inspect(&name).is_some_and(|found| found["State"]["Running"] == true);
    assert!(runs() && Utc::now() < until, "starting it took longer than it was granted for");
    while runs() {
        assert!(Utc::now() < until + chrono::Duration::seconds(60), "it goes on");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(Utc::now() >= until, "it was ended before its time");
    assert_eq!(scene.events(RUN, "capability.expired").len(), 0, "nobody has ticked");
    complete(&scene);
    // Not a failure of the node's: it is tried again without the folder.
    let outcomes: Vec<String> = ends(&scene.show(RUN), "work").into_iter().map(|(how, _)| how).collect();
    assert_eq!(outcomes, ["suspended", "revoked", "succeeded"]);
    assert_eq!(said(&scene), ["False", "True", "False"]);
    let expired = scene.events(RUN, "capability.expired");
    assert_eq!((expired.len(), &expired[0]["data"]["id"]), (1, &json!(id)));
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound(RUN);
}
