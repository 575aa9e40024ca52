//! The frontmatter of a role. As with a workflow's, there is no type to derive it from, and a test holds the keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::names::{Size, Span};
use super::of;
use crate::role::{Action, Verdict};
use crate::run::capability::Capability;
use crate::run::id::{RoleName, SkillName};

pub(super) fn schema() -> Value {
    of::<Role>()
}

read! {
    struct Role {
        /// As the file is called, before `.role.md`.
        role: RoleName,
        display_name: String,
        description: String,
        skills: Option<Vec<SkillName>>,
        allowed_actions: Option<Vec<Action>>,
        capabilities: Option<Vec<Capability>>,
        resources: Option<Resources>,
        model: Option<String>,
        tasks: Option<Tasks>,
        config: Option<Config>,
    }

    struct Resources {
        #[schemars(range(min = 0.01, max = 1024.0))]
        cpus: Option<f64>,
        memory: Option<Size>,
        pids: Option<u32>,
        disk: Option<Size>,
    }

    struct Tasks {
        #[schemars(range(min = 1, max = 100))]
        max_concurrent: Option<u32>,
        timeout: Option<Span>,
    }

    struct Config {
        github: Option<Github>,
        slack: Option<Slack>,
        email: Option<Email>,
        webhook: Option<Webhook>,
        /// By action, such as `5/hour`.
        limits: Option<BTreeMap<String, String>>,
        memory: Option<Memory>,
        budget: Option<Budget>,
        delegation: Option<Delegation>,
    }

    struct Github {
        repositories: Option<Vec<String>>,
        verdicts: Option<Vec<Verdict>>,
    }

    struct Slack {
        channels: Option<Vec<String>>,
    }

    struct Email {
        recipients: Option<Vec<String>>,
    }

    struct Webhook {
        urls: Option<Vec<String>>,
    }

    struct Memory {
        prompt: Option<Size>,
    }

    struct Budget {
        requests: Option<u64>,
        tokens: Option<u64>,
        money: Option<f64>,
    }

    struct Delegation {
        roles: Vec<RoleName>,
        #[schemars(range(min = 1, max = 5))]
        depth: Option<u32>,
        #[schemars(range(min = 1, max = 50))]
        children: Option<u32>,
    }
}
