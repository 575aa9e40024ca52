//! What the gate of a run is told: built from the run's state and the registry's settings, written whole. The same
//! state always gives the same policy, so that comparing is enough to know whether there is news for the gate.

use std::collections::BTreeMap;

use crate::agent::brief;
use crate::gate as wire;
use crate::registry::config;
use crate::registry::project::read_file;
use crate::role::{Action, Bundle, Family};
use crate::run::capability::{ActionLimit, BudgetScope, BudgetUnit, Capability, MILLION};
use crate::run::definition::{ContainerDefinition, NodeDefinition, Runtime};
use crate::run::id::{NodeId, RequestId, RoleName};
use crate::run::state::{Attempt, Request, RequestStatus, State};
use crate::workflow::Workflow;

use super::children::Ancestor;
use super::error::Error;
use super::secrets;
use super::store::Store;
use super::{agents, allowed, children, roles, told};

/// The largest text of what an attempt is told of its memory, in bytes.
const LARGEST_TOLD: u64 = 1 << 20;

/// The policy for the run's live attempts, with the generation of the one on disk, or the next if it differs.
pub(crate) fn build(store: &Store<'_>, state: &State) -> Result<wire::Policy, Error> {
    let config = store.registry().config()?;
    let mut policy = wire::Policy::new(&state.created.registry, store.run().clone());
    policy.providers = providers(config);
    policy.services = allowed::services(&config.actions);
    policy.hosts = config.gate.hosts.clone();
    let budget = &config.llm.budget;
    policy.ceilings = run_ceilings(store, state)?;
    policy.given = children::in_all(state.children.iter().map(|child| child.share));
    policy.day = ceilings(state, BudgetScope::Day, &budget.day, None);
    policy.roles = role_budgets(store, state)?;
    policy.settled.clone_from(&state.settled);
    policy.patience = patience(&config.gate.patience);
    policy.prices = config.llm.prices.iter().map(price).collect();
    policy.models = config.llm.models.iter().map(model_rule).collect();
    if state.live_attempts().next().is_some() {
        let workflow = frozen_workflow(store, state)?;
        let line = children::line(store.registry(), state)?;
        for (definition, attempt) in state.live_attempts() {
            // An agent that was offboarded has no socket any more.
            if let Some(agent) = definition.agent()
                && !agents::is_hired(store.registry(), agent)?
            {
                continue;
            }
            if let Some(container) = &definition.container {
                let role = roles::of_node(store, definition)?;
                let told = store.layout().attempt(&definition.id, attempt.number).join("memory.md");
                let memory = read_file(&told, LARGEST_TOLD)?.unwrap_or_default();
                let persona =
                    role.map(|bundle| Persona { bundle, memory: String::from_utf8_lossy(&memory).into_owned() });
                let persona = persona.as_ref();
                let built = attempt_policy(config, state, &workflow, definition, container, attempt, persona, &line)?;
                let children = children::views(store.registry(), state, &definition.id);
                let mut built = built;
                built.given = children::in_all(children::given(state, &definition.id));
                // What its parent has no more, a child has no more: revoked, or its time over.
                let lost = children::lost(store.registry(), state)?;
                built.grants.retain(|grant| !lost.contains(&grant.request));
                let by = |id: &RequestId| format!("request {id}");
                built.actions.retain(|action| !lost.iter().any(|id| action.by == by(id)));
                for grant in &mut built.grants {
                    grant.until = children::until(&line, grant);
                }
                built.limits.llm_requests = built.limits.llm_requests.saturating_sub(built.given.requests.unwrap_or(0));
                built.children = children;
                policy.attempts.push(built);
            }
        }
    }
    policy.secrets = secrets::named(store, &policy)?;
    let on_disk = wire::Policy::read(&store.layout().gate()).ok();
    policy.generation = match on_disk {
        Some(old) if same(&old, &policy) => old.generation,
        Some(old) => old.generation + 1,
        None => 1,
    };
    Ok(policy)
}

/// What the models of the run may take in all, those of its children included: of a child no more than its part.
pub(crate) fn run_ceilings(store: &Store<'_>, state: &State) -> Result<wire::Ceilings, Error> {
    let budget = &store.registry().config()?.llm.budget;
    let mut own = ceilings(state, BudgetScope::Run, &budget.run(), None);
    if let Some(parent) = &state.created.parent {
        own.requests = least(own.requests, Some(parent.share.requests));
        own.tokens = least(own.tokens, parent.share.tokens);
        own.money = least(own.money, parent.share.money);
    }
    Ok(own)
}

