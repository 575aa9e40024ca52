//! Children: a run that an agent asks for, of a role that its own may give work to. What the child has is a part of what
//! its parent has, computed here and journaled with both; it ends with the attempt that asked for it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::gate::{self as wire, Ceilings, ChildView, DelegationUse, Sums, Taken};
use crate::registry::{Registry, inbox};
use crate::role::{Action, Bundle, Role};
use crate::run::capability::{ActionLimit, BudgetScope, Capability};
use crate::run::command::{Command, Control};
use crate::run::definition::{Created, NodeDefinition, Parent, Pinned};
use crate::run::event::ChildRun;
use crate::run::id::{Digest, NodeId, RequestId, RoleName, RunId};
use crate::run::ruling::{Effect, Ruling};
use crate::run::share::Share;
use crate::run::state::{Request, State};
use crate::workflow::prompt;
use crate::workflow::text::is_blank;

use super::actor;
use super::docker::Docker;
use super::error::Error;
use super::start::{self, Start};
use super::store::Store;
use super::{allowed, policy, roles, tick};

/// The largest task of a child, in bytes.
pub(crate) const MOST_TASK: usize = 32 * 1024;

/// What a child is made with, beside its workflow.
#[derive(Debug, Clone)]
pub struct Descent {
    pub(crate) parent: Parent,
    /// The roles that it is below, the nearest first.
    pub(crate) under: Vec<Pinned>,
    /// Those roles, to be frozen with its own.
    pub(crate) bundles: Vec<Bundle>,
    /// The node that it is a child of, as its own run froze it.
    pub(crate) node: NodeDefinition,
    /// What the parent was granted, and so all that the child may have.
    pub(crate) granted: Vec<Capability>,
    pub(crate) wall_ms: u64,
}

/// Takes in a message of the gate that asks for a child. The child is made first, under a name that follows from the
/// message, and then journaled: a crash between the two makes no second one. The inner error is why it is refused.
///
/// # Errors
/// When a run cannot be read or written: the message then stays for the next tick.
pub(crate) fn take(store: &Store<'_>, state: &State, message: &inbox::Message) -> Result<Result<State, String>, Error> {
    if state.children.iter().any(|child| child.id == message.id) {
        return Ok(Ok(state.clone()));
    }
    let asked = match Asked::read(message) {
        Ok(asked) => asked,
        Err(why) => return Ok(Err(why)),
    };
    let (start, child) = match prepare(store, state, message, &asked) {
        Ok(prepared) => prepared,
        Err(error) => return refused(error),
    };
    match start::start(store.registry(), &start) {
        Ok(_) | Err(Error::Registry(crate::registry::Error::RunExists { .. })) => {}
        Err(error) => return refused(error),
    }
    match store.commit(&actor::agent(&message.node), Command::Child(Box::new(child))) {
        // Its run has no parent that knows it, and ends with its first tick.
        Err(error @ Error::Refused { .. }) => Ok(Err(error.to_string())),
        other => other.map(Ok),
    }
}

/// What is wrong with what was asked for is the answer to it; anything else is ours, and the message waits.
fn refused(error: Error) -> Result<Result<State, String>, Error> {
    if error.is_of_what_was_asked() { Ok(Err(error.to_string())) } else { Err(error) }
}

/// What a message asks for.
struct Asked {
    role: RoleName,
    task: String,
    requests: Option<u64>,
    wall_ms: Option<u64>,
    /// What its parent had taken by then.
    taken: Taken,
}

impl Asked {
    fn read(message: &inbox::Message) -> Result<Self, String> {
        let text = |key: &str| message.body.get(key).and_then(Value::as_str);
        let role = RoleName::parse(text("role").ok_or("`role` is missing")?).map_err(|error| error.to_string())?;
        let task = text("task").ok_or("`task` is missing")?.to_owned();
        if task.len() > MOST_TASK {
            return Err(format!("`task` is longer than {MOST_TASK} bytes"));
        }
        if is_blank(&task) {
            return Err("`task` is blank".to_owned());
        }
        let number = |key: &str| message.body.get(key).and_then(Value::as_u64);
        let taken = message.body.get("taken").map(|taken| serde_json::from_value(taken.clone())).transpose();
        let taken = taken.map_err(|error| format!("`taken` is not understood: {error}"))?.unwrap_or_default();
        Ok(Self { role, task, requests: number("requests"), wall_ms: number("wallMs"), taken })
    }
}

