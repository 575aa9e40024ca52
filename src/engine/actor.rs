//! Who does something, as the journal names them. A claim for whoever runs as the operator's user; a signature proves
//! it where approvers are configured.

use crate::run::definition::Sessions;
use crate::run::state::Request;

/// `operator:<name>` of the person at the keyboard: the name that a signature or a review would carry.
#[must_use]
pub fn operator() -> String {
    let name = ["TASKFORGE_OPERATOR", "SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .map(|name| {
            name.chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@')).collect::<String>()
        })
        .find(|name| !name.is_empty())
        .or_else(account)
        .unwrap_or_else(|| format!("uid-{}", uid()));
    format!("operator:{}", name.chars().take(64).collect::<String>())
}

/// The account's name, from the only place a static binary can ask.
fn account() -> Option<String> {
    let uid = uid().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let own =
        accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f.get(2) == Some(&uid.as_str()));
    own.and_then(|fields| fields.first().map(|name| (*name).to_owned()))
}

/// Who that is on the machine, also within a rootless Engine's namespace.
fn uid() -> u32 {
    crate::user_namespace::outside(rustix::process::getuid().as_raw())
}

/// What the engine does by itself.
pub(crate) const TICK: &str = "tick";

/// What the gate asks by itself, since a budget is spent.
pub(crate) const GATE: &str = "gate";

/// Who asks for something, as people are shown it.
pub(crate) fn asker(request: &Request) -> String {
    match request {
        Request { by_gate: true, node, .. } => format!("{GATE}, for {}", agent(node)),
        Request { attempt: 0, .. } => "workflow".to_owned(),
        Request { node, .. } => agent(node),
    }
}

/// An agent, by the node it works on.
pub(crate) fn agent(node: &crate::run::id::NodeId) -> String {
    format!("agent:{node}")
}

/// `openclaw:<session key>` of the session that drives the run: a claim, since whoever calls can say what they like.
pub(crate) fn session(sessions: &Sessions) -> String {
    let key = [&sessions.driver, &sessions.root, &sessions.source].into_iter().find(|key| !key.is_empty());
    format!("openclaw:{}", key.map_or("unknown", String::as_str))
}
