//! The install steps of one build, each in a container without a network, and the reading back.

use std::collections::HashMap;
use std::path::Path;

use bollard::Docker;
use bollard::models::{ContainerConfig, ImageInspect};
use tokio::time::Instant;

use super::super::dockerfile::{PACKAGES, Step};
use super::super::error::{Error, Refusal};
use super::super::folder;
use super::super::held::{self, Held};
use super::super::installed::Installed;
use super::super::output::Bounded;
use super::super::sandbox::{Bind, Command, Role, Spec, with_files, with_sandbox};
use super::{BuildOrder, LABEL, PART};
use crate::run::time;

/// The most that is read of what a base was found to hold.
const BASE: u64 = 64 << 20;

pub(super) struct Bench<'a> {
    pub(super) docker: &'a Docker,
    pub(super) order: &'a BuildOrder<'a>,
    pub(super) deadline: Instant,
    /// The folder that [`super::store::stage`] laid out.
    pub(super) staged: &'a Path,
    pub(super) base: &'a ImageInspect,
}

impl Bench<'_> {
    /// Runs the steps and compares the result of each with the lock; the id of the image, which has no tag yet, and what it
    /// holds.
    pub(super) async fn install<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        log: &mut Bounded,
    ) -> Result<(String, Installed), Error> {
        let (recipe, steps) = (self.order.recipe, self.order.recipe.steps());
        let mut image = self.base.id.clone().unwrap_or_default();
        let base = self.of_base(guard, &image).await?;
        let mut held = base.clone();
        let mut attempts = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let last = i + 1 == steps.len();
            let tried;
            (image, tried) = self.step(guard, log, &image, step, last).await?;
            attempts.push(tried);
            let before = std::mem::replace(&mut held, self.look(guard, &image).await?);
            let differences = held.differs(&before, step.ecosystem, recipe.lock());
            if !differences.is_empty() {
                return Err(Error::ReadBack { differences });
            }
            let files = held.new_setuid(&before);
            if !files.is_empty() {
                return Err(Error::Setuid { files });
            }
        }
        log.push(b"\ninstalled versions read back: equal to the lock\n");
        let mut installed = self.installed(&held, Some(&base));
        attempts.into_iter().for_each(|tried| installed.count_attempts(tried));
        Ok((image, installed))
    }

    /// Runs one step; the id of the image that it makes, and how often something in it tried to reach a network, if that can
    /// be seen.
    async fn step<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        log: &mut Bounded,
        image: &str,
        step: &Step,
        last: bool,
    ) -> Result<(String, Option<u64>), Error> {
        let host = self.staged.canonicalize().map_err(Error::file("find", self.staged))?;
        let mut spec = self.spec(image, Role::Build);
        spec.binds = vec![Bind { host, inside: PACKAGES, writable: false }];
        with_sandbox(self.docker, &spec, guard, async |sandbox| {
            log.push(format!("\n$ {}\n", step.argv.join(" ")).as_bytes());
            let command = Command { argv: &step.argv, env: step.env.clone(), keep: self.order.limits.log };
            let output = sandbox.run_into(command, log).await?;
            if output.exit != 0 {
                let command = format!("{} install", step.ecosystem.as_str());
                return Err(Error::Step { command, exit: output.exit, words: output.words() });
            }
            let tried = sandbox.network_attempts().await?;
            match tried {
                Some(0) => {}
                Some(tried) => log.push(
                    format!("\nthis step tried to reach a network, which it has none of: {tried} times\n").as_bytes(),
                ),
                None => log.push(b"\nwhether this step tried to reach a network cannot be seen from here\n"),
            }
            let comment = format!("taskforge: {} packages", step.ecosystem.as_str());
            Ok((sandbox.commit(self.config(last), &comment).await?, tried))
        })
        .await
    }

    /// What an image holds, by its files and nobody's word.
    async fn look<G, E: Into<Refusal>>(&self, guard: &impl Fn() -> Result<G, E>, image: &str) -> Result<Held, Error> {
        let spec = self.spec(image, Role::Probe);
        with_files(self.docker, &spec, guard, held::read).await
    }

    /// What the base holds: looked at once, and kept beside the packages under the base's id, which says all of its bytes.
    async fn of_base<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        image: &str,
    ) -> Result<Held, Error> {
        let kept = self.order.packages.join(format!(".base-{}.json", image.trim_start_matches("sha256:")));
        let read = folder::read(&kept, BASE).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(held) = read {
            return Ok(held);
        }
        let held = self.look(guard, image).await?;
        folder::replace(&kept, &serde_json::to_vec(&held).unwrap_or_default())?;
        Ok(held)
    }

    /// What an image that is there holds, which was built upon image `base`, if that is there as well.
    pub(super) async fn what_is_installed<G, E: Into<Refusal>>(
        &self,
        guard: &impl Fn() -> Result<G, E>,
        image: &str,
        base: Option<&str>,
    ) -> Result<Installed, Error> {
        let held = self.look(guard, image).await?;
        let before = match base {
            Some(base) => Some(self.of_base(guard, base).await?),
            None => None,
        };
        let mut installed = self.installed(&held, before.as_ref());
        // Whoever installed it may have looked; nobody did here.
        installed.count_attempts(None);
        Ok(installed)
    }

    fn installed(&self, held: &Held, base: Option<&Held>) -> Installed {
        let recipe = self.order.recipe;
        let (apt, pip, npm) = held.versions();
        let mut installed = Installed::new(recipe.identity(), time::isoformat(chrono::Utc::now()), apt, pip, npm);
        installed.by_debian = base.map(|base| held.by_debian(base, recipe.lock())).unwrap_or_default();
        installed
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
