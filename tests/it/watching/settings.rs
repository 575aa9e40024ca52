//! Settings of watches that cannot be, and what is said of them.

use super::append;
use crate::scene::Scene;

#[test]
fn what_is_wrong_with_a_watch_is_said_with_its_key() {
    let scene = Scene::new();
    let settings = scene.read("taskforge.toml");
    let github = "[actions.github]\nbaseUrl = \"http://127.0.0.1:1\"\ntoken = \"vault:t\"\n";
    let pulls = "source = \"github.pr\"\nrepositories = [\"a/b\"]\nagent = \"ada\"\n";
    for (name, lines, says) in [
        ("x", "source = \"gitlab\"".to_owned(), "unknown variant"),
        ("x", format!("{pulls}task = \"t\"\ncolour = 1"), "unknown field"),
        ("\"../x\"", format!("{pulls}task = \"t\""), "is no name of 1 to 40"),
        ("x", pulls.to_owned(), "watch.x.task: is missing"),
        ("x", format!("{pulls}task = \"{{{{ body }}}}\""), "uses `body`, which is not known there: repository, owner"),
        ("x", format!("{pulls}task = \"{{{{ sha|frob }}}}\""), "unknown filter"),
        ("x", format!("{pulls}task = \"t\"\nworkflow = \"w\""), "two targets"),
        ("x", format!("{pulls}task = \"t\"\nparams = {{ a = \"b\" }}"), "belong to a workflow"),
        ("x", format!("{pulls}task = \"t\"\ncron = \"* * * * *\""), "does not belong to a watch of `github.pr`"),
        ("x", format!("{pulls}task = \"t\"\natOnce = 0"), "watch.x.atOnce"),
        ("x", format!("{pulls}task = \"t\"\ngiveUp = 0"), "watch.x.giveUp"),
        ("x", pulls.replace("a/b", "a/../b") + "task = \"t\"", "is not owner/name"),
        ("x", pulls.replace("a/b", "a/b?x=y") + "task = \"t\"", "is not owner/name"),
        ("x", pulls.replace("\"a/b\"", "\"a/b\", \"A/B\"") + "task = \"t\"", "name a/b twice"),
        ("x", "source = \"schedule\"\nworkflow = \"w\"".to_owned(), "watch.x.cron: is missing"),
        ("x", "source = \"schedule\"\ncron = \"60 * * * *\"\nworkflow = \"w\"".to_owned(), "is no cron pattern"),
        ("x", "source = \"file\"\nworkflow = \"w\"".to_owned(), "watch.x.folder: is missing"),
        ("x", "source = \"file\"\nfolder = \"f\"".to_owned(), "an agent with a task, or a workflow"),
    ] {
        scene.write("taskforge.toml", format!("{settings}\n{github}\n[watch.{name}]\n{lines}\n"));
        let said = scene.tf(&["watch", "list", "--json"]).exits(2).error();
        let message = said["message"].as_str().unwrap();
        assert!(message.contains(says), "{lines}: {message}");
    }
    scene.write("taskforge.toml", settings);
    append(&scene, &format!("\n[watch.x]\n{pulls}task = \"t\"\n"));
    scene.tf(&["watch", "list"]).exits(2).complains("needs [actions.github]");
    // Before anybody has looked, too.
    append(&scene, &format!("\n{github}"));
    scene.tf(&["watch", "list"]).ok().says("there is no agent `ada`, or it was offboarded");
}
