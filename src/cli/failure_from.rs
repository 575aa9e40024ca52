//! Each room's errors as failures: kind, sentence, what to do next. Once, here.

use std::path::Path;

use crate::failure::{Failure, Kind};
use crate::role::agent::AgentRefusal;
use crate::run::refusal::Refusal;
use crate::signature::SignatureError;
use crate::vault::VaultError;
use crate::{container, engine, gate, openclaw, registry, schedule, workflow};

/// A file that could not be used.
pub(crate) fn io(doing: &str, path: impl AsRef<Path>, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("cannot {doing} {}: {error}", path.as_ref().display()))
}

/// Arguments that could not be read.
pub(crate) fn arguments(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    Failure::new(Kind::Usage, message.trim_start_matches("error: ").trim_end())
        .hint("`taskforge help` lists the commands")
}

/// What to do where the kill switch is on.
pub(super) const UNLOCK: &str = "`taskforge kill --status` says why and what is left, `taskforge audit log RUN` what a run \
                                 did; then `taskforge unlock --reason …`";

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        use registry::Error;
        let message = error.to_string();
        match error {
            Error::NoRegistry { .. } | Error::NotARegistry { .. } => Self::new(Kind::NotFound, message)
                .hint("`taskforge init DIR` makes one; `--registry DIR` or TASKFORGE_REGISTRY names one"),
            Error::AlreadyRegistry { .. } => Self::new(Kind::Conflict, message),
            Error::ConfigSyntax { .. } | Error::ConfigValue { .. } | Error::BadPath { .. } => {
                Self::new(Kind::Usage, message)
            }
            Error::RunNotFound { .. } => {
                Self::new(Kind::NotFound, message).hint("`taskforge run list` shows what there is")
            }
            Error::RunExists { .. } => Self::new(Kind::Conflict, message).hint("choose another `--run-id`, or none"),
            Error::NoAgent { .. } => {
                Self::new(Kind::NotFound, message).hint("`taskforge agent list --all` shows who there is, or was")
            }
            Error::AgentExists { .. } => Self::new(Kind::Conflict, message).hint("choose another `--name`"),
            Error::Exists { .. } => Self::new(Kind::Conflict, message),
            Error::NotUtf8 { .. } | Error::TooLarge { .. } => Self::new(Kind::Usage, message),
            Error::Locked { .. } => Self::new(Kind::Locked, message).hint("try again in a moment"),
            Error::Killed { .. } => Self::new(Kind::Killed, message).hint(UNLOCK),
            Error::Integrity { ref run, .. } => {
                let hint = format!("`taskforge audit verify {run}` says where; `git log` may say who");
                Self::new(Kind::Integrity, message).hint(hint)
            }
            Error::Newer { .. } => {
                Self::new(Kind::Refused, message).hint("use the version that wrote it, or a newer one")
            }
            Error::Copied { ref original, .. } => {
                let hint =
                    format!("work in {}; or, if this is the one to keep, move that one away", original.display());
                Self::new(Kind::Refused, message).hint(hint)
            }
            Error::Remote { .. } => Self::new(Kind::Refused, message).hint("move the registry to a local disk"),
            _ => Self::new(Kind::Failed, message),
        }
    }
}

impl From<container::Error> for Failure {
    fn from(error: container::Error) -> Self {
        let kind = if error.is_unreachable() { Kind::Unavailable } else { Kind::Failed };
        let mut failure = Self::new(kind, error.to_string());
        for hint in error.hints() {
            failure = failure.hint(hint);
        }
        failure
    }
}

