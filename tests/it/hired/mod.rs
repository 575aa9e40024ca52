//! Roles, the agents that are hired as them, and what those remember: by command, and in real containers behind a real
//! gate.

mod at_work;
mod children;
mod limits;
mod proven;
mod remembering;
mod roles;
mod schedules;

use serde_json::Value;

use crate::scene::Scene;

/// A role with more lines of frontmatter.
pub fn role(scene: &Scene, name: &str, more: &str) {
    let text = format!(
        "---\nrole: {name}\ndisplayName: Role {name}\ndescription: A role of the test\n{more}\n---\nYou are {name}.\n"
    );
    scene.write(&format!("roles/{name}.role.md"), text);
}

/// An agent of a role of the same lines.
pub fn hire(scene: &Scene, name: &str, more: &str) -> Value {
    role(scene, &format!("role-{name}"), more);
    scene.tf(&["agent", "hire", &format!("role-{name}"), "--name", name, "--json"]).ok().json()
}

/// The lines of an agent's journal.
pub fn agent_journal(scene: &Scene, name: &str) -> Vec<Value> {
    let text = scene.read(&format!("agents/{name}/events.jsonl"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `agent show` says of it.
pub fn agent(scene: &Scene, name: &str) -> Value {
    scene.tf(&["agent", "show", name, "--json"]).ok().json()["agent"].clone()
}
