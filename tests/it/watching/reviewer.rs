//! The reviewer at work: the role that ships, hired, in real containers behind real gates, upon pull requests that come by
//! themselves.

use serde_json::{Value, json};

use super::hub::{Hub, TOKEN, sha};
use super::{add_github, append, runs, state_path};
use crate::openclaw::model::{Model, Move};
use crate::scene::{Scene, text};
use crate::vault::{set, vault};

/// Reads its task, and reviews what that names.
fn reviewer() -> Model {
    Model::start(|talk| {
        let heard = talk.heard.join("\n");
        let task = heard.split("Review pull request ").nth(1).unwrap_or_default();
        let mut words = task.split_whitespace();
        let (number, repo) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        let commit = words.nth(2).unwrap_or_default().trim_end_matches('.');
        let number: u64 = number.parse().unwrap_or(0);
        let arguments = json!({
            "repo": repo, "number": number, "verdict": "COMMENT", "commit": commit, "body": format!("Looked at {commit}."),
        });
        match talk.answers.len() {
            0 => Move::Call("act", json!({"action": "github.review.submit", "arguments": arguments})),
            1 => Move::Call("write_file", json!({"path": "report.md", "content": talk.answers[0]})),
            _ => Move::Call("finish", json!({"summary": "reviewed"})),
        }
    })
}

/// Ticks until every run has ended.
fn tick_to_the_end(scene: &Scene, model: &Model) {
    let begun = std::time::Instant::now();
    loop {
        scene.tf(&["tick", "--all"]).ok();
        let listed = scene.tf(&["run", "list", "--json"]).ok().json();
        let all = listed["runs"].as_array().or(listed.as_array()).unwrap().clone();
        if all.iter().all(|run| run["status"] != "running") {
            if let Some(other) = all.iter().find(|run| run["status"] != "completed") {
                let shown = scene.tf(&["run", "show", other["run"].as_str().unwrap()]).ok().stdout;
                panic!("{shown}\n{}", model.story());
            }
            return;
        }
        assert!(begun.elapsed().as_secs() < 240, "{listed:#}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn reviewed(hub: &Hub) -> Vec<(String, String)> {
    let mut all: Vec<_> =
        hub.reviews().iter().map(|review| (text(&review["pull"]), text(&review["commit_id"]))).collect();
    all.sort();
    all
}

#[test]
fn each_pull_request_is_reviewed_once_and_again_after_a_push() {
    let (hub, model) = (Hub::start(), reviewer());
    hub.push("acme/tool", 1, "a");
    hub.push("acme/tool", 2, "c");
    let scene = vault();
    set(&scene, "hub-token", TOKEN);
    scene
        .set("model = \"recorded\"", &format!("model = {{ name = \"scripted\", baseUrl = \"{}\" }}", model.base_url()));
    scene.tf(&["role", "new", "reviewer", "--from", "code-review-engineer"]).ok();
    let role = scene.read("roles/reviewer.role.md");
    let line = role.lines().find(|line| line.trim_start().starts_with("repositories:")).unwrap().to_owned();
    scene.write("roles/reviewer.role.md", role.replace(&line, "    repositories: [acme/tool]"));
    scene.tf(&["agent", "hire", "reviewer", "--name", "rita"]).ok();
    add_github(&scene, &hub);
    append(
        &scene,
        "\n[watch.reviews]\nsource = \"github.pr\"\nrepositories = [\"acme/tool\"]\nagent = \"rita\"\n\
         task = \"Review pull request {{ number }} of {{ repository }} at commit {{ sha }}.\"\n",
    );
    tick_to_the_end(&scene, &model);
    let first = vec![("acme/tool#1".to_owned(), sha("a")), ("acme/tool#2".to_owned(), sha("c"))];
    let reports = runs(&scene).into_iter().map(|run| scene.read(&format!("runs/{run}/nodes/task/report.md")));
    assert_eq!(reviewed(&hub), first, "{}", reports.collect::<Vec<_>>().join("\n"));
    // What it knew is gone, as after a restart elsewhere.
    std::fs::remove_file(scene.path(&state_path("reviews"))).unwrap();
    tick_to_the_end(&scene, &model);
    assert_eq!(reviewed(&hub), first);
    hub.push("acme/tool", 1, "d");
    tick_to_the_end(&scene, &model);
    let all = [first, vec![("acme/tool#1".to_owned(), sha("d"))]].concat();
    let mut all: Vec<(String, String)> = all;
    all.sort();
    assert_eq!(reviewed(&hub), all);
    let bodies: Vec<Value> = hub.reviews().iter().map(|review| review["event"].clone()).collect();
    assert_eq!(bodies, ["COMMENT"; 3]);
    runs(&scene).iter().for_each(|run| scene.is_sound(run));
}