impl From<workflow::Error> for Failure {
    fn from(error: workflow::Error) -> Self {
        let message = error.to_string();
        if matches!(error, workflow::Error::NotFound { .. }) {
            return Self::new(Kind::NotFound, message).hint("`taskforge workflow list` shows what there is");
        }
        Self::new(Kind::Usage, message)
    }
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        let message = error.to_string();
        match error {
            SignatureError::NoPassphrase { .. } => Self::new(Kind::Refused, message)
                .hint("`ssh-add FILE` unlocks it in an ssh-agent, which then signs; or decide on a terminal"),
            SignatureError::NoKey { .. } => Self::new(Kind::Refused, message)
                .hint("`taskforge keys setup` finds or makes a key, and says who has to allow it"),
            SignatureError::Agent(_) => Self::new(Kind::Unavailable, message)
                .hint("`ssh-add -l` says whether it answers; SSH_AUTH_SOCK names its socket"),
            SignatureError::KeyFile { .. } | SignatureError::Settings { .. } => {
                Self::new(Kind::Usage, message).hint("`taskforge keys list` says which key is used, and from where")
            }
            SignatureError::Allowed { .. } => Self::new(Kind::Refused, message).hint(
                "nobody can decide until the line is right: `ssh-keygen` says how it is written, under ALLOWED SIGNERS",
            ),
            SignatureError::Unknown { .. }
            | SignatureError::Name { .. }
            | SignatureError::NotForNamespace { .. }
            | SignatureError::NotYet { .. }
            | SignatureError::Expired { .. } => {
                Self::new(Kind::Refused, message).hint("`taskforge keys list` says who may sign what")
            }
            _ => Self::new(Kind::Refused, message),
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        match error {
            VaultError::Registry(error) => error.into(),
            VaultError::NoVault | VaultError::NoIdentity { .. } => Self::new(Kind::NotFound, message)
                .hint("`taskforge secret init` makes one; an identity that was made elsewhere goes to that place, mode 0600"),
            VaultError::IdentityLost { .. } => Self::new(Kind::NotFound, message)
                .hint("bring the identity back to that place, mode 0600; without it the secrets are lost, and `.taskforge/vault` can go"),
            VaultError::NotFound { .. } => {
                Self::new(Kind::NotFound, message).hint("`taskforge secret list` shows what there is")
            }
            VaultError::IdentityExists { .. } => {
                Self::new(Kind::Conflict, message).hint("`taskforge secret rotate` makes another")
            }
            VaultError::IdentityMode { ref path, .. } => {
                let hint = format!("`chmod 600 {}`, and think about who has read it since", path.display());
                Self::new(Kind::Refused, message).hint(hint)
            }
            VaultError::Mode { ref path, .. } => {
                let hint = format!("`chmod go= {}`", path.display());
                Self::new(Kind::Refused, message).hint(hint)
            }
            VaultError::IdentityOwner { .. } | VaultError::NotForUs { .. } => Self::new(Kind::Refused, message),
            VaultError::WrongPassphrase { .. } => Self::new(Kind::Refused, message).hint("nothing was changed: try again"),
            VaultError::Locked { .. } => Self::new(Kind::Waiting, message)
                .hint("`taskforge secret unlock` on a terminal opens it until the next restart"),
            VaultError::Changed { ref name, .. } | VaultError::Missing { ref name, .. } => {
                let hint = format!(
                    "`taskforge secret set {name}` gives it a value again; `--from-age FILE` takes a file that another program encrypted"
                );
                Self::new(Kind::Integrity, message).hint(hint)
            }
            VaultError::LogGone { .. } => Self::new(Kind::Integrity, message)
                .hint("put it back from a copy; without one move the `.age` files aside, `taskforge secret init`, and `secret set NAME --from-age FILE` for each that you know to be in force"),
            VaultError::Log { .. } | VaultError::Damaged { .. } => Self::new(Kind::Integrity, message),
            VaultError::Name { .. }
            | VaultError::Value(_)
            | VaultError::Recipient { .. }
            | VaultError::Dotenv { .. }
            | VaultError::Identity { .. } => Self::new(Kind::Usage, message),
            VaultError::NoTmpfs => Self::new(Kind::Unavailable, message),
            VaultError::NoHome | VaultError::Io { .. } => Self::new(Kind::Failed, message),
        }
    }
}

