//! `taskforge openclaw setup` and `check`, against an OpenClaw that is not as it should be, then is.

use serde_json::{Value, json};

use super::gateway::Gateway;
use super::messages::{self, Hold};

/// The findings by name: grade and fix.
fn check(gateway: &Gateway, code: i32) -> Vec<(String, String, String)> {
    let found = call(gateway, &["openclaw", "check", "--json"]).exits(code).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = found.as_array().unwrap().iter();
    all.map(|one| (text(&one["name"]), text(&one["grade"]), text(&one["fix"]))).collect()
}

/// The binary that OpenClaw's agents would run, so that a rule is for it.
fn call(gateway: &Gateway, arguments: &[&str]) -> crate::scene::Call {
    gateway.scene.run(&gateway.binary(), arguments)
}

fn bad(findings: &[(String, String, String)]) -> Vec<&str> {
    findings.iter().filter(|(_, grade, _)| grade == "bad").map(|(name, ..)| name.as_str()).collect()
}

#[test]
fn what_setup_installs_check_finds_what_is_wrong_it_names_and_messages_are_taken() {
    let hold = Hold::new();
    let gateway = Gateway::start(hold.model());
    let theirs = json!({"version": 1, "agents": {
        "main": {"allowlist": [{"pattern": "/bin/ls"}]}, "other": {"allowlist": [{"pattern": "/bin/cat"}]},
    }});
    std::fs::write(gateway.scene.outside("theirs.json"), theirs.to_string()).unwrap();
    let file = gateway.scene.outside("theirs.json").display().to_string();
    gateway.openclaw(&["approvals", "set", "--file", &file]);

    assert_eq!(bad(&check(&gateway, 1)), ["skill", "exec-rule", "tick"]);
    let dry = call(&gateway, &["openclaw", "setup", "--dry-run", "--apply"]).ok();
    dry.says("skill  would be installed").says("rule   would be added").says("tick   would be installed");
    // The rule is the person's to set: without --apply it is only shown. The dry run has changed nothing.
    let said = call(&gateway, &["openclaw", "setup"]).ok();
    said.says("skill  installed").says("rule   is not there").says("\"argPattern\":\"^helper( |$)\"");
    call(&gateway, &["openclaw", "setup", "--apply"])
        .ok()
        .says("skill  stands")
        .says("rule   added")
        .says("tick   stands");
    assert_eq!(bad(&check(&gateway, 0)), [""; 0]);
    let stored = gateway.openclaw_json(&["approvals", "get", "--json"])["file"]["agents"].clone();
    assert_eq!(stored["other"]["allowlist"][0]["pattern"], "/bin/cat", "{stored:#}");
    let main: Vec<&Value> = stored["main"]["allowlist"].as_array().unwrap().iter().map(|one| &one["pattern"]).collect();
    assert_eq!(main, [&json!("/bin/ls"), &json!(gateway.binary())]);

    // One job, however often; and it ticks.
    let jobs = gateway.openclaw_json(&["cron", "list", "--all", "--json"]);
    let ours = |job: &&Value| job["declarationKey"] == format!("taskforge:tick:{}", gateway.scene.id());
    let jobs: Vec<&Value> = jobs["jobs"].as_array().unwrap().iter().filter(ours).collect();
    assert_eq!(jobs.len(), 1, "{jobs:#?}");
    let job = jobs[0]["id"].as_str().unwrap();
    let done = gateway.openclaw_json(&["cron", "run", job, "--wait", "--wait-timeout", "120s"]);
    assert_eq!(done["completionStatus"], "succeeded", "{done:#}");
    let status = call(&gateway, &["schedule", "status", "--json"]).ok().json();
    assert_eq!((&status["installed"][0]["backend"], &status["lastTick"]["exit"]), (&json!("openclaw"), &json!(0)));

    // What goes wrong afterwards.
    gateway.openclaw(&["approvals", "allowlist", "add", "taskforge", "--agent", "main"]);
    gateway.openclaw(&["cron", "disable", job]);
    gateway.openclaw(&["config", "set", "tools.exec.mode", "full"]);
    let skill = gateway.scene.outside("agent/skills/taskforge/SKILL.md");
    let text = std::fs::read_to_string(&skill).unwrap();
    std::fs::write(&skill, text.replace("- Never decide.", "- Decide.")).unwrap();
    let findings = check(&gateway, 1);
    assert_eq!(bad(&findings), ["skill", "exec-mode", "exec-other-rule", "tick"]);
    // Each names the command that mends it.
    let fix = |name: &str| findings.iter().find(|one| one.0 == name).unwrap().2.clone();
    assert_eq!(fix("exec-other-rule"), "openclaw approvals allowlist remove 'taskforge' --agent main");
    assert_eq!(fix("exec-mode"), "openclaw config set tools.exec.mode allowlist");
    assert_eq!(fix("tick"), format!("openclaw cron enable {job}"));
    assert_eq!(fix("skill"), "taskforge openclaw setup");
    call(&gateway, &["openclaw", "setup"]).ok().says("skill  installed").says("rule   stands");

    messages::are_taken(&gateway, &hold);

    call(&gateway, &["schedule", "remove"]).ok().says("Removed from openclaw");
    call(&gateway, &["schedule", "status"]).exits(3).says("Nothing ticks this registry");
}
