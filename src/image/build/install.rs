//! The install steps of one build, each in a container without a network, and the reading back.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use bollard::Docker;
use bollard::models::{ContainerConfig, ImageInspect};
use tokio::time::Instant;

use super::super::dockerfile::{Ecosystem, PACKAGES, Step};
use super::super::error::{Error, Refusal};
use super::super::installed::Installed;
use super::super::npm;
use super::super::output::Bounded;
use super::super::readback::{self, Versions};
use super::super::sandbox::{Bind, Command, Role, Spec, with_sandbox};
use super::{BuildOrder, LABEL, PART};
use crate::run::time;

pub(super) struct Bench<'a> {
    pub(super) docker: &'a Docker,
    pub(super) order: &'a BuildOrder<'a>,
    pub(super) deadline: Instant,
    /// The folder that [`super::store::stage`] laid out.
    pub(super) staged: &'a Path,
    pub(super) base: &'a ImageInspect,
}

/// What was installed before the steps, each taken right before the step that changes it.
#[derive(Default)]
struct Before {
    debs: Option<Versions>,
    wheels: Option<Versions>,
    npm: Option<Versions>,
    setuid: Option<BTreeSet<String>>,
}

impl Bench<'_> {
    /// Runs the steps and compares the result with the lock; the id of the image, which has no tag yet, and what it holds.
    pub(super) async fn install<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        log: &mut Bounded,
    ) -> Result<(String, Installed), Error> {
        let steps = self.order.recipe.steps();
        let mut before = Before::default();
        let mut image = self.base.id.clone().unwrap_or_default();
        for (i, step) in steps.iter().enumerate() {
            let last = i + 1 == steps.len();
            image = self.step(guard, log, &image, step, last, &mut before).await?;
        }
        let installed = self.read_back(guard, &image, &before).await?;
        log.push(b"\ninstalled versions read back: equal to the lock\n");
        Ok((image, installed))
    }

    async fn step<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        log: &mut Bounded,
        image: &str,
        step: &Step,
        last: bool,
        before: &mut Before,
    ) -> Result<String, Error> {
        let host = self.staged.canonicalize().map_err(Error::file("find", self.staged))?;
        let mut spec = self.spec(image, Role::Build);
        spec.binds = vec![Bind { host, inside: PACKAGES, writable: false }];
        with_sandbox(self.docker, &spec, guard, async |sandbox| {
            if before.debs.is_none() {
                before.debs = Some(readback::debs(sandbox).await?);
                before.setuid = Some(readback::setuid(sandbox).await?);
            }
            if step.ecosystem == Ecosystem::Pip {
                before.wheels = Some(readback::wheels(sandbox).await?);
            }
            if step.ecosystem == Ecosystem::Npm {
                before.npm = Some(readback::npm(sandbox).await?);
            }
            log.push(format!("\n$ {}\n", step.argv.join(" ")).as_bytes());
            let command = Command { argv: &step.argv, env: step.env.clone(), keep: self.order.limits.log };
            let output = sandbox.run_into(command, log).await?;
            if output.exit != 0 {
                let command = format!("{} install", step.ecosystem.as_str());
                return Err(Error::Step { command, exit: output.exit, words: output.words() });
            }
            let comment = format!("taskforge: {} packages", step.ecosystem.as_str());
            sandbox.commit(self.config(last), &comment).await
        })
        .await
    }

    async fn read_back<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        image: &str,
        before: &Before,
    ) -> Result<Installed, Error> {
        let mut spec = self.spec(image, Role::Probe);
        spec.read_only = true;
        with_sandbox(self.docker, &spec, guard, async |sandbox| {
            let lock = self.order.recipe.lock();
            let mut found = Vec::new();
            let (mut apt, mut pip, mut all_npm) = (Versions::new(), Versions::new(), Versions::new());
            if let Some(debs) = &before.debs {
                apt = readback::debs(sandbox).await?;
                found = readback::differences("Debian package", debs, &readback::wanted_debs(lock), &apt);
            }
            if let Some(wheels) = &before.wheels {
                pip = readback::wheels(sandbox).await?;
                let wanted = readback::wanted_wheels(lock);
                found.extend(readback::differences("Python package", wheels, &wanted, &pip));
            }
            if let Some(packages) = &before.npm {
                all_npm = readback::npm(sandbox).await?;
                let after = npm::without_bundled(lock, all_npm.clone());
                found.extend(readback::differences("npm package", packages, &npm::wanted(lock), &after));
            }
            if !found.is_empty() {
                return Err(Error::ReadBack { differences: found });
            }
            let after = readback::setuid(sandbox).await?;
            let before = before.setuid.clone().unwrap_or_default();
            let new: Vec<String> = after.difference(&before).cloned().collect();
            if !new.is_empty() {
                return Err(Error::Setuid { files: new });
            }
            let at = time::isoformat(chrono::Utc::now());
            Ok(Installed::new(self.order.recipe.identity(), at, apt, pip, all_npm))
        })
        .await
    }

    /// What an image that is there holds: Debian's packages, and Python's if its recipe has any.
    pub(super) async fn what_is_installed<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        image: &str,
    ) -> Result<Installed, Error> {
        let mut spec = self.spec(image, Role::Probe);
        spec.read_only = true;
        with_sandbox(self.docker, &spec, guard, async |sandbox| {
            let recipe = self.order.recipe;
            let apt = readback::debs(sandbox).await?;
            let python = !recipe.lock().pip().is_empty();
            let pip = if python { readback::wheels(sandbox).await? } else { Versions::new() };
            let node = !recipe.lock().npm().is_empty();
            let npm = if node { readback::npm(sandbox).await? } else { Versions::new() };
            Ok(Installed::new(recipe.identity(), time::isoformat(chrono::Utc::now()), apt, pip, npm))
        })
        .await
    }

    fn spec<'s>(&'s self, image: &'s str, role: Role) -> Spec<'s> {
        Spec {
            image,
            role,
            scope: self.order.scope,
            limits: self.order.limits,
            deadline: self.deadline,
            network: false,
            user: None,
            read_only: false,
            binds: Vec::new(),
        }
    }

    /// The base's own settings, but unprivileged, and labelled.
    fn config(&self, last: bool) -> ContainerConfig {
        let base = self.base.config.clone().unwrap_or_default();
        let recipe = self.order.recipe.identity().to_string();
        let mut labels: HashMap<String, String> = base.labels.unwrap_or_default();
        labels.insert(PART.to_owned(), recipe.clone());
        if last {
            labels.insert(LABEL.to_owned(), recipe);
        }
        ContainerConfig {
            user: Some("65534:65534".to_owned()),
            env: base.env,
            cmd: base.cmd.filter(|c| !c.is_empty()).or_else(|| Some(vec!["/bin/sh".to_owned()])),
            entrypoint: Some(base.entrypoint.unwrap_or_default()),
            working_dir: base.working_dir.filter(|w| !w.is_empty()).or_else(|| Some("/".to_owned())),
            labels: Some(labels),
            ..ContainerConfig::default()
        }
    }
}
