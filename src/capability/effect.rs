//! What a grant does, in sentences for the person who decides on it: the digest covers them, so that a grant never
//! does more than what was read.

use std::net::IpAddr;

use super::request::Request;
use crate::run::address::{self, Special};
use crate::run::capability::{
    ActionRule, ActionUse, Budget, BudgetScope, BudgetUnit, Capability, Endpoint, Host, ModelUse, MountMode,
    SecretScheme, SecretUse, rules_of,
};
use crate::run::deployment::{PORTS, Proposed};
use crate::run::folder::Folder;
use crate::run::timetable::Scheduled;

/// The effect of granting `request`, one sentence an entry; nothing for what changes an image.
pub(super) fn of(request: &Request) -> Vec<String> {
    let node = &request.node;
    let mut effect = match &request.capability {
        Capability::Net(endpoint) => net(endpoint),
        Capability::Tcp(endpoint) => tcp(endpoint),
        Capability::Llm(models) => llm(models),
        Capability::Budget(budget) => return ceiling(request, *budget),
        Capability::Secret(secret) => secret_use(secret),
        Capability::Action(action) => action_use(action),
        _ => return Vec::new(),
    };
    let who = "It holds for this node, and for every other node of this run that asks for the same.";
    effect.insert(0, format!("For node {node} of run {}, at once, until it is revoked or the run ends.", request.run));
    effect.push(who.to_owned());
    effect
}

/// What a tool stands for; nothing for what is a package itself.
#[must_use]
pub fn of_tool(capability: &Capability, members: &[Capability]) -> Vec<String> {
    if members.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    vec![format!("{capability} stands for {}: with all they need, in the image of the next attempt.", names.join(", "))]
}

/// The effect of granting `request` for `folder`, to an agent that runs as `uid`.
pub(super) fn of_folder(request: &Request, folder: &Folder, uid: Option<u32>) -> Vec<String> {
    let Capability::Mount(mount) = &request.capability else { return Vec::new() };
    let Folder { path, device, inode, owner, permissions, keys, unsearched } = folder;
    let may = match mount.mode() {
        MountMode::ReadOnly => "It may read everything there; the kernel refuses every write.",
        MountMode::ReadWrite => {
            "It may read, change and delete everything there, and fill the disk: nothing limits or records it."
        }
    };
    let who = uid.map_or_else(|| "your own user".to_owned(), |uid| format!("user {uid}"));
    let mut effect = vec![
        format!(
            "For node {} of run {}, in its next attempt, until it is revoked or the run ends.",
            request.node, request.run
        ),
        format!("The folder {path} of this machine is at {} in its container.", mount.target()),
        may.to_owned(),
        format!(
            "It is inode {inode} on device {device}, of {owner} with mode {permissions}; another one in its place is not mounted."
        ),
        format!("The agent is {who} there: what that user may not read or write, it may not."),
        "What is mounted below it stays away. To revoke it ends the attempt that has it; what it wrote stays."
            .to_owned(),
        "It holds for this node, and for every other node of this run that asks for the same.".to_owned(),
    ];
    if !keys.is_empty() {
        effect.push(format!("Careful: keys and credentials are kept there: {}.", keys.join(", ")));
    }
    if *unsearched {
        effect.push("Careful: it holds too much to be looked through for keys and other registries.".to_owned());
    }
    effect
}

/// The effect of granting `request` for what is to be deployed.
pub(super) fn of_deployment(request: &Request, deployment: &Proposed) -> Vec<String> {
    let (first, last) = (PORTS.start(), PORTS.end());
    vec![
        format!(
            "The files below, copied when this was shown, are run in a container of their own, of run {}.",
            request.run
        ),
        format!(
            "Port {} there is offered on a port of 127.0.0.1:{first}-{last} of this machine, to whoever can connect to it.",
            deployment.port
        ),
        "Every byte passes, whatever the protocol; each connection is on record with its bytes.".to_owned(),
        "It reaches nothing: no network, no model, none of what the node was granted. Its files are read-only."
            .to_owned(),
        "It goes on when the run is over, and is brought back after a failure or a reboot, until it is revoked."
            .to_owned(),
    ]
}

/// The effect of granting `request` for a task at times.
pub(super) fn of_schedule(request: &Request, schedule: &Scheduled) -> Vec<String> {
    let Scheduled { agent, when, .. } = schedule;
    vec![
        format!("At each of these times (UTC), agent {agent} is given the task below, in a run of its own: {when}"),
        format!("It is told these words and no others; the run is one of `agent run {agent}`, and waits in its queue."),
        "It has what the agent's role allows, and none of what this run was granted: what it asks for is decided there."
            .to_owned(),
        format!(
            "It goes on when run {} is over, until it is revoked, the agent is offboarded or the run is cancelled.",
            request.run
        ),
        "Of times that passed while nothing ticked, the last is made up for.".to_owned(),
    ]
}

