//! Deployments: files that an agent left, offered on a port of the host. What a proposal comes down to is copied and
//! hashed before anyone is asked, and the copy is what runs: in a container of its own, behind a gate of its own. A
//! deployment outlives its run; ticks bring it back when it or the machine failed.

mod gate;
mod launch;
mod listing;
mod over;
mod place;
mod propose;
mod seen;

pub(crate) use self::launch::{KEPT_AS, deploy, go_on};
pub(crate) use self::listing::outliving;
pub use self::listing::{
    Row, deployments_of, find_deployment, grade_deployment, list_deployments, start_deployment, stop_deployment,
};
pub(crate) use self::over::{copy_running_logs, end, take_down};
pub(crate) use self::place::place;
pub(crate) use self::propose::{forget_refused, is_the_same, propose};
pub(crate) use self::seen::seen;
