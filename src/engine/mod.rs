//! One tick: look, plan, perform, journal. The engine joins the pure core with the rooms at the edge; what may happen
//! it leaves to `run::decide`, what should happen to `run::plan`. It never waits for a person, and it holds no run
//! lock while Docker, a build or the network is waited for.

mod actor;
mod adopt;
pub(crate) mod agents;
mod allowed;
mod approvers;
mod as_decided;
mod asked;
mod attempt_log;
mod backtest;
mod base;
mod beside;
pub mod binary;
pub(crate) mod children;
mod collect;
mod control;
mod decisions;
mod deployments;
mod diagnose;
mod dispatch;
mod docker;
mod edit;
mod engines;
mod error;
mod executors;
#[cfg(test)]
mod explained_tests;
mod export;
mod folders;
mod follow;
mod gate;
mod given;
mod grades;
mod images;
mod inbox;
mod ingest;
mod inspect;
#[cfg(test)]
mod kept;
mod kept_rules;
mod keys;
mod kill;
mod leaks;
mod listing;
mod mount_table;
mod notify;
mod observe;
mod of_the_operator;
mod openclaw_image;
mod outgoing;
mod package_set;
mod policy;
mod project;
mod reachable;
#[cfg(test)]
mod recorded;
mod refresh;
pub mod repair;
mod roles;
mod rulings;
mod schedules;
mod seal;
mod secrets;
pub mod session;
mod settled;
mod shelf;
mod standing;
mod start;
mod store;
mod taken;
mod tick;
mod told;
mod verify;
mod vouched;
mod watching;
mod workspace;

pub use actor::operator;
#[cfg(test)]
pub(crate) use agents::Projection as AgentProjection;
pub use agents::{
    AgentStore, Hired, ListedAgent, Offboarding, Remembered, Task, agents, exchange_text, forget, hire, history,
    offboard, remember, task_text, verify_agent, verify_agent_against,
};
pub use approvers::{Hand, approvers, are_configured, lies_unsigned};
pub use as_decided::{AsDecided, Explained, TakenBack, as_decided, explained};
pub use asked::{Asked, AskedFor, Step, Wanted as WantedRequests, any_request, asked, request_history};
pub use backtest::{Backtest, Replayed, backtest};
pub use base::make_base_image;
pub use collect::streams_cut_off;
pub use control::control;
pub use decisions::{
    Decided, Shown, Word, decide_all, decide_each, decide_for_elsewhere, decide_on, find_waiting, show,
    show_as_journaled,
};
pub use deployments::{
    Row as DeploymentRow, deployments_of, find_deployment, grade_deployment, list_deployments, start_deployment,
    stop_deployment,
};
pub use diagnose::{Diagnosis, Grade, diagnose};
pub use edit::{Trial, list_of, make_list, try_list};
pub use error::Error;
pub use executors::waits_for;
pub use export::{Exported, export};
pub use follow::{Ending, Until, follow};
pub use given::{Revoked, revoke};
pub use grades::{Grades, grades};
pub use images::{read_image_back, run_build};
pub use inbox::{Inbox, Untaken, Waiting, inbox, untaken, waiting_of};
pub use inspect::{Disk, DiskEnforcement, Inspection, inspect_attempt};
pub use keys::{Listed as ListedKey, SetUp, Wanted, list_approvers, set_up};
pub use kill::{
    KillState, KillStatus, Killed, finish_in_passing, finish_kill, kill, kill_status, unlock, verify_lifts,
};
pub use listing::{Listed, list};
pub use openclaw_image::{MadeOpenclaw, make_openclaw_image};
pub use refresh::{Outdated, outdated, rebuild};
pub use roles::{Declared, ListedRole, declared, list_roles, new_role, of_agent, role, warnings as role_warnings};
pub use rulings::{policies, policies_in};
pub use schedules::{RevokedSchedule, revoke_schedule};
pub use seal::{Sealable, Sealed, checkpoint_keys, list_checkpoints, seal};
pub use settled::{SettledAction, UnclearAction, settle_action, unclear_actions};
pub use shelf::{Cleared, Shelf, Shelved, clear_images, find_image, images_on_engine, shelf, users_of_images};
pub use standing::{StandingGrant, role_scope, standing_grants, workflow_scope};
pub use start::{Start, Started, check_start, find_workflow, start};
pub use store::Store;
pub use tick::{Ticked, tick};
pub use verify::{Given, verify, verify_against};
pub use vouched::{SignedPolicy, sign_policies, unsigned_policies};
pub use watching::{
    FailedWork, Found, Looked, Looking, Standing, WatchStatus, lacks_agent, look as look_for_watch,
    look_all as look_for_watches, names as watch_names, reset as reset_watch, standing as watch_standing, watches,
};
