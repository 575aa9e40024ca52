//! What OpenClaw says of an agent: its skill and its rules for commands.

use std::path::PathBuf;

use serde_json::Value;

use super::cli::OpenclawCli;
use super::error::{Error, Result};
use super::skill;

/// The skill as OpenClaw sees it for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    pub folder: PathBuf,
    pub eligible: bool,
    pub visible: bool,
    pub disabled: bool,
    pub missing: Vec<String>,
}

/// How an agent's `exec` is ruled.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRules {
    /// `deny`, `allowlist`, `ask`, `auto` or `full`; empty if it is not told.
    pub mode: String,
    /// The approvals as they are stored.
    pub document: Value,
}

impl OpenclawCli {
    /// The program's own words for its version.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn version(&self) -> Result<String> {
        self.text(&["--version"])
    }

    /// The skill, if `agent` has it.
    ///
    /// # Errors
    /// Every one of [`Error`], but not for a skill that is not there.
    pub fn skill(&self, agent: &str) -> Result<Option<Skill>> {
        let info = match self.json(&["skills", "info", skill::NAME, "--agent", agent, "--json"]) {
            Ok(info) => info,
            Err(Error::Refused { message, .. }) if message.contains("not found") => return Ok(None),
            Err(error) => return Err(error),
        };
        let folder = info["baseDir"].as_str().map(PathBuf::from).ok_or_else(|| Error::Unexpected {
            command: "skills info".to_owned(),
            what: info.to_string().chars().take(400).collect(),
        })?;
        let missing = info["missing"].as_object().into_iter().flatten();
        let missing = missing.flat_map(|(_, names)| names.as_array().into_iter().flatten().filter_map(Value::as_str));
        Ok(Some(Skill {
            folder,
            eligible: info["eligible"] == true,
            visible: info["modelVisible"] == true,
            disabled: info["disabled"] == true,
            missing: missing.map(str::to_owned).collect(),
        }))
    }

    /// The rules for `agent`'s commands.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn exec_rules(&self, agent: &str) -> Result<ExecRules> {
        let answer = self.json(&["approvals", "get", "--json"])?;
        let scopes = answer["effectivePolicy"]["scopes"].as_array().cloned().unwrap_or_default();
        // An agent's own scope is told beside the general one where it differs.
        let scope = scopes.iter().rfind(|scope| scope["agentId"] == agent).or_else(|| scopes.first());
        let mode = scope.and_then(|scope| scope["mode"]["effective"].as_str()).unwrap_or_default().to_owned();
        Ok(ExecRules { mode, document: answer["file"].clone() })
    }

    /// Replaces the stored approvals.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn set_approvals(&self, document: &Value) -> Result<()> {
        self.json_with(&["approvals", "set", "--stdin", "--json"], document.to_string().as_bytes()).map(drop)
    }

    /// Installs the skill that lies in `folder`, for one agent or for all.
    ///
    /// # Errors
    /// Every one of [`Error`]; OpenClaw's own install policy may refuse it.
    pub fn install_skill(&self, folder: &std::path::Path, agent: Option<&str>) -> Result<String> {
        let folder = folder.to_string_lossy();
        let target: &[&str] = match &agent {
            Some(agent) => &["--agent", agent],
            None => &["--global"],
        };
        self.text(&[&["skills", "install", &folder, "--as", skill::NAME, "--force"], target].concat())
    }
}
