//! The settings OpenClaw gets: one provider, which is the gate, and nothing that would reach for anything else. They
//! spare it attempts that the container would refuse anyway; what it cannot do is not up to them.

use std::path::Path;

use serde_json::{Value, json};

/// What its own switches for the environment are set to.
pub(super) const ENVIRONMENT: [(&str, &str); 5] = [
    ("OPENCLAW_NO_AUTO_UPDATE", "1"),
    ("OPENCLAW_DISABLE_BONJOUR", "1"),
    ("DO_NOT_TRACK", "1"),
    ("NO_COLOR", "1"),
    ("CI", "1"),
];

/// Tokens that a model is taken to hold; the upstream knows better and says so.
const CONTEXT: u32 = 128_000;
const ANSWER: u32 = 8_192;

/// `openclaw.json` for one turn with `model`, the name that the gate chooses a provider by.
///
/// `skills` are those of the node's role, in a folder: it sees no others, neither its own nor some that lie in the
/// workspace, and it is nobody that a `SOUL.md` or an `AGENTS.md` there says that it is. Without a role it sees what it sees by
/// itself.
pub(super) fn settings(model: &str, workspace: &Path, skills: Option<(&Path, &[String])>) -> Value {
    let mut settings = plain(model, workspace);
    if let Some((folder, names)) = skills {
        settings["agents"]["defaults"]["skills"] = json!(names);
        settings["agents"]["defaults"]["contextInjection"] = json!("never");
        settings["skills"] = json!({"load": {"extraDirs": [folder], "watch": false}});
    }
    settings
}

fn plain(model: &str, workspace: &Path) -> Value {
    let free = json!({"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0});
    json!({
        "models": {
            // The catalogue that comes with it names providers on the Internet.
            "mode": "replace",
            "catalogRefresh": {"enabled": false},
            "providers": {"gate": {
                "baseUrl": "http://127.0.0.1:4180/v1",
                // The gate holds the key; this is not one.
                "apiKey": "taskforge",
                "api": "openai-completions",
                "models": [{
                    "id": model, "name": model, "reasoning": false, "input": ["text"], "cost": free,
                    "contextWindow": CONTEXT, "maxTokens": ANSWER,
                }],
            }},
        },
        "agents": {"defaults": {
            "model": {"primary": format!("gate/{model}")},
            "workspace": workspace,
            "skipBootstrap": true,
        }},
        // The container is the sandbox, and nobody is there to be asked.
        "tools": {
            "exec": {"mode": "full"},
            "web": {"search": {"enabled": false}, "fetch": {"enabled": false}},
        },
        "plugins": {"enabled": false},
        "channels": {},
        "browser": {"enabled": false},
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": false},
        "telemetry": {"enabled": false},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_the_only_address() {
        let settings = settings("openai/gpt \"x\"", Path::new("/workspace"), None);
        let text = settings.to_string();
        assert_eq!(text.matches("://").count(), 1, "{text}");
        assert_eq!(settings["models"]["providers"].as_object().map(serde_json::Map::len), Some(1));
        assert_eq!(settings["agents"]["defaults"]["model"]["primary"], "gate/openai/gpt \"x\"");
        assert_eq!(settings["channels"], json!({}));
        assert_eq!(settings["skills"], Value::Null);
    }

    #[test]
    fn a_role_s_skills_and_no_others() {
        let of = |names: &[String]| settings("m", Path::new("/workspace"), Some((Path::new("/role/skills"), names)));
        assert_eq!(of(&["tidy".to_owned()])["agents"]["defaults"]["skills"], json!(["tidy"]));
        assert_eq!(of(&["tidy".to_owned()])["skills"]["load"]["extraDirs"], json!(["/role/skills"]));
        assert_eq!(of(&[])["agents"]["defaults"]["skills"], json!([]), "none is none");
        assert_eq!(of(&[])["agents"]["defaults"]["contextInjection"], json!("never"));
    }
}