fn ceiling(request: &Request, budget: Budget) -> Vec<String> {
    let what = match budget.unit() {
        BudgetUnit::Requests => format!("make {} requests to models", budget.number()),
        BudgetUnit::Tokens => format!("take {} tokens from models, prompts and answers together", budget.number()),
        BudgetUnit::Money => format!("spend {} on models, by the price table", budget.number()),
    };
    let run = &request.run;
    let whose = match budget.scope() {
        BudgetScope::Run => format!("All nodes of run {run} together may {what}, counted from its start."),
        BudgetScope::Agent => {
            format!("Node {} of run {run} may {what}, over all its attempts.", request.node)
        }
        BudgetScope::Role => format!(
            "The agents of the role of node {} together may {what} within a day (UTC), as far as run {run} is concerned; the others keep the ceiling of the role's file.",
            request.node
        ),
        BudgetScope::Day => format!(
            "All runs of the registry together may {what} within a day (UTC), as far as run {run} is concerned; the others keep their own ceiling."
        ),
    };
    vec![
        whose,
        "It holds at once, until it is revoked or the run ends. It raises a ceiling that is set; where none is set, or a \
         higher one is in force, it changes nothing."
            .to_owned(),
    ]
}

fn net(endpoint: &Endpoint) -> Vec<String> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let mut effect = vec![
        format!("The gate connects it to {host}, port {port}, by HTTP and HTTPS; what is said inside TLS nobody sees."),
        "Each connection is on record with its bytes; it can send anything it has there.".to_owned(),
    ];
    effect.extend(warning(host));
    effect
}

fn tcp(endpoint: &Endpoint) -> Vec<String> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let mut effect = vec![
        format!("The gate connects it to {host}, port {port}, and passes every byte on, whatever the protocol."),
        format!("It finds it at port {port} of a loopback address in its container, usually 127.0.0.1:{port}."),
    ];
    effect.extend(warning(host));
    effect
}

fn secret_use(secret: &SecretUse) -> Vec<String> {
    let (name, host, port) = (secret.name(), secret.host(), secret.endpoint().port());
    let how = match secret.scheme() {
        SecretScheme::Bearer => "behind `Bearer`",
        SecretScheme::Token => "behind `token`",
        SecretScheme::Basic => "as user and password of `Basic`",
        SecretScheme::Plain => "as it is",
    };
    let mut effect = vec![
        format!(
            "The gate sends its requests to {host}, port {port}, by TLS, with the secret {name} in the header {}, {how}.",
            secret.header()
        ),
        "It never has the secret; it can do with it all that the host lets the secret do, with any method and path."
            .to_owned(),
        "Each request is on record; the secret is taken out of what comes back.".to_owned(),
    ];
    effect.extend(warning(host));
    effect
}

fn action_use(action: &ActionUse) -> Vec<String> {
    let rules = action.rules();
    let mut effect = vec![format!("The gate does {} for it, with a credential that only the gate has.", action.name())];
    for rule in rules_of(action.name().as_str()).unwrap_or_default() {
        let named = rules.of(*rule).join(", ");
        let what = match rule {
            ActionRule::Repository => "In the repositories",
            ActionRule::Verdict => "With the verdicts",
            ActionRule::Channel => "In the channels",
            ActionRule::Recipient => "To",
            ActionRule::Url => "To",
        };
        effect.push(if named.is_empty() {
            format!("{what} nothing: no rule names any.")
        } else {
            format!("{what} {named}, and no others.")
        });
    }
    if rules.verdicts.iter().any(|verdict| verdict == "APPROVE") {
        effect.push("Careful: an approval can be all that a merge waits for.".to_owned());
    }
    effect.push(match rules.limit {
        Some(limit) => format!("At most {limit}."),
        None => "As often as it likes: no limit is named.".to_owned(),
    });
    effect.push("Each is on record before it is done; the same one twice is done once.".to_owned());
    effect
}

fn llm(models: &ModelUse) -> Vec<String> {
    let money = models.money().and_then(|money| Budget::new(BudgetScope::Run, BudgetUnit::Money, money));
    let parts = [
        models.requests().map(|requests| format!("{requests} requests")),
        models.tokens().map(|tokens| format!("{tokens} tokens")),
        money.map(|money| format!("{} of money by the price table", money.number())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let later = if models.tokens().is_some() || money.is_some() { "; what is under way then is finished" } else { "" };
    let budget = match parts.is_empty() {
        true => "Beyond the node's own limit on requests there is none.".to_owned(),
        false => format!("Up to {}, over all attempts{later}.", parts.join(" and ")),
    };
    vec![format!("It may ask every model whose name fits {}.", models.glob()), budget]
}

fn warning(host: &Host) -> Option<String> {
    match host {
        Host::Name(name) => name.split('.').any(|label| label.starts_with("xn--")).then(|| {
            "Careful: the name is an encoded international one, and may look like another where it is shown decoded."
                .to_owned()
        }),
        Host::V4(address) => special((*address).into()),
        Host::V6(address) => special((*address).into()),
    }
}

fn special(address: IpAddr) -> Option<String> {
    let what = match address::special(address)? {
        Special::Loopback => "this machine itself, and what listens on it for local programs only",
        Special::LinkLocal => "the local link, where clouds keep a machine's metadata and credentials",
        Special::Private | Special::Shared => "a private network, whose hosts may trust whoever is inside",
        Special::Embedded | Special::Reserved | Special::Multicast | Special::Unspecified => "a special network",
    };
    Some(format!("Careful: the address belongs to {what}."))
}
