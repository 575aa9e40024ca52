//! Deployments: what an agent built, offered on a port of this machine. Real containers, a real gate, a real client.

mod changed;
mod copies;
mod crash;
mod ends;
mod hostile;
mod kept;
mod life;
mod many;
pub mod stage;
mod terms;
