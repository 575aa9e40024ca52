//! From a set of packages to an image. A request is resolved to a complete lock before anyone is asked
//! ([`resolve`]); base layers, lock and template make a recipe, whose digest is the image's identity ([`Recipe`]);
//! after the decision exactly the lock's files are fetched ([`fetch`]) and installed without a network
//! ([`run_build`]), and what is installed is read back.
//!
//! Never touches the journal, never decides what is allowed, never lets text from an index or an agent reach a
//! shell: every command is an argument vector whose variable parts come from strictly parsed types.

mod arriving;
pub mod base;
mod build;
pub mod ca;
pub mod detached;
mod dockerfile;
mod error;
mod fetch;
mod folder;
mod held;
mod installed;
mod limits;
mod lock;
mod npm;
mod npm_pin;
mod output;
mod pins;
mod pip_index;
mod reached;
mod readback;
mod recipe;
mod resolve;
mod sandbox;
pub mod sbom;
mod shelf;
mod store;

pub use build::{BuildOrder, Built, LABEL, base_layers, find, read_installed, run_build};
pub use dockerfile::{Ecosystem, Step};
pub use error::{Error, Refusal};
pub use fetch::{FetchOrder, Fetched, fetch};
pub use installed::{Installed, Layer};
pub use limits::Limits;
pub use lock::Lock;
pub use npm_pin::{Bundled, NpmPin, Sha512};
pub use pins::{AptPin, PinError, PipPin};
pub use recipe::{Recipe, TEMPLATE};
pub use resolve::{Cause, Resolution, ResolveOrder, Unresolvable, resolve};
pub use sandbox::Scope;
pub use shelf::{OnEngine, give_name, on_engine, remove as remove_image, take_name};
pub use store::{stage, stored_names};