/// Whether a message asks for a child that its parent could have, as far as it says itself.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_readable(message: &inbox::Message) -> bool {
    Asked::read(message).is_ok_and(|asked| asked.task.len() <= MOST_TASK && asked.requests.zip(asked.wall_ms).is_some())
}

fn prepare(
    store: &Store<'_>,
    state: &State,
    message: &inbox::Message,
    asked: &Asked,
) -> Result<(Start, ChildRun), Error> {
    let refuse = |why: String| Error::Usage(why);
    let live = state.live_attempts().find(|(d, a)| d.id == message.node && a.number == message.attempt);
    let Some((definition, attempt)) = live else { return Err(refuse("the attempt that asks is over".to_owned())) };
    let (Some(bundle), Some(container)) = (roles::of_node(store, definition)?, &definition.container) else {
        return Err(refuse("its node has no role, and may give no work to others".to_owned()));
    };
    let delegation = &bundle.role.config.delegation;
    if !delegation.roles.contains(&asked.role) {
        return Err(refuse(format!("role `{}` may give no work to `{}`", bundle.role.name, asked.role)));
    }
    let made = state.children.iter().filter(|child| child.node == message.node).count();
    if made as u64 >= u64::from(delegation.children) {
        return Err(refuse(format!("node {} has had all of its {} children", message.node, delegation.children)));
    }
    let theirs = roles::role(store.registry(), &asked.role)?;
    if theirs.role.model.as_ref().is_some_and(|model| *model != container.model) {
        let why = format!("role `{}` speaks to another model than its parent, `{}`", asked.role, container.model);
        return Err(refuse(why));
    }
    let left = Means::of(store, state, definition, asked.taken)?.left();
    if left.tokens == Some(0) || left.money == Some(0) {
        return Err(refuse("of what models may take nothing is left to give".to_owned()));
    }
    let requests = asked.requests.unwrap_or_else(|| (left.requests / 2).max(1));
    let share = left.part(requests).ok_or_else(|| {
        refuse(format!("a child may have 1 to {} requests to models, and {requests} were asked for", left.requests))
    })?;
    let time = (attempt.plan.deadline - Utc::now()).num_milliseconds();
    let time = u64::try_from(time).ok().filter(|time| *time > 0);
    let time = time.ok_or_else(|| refuse("the time of the attempt that asks is over".to_owned()))?;
    let run = RunId::parse(&format!("child-{}", message.id.as_str().to_lowercase()))
        .map_err(|error| refuse(error.to_string()))?;
    let binding = container.role.as_ref();
    let mut under: Vec<Pinned> =
        binding.iter().map(|own| Pinned { role: own.role.clone(), digest: own.digest.clone() }).collect();
    under.extend(binding.iter().flat_map(|own| own.under.iter().cloned()));
    let bundles = under.iter().map(|pinned| roles::frozen_as_it_is(store, pinned)).collect::<Result<_, _>>()?;
    let descent = Descent {
        parent: Parent {
            run: store.run().clone(),
            node: message.node.clone(),
            attempt: message.attempt,
            request: message.id.clone(),
            depth: state.created.parent.as_ref().map_or(0, |parent| parent.depth) + 1,
            deadline: attempt.plan.deadline,
            share,
        },
        under,
        bundles,
        node: definition.clone(),
        granted: granted(state, &definition.id).cloned().collect(),
        wall_ms: asked.wall_ms.map_or(time, |asked| asked.clamp(1, time)),
    };
    let text = prompt::one_role(&asked.role, &asked.task);
    let start = Start {
        text: Some((format!("child of {}/{}", store.run(), message.node), text)),
        run: Some(run.clone()),
        descent: Some(descent),
        ..Start::default()
    };
    let child = ChildRun {
        id: message.id.clone(),
        node: message.node.clone(),
        attempt: message.attempt,
        role: asked.role.clone(),
        run,
        share,
    };
    Ok((start, child))
}

