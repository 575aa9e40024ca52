//! Watches: what is new becomes a run, once, whatever happens in between, and whoever is asked.

mod folders;
mod hub;
mod lying;
mod pulls;
mod reviewer;
mod settings;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::scene::Scene;
use crate::vault::{set, vault};

use hub::{Hub, TOKEN};

/// A registry with a hired agent and a watch of `repositories` of `hub`, with more lines for it.
fn watching(hub: &Hub, repositories: &[&str], more: &str) -> Scene {
    let scene = vault();
    set(&scene, "hub-token", TOKEN);
    crate::hired::hire(&scene, "ada", "");
    add_github(&scene, hub);
    let task = "Review {{ repository }}#{{ number }} at {{ sha }}: {{ title }}";
    let watch = format!(
        "\n[watch.reviews]\nsource = \"github.pr\"\nrepositories = {repositories:?}\nagent = \"ada\"\ntask = \"{task}\"\n{more}\n"
    );
    append(&scene, &watch);
    scene
}

fn add_github(scene: &Scene, hub: &Hub) {
    append(scene, &format!("\n[actions.github]\nbaseUrl = \"{}\"\ntoken = \"vault:hub-token\"\n", hub.base()));
}

fn append(scene: &Scene, more: &str) {
    scene.write("taskforge.toml", scene.read("taskforge.toml") + more);
}

/// The runs that there are, by the task of each.
fn tasks(scene: &Scene) -> Vec<String> {
    let mut tasks: Vec<String> = runs(scene).iter().map(|run| task(scene, run)).collect();
    tasks.sort();
    tasks
}

/// What the agent of a run is told.
fn task(scene: &Scene, run: &str) -> String {
    let workflow = scene.read(&format!("runs/{run}/workflow.lock.md"));
    let prompt = workflow.lines().find_map(|line| line.strip_prefix("    prompt: ")).unwrap();
    serde_json::from_str(prompt).unwrap_or_else(|error| panic!("{prompt}: {error}"))
}

fn runs(scene: &Scene) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(scene.path("runs")) else { return BTreeSet::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// What `watch run` says of the one watch.
fn look(scene: &Scene) -> Value {
    let said = scene.tf(&["watch", "run", "reviews", "--json"]).ok().json();
    said["watches"][0].clone()
}

/// As [`look`], of one that fails: what it says on standard output.
fn look_in_vain(scene: &Scene) -> Value {
    let said = scene.tf(&["watch", "run", "reviews", "--json"]).exits(9);
    said.json()["watches"][0].clone()
}

fn state_path(name: &str) -> String {
    format!(".taskforge/watch/{name}.json")
}

/// Waits that failures made are over, as if time had passed.
fn time_passes(scene: &Scene, name: &str) {
    let mut state = scene.json(&state_path(name));
    let long_ago = serde_json::json!("2026-01-01T00:00:00Z");
    if state["pace"]["notBefore"].is_string() {
        state["pace"]["notBefore"] = long_ago.clone();
    }
    for part in state["parts"].as_object_mut().unwrap().values_mut() {
        if part["pace"]["notBefore"].is_string() {
            part["pace"]["notBefore"] = long_ago.clone();
        }
    }
    scene.write(&state_path(name), state.to_string());
}