/// What one node may take of models, over all its attempts, those of its children included.
pub(crate) fn agent_ceilings(config: &config::Config, state: &State, node: &NodeId) -> wire::Ceilings {
    ceilings(state, BudgetScope::Agent, &config.llm.budget.agent, Some(node))
}

/// What the roles of the run may take within one day, those above a child's among them: of several agents of one role
/// the smallest.
pub(crate) fn role_budgets(store: &Store<'_>, state: &State) -> Result<BTreeMap<RoleName, wire::RoleBudget>, Error> {
    let mut budgets: BTreeMap<RoleName, wire::RoleBudget> = BTreeMap::new();
    for definition in &state.created.nodes {
        let Some(bundle) = roles::of_node(store, definition)? else { continue };
        let mut line = vec![bundle.role];
        for above in definition.container.iter().filter_map(|own| own.role.as_ref()).flat_map(|own| &own.under) {
            line.push(roles::frozen_as_it_is(store, above)?.role);
        }
        for role in line.into_iter().filter(|role| !role.config.budget.is_empty()) {
            let own = role.config.budget;
            let day = wire::Ceilings { requests: own.requests, tokens: own.tokens, money: own.money.map(millionths) };
            let fresh = || wire::RoleBudget { day, nodes: Vec::new() };
            let budget = budgets.entry(role.name).or_insert_with(fresh);
            budget.day.requests = least(budget.day.requests, day.requests);
            budget.day.tokens = least(budget.day.tokens, day.tokens);
            budget.day.money = least(budget.day.money, day.money);
            if !budget.nodes.contains(&definition.id) {
                budget.nodes.push(definition.id.clone());
            }
        }
    }
    // What was granted to a node raises the ceiling of its own role, and of none above.
    for (role, budget) in &mut budgets {
        for node in budget.nodes.iter().filter(|node| state.role_of(node) == Some(role)) {
            budget.day = raised(state, BudgetScope::Role, budget.day, Some(node));
        }
    }
    Ok(budgets)
}

/// The roles above that of a node, the nearest first, each once.
fn roles_above(definition: &NodeDefinition) -> Vec<RoleName> {
    let binding = definition.container.iter().filter_map(|container| container.role.as_ref());
    let mut above: Vec<RoleName> = Vec::new();
    for pinned in binding.flat_map(|binding| &binding.under) {
        if definition.role() != Some(&pinned.role) && !above.contains(&pinned.role) {
            above.push(pinned.role.clone());
        }
    }
    above
}

pub(crate) fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether the gate has been told what the state says.
pub(crate) fn is_current(store: &Store<'_>, state: &State) -> bool {
    if state.live_attempts().next().is_none() {
        return true;
    }
    let on_disk = wire::Policy::read(&store.layout().gate());
    matches!((on_disk, build(store, state)), (Ok(old), Ok(new)) if same(&old, &new))
}

pub(crate) fn same(a: &wire::Policy, b: &wire::Policy) -> bool {
    let other = wire::Policy { generation: a.generation, ..b.clone() };
    *a == other
}

pub(crate) fn model_rule(rule: &config::ModelRule) -> wire::ModelRule {
    let fallback = |f: &config::Fallback| wire::Fallback { provider: f.provider.clone(), model: f.model.clone() };
    wire::ModelRule {
        pattern: rule.glob.clone(),
        provider: rule.provider.clone(),
        model: rule.model.clone(),
        timeout_ms: rule.timeout.map(millis),
        max_tokens: rule.max_tokens,
        thinking: rule.thinking,
        max_tokens_field: rule.max_tokens_field,
        image_addresses: rule.image_addresses,
        retries: rule.retries,
        fallback: rule.fallback.iter().map(fallback).collect(),
    }
}

fn patience(patience: &config::Patience) -> wire::Patience {
    wire::Patience {
        head_ms: millis(patience.head),
        body_ms: millis(patience.body),
        reading_ms: millis(patience.reading),
    }
}