/// Makes of a run that was read from a workflow a child: its container is within its parent's.
pub(crate) fn narrow(created: &mut Created, descent: &Descent) {
    let Some(theirs) = &descent.node.container else { return };
    for node in &mut created.nodes {
        let Some(own) = &mut node.container else { continue };
        own.image.clone_from(&theirs.image);
        own.model.clone_from(&theirs.model);
        own.iterations = u32::try_from(descent.parent.share.requests).unwrap_or(u32::MAX);
        own.capabilities.retain(|capability| descent.granted.contains(capability));
        own.resources.cpu_millis = own.resources.cpu_millis.min(theirs.resources.cpu_millis);
        own.resources.memory = own.resources.memory.min(theirs.resources.memory);
        own.resources.pids = own.resources.pids.min(theirs.resources.pids);
        own.resources.disk = own.resources.disk.min(theirs.resources.disk);
        own.resources.wall_ms = own.resources.wall_ms.min(theirs.resources.wall_ms).min(descent.wall_ms);
        if let Some(role) = &mut own.role {
            role.under.clone_from(&descent.under);
        }
    }
    created.parent = Some(Box::new(descent.parent.clone()));
}

/// What a node and its run may take of models, and have taken or given away.
struct Means {
    iterations: u64,
    agent: Ceilings,
    run: Ceilings,
    taken: Taken,
    given_by_node: Ceilings,
    given_by_run: Ceilings,
}

impl Means {
    fn of(store: &Store<'_>, state: &State, definition: &NodeDefinition, taken: Taken) -> Result<Self, Error> {
        let container = definition.container.as_ref();
        Ok(Self {
            iterations: container.map_or(0, |container| u64::from(container.iterations)),
            agent: policy::agent_ceilings(store.registry().config()?, state, &definition.id),
            run: policy::run_ceilings(store, state)?,
            taken,
            given_by_node: in_all(given(state, &definition.id)),
            given_by_run: in_all(state.children.iter().map(|child| child.share)),
        })
    }

    /// What the node may still take or give: of all that limits it the least.
    fn left(&self) -> Share {
        let without = |ceilings: Ceilings, given: Ceilings, taken: Sums| {
            let taken =
                Ceilings { requests: Some(taken.requests), tokens: Some(taken.tokens), money: Some(taken.money) };
            ceilings.without(given).without(taken)
        };
        let iterations = Ceilings { requests: Some(self.iterations), ..Ceilings::default() };
        let own = without(iterations, self.given_by_node, self.taken.node);
        let agent = without(self.agent, self.given_by_node, self.taken.node);
        let run = without(self.run, self.given_by_run, self.taken.run);
        let least = |of: fn(Ceilings) -> Option<u64>| policy::least(of(own), policy::least(of(agent), of(run)));
        Share {
            requests: least(|of| of.requests).unwrap_or(0),
            tokens: least(|of| of.tokens),
            money: least(|of| of.money),
        }
    }
}

/// Parts as one; nothing where there are none.
pub(crate) fn in_all(shares: impl Iterator<Item = Share>) -> Ceilings {
    let and = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    };
    shares.fold(Ceilings::default(), |sum, share| Ceilings {
        requests: and(sum.requests, Some(share.requests)),
        tokens: and(sum.tokens, share.tokens),
        money: and(sum.money, share.money),
    })
}

/// What the children of `node` were given.
pub(crate) fn given<'s>(state: &'s State, node: &'s NodeId) -> impl Iterator<Item = Share> + 's {
    state.children.iter().filter(move |child| child.node == *node).map(|child| child.share)
}

/// What was granted to `node` and is in force.
fn granted<'s>(state: &'s State, node: &'s NodeId) -> impl Iterator<Item = &'s Capability> {
    let of_node = state.requests.iter().filter(|request| request.status.is_granted());
    of_node.filter(move |request| request.askers.iter().any(|(asker, _)| asker == node)).map(|request| request.meant())
}

/// The ruling on a request of a child for something that its parent does not have now; none for anything else.
///
/// # Errors
/// When the parent's run cannot be read.
pub(crate) fn beyond(registry: &Registry, state: &State, request: &Request) -> Result<Option<Ruling>, Error> {
    let Some(parent) = &state.created.parent else { return Ok(None) };
    let deny = |because: String| {
        let policies = Digest::of(b"");
        Ok(Some(Ruling { effect: Effect::Deny, rule: None, because, policies, until: None }))
    };
    if let Capability::Budget(budget) = request.meant()
        && budget.scope() != BudgetScope::Day
    {
        return deny("what a child may take of models is a part of its parent's".to_owned());
    }
    if let Capability::Llm(models) = request.meant()
        && (models.requests().is_some() || models.tokens().is_some() || models.money().is_some())
    {
        // Whoever has it counts from nothing: each child would have all of it once more.
        return deny("a budget of its own for a model is not handed on to a child".to_owned());
    }
    let theirs = Store::open(registry, &parent.run)?.load()?;
    if granted(&theirs, &parent.node).any(|capability| capability == request.meant()) {
        return Ok(None);
    }
    deny(format!("a child has no more than its parent, and {}/{} does not have this", parent.run, parent.node))
}

