//! What survives the way to each provider and back: every feature is tried with every provider, whole and streamed,
//! through a gate and an upstream that speaks the provider's wire. What comes out is the table in `docs/models.md`.

mod features;
mod scripted;

use serde_json::Value;

use features::{Feature, features};
use scripted::{PROVIDERS, Scripted};

/// What became of a feature: nothing was lost, or the gate said by name that the provider cannot do it.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Cell {
    Survives,
    Refused(String),
    /// The provider's wire has no word for it: there is nothing that could be lost.
    Unsaid,
}

fn cell(scene: &Scripted, feature: &Feature, provider: &str) -> Cell {
    if feature.answer.finish == "content_filter" && provider == "ollama" {
        return Cell::Unsaid;
    }
    let modes: &[bool] = if feature.streams { &[false, true] } else { &[false] };
    let cells: Vec<Cell> = modes.iter().map(|&stream| once(scene, feature, provider, stream)).collect();
    assert!(cells.windows(2).all(|pair| pair[0] == pair[1]), "{} differs when streamed: {cells:?}", feature.name);
    cells[0].clone()
}

fn once(scene: &Scripted, feature: &Feature, provider: &str, stream: bool) -> Cell {
    let at = format!("{} at {provider}, {}", feature.name, if stream { "streamed" } else { "whole" });
    let before = scene.seen(provider).len();
    let mut asked = feature.asked.clone();
    asked["model"] = format!("m-{provider}").into();
    if stream {
        asked["stream"] = true.into();
    }
    scene.answers(provider, &feature.answer, stream);
    let got = scene.world.post(feature.path, &asked);
    let seen = scene.seen(provider);
    if got.status == 400 {
        let error = &got.json()["error"];
        let code = error["code"].as_str().unwrap_or_default().to_owned();
        assert!(code.starts_with("unsupported_"), "{at}: {got:?}");
        assert!(!error["param"].as_str().unwrap_or_default().is_empty(), "{at}: {error}");
        assert_eq!(seen.len(), before, "{at}: it was sent all the same");
        return Cell::Refused(code);
    }
    assert_eq!(seen.len(), before + 1, "{at}: {got:?}");
    let sent: Value = serde_json::from_slice(&seen[before].body).unwrap();
    for (pointer, expected) in feature.sent(provider) {
        assert_eq!(sent.pointer(pointer), Some(&expected), "{at}, {pointer} of {sent}");
    }
    feature.came_back(&got, stream, &at);
    Cell::Survives
}

fn table(scene: &Scripted) -> String {
    let mut text = String::from("| | ");
    text.push_str(&PROVIDERS.map(|provider| format!("`{provider}`")).join(" | "));
    text.push_str(" |\n|---|---|---|---|---|\n");
    for feature in features() {
        let cells = PROVIDERS.map(|provider| match cell(scene, &feature, provider) {
            Cell::Survives => "yes".to_owned(),
            Cell::Refused(code) => format!("`{code}`"),
            Cell::Unsaid => "–".to_owned(),
        });
        text.push_str(&format!("| {} | {} |\n", feature.name, cells.join(" | ")));
    }
    text
}

#[test]
fn the_table_of_providers_and_features_is_the_documented_one() {
    const BEGIN: &str = "<!-- the table: made by the tests -->\n";
    const END: &str = "<!-- the table ends -->";
    let scene = Scripted::new();
    let made = table(&scene);
    println!("{made}");
    // Nothing that went upstream is missing on record, and nothing on record is left open.
    let traffic = scene.world.traffic();
    let sent: usize = PROVIDERS.iter().map(|provider| scene.seen(provider).len()).sum();
    assert_eq!(traffic.of(&taskforge::gate::records::Kind::LlmRequest).count(), sent);
    assert!(traffic.unclosed().is_empty());

    let path = crate::model_server::repository("docs/models.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (told, after) = rest.split_once(END).unwrap();
    if std::env::var_os("TASKFORGE_WRITE_MATRIX").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(told, made, "TASKFORGE_WRITE_MATRIX=1 writes the table anew");
}
