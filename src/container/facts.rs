//! What of the Engine itself bears on every container's box.

use bollard::models::SystemInfo;
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
    /// Who root in a container then is; of a rootless Engine, in its own counting.
    pub remap: Option<Remap>,
    /// Whether the Engine itself runs without root: root in a container is its user.
    pub rootless: bool,
    /// Every runtime that a container can be given, by name.
    pub runtimes: Vec<String>,
    pub default_runtime: String,
    pub seccomp: bool,
    pub apparmor: bool,
    pub selinux: bool,
    /// 1 or 2.
    pub cgroup_version: String,
    /// The limits that are in no force, whatever a container is given: `memory`, `swap`, `processes`, `processors`.
    pub unenforced: Vec<&'static str>,
}

/// The limits that nothing runs without unless a person has said so. Of swap a container may take some on many a machine.
const NEEDED: [&str; 3] = ["memory", "processes", "processors"];

/// The terms that an Engine's containers are started on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub remap: Option<Remap>,
    unenforced: Vec<&'static str>,
}

impl Terms {
    /// Whether every limit that is needed is in force.
    ///
    /// # Errors
    /// [`Error::Unenforced`] with those that are not.
    pub fn hold(&self) -> Result<(), Error> {
        let limits: Vec<_> = self.unenforced.iter().copied().filter(|limit| NEEDED.contains(limit)).collect();
        if limits.is_empty() { Ok(()) } else { Err(Error::Unenforced { limits }) }
    }
}

/// The limits that the Engine says it cannot keep. What it does not speak of it does not keep.
pub(super) fn unenforced(info: &SystemInfo) -> Vec<&'static str> {
    let limits = [
        ("memory", info.memory_limit),
        ("swap", info.swap_limit),
        ("processes", info.pids_limit),
        ("processors", info.cpu_cfs_quota),
    ];
    limits.into_iter().filter(|(_, kept)| *kept != Some(true)).map(|(name, _)| name).collect()
}

impl Engine {
    /// Asks the Engine about itself.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn facts(&self) -> Result<Facts, Error> {
        let info = self.docker().info().await.map_err(|error| self.explain("describe itself", error))?;
        let unenforced = unenforced(&info);
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
            unenforced,
        })
    }

    /// What tells the Engine from others: its own name for itself, and where its data lies, since until version 24 two of one
    /// machine may have one name. One request.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn identity(&self) -> Result<String, Error> {
        let info = self.docker().info().await.map_err(|error| self.explain("describe itself", error))?;
        Ok(format!("{} {}", info.id.unwrap_or_default(), info.docker_root_dir.unwrap_or_default()))
    }

    /// On what terms it starts containers. One request.
    ///
    /// # Errors
    /// As [`Engine::remap`].
    pub async fn terms(&self) -> Result<Terms, Error> {
        let info = self.docker().info().await.map_err(|error| self.explain("describe itself", error))?;
        let options = info.security_options.as_deref().unwrap_or_default();
        let remap = remap(options, info.docker_root_dir.as_deref().unwrap_or_default())?;
        Ok(Terms { remap, unenforced: unenforced(&info) })
    }
}