/// What was granted to a child that its parent does not have any more.
///
/// # Errors
/// As [`beyond`].
pub(crate) fn lost(registry: &Registry, state: &State) -> Result<Vec<RequestId>, Error> {
    let mut lost = Vec::new();
    if state.created.parent.is_some() {
        for request in state.requests.iter().filter(|request| request.status.is_granted()) {
            if beyond(registry, state, request)?.is_some() {
                lost.push(request.id.clone());
            }
        }
    }
    Ok(lost)
}

/// One of those that a run works for.
pub(crate) struct Ancestor {
    /// By whom its role allows things, and that role within those above it.
    role: Option<(String, Role)>,
    /// What its gate gives it.
    granted: Vec<wire::Grant>,
}

impl Ancestor {
    /// The limit of its role on `action`, if it has one.
    pub(super) fn counts_action(&self, action: Action) -> Option<wire::Counted> {
        let (by, role) = self.role.as_ref()?;
        let limit = ActionLimit::parse(&role.config.limits.get(&action)?.to_string()).ok()?;
        Some(wire::Counted { by: by.clone(), limit })
    }

    /// The limit of what was granted to it as `capability`, if that has one.
    pub(super) fn counts_grant(&self, capability: &Capability) -> Option<wire::Counted> {
        let grant = self.granted.iter().find(|grant| grant.capability == *capability)?;
        let Capability::Action(action) = &grant.capability else { return None };
        Some(wire::Counted { by: format!("request {}", grant.request), limit: action.rules().limit? })
    }
}

/// Those that the run works for, the nearest first; nobody for a run that is no child.
///
/// # Errors
/// When one of their runs cannot be read.
pub(crate) fn line(registry: &Registry, state: &State) -> Result<Vec<Ancestor>, Error> {
    let mut line = Vec::new();
    let mut parent = state.created.parent.clone();
    while let Some(above) = parent {
        let store = match Store::open(registry, &above.run) {
            Ok(store) => store,
            // Its children end with their next tick.
            Err(Error::NoRun(_)) => break,
            Err(error) => return Err(error),
        };
        let theirs = store.load()?;
        if let Some((definition, _)) = theirs.node(&above.node) {
            let role = roles::of_node(&store, definition)?.map(|bundle| bundle.role);
            line.push(Ancestor {
                role: role.map(|role| (allowed::by(&role, definition), role)),
                granted: policy::given(&theirs, &above.node),
            });
        }
        parent = theirs.created.parent.clone();
    }
    Ok(line)
}

/// When what a child was granted is over: not later than for any of those above it.
pub(crate) fn until(line: &[Ancestor], grant: &wire::Grant) -> Option<DateTime<Utc>> {
    let above = line.iter().filter_map(|above| {
        let same = above.granted.iter().filter(|theirs| theirs.capability == grant.capability);
        // Of several grants of the same the one that lasts the longest; one without an end lasts for ever.
        let ends = same.map(|theirs| theirs.until).collect::<Option<Vec<_>>>()?;
        // Who has it no more has it over: those between, who would lose it first, may not have looked yet.
        Some(ends.into_iter().max().unwrap_or(DateTime::UNIX_EPOCH))
    });
    above.chain(grant.until).min()
}

/// Cancels a child whose parent's attempt is over. The state afterwards.
///
/// # Errors
/// When the parent's run cannot be read, or the child's not be written.
pub(crate) fn end_orphan(store: &Store<'_>, state: State) -> Result<State, Error> {
    let Some(parent) = state.created.parent.as_deref().filter(|_| !state.status.is_terminal()) else {
        return Ok(state);
    };
    let lives = match Store::open(store.registry(), &parent.run) {
        Ok(theirs) => {
            let theirs = theirs.load()?;
            theirs.live_attempts().any(|(d, a)| d.id == parent.node && a.number == parent.attempt)
        }
        Err(Error::NoRun(_)) => false,
        Err(error) => return Err(error),
    };
    if lives {
        return Ok(state);
    }
    let reason = format!("attempt {} of {}/{}, which it worked for, is over", parent.attempt, parent.run, parent.node);
    store.commit(actor::TICK, Command::Control { id: None, control: Control::Cancel { reason } })
}

