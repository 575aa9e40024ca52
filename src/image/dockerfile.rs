//! The install steps as argument vectors, and the same as a Dockerfile. Both come from one list, so that what a
//! person reads is what runs. No shell, no interpolation: every variable part is an element of its own.

use std::fmt::Write as _;

use super::lock::Lock;
use super::npm;
use super::recipe::Recipe;

/// Where the fetched files are mounted, read-only. The folder exists in every distribution (FHS 3.12), so that the
/// mount leaves nothing behind in the layer.
pub(super) const PACKAGES: &str = "/mnt";

/// Whose packages a step installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    Apt,
    Pip,
    Npm,
}

impl Ecosystem {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Pip => "pip",
            Self::Npm => "npm",
        }
    }
}

/// One command, and with it one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub ecosystem: Ecosystem,
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// The steps that install `lock`, in order.
pub(super) fn steps(lock: &Lock) -> Vec<Step> {
    let mut steps = Vec::new();
    if !lock.apt().is_empty() {
        // Without `--no-download`: it breaks apt's own handling of local files. The network is absent instead.
        let fixed = [
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            "--no-remove",
            "-o",
            "Dir::Cache::pkgcache=",
            "-o",
            "Dir::Cache::srcpkgcache=",
            "-o",
            "Dpkg::Use-Pty=false",
            "-o",
            "Dpkg::Options::=--force-unsafe-io",
        ];
        let files = lock.apt().iter().map(|a| format!("{PACKAGES}/apt/{}", a.filename));
        steps.push(Step {
            ecosystem: Ecosystem::Apt,
            argv: fixed.into_iter().map(str::to_owned).chain(files).collect(),
            env: vec![("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())],
        });
    }
    if !lock.pip().is_empty() {
        let argv = [
            "python3",
            "-I",
            "-m",
            "pip",
            "install",
            "--no-index",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            // Also where the base has the version already: what was approved is this very wheel.
            "--force-reinstall",
            &format!("--find-links={PACKAGES}/pip"),
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-input",
            // The image is the environment; the distribution's guard (PEP 668) is for machines that people live in.
            "--break-system-packages",
            "--root-user-action=ignore",
            &format!("--requirement={PACKAGES}/requirements.txt"),
        ];
        steps.push(Step {
            ecosystem: Ecosystem::Pip,
            argv: argv.into_iter().map(str::to_owned).collect(),
            env: vec![("PIP_CONFIG_FILE".to_owned(), "/dev/null".to_owned())],
        });
    }
    if !lock.npm().is_empty() {
        steps.push(npm::step());
    }
    steps
}

/// `requirements.txt` of a lock: exact versions with the one digest that fits.
pub(super) fn requirements(lock: &Lock) -> String {
    lock.pip().iter().fold(String::new(), |mut text, pin| {
        let _ = writeln!(text, "{}=={} --hash=sha256:{}", pin.name, pin.version, pin.sha256);
        text
    })
}

pub(super) fn render(recipe: &Recipe) -> String {
    let lock = recipe.lock();
    // The text is in the digest that a decision names: that of a lock without npm stays what it was.
    let folders = if lock.npm().is_empty() { "packages/apt and packages/pip" } else { "packages/apt, pip and npm" };
    let mut text = format!(
        "# Made by taskforge from recipe.json; a change here changes nothing.\n\
         # By hand: lay the files of packages.lock into {folders}, then\n\
         #   DOCKER_BUILDKIT=1 docker build --network none .\n\
         FROM {}\n",
        recipe.from()
    );
    for step in recipe.steps() {
        let _ = writeln!(text, "\n# {}", step.ecosystem.as_str());
        match step.ecosystem {
            Ecosystem::Apt => {
                for pin in lock.apt() {
                    let _ = writeln!(text, "#   {} {} {} sha256:{}", pin.name, pin.version, pin.arch, pin.sha256);
                }
            }
            Ecosystem::Pip => {
                text.push_str("#   packages/requirements.txt:\n");
                for line in requirements(lock).lines() {
                    let _ = writeln!(text, "#     {line}");
                }
            }
            Ecosystem::Npm => {
                for pin in lock.npm() {
                    let _ = writeln!(text, "#   {} {} sha512:{}", pin.name, pin.version, pin.sha512.as_str());
                }
                text.push_str("#   packages/npm.txt:\n");
                for line in npm::tree(lock).lines() {
                    let _ = writeln!(text, "#     {line}");
                }
            }
        }
        // `ARG` reaches the command and leaves nothing in the image; `ENV` would stay.
        for (name, value) in &step.env {
            let _ = writeln!(text, "ARG {name}={value}");
        }
        let argv = serde_json::Value::from(step.argv);
        let _ = writeln!(text, "RUN --mount=type=bind,source=packages,target={PACKAGES} {argv}");
    }
    let _ = writeln!(text, "\nLABEL io.taskforge.recipe={}\nUSER 65534:65534", recipe.identity());
    text
}

#[cfg(test)]
#[path = "dockerfile_tests.rs"]
mod tests;
