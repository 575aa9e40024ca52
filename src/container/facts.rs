//! What of the Engine itself bears on every container's box.

use serde::Serialize;

use super::engine::Engine;
use super::error::Error;
use super::remap::{Remap, remap};

/// How the Engine is set up, in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub version: String,
    /// Whether a container's user is another user on the host (`userns-remap`).
    pub user_namespaces: bool,
    /// Who root in a container then is.
    pub remap: Option<Remap>,
    /// Whether the Engine itself runs without root.
    pub rootless: bool,
    /// Every runtime that a container can be given, by name.
    pub runtimes: Vec<String>,
    pub default_runtime: String,
    pub seccomp: bool,
    pub apparmor: bool,
    pub selinux: bool,
    /// 1 or 2.
    pub cgroup_version: String,
}

impl Engine {
    /// Asks the Engine about itself.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn facts(&self) -> Result<Facts, Error> {
        let info = self.docker().info().await.map_err(|error| self.explain("describe itself", error))?;
        let options = info.security_options.unwrap_or_default();
        let has = |mark: &str| options.iter().any(|option| option.split(',').any(|part| part == mark));
        let mut runtimes: Vec<String> = info.runtimes.into_iter().flatten().map(|(name, _)| name).collect();
        runtimes.sort_unstable();
        Ok(Facts {
            version: info.server_version.unwrap_or_default(),
            user_namespaces: has("name=userns"),
            remap: remap(&options, info.docker_root_dir.as_deref().unwrap_or_default()).ok().flatten(),
            rootless: has("name=rootless"),
            runtimes,
            default_runtime: info.default_runtime.unwrap_or_default(),
            seccomp: has("name=seccomp"),
            apparmor: has("name=apparmor"),
            selinux: has("name=selinux"),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
        })
    }
}
