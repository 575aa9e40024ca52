//! Whether a rule fits what is asked for.

use super::Asked;
use super::rule::Rule;
use crate::provider::{glob_matches, globs_overlap};
use crate::run::capability::{BudgetUnit, Capability, CapabilityKind, Mount};
use crate::run::ruling::Effect;

impl Rule {
    /// Whether it fits `asked`, or, if it does not allow, something that `asked` brings with it.
    pub(super) fn fits(&self, asked: &Asked<'_>) -> bool {
        let one_of = |globs: &[String], text: &str| globs.iter().any(|glob| glob_matches(glob, text));
        let workflow = self.workflows.is_empty() || one_of(&self.workflows, asked.workflow);
        let role = self.roles.is_empty() || asked.role.is_some_and(|role| one_of(&self.roles, role));
        if !workflow || !role {
            return false;
        }
        let brought = || asked.brings.iter().any(|capability| self.fits_capability(capability));
        self.fits_capability(asked.capability) || (self.effect != Effect::Allow && brought())
    }

    fn fits_capability(&self, capability: &Capability) -> bool {
        self.kinds.contains(&capability.kind())
            && self.fits_name(capability)
            && self.fits_version(capability)
            && self.fits_amount(capability)
    }

    fn fits_name(&self, capability: &Capability) -> bool {
        let name = name_of(capability);
        // A model is asked for by a glob, too. To allow it, the rule has to cover all that it may mean; to keep it back, it
        // is enough that it may mean something that is kept back.
        let fits = match (self.effect, capability.kind()) {
            (Effect::Ask | Effect::Deny, CapabilityKind::Llm) => globs_overlap,
            _ => glob_matches,
        };
        let bare = bare_name_of(capability).filter(|_| self.effect != Effect::Allow);
        let is_bare = |glob: &str| bare.as_ref().is_some_and(|bare| glob_matches(glob, bare));
        self.names.iter().any(|glob| fits(glob, &name) || is_bare(glob) || self.fits_around(glob, capability))
    }

    /// A folder comes with all that lies in it: what keeps one back keeps back what is in it, and what it is in.
    fn fits_around(&self, glob: &str, capability: &Capability) -> bool {
        let Capability::Mount(mount) = capability else { return false };
        self.effect != Effect::Allow && (fits_above(glob, mount) || fits_beneath(glob, mount))
    }

    fn fits_version(&self, capability: &Capability) -> bool {
        if self.versions.is_empty() {
            return true;
        }
        match version_of(capability) {
            Some(version) => self.versions.iter().any(|glob| glob_matches(glob, &version)),
            // Which one it will be is not known: what is kept back might come, what is allowed might not.
            None => self.effect != Effect::Allow,
        }
    }

    fn fits_amount(&self, capability: &Capability) -> bool {
        if self.at_most.is_empty() {
            return true;
        }
        let within = |ceiling: Option<u64>, asked: Option<u64>| match (ceiling, asked) {
            (None, _) => true,
            (Some(ceiling), Some(asked)) => asked <= ceiling,
            // Without an end is more than any ceiling.
            (Some(_), None) => false,
        };
        match capability {
            Capability::Llm(models) => {
                within(self.at_most.requests, models.requests())
                    && within(self.at_most.tokens, models.tokens())
                    && within(self.at_most.money, models.money())
            }
            Capability::Budget(budget) => {
                let ceiling = match budget.unit() {
                    BudgetUnit::Requests => self.at_most.requests,
                    BudgetUnit::Tokens => self.at_most.tokens,
                    BudgetUnit::Money => self.at_most.money,
                };
                ceiling.is_some_and(|ceiling| budget.amount() <= ceiling)
            }
            _ => false,
        }
    }
}

/// Whether it fits a folder that `mount` lies in.
fn fits_above(glob: &str, mount: &Mount) -> bool {
    let mut above = mount.path().match_indices('/').map(|(at, _)| &mount.path()[..at]).filter(|path| !path.is_empty());
    above.any(|path| glob_matches(glob, &format!("{path}:{}", mount.mode().as_str())))
}

/// Whether it may fit a folder in `mount`. Here `*` stands for one folder: else each rule that begins with one would keep
/// back every folder there is.
fn fits_beneath(glob: &str, mount: &Mount) -> bool {
    let (path, mode) = glob.split_once(':').unwrap_or((glob, "*"));
    let (rule, asked): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), mount.path().split('/').collect());
    rule.len() > asked.len()
        && rule.iter().zip(&asked).all(|(rule, asked)| glob_matches(rule, asked))
        && glob_matches(mode, mount.mode().as_str())
}

/// What a rule's `name` is compared with: the package without its version, the models without their budget, what a budget is of and counted in, and of all
/// other kinds what stands behind the kind.
pub(super) fn name_of(capability: &Capability) -> String {
    match capability {
        Capability::Apt(package) => package.name().to_owned(),
        Capability::Pip(package) => package.name().as_str().to_owned(),
        Capability::Npm(package) => package.name().to_owned(),
        Capability::Llm(models) => models.glob().as_str().to_owned(),
        Capability::Budget(budget) => format!("{}{}", budget.scope().prefix(), budget.unit().as_str()),
        Capability::Tool(tool) => tool.to_string(),
        Capability::Net(endpoint) | Capability::Tcp(endpoint) => endpoint.to_string(),
        Capability::Mount(mount) => mount.to_string(),
        Capability::Secret(secret) => secret.to_string(),
        Capability::Action(action) => action.to_string(),
        Capability::Port(port) => port.to_string(),
        Capability::Schedule(name) => name.to_string(),
    }
}

/// The part of a name that says what is asked for, without what the one who asks may add to it: how a secret is sent, on what an
/// action may be used, whose budget it is.
fn bare_name_of(capability: &Capability) -> Option<String> {
    match capability {
        Capability::Budget(budget) => Some(budget.unit().as_str().to_owned()),
        Capability::Secret(_) | Capability::Action(_) => {
            name_of(capability).split_once(',').map(|(bare, _)| bare.to_owned())
        }
        _ => None,
    }
}

fn version_of(capability: &Capability) -> Option<String> {
    match capability {
        Capability::Apt(package) => package.version().map(ToString::to_string),
        Capability::Pip(package) => package.version().map(ToString::to_string),
        Capability::Npm(package) => package.version().map(str::to_owned),
        _ => None,
    }
}
