//! What gates do for agents, by the rules of their roles and of grants, and where the services are.

use crate::gate as wire;
use crate::registry::config;
use crate::role::{Action, Family, Glob, Role};
use crate::run::capability::{ActionLimit, ActionRules, Capability};
use crate::run::definition::NodeDefinition;
use crate::run::state::State;

use super::children::Ancestor;
use super::policy::given;

/// What the gate does for a node: what its role allows, and what was granted to it as an action.
///
/// `line` are those above it, and what is done counts against the limits of each: giving work away makes nobody's more.
pub(super) fn actions(
    state: &State,
    definition: &NodeDefinition,
    role: Option<&Role>,
    line: &[Ancestor],
) -> Vec<wire::AllowedAction> {
    let granted = given(state, &definition.id).into_iter();
    let action = |grant: wire::Grant| match &grant.capability {
        Capability::Action(action) => Some(wire::AllowedAction {
            by: format!("request {}", grant.request),
            name: action.name().to_string(),
            rules: action.rules().clone(),
            counts: line.iter().filter_map(|above| above.counts_grant(&grant.capability)).collect(),
        }),
        _ => None,
    };
    let of_role = role.into_iter().flat_map(|role| of_role(role, definition, line));
    of_role.chain(granted.filter_map(action)).collect()
}

/// What a role allows, by its own rules. An agent has counts of its own; its memory has a surface of its own.
fn of_role(role: &Role, definition: &NodeDefinition, line: &[Ancestor]) -> Vec<wire::AllowedAction> {
    let by = by(role, definition);
    let texts = |globs: &[Glob]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
    let config = &role.config;
    let allowed = role.allowed_actions.iter().filter(|action| action.family() != Family::Memory);
    let one = |action: &Action| {
        // A rate that could not be said to the gate would be no limit there: then the action is not allowed.
        let limit = config.limits.get(action).map(|rate| ActionLimit::parse(&rate.to_string())).transpose().ok()?;
        let mut rules = ActionRules { limit, ..ActionRules::default() };
        match action.family() {
            Family::Github => {
                rules.repositories = texts(&config.github.repositories);
                rules.verdicts = config.github.verdicts.iter().map(|verdict| verdict.as_str().to_owned()).collect();
            }
            Family::Slack => rules.channels = texts(&config.slack.channels),
            Family::Email => rules.recipients = texts(&config.email.recipients),
            Family::Webhook => rules.urls = texts(&config.webhook.urls),
            Family::Memory => {}
        }
        let counts = line.iter().filter_map(|above| above.counts_action(*action)).collect();
        Some(wire::AllowedAction { by: by.clone(), name: action.as_str().to_owned(), rules, counts })
    };
    allowed.filter_map(one).collect()
}

/// By whom a node's role allows something: what is done is counted by this.
pub(super) fn by(role: &Role, definition: &NodeDefinition) -> String {
    definition.agent().map_or_else(|| format!("role {}", role.name), |agent| format!("agent {agent}"))
}

/// Where the services are that gates act upon.
pub(super) fn services(actions: &config::Actions) -> wire::Services {
    let service = |service: &config::Service| wire::Endpoint {
        base_url: service.base_url.clone(),
        key: Some(service.token.to_string()),
        timeout_ms: None,
    };
    let mail = |email: &config::Email| wire::MailServer {
        server: email.server.clone(),
        tls: match email.tls {
            config::MailTls::Starttls => wire::MailTls::Starttls,
            config::MailTls::Implicit => wire::MailTls::Implicit,
            config::MailTls::None => wire::MailTls::None,
        },
        user: email.user.clone(),
        key: email.password.as_ref().map(ToString::to_string),
        from: email.from.clone(),
    };
    wire::Services {
        github: actions.github.as_ref().map(service),
        slack: actions.slack.as_ref().map(service),
        email: actions.email.as_ref().map(mail),
        webhook: actions.webhook.as_ref().map(|webhook| webhook.secret.to_string()),
    }
}