/// The ceilings of a scope: those of the settings, raised to what was granted.
fn ceilings(state: &State, scope: BudgetScope, budget: &config::Ceilings, node: Option<&NodeId>) -> wire::Ceilings {
    let own = wire::Ceilings { requests: budget.requests, tokens: budget.tokens, money: budget.money.map(millionths) };
    raised(state, scope, own, node)
}

/// Ceilings raised to what was granted, to `node` where it is one node's. A grant limits nothing that was free.
fn raised(state: &State, scope: BudgetScope, own: wire::Ceilings, node: Option<&NodeId>) -> wire::Ceilings {
    let granted = |unit: BudgetUnit, ceiling: Option<u64>| {
        let granted = state.requests.iter().filter(|request| request.status.is_granted());
        let own =
            granted.filter(|request| node.is_none_or(|node| request.askers.iter().any(|(asker, _)| asker == node)));
        let amounts = own.filter_map(|request| match *request.meant() {
            Capability::Budget(budget) if (budget.scope(), budget.unit()) == (scope, unit) => Some(budget.amount()),
            _ => None,
        });
        Some(amounts.fold(ceiling?, u64::max))
    };
    wire::Ceilings {
        requests: granted(BudgetUnit::Requests, own.requests),
        tokens: granted(BudgetUnit::Tokens, own.tokens),
        money: granted(BudgetUnit::Money, own.money),
    }
}

fn price(price: &config::Price) -> wire::Price {
    wire::Price {
        pattern: price.glob.clone(),
        input: millionths(price.input),
        output: millionths(price.output),
        cached: millionths(price.cached.unwrap_or(price.input)),
        written: millionths(price.written()),
    }
}