impl From<gate::Error> for Failure {
    fn from(error: gate::Error) -> Self {
        let message = error.to_string();
        match error {
            gate::Error::Locked { .. } => Self::new(Kind::Locked, message).hint("wait until the run has ended"),
            gate::Error::NoSuchRecord { .. } => Self::new(Kind::NotFound, message),
            gate::Error::Inline { .. } => Self::new(Kind::Refused, message),
            gate::Error::Integrity { .. } => {
                Self::new(Kind::Integrity, message).hint("`taskforge audit verify` says what else")
            }
            _ => Self::new(Kind::Failed, message),
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        use engine::Error;
        let message = error.to_string();
        match error {
            Error::Registry(error) => error.into(),
            Error::Container(error) => error.into(),
            Error::Gate(error) => error.into(),
            Error::Vault(error) => error.into(),
            Error::WorkflowFile(error) => error.into(),
            Error::NoInput(_) => Self::new(Kind::NotFound, message),
            Error::NoRun(_) => Self::new(Kind::NotFound, message).hint("`taskforge run list` shows what there is"),
            Error::NoAction { ref run, .. } => {
                Self::new(Kind::NotFound, message).hint(format!("`taskforge action log {run}` lists them"))
            }
            Error::NotUnclear { ref run, seq, .. } => {
                Self::new(Kind::Conflict, message).hint(format!("`taskforge action show {run} {seq}`"))
            }
            Error::NoSchedule(_) => Self::new(Kind::NotFound, message).hint(
                "`taskforge watch list` has them; a watch of the settings ends with its section of taskforge.toml",
            ),
            Error::NoWatch(_) => Self::new(Kind::NotFound, message)
                .hint("`taskforge watch list` shows what there is; `[watch.NAME]` in taskforge.toml makes one"),
            Error::WatchBusy(_) => Self::new(Kind::Locked, message).hint("try again in a moment"),
            Error::NothingRuns { .. } | Error::HasEnded { .. } => {
                Self::new(Kind::NotFound, message).hint("`taskforge run show RUN` shows the attempts that there are")
            }
            Error::NothingWaits(_) => Self::new(Kind::NotFound, message).hint("`taskforge inbox` shows what waits"),
            Error::NoImage(_) => Self::new(Kind::NotFound, message).hint("`taskforge image list` shows those that do"),
            Error::NoDeployment(_) => {
                Self::new(Kind::NotFound, message).hint("`taskforge deployment list` shows those that there are")
            }
            Error::NothingGranted(_) | Error::NoRequest(_) => {
                Self::new(Kind::NotFound, message).hint("`taskforge capability list` shows what was asked for")
            }
            Error::GateBehind { .. } => Self::new(Kind::Unavailable, message).hint("`taskforge kill` ends everything"),
            Error::Ambiguous { .. } | Error::Usage(_) | Error::Input { .. } | Error::Workflow(_) => {
                Self::new(Kind::Usage, message)
            }
            Error::NoBaseImage(_) => {
                Self::new(Kind::Unavailable, message).hint("`taskforge image base` makes the base image")
            }
            Error::NoOpenclawImage(_) => Self::new(Kind::Unavailable, message),
            Error::NoOpenclaw { .. } => Self::new(Kind::Unavailable, message).hint(
                "`[containers.openclaw]` in taskforge.toml names the versions, `[packages]` where they come from",
            ),
            Error::Refused { refusal, .. } => Self::new(refusal_kind(&refusal), message),
            Error::Signature(error) => error.into(),
            Error::NoApprovers { .. } => Self::new(Kind::Refused, message)
                .hint("`git log -- allowed_signers` says where it went; `taskforge keys setup` makes a new one"),
            Error::NotSigned { .. } | Error::Unsigned(_) => Self::new(Kind::Refused, message)
                .hint("`taskforge approve ID` signs; `taskforge keys list` says who may"),
            Error::Unproven { ref run, .. } | Error::Unexplained { ref run, .. } => {
                let hint = format!("`taskforge audit verify {run}` says what else; `git log decisions` may say who");
                Self::new(Kind::Integrity, message).hint(hint)
            }
            Error::NoRole(_) => Self::new(Kind::NotFound, message)
                .hint("`taskforge role list` shows what there is; `taskforge role new NAME --from ROLE` makes one"),
            Error::Role(_) => Self::new(Kind::Usage, message),
            Error::RoleDenied { .. } => Self::new(Kind::Refused, message)
                .hint("drop it from the role, or change the rule: `taskforge policy explain CAPABILITY --role ROLE`"),
            Error::RoleChanged { .. } | Error::NotAnAgent { .. } | Error::NotThisAgent { .. } => {
                Self::new(Kind::Integrity, message).hint("`git log` may say who")
            }
            Error::Agent(AgentRefusal::Offboarded { .. }) => Self::new(Kind::Refused, message),
            Error::Agent(AgentRefusal::NoMemory { .. }) => {
                Self::new(Kind::NotFound, message).hint("`taskforge memory list AGENT` shows what there is")
            }
            Error::Agent(AgentRefusal::Memory(_)) => Self::new(Kind::Usage, message),
            Error::StillRuns { .. } => Self::new(Kind::Unavailable, message),
            Error::Stale { .. } => Self::new(Kind::Stale, message),
            Error::RuledAnew { .. } => {
                Self::new(Kind::Stale, message).hint("`taskforge inbox` shows it as it stands now")
            }
            Error::DecidedBefore { .. } => Self::new(Kind::Conflict, message),
            Error::NotResolvedYet { .. } => Self::new(Kind::Refused, message).hint("`taskforge tick` resolves it"),
            Error::Unresolvable { .. } => Self::new(Kind::Refused, message),
            Error::Fold { .. } | Error::WorkflowChanged { .. } => Self::new(Kind::Integrity, message),
            Error::Unsound { run, .. } => {
                Self::new(Kind::Integrity, message).hint(format!("`taskforge audit verify {run}` says where"))
            }
            Error::Checkpoint { .. } => Self::new(Kind::Integrity, message),
            Error::NothingToSeal(_) => Self::new(Kind::Conflict, message),
            Error::NotKilled => Self::new(Kind::Conflict, message),
            Error::KillUnfinished(_) => {
                Self::new(Kind::Unavailable, message).hint("start the Engine, then `taskforge unlock` again")
            }
            Error::Dynamic => Self::new(Kind::Unavailable, message)
                .hint("build it static: `cargo build --release --target x86_64-unknown-linux-musl`"),
            _ => Self::new(Kind::Failed, message),
        }
    }
}

fn refusal_kind(refusal: &Refusal) -> Kind {
    match refusal {
        Refusal::NoDeployment(_) => Kind::NotFound,
        Refusal::DeploymentRevoked(_) => Kind::Refused,
        Refusal::NoNode(_) | Refusal::NoRequest(_) | Refusal::NoSuchImage { .. } => Kind::NotFound,
        Refusal::Stale { .. } => Kind::Stale,
        Refusal::NeedsDecision(_) | Refusal::NotApprovable { .. } | Refusal::PartOfImage { .. } => Kind::Refused,
        _ => Kind::Conflict,
    }
}

impl From<openclaw::Error> for Failure {
    fn from(error: openclaw::Error) -> Self {
        use openclaw::Error;
        let message = error.to_string();
        match error {
            Error::Missing(_) | Error::Start { .. } => Self::new(Kind::Unavailable, message)
                .hint("`npm install -g openclaw`, or name it: `[openclaw] cli` in taskforge.toml, `--openclaw PATH`"),
            Error::Unreachable(_) => Self::new(Kind::Unavailable, message)
                .hint("`openclaw gateway status` says why; `openclaw gateway run` runs it in the foreground"),
            Error::TimedOut { .. } => Self::new(Kind::Unavailable, message)
                .hint("`[openclaw] timeout` in taskforge.toml says how long to wait"),
            Error::Refused { .. } => Self::new(Kind::Refused, message),
            Error::Unfit(_) => Self::new(Kind::Usage, message),
            _ => Self::new(Kind::Failed, message),
        }
    }
}

impl From<schedule::Error> for Failure {
    fn from(error: schedule::Error) -> Self {
        use schedule::Error;
        let message = error.to_string();
        match error {
            Error::Registry(error) => error.into(),
            Error::Openclaw(error) => error.into(),
            Error::Unfit(_) => Self::new(Kind::Usage, message),
            Error::Missing(program) => {
                let package = if program == "crontab" { "cron" } else { program };
                Self::new(Kind::Unavailable, message)
                    .hint(format!("install `{package}`, or name another place with `--backend`"))
            }
            Error::NoBackend => Self::new(Kind::Unavailable, message).hint("`apt-get install cron`"),
            Error::Contended => {
                Self::new(Kind::Locked, message).hint("close the editor that has it open, then try again")
            }
            _ => Self::new(Kind::Failed, message),
        }
    }
}
