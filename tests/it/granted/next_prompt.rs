//! What the built-in agent reads of the fate of its requests before it goes on.

use serde_json::json;

use super::stage::RUN;
use crate::openclaw::model::{Model, Move, Talk};
use crate::scene::Scene;

/// The model's `said` since `before` messages, in one text.
fn heard(model: &Model) -> String {
    model.talks().last().map(|talk| talk.heard.join("\n")).unwrap_or_default()
}

#[test]
fn what_it_was_given_and_has_no_more_stands_in_its_next_prompt_in_the_words_of_who_took_it_back() {
    let ask = |host: &str| Move::Call("request_capability", json!({"capability": host, "reason": "for the test"}));
    let model = Model::start(move |talk: &Talk| match talk.answers.len() {
        0 => ask("net:first.example:443"),
        1 => ask("net:second.example:443"),
        _ => Move::Call("finish", json!({"summary": "done"})),
    });
    let scene = Scene::new();
    let served = format!("model = {{ name = \"scripted\", baseUrl = \"{}\" }}", model.base_url());
    scene.set("model = \"recorded\"", &served);
    let node = "  - id: work\n    title: Work\n    kind: session_turn\n    prompt: Look.\n    outputs: {mode: notify}\n    \
                container: {runtime: builtin}\n";
    scene.write("workflows/told.task.md", format!("---\nworkflowId: told\ntitle: Told\nnodes:\n{node}---\n"));
    scene.start("told", RUN);
    scene.drive(RUN, 11);
    let (first, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &first, "--digest", &digest, "-m", "until noon"]).ok();
    scene.drive(RUN, 11);
    // Granted in words, as the answer to its call.
    let answer = model.talks().last().unwrap().answers[0].clone();
    for part in ["\"status\":\"approved\"", "net:first.example:443", "until noon"] {
        assert!(answer.contains(part), "{answer}");
    }
    assert!(!heard(&model).contains("not yours any more"), "{}", heard(&model));
    scene.tf(&["capability", "revoke", &first, "--reason", "noon is over \u{1b}[2J"]).ok();
    let (second, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &second, "--digest", &digest, "-m", "the first has the same"]).ok();
    scene.drive(RUN, 0);
    let told = heard(&model);
    assert!(told.contains("Some of what you were granted is not yours any more."), "{told}");
    assert!(told.contains("\n- net:first.example:443 was taken back: noon is over "), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
    let answer = model.talks().last().unwrap().answers[1].clone();
    assert!(answer.contains("\"denied\"") && answer.contains("the first has the same"), "{answer}");
    scene.is_sound(RUN);
}