/// Money in millionths, rounded to the nearest.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // clamped, and a cast saturates
fn millionths(money: f64) -> u64 {
    (money.max(0.0) * MILLION as f64).round() as u64
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn providers(config: &config::Config) -> BTreeMap<String, wire::ProviderSpec> {
    let spec = |(name, provider): (&String, &config::Provider)| {
        let endpoint = || wire::Endpoint {
            base_url: provider.base_url.clone().unwrap_or_default(),
            key: match &provider.key {
                Some(key) => Some(key.to_string()),
                None => (provider.key_file.is_some() || provider.key_env.is_some()).then(|| name.clone()),
            },
            timeout_ms: Some(millis(provider.timeout)),
        };
        let spec = match provider.kind {
            config::ProviderKind::Replay => wire::ProviderSpec::Replay { transcript: format!("replay/{name}.jsonl") },
            config::ProviderKind::Openai => wire::ProviderSpec::Openai(endpoint()),
            config::ProviderKind::Anthropic => wire::ProviderSpec::Anthropic(endpoint()),
            config::ProviderKind::Gemini => wire::ProviderSpec::Gemini(endpoint()),
            config::ProviderKind::Ollama => wire::ProviderSpec::Ollama(endpoint()),
        };
        (name.clone(), spec)
    };
    config.llm.providers.iter().map(spec).collect()
}

/// The definition as it was frozen: a changed byte is an error, never another prompt.
pub(crate) fn frozen_workflow(store: &Store<'_>, state: &State) -> Result<Workflow, Error> {
    let path = store.layout().workflow();
    let bytes = std::fs::read(&path).map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
    if crate::run::id::Digest::of(&bytes) != state.created.workflow_digest {
        return Err(Error::WorkflowChanged { run: store.run().clone(), path });
    }
    let text = String::from_utf8_lossy(&bytes);
    Workflow::parse(&path.display().to_string(), &text).map_err(Error::Workflow)
}

/// A node's prompt with the run's parameters filled in.
pub(crate) fn prompt_of(workflow: &Workflow, state: &State, node: &NodeId) -> Result<String, Error> {
    let mut rendered = workflow
        .render(&state.created.params)
        .map_err(|problems| Error::Usage(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    Ok(rendered.prompts.remove(node).unwrap_or_default())
}

/// As what a node works, and what of its memory stands in its prompt.
struct Persona {
    bundle: Bundle,
    memory: String,
}

impl Persona {
    /// The memory that the gate lets it reach.
    fn memory_use(&self, definition: &NodeDefinition) -> Option<wire::MemoryUse> {
        let allowed = self.bundle.role.allowed_actions.iter().copied();
        let actions: Vec<Action> = allowed.filter(|action| action.family() == Family::Memory).collect();
        let agent = definition.agent()?.clone();
        // As for other actions: what could not be counted is not allowed.
        let mut limits = BTreeMap::new();
        let limited = |action: &Action| match self.bundle.role.config.limits.get(action) {
            Some(rate) => ActionLimit::parse(&rate.to_string()).is_ok_and(|limit| {
                limits.insert(*action, limit);
                true
            }),
            None => true,
        };
        let actions: Vec<Action> = actions.into_iter().filter(limited).collect();
        (!actions.is_empty()).then_some(wire::MemoryUse { agent, actions, limits })
    }

    /// What it is told of itself, behind `system`.
    fn tell(&self, system: &mut String) {
        let skills: Vec<(&str, &str)> =
            self.bundle.skills.iter().map(|skill| (skill.name.as_str(), skill.description.as_str())).collect();
        system.push_str(&brief::persona_text(&self.bundle.role.soul(), &skills, &self.memory));
    }
}

#[allow(clippy::too_many_arguments)] // each is one thing that a policy is made of
fn attempt_policy(
    config: &config::Config,
    state: &State,
    workflow: &Workflow,
    definition: &NodeDefinition,
    container: &ContainerDefinition,
    attempt: &Attempt,
    persona: Option<&Persona>,
    line: &[Ancestor],
) -> Result<wire::Attempt, Error> {
    let prompt = prompt_of(workflow, state, &definition.id)?;
    let outputs = outputs(definition);
    let inputs = input_names(state, definition);
    let granted: Vec<String> = state
        .requests
        .iter()
        .filter(|request| request.status == RequestStatus::Applied)
        .flat_map(super::images::granted_names)
        .collect();
    let mut system = match container.runtime {
        // What was granted is not part of it: the system message is the same in every attempt of a conversation,
        // and the agent reads the grant as the answer to its request.
        Runtime::Builtin => brief::system_text(&outputs, &inputs, &workflow_capabilities(container, &granted)),
        Runtime::Openclaw => brief::openclaw_text(&outputs, &inputs, &granted, &told::outcomes(state, &definition.id)),
        Runtime::Command => String::new(),
    };
    if let Some(persona) = persona.filter(|_| container.runtime != Runtime::Command) {
        persona.tell(&mut system);
    }
    let memory = persona.and_then(|persona| persona.memory_use(definition));
    let delegation = persona.and_then(|persona| children::delegation(&persona.bundle.role));
    let delegates = delegation.is_some();
    let actions = allowed::actions(state, definition, persona.map(|persona| &persona.bundle.role), line);
    match container.runtime {
        Runtime::Openclaw => {
            system.push_str(&brief::verbs_text(memory.is_some(), !actions.is_empty(), delegates));
        }
        // Its tools say how; which names they take only its role says.
        Runtime::Builtin => system.push_str(&opened(persona, definition, &actions, delegation.as_ref())),
        Runtime::Command => {}
    }
    Ok(wire::Attempt {
        socket: attempt.plan.socket.clone(),
        node: definition.id.clone(),
        attempt: attempt.number,
        role: definition.role().cloned(),
        under: roles_above(definition),
        delegation,
        children: Vec::new(),
        deadline: attempt.plan.deadline,
        models: vec![container.model.clone()],
        grants: given(state, &definition.id),
        actions,
        limits: wire::Limits {
            llm_requests: u64::from(container.iterations),
            workspace_bytes: container.resources.disk,
            concurrent: config.llm.rate.concurrent,
            per_second: config.llm.rate.per_second,
            per_minute: config.llm.rate.per_minute,
            ..wire::Limits::default()
        },
        ceilings: agent_ceilings(config, state, &definition.id),
        given: wire::Ceilings::default(),
        brief: wire::Brief {
            system,
            prompt,
            model: container.model.clone(),
            iterations: container.iterations,
            outputs,
            inputs,
            memory: memory.is_some(),
            delegates,
            notices: told::losses(state, &definition.id),
        },
        memory,
        requests: state
            .requests
            .iter()
            .filter(|asked| state.role_of(&asked.node) == definition.role())
            .filter_map(|asked| request(state, asked, attempt))
            .collect(),
        publish: None,
    })
}

/// What the role of a node opens to the built-in agent, in words.
fn opened(
    persona: Option<&Persona>,
    definition: &NodeDefinition,
    actions: &[wire::AllowedAction],
    delegation: Option<&wire::DelegationUse>,
) -> String {
    let Some(persona) = persona else { return String::new() };
    let by = allowed::by(&persona.bundle.role, definition);
    let names: Vec<String> =
        actions.iter().filter(|action| action.by == by).map(|action| action.name.clone()).collect();
    let roles: Vec<String> = delegation.iter().flat_map(|to| &to.roles).map(ToString::to_string).collect();
    brief::role_text(&names, &roles)
}

/// What the gate gives to a node: what it asked for, in this attempt or before, and a person approved.
pub(crate) fn given(state: &State, node: &NodeId) -> Vec<wire::Grant> {
    state
        .requests
        .iter()
        .filter(|request| request.status.is_granted() && request.capability.kind().is_of_gate())
        .filter(|request| request.askers.iter().any(|(asker, _)| asker == node))
        .map(|request| wire::Grant {
            request: request.id.clone(),
            capability: request.meant().clone(),
            until: request.decision.as_ref().and_then(|decision| decision.until),
        })
        .collect()
}

/// Capabilities that the workflow itself asked for and got.
fn workflow_capabilities(container: &ContainerDefinition, granted: &[String]) -> Vec<String> {
    container.capabilities.iter().map(ToString::to_string).filter(|name| granted.contains(name)).collect()
}

/// Declared outputs, relative to `/workspace`.
pub(crate) fn outputs(definition: &NodeDefinition) -> Vec<String> {
    let folder = format!("nodes/{}/", definition.id);
    definition.artifact_paths.iter().filter_map(|path| path.strip_prefix(&folder)).map(str::to_owned).collect()
}

/// What the agent finds, as it finds it.
fn input_names(state: &State, definition: &NodeDefinition) -> Vec<String> {
    let own = state.created.inputs.iter().filter_map(|input| input.path.strip_prefix("inputs/"));
    let mut names: Vec<String> = own.map(|name| format!("/inputs/{name}")).collect();
    for need in &definition.needs {
        let Some((_, node)) = state.node(need) else { continue };
        let folder = format!("nodes/{need}/");
        let files = node.artifacts.iter().filter_map(|artifact| artifact.path.strip_prefix(&folder));
        names.extend(files.map(|file| format!("/inputs/{need}/{file}")));
    }
    names
}

/// A request as the gate knows it. Until it is resolved it is pending, as far as an agent is concerned.
fn request(state: &State, request: &Request, attempt: &Attempt) -> Option<wire::CapabilityRequest> {
    let capability = request.capability.to_string();
    if let Capability::Mount(mount) = request.meant()
        && request.status.is_granted()
        && !attempt.has(mount)
    {
        // As far as this attempt is concerned it waits, and there is no use in waiting for it.
        let comment = Some("granted for the next attempt: suspend to go on with it".to_owned());
        let answer = Some(wire::Answer { comment, ..wire::Answer::default() });
        let status = wire::RequestStatus::Pending;
        return Some(wire::CapabilityRequest {
            id: request.id.clone(),
            capability,
            deploy: None,
            schedule: None,
            status,
            answer,
        });
    }
    let status = match request.status {
        RequestStatus::Requested | RequestStatus::Pending => wire::RequestStatus::Pending,
        RequestStatus::Approved => wire::RequestStatus::Approved,
        RequestStatus::Applied => wire::RequestStatus::Applied,
        RequestStatus::Denied => wire::RequestStatus::Denied,
        RequestStatus::Superseded => wire::RequestStatus::Superseded,
        RequestStatus::Failed => wire::RequestStatus::Failed,
        RequestStatus::Revoked => wire::RequestStatus::Revoked,
        // What was granted and is over can be asked for again, as what was taken back can.
        RequestStatus::Expired if request.has_ended() => wire::RequestStatus::Revoked,
        RequestStatus::Expired => wire::RequestStatus::Expired,
        RequestStatus::Unresolvable => wire::RequestStatus::Unresolvable,
    };
    let comment = request.decision.as_ref().map(|decision| decision.comment.clone());
    let problem = (!request.problem.is_empty()).then(|| request.problem.clone());
    let granted = request.status.is_granted();
    // What the gate gives is in force with the policy that says so.
    let answered = request.status.is_answered() || (granted && request.capability.kind().is_of_gate());
    let answer = answered.then(|| wire::Answer {
        comment: if request.has_ended() { problem } else { comment.or(problem) }.filter(|text| !text.is_empty()),
        by: request.decision.as_ref().map(|decision| decision.by.clone()),
        alternative: request.decision.iter().flat_map(|decision| &decision.instead).map(ToString::to_string).collect(),
        granted: if granted { super::images::granted_names(request) } else { Vec::new() },
        withheld: match &request.edited {
            Some(edited) if granted => edited.withheld().map(ToString::to_string).collect(),
            _ => Vec::new(),
        },
        published: state.deployment(&request.id).map(|deployment| format!("127.0.0.1:{}", deployment.port)),
    });
    let (deploy, schedule) = (request.deploy.clone(), request.schedule.clone());
    Some(wire::CapabilityRequest { id: request.id.clone(), capability, deploy, schedule, status, answer })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::recorded::{registry, runs};
    use super::super::store::Store;
    use super::*;
    use crate::run::id::RequestId;

    fn state() -> State {
        let (_folder, registry) = registry();
        Store::open(&registry, &runs(&registry)[0]).unwrap().load().unwrap()
    }

    fn asked(state: &State, capability: &str, status: RequestStatus) -> Request {
        Request {
            by_gate: false,
            id: RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap(),
            node: state.created.nodes[0].id.clone(),
            attempt: 1,
            capability: Capability::parse(capability).unwrap(),
            reason: String::new(),
            deploy: None,
            schedule: None,
            askers: Vec::new(),
            at: chrono::Utc::now(),
            status,
            resolution: None,
            relocked: None,
            presented: None,
            edited: None,
            decision: None,
            problem: String::new(),
            image: None,
        }
    }

    #[test]
    fn a_ceiling_is_the_settings_or_the_highest_that_was_granted_and_is_not_revoked() {
        let mut state = state();
        let budget = config::Ceilings { requests: None, tokens: Some(100), money: Some(0.1) };
        for (capability, status) in [
            ("budget:tokens=200", RequestStatus::Applied),
            ("budget:tokens=150", RequestStatus::Approved),
            ("budget:tokens=400", RequestStatus::Revoked),
            ("budget:tokens=500", RequestStatus::Pending),
            ("budget:tokens=600", RequestStatus::Denied),
            ("budget:money=0.05", RequestStatus::Applied),
            // What is not limited stays so.
            ("budget:requests=5", RequestStatus::Applied),
        ] {
            let request = asked(&state, capability, status);
            state.requests.push(request);
        }
        let expected = wire::Ceilings { requests: None, tokens: Some(200), money: Some(100_000) };
        assert_eq!(ceilings(&state, BudgetScope::Run, &budget, None), expected);
    }

    #[test]
    fn each_scope_has_grants_of_its_own_and_a_nodes_is_for_who_asked() {
        let mut state = state();
        let (node, other) = (NodeId::parse("gather").unwrap(), NodeId::parse("write").unwrap());
        let budget = config::Ceilings { tokens: Some(100), ..config::Ceilings::default() };
        for (capability, asker) in [
            ("budget:tokens=200", &node),
            ("budget:day,tokens=300", &node),
            ("budget:agent,tokens=400", &node),
            ("budget:agent,tokens=500", &other),
            ("budget:role,tokens=600", &other),
        ] {
            let mut request = asked(&state, capability, RequestStatus::Applied);
            request.askers.push((asker.clone(), 1));
            state.requests.push(request);
        }
        let tokens = |scope, node| ceilings(&state, scope, &budget, node).tokens;
        assert_eq!(tokens(BudgetScope::Run, None), Some(200));
        assert_eq!(tokens(BudgetScope::Day, None), Some(300));
        assert_eq!(tokens(BudgetScope::Agent, Some(&node)), Some(400));
        assert_eq!(tokens(BudgetScope::Agent, Some(&other)), Some(500));
        assert_eq!(tokens(BudgetScope::Role, Some(&node)), Some(100));
        assert_eq!(tokens(BudgetScope::Role, Some(&other)), Some(600));
    }

    #[test]
    fn money_is_rounded_to_millionths() {
        assert_eq!([0.1, 2.5, 1e-7, 0.000_000_6, f64::NAN, -1.0].map(millionths), [100_000, 2_500_000, 0, 1, 0, 0]);
    }
}
