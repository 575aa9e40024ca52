//! `defaults` and `driver`: how OpenTask's sessions are run. Kept as they are, for the programs that drive them.

use std::time::Duration;

use serde::Serialize;

use super::check::Check;
use super::cron;
use super::fields::Fields;
use super::tree::Yaml;
use crate::run::quantity::as_optional_millis;

/// What holds for every session of the workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    pub agent_id: Option<String>,
    pub model: Option<String>,
    pub thinking: Option<String>,
    /// Serialised in milliseconds.
    #[serde(rename = "timeoutMs", serialize_with = "as_optional_millis")]
    pub timeout: Option<Duration>,
}

impl Defaults {
    pub(super) fn read(check: &mut Check, yaml: &Yaml) -> Option<Self> {
        let fields = Fields::read(check, yaml, "`defaults`", &["agentId", "model", "thinking", "timeoutMs"])?;
        Some(Self {
            agent_id: fields.optional(check, "agentId", Check::name),
            model: fields.optional(check, "model", Check::name),
            thinking: fields.optional(check, "thinking", Check::name),
            timeout: fields.optional(check, "timeoutMs", Check::milliseconds),
        })
    }
}

/// The session that drives an OpenTask run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Driver {
    /// Five fields, minutes first.
    pub cron: Option<String>,
    /// Serialised in milliseconds.
    #[serde(rename = "timeoutMs", serialize_with = "as_optional_millis")]
    pub timeout: Option<Duration>,
    pub wake_mode: Option<WakeMode>,
    pub session_key_template: Option<String>,
    pub planner_session_key_template: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    Now,
    NextHeartbeat,
}

impl Driver {
    pub(super) fn read(check: &mut Check, yaml: &Yaml) -> Option<Self> {
        const KEYS: [&str; 5] = ["cron", "timeoutMs", "wakeMode", "sessionKeyTemplate", "plannerSessionKeyTemplate"];
        const MODES: [(&str, WakeMode); 2] = [("now", WakeMode::Now), ("next-heartbeat", WakeMode::NextHeartbeat)];
        let fields = Fields::read(check, yaml, "`driver`", &KEYS)?;
        Some(Self {
            cron: fields.optional(check, "cron", cron::read),
            timeout: fields.optional(check, "timeoutMs", Check::milliseconds),
            wake_mode: fields.optional(check, "wakeMode", |check, yaml, what| check.word(yaml, what, &MODES)),
            session_key_template: fields.optional(check, "sessionKeyTemplate", Check::line),
            planner_session_key_template: fields.optional(check, "plannerSessionKeyTemplate", Check::line),
        })
    }
}