/// Takes the children of the run as far as they go. What goes wrong in one is for its own tick to say.
pub(crate) fn tick_all(store: &Store<'_>, state: &State, docker: &Docker) {
    for child in &state.children {
        let Ok(own) = Store::open(store.registry(), &child.run) else { continue };
        let over = own.peek().is_ok_and(|state| state.status.is_terminal() && !state.may_have_containers());
        if !over {
            let _ = tick::tick_store(&own, docker);
        }
    }
}

/// What the gate tells the agent of `node` of its children.
pub(crate) fn views(registry: &Registry, state: &State, node: &NodeId) -> Vec<ChildView> {
    let view = |child: &ChildRun| {
        let found = Store::open(registry, &child.run).and_then(|store| store.peek()).ok();
        ChildView {
            id: child.id.clone(),
            role: child.role.clone(),
            run: child.run.clone(),
            status: found.as_ref().map_or("created", |state| state.status.as_str()).to_owned(),
            requests: child.share.requests,
            result: found.and_then(|state| state.nodes.first()?.result.clone()),
        }
    };
    state.children.iter().filter(|child| child.node == *node).map(view).collect()
}

/// Whom the agent of `node` may give work to; none where that is nobody.
pub(crate) fn delegation(role: &Role) -> Option<DelegationUse> {
    let own = &role.config.delegation;
    (!own.roles.is_empty() && own.depth > 0).then(|| DelegationUse { roles: own.roles.clone(), children: own.children })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn means(iterations: u64, agent: Ceilings, run: Ceilings) -> Means {
        let (taken, none) = (Taken::default(), Ceilings::default());
        Means { iterations, agent, run, taken, given_by_node: none, given_by_run: none }
    }

    fn sums(requests: u64, tokens: u64) -> Sums {
        Sums { requests, tokens, money: 0 }
    }

    #[test]
    fn of_what_a_child_is_given_from_each_ceiling_counts() {
        let limit = |requests, tokens| Ceilings { requests, tokens, money: None };
        let left = |means: &Means| (means.left().requests, means.left().tokens);
        let free = limit(None, None);
        assert_eq!(left(&means(50, free, free)), (50, None));
        assert_eq!(left(&means(50, free, limit(Some(10), None))), (10, None));
        assert_eq!(left(&means(50, limit(Some(8), Some(300)), limit(Some(10), Some(900)))), (8, Some(300)));
        // What another node gave or took is the run's, and not this node's.
        let given_by_run = limit(Some(6), Some(800));
        let of_others = Means { given_by_run, ..means(50, limit(Some(8), Some(300)), limit(Some(10), Some(900))) };
        assert_eq!(left(&of_others), (4, Some(100)));
        let taken = Taken { run: sums(9, 50), node: sums(3, 20) };
        assert_eq!(left(&Means { taken, ..means(50, limit(Some(8), None), free) }), (5, None));
        assert_eq!(left(&Means { taken, ..means(50, free, limit(Some(10), Some(50))) }), (1, Some(0)));
    }

    proptest! {
        #[test]
        fn a_run_and_all_its_children_take_no_more_than_it_may(
            iterations in 1u64..60,
            run in (proptest::option::of(1u64..60), proptest::option::of(1u64..9_000)),
            agent in (proptest::option::of(1u64..60), proptest::option::of(1u64..9_000)),
            steps in proptest::collection::vec((0usize..3, any::<bool>(), 1u64..20), 0..40),
        ) {
            let ceilings = |(requests, tokens)| Ceilings { requests, tokens, money: None };
            let (run, agent) = (ceilings(run), ceilings(agent));
            let mut taken = [Sums::default(); 3];
            let mut given: Vec<(usize, Share)> = Vec::new();
            for (node, gives, amount) in steps {
                let of_node = given.iter().filter(|(giver, _)| *giver == node).map(|(_, share)| *share);
                let means = Means {
                    taken: Taken { run: taken.iter().copied().fold(Sums::default(), Sums::and), node: taken[node] },
                    given_by_node: in_all(of_node),
                    given_by_run: in_all(given.iter().map(|(_, share)| *share)),
                    ..means(iterations, agent, run)
                };
                let left = means.left();
                if gives {
                    given.extend(left.part(amount).map(|share| (node, share)));
                } else if left.requests > 0 {
                    taken[node] = taken[node].and(sums(1, left.tokens.unwrap_or(amount).min(amount)));
                }
            }
            let all = |node: Option<usize>| {
                let own = (0..3).filter(|one| node.is_none_or(|node| node == *one)).map(|one| taken[one]);
                let parts = given.iter().filter(|(giver, _)| node.is_none_or(|node| node == *giver));
                let parts = parts.map(|(_, share)| sums(share.requests, share.tokens.unwrap_or(0)));
                own.chain(parts).fold(Sums::default(), Sums::and)
            };
            let within = |sums: Sums, ceilings: Ceilings| {
                ceilings.requests.is_none_or(|most| sums.requests <= most) && ceilings.tokens.is_none_or(|most| sums.tokens <= most)
            };
            prop_assert!(within(all(None), run));
            for node in 0..3 {
                prop_assert!(within(all(Some(node)), agent));
                prop_assert!(all(Some(node)).requests <= iterations);
            }
        }
    }

    #[test]
    fn what_a_child_does_counts_by_its_own_limit_and_by_those_of_everybody_above() {
        let role = |name: &str, rate: &str| {
            let text = format!(
                "---\nrole: {name}\ndisplayName: R\ndescription: r\nallowedActions: [email.send]\nconfig:\n  limits: \
                 {{email.send: {rate}}}\n---\nx\n"
            );
            Role::parse(&RoleName::parse(name).unwrap(), "r", &text).unwrap()
        };
        let (root, parent) = (role("root", "5/minute"), role("parent", "10/hour"));
        let parent = parent.within(&root);
        let worker = role("worker", "20/day").within(&parent);
        let above =
            |role: &Role| Ancestor { role: Some((format!("role {}", role.name), role.clone())), granted: Vec::new() };
        let (_folder, registry) = super::super::recorded::registry();
        let run = super::super::recorded::runs(&registry)[0].clone();
        let state = Store::open(&registry, &run).unwrap().load().unwrap();
        let line = [above(&parent), above(&root)];
        let actions = allowed::actions(&state, &state.created.nodes[0], Some(&worker), &line);
        assert_eq!(actions.len(), 1, "{actions:?}");
        let own = (actions[0].by.as_str(), actions[0].rules.limit.unwrap().to_string());
        let above = actions[0].counts.iter().map(|counted| (counted.by.as_str(), counted.limit.to_string()));
        let all: Vec<_> = std::iter::once(own).chain(above).collect();
        let expected = [("role worker", "20/day"), ("role parent", "10/hour"), ("role root", "5/minute")];
        assert_eq!(all, expected.map(|(by, limit)| (by, limit.to_owned())));
    }

    #[test]
    fn a_grant_is_over_with_the_first_of_the_line_that_loses_it() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0);
        let grant = |until| wire::Grant {
            request: RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap(),
            capability: Capability::parse("net:api.example.org:443").unwrap(),
            until,
        };
        let above = |granted| Ancestor { role: None, granted };
        let line = |ends: &[&[Option<DateTime<Utc>>]]| -> Vec<Ancestor> {
            ends.iter().map(|ends| above(ends.iter().map(|until| grant(*until)).collect())).collect()
        };
        assert_eq!(until(&[], &grant(at(5))), at(5));
        assert_eq!(until(&line(&[&[None]]), &grant(None)), None);
        assert_eq!(until(&line(&[&[None], &[at(7)]]), &grant(None)), at(7));
        assert_eq!(until(&line(&[&[at(9)], &[at(7)]]), &grant(at(8))), at(7));
        // Of two of the same the longer one.
        assert_eq!(until(&line(&[&[at(9), at(7)]]), &grant(None)), at(9));
        assert_eq!(until(&line(&[&[at(9), None]]), &grant(at(20))), at(20));
        // The one between has not looked yet: its own says nothing of an end.
        let over = until(&line(&[&[None], &[]]), &grant(None)).unwrap();
        assert!(over < at(0).unwrap());
    }
}
