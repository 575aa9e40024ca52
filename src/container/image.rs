//! Images: whether one is there, what it holds, naming it, making one from a container or an archive.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::models::{ContainerConfig, ImageInspect};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, pin_mut};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use super::engine::Engine;
use super::error::Error;
use super::image_ref::ImageRef;
use super::labels::LABEL_PREFIX;

/// What the Engine says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFacts {
    /// `sha256:…`, of the image's configuration.
    pub id: String,
    /// `sha256:…` of each layer's archive, the lowest first.
    pub layers: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// Empty is root.
    pub user: String,
    pub workdir: String,
    /// Paths that would be writable in every container of the image, whatever its root file system is.
    pub volumes: Vec<String>,
    pub tags: Vec<String>,
    pub architecture: String,
    /// Bytes.
    pub size: u64,
}

/// What the image made from a container is configured with; what stays empty is the container's image's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    pub labels: BTreeMap<String, String>,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    pub user: String,
    pub workdir: String,
    pub comment: String,
}

/// The labels that say whose a container is, and mean nothing on an image.
const OF_A_CONTAINER: [&str; 6] = ["registry", "run", "node", "attempt", "role", "spec"];

/// How much of a file is read at a time on its way to the Engine.
const CHUNK: usize = 256 << 10;

impl Engine {
    /// Whether the image is there.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn image_exists(&self, image: &ImageRef) -> Result<bool, Error> {
        Ok(self.image_inspect(image).await?.is_some())
    }

    /// What the image is; `None` if there is none.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn image_inspect(&self, image: &ImageRef) -> Result<Option<ImageFacts>, Error> {
        match self.docker().inspect_image(image.as_str()).await {
            Ok(found) => Ok(Some(facts(found))),
            Err(Bollard::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.explain(format!("inspect the image `{image}`"), error)),
        }
    }

    /// Gives an image a name more.
    ///
    /// # Errors
    /// [`Error::ImageMissing`]; [`Error::Engine`] if `name` cannot be one.
    pub async fn tag(&self, image: &ImageRef, name: &ImageRef) -> Result<(), Error> {
        let (repository, tag) = nameable(name)?;
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        match self.docker().tag_image(image.as_str(), Some(options)).await {
            Ok(()) => Ok(()),
            Err(Bollard::DockerResponseServerError { status_code: 404, .. }) => {
                Err(Error::ImageMissing { image: image.to_string() })
            }
            Err(error) => Err(self.explain(format!("name the image `{name}`"), error)),
        }
    }

    /// Takes a name from an image, and removes the image with its last one. `false` if there was none. An image that a
    /// container uses is refused.
    ///
    /// # Errors
    /// The Engine refuses, cannot be reached, or fails.
    pub async fn remove_image(&self, image: &ImageRef) -> Result<bool, Error> {
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
        match self.docker().remove_image(image.as_str(), Some(options), None).await {
            Ok(_) => Ok(true),
            Err(Bollard::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(self.explain(format!("remove the image `{image}`"), error)),
        }
    }

    /// Makes an image from what a stopped container's file system has become, and answers its id. What lay in a tmpfs
    /// or a mount is not in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such container.
    pub async fn commit(&self, container: &str, name: &ImageRef, commit: &Commit) -> Result<String, Error> {
        let (repository, tag) = nameable(name)?;
        let base = self.inspect_raw(container).await?;
        let base = base.ok_or_else(|| Error::NotFound { name: container.to_owned() })?;
        let image = ImageRef::parse(&base.image.unwrap_or_default())?;
        let below = self.image_inspect(&image).await?;
        let below = below.ok_or_else(|| Error::ImageMissing { image: image.to_string() })?;
        let options = CommitContainerOptionsBuilder::default()
            .container(container)
            .repo(repository)
            .tag(tag)
            .comment(&commit.comment)
            .pause(true)
            .build();
        let made = self.patient().commit_container(options, configuration(&below, commit)).await;
        Ok(made.map_err(|error| self.explain(format!("make the image `{name}` from `{container}`"), error))?.id)
    }

    /// Makes an image of one layer from a tar file, and answers its id.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read to its end; the Engine refuses what is no tar.
    pub async fn import_file(&self, tar: &Path, name: &ImageRef, changes: Vec<String>) -> Result<String, Error> {
        let io = |source| Error::Io { path: tar.to_path_buf(), doing: "read", source };
        let file = tokio::fs::File::open(tar).await.map_err(io)?;
        let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
            let mut chunk = vec![0; CHUNK];
            let length = file.read(&mut chunk).await?;
            chunk.truncate(length);
            Ok((length > 0).then(|| (Bytes::from(chunk), file)))
        });
        self.import(chunks, name, changes).await
    }

    /// Makes an image of one layer from a tar archive in memory, and answers its id.
    ///
    /// # Errors
    /// The Engine refuses what is no tar.
    pub async fn import_bytes(&self, tar: Bytes, name: &ImageRef, changes: Vec<String>) -> Result<String, Error> {
        self.import(futures_util::stream::once(std::future::ready(Ok(tar))), name, changes).await
    }

    async fn import(
        &self,
        tar: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
        name: &ImageRef,
        changes: Vec<String>,
    ) -> Result<String, Error> {
        let (repository, tag) = nameable(name)?;
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(&format!("{repository}:{tag}"))
            .changes(changes)
            .build();
        let engine = self.patient();
        let progress = engine.create_image(Some(options), Some(bollard::body_try_stream(tar)), None);
        pin_mut!(progress);
        while let Some(line) = progress.next().await {
            line.map_err(|error| self.explain(format!("import the image `{name}`"), error))?;
        }
        let made = self.image_inspect(name).await?;
        made.map(|facts| facts.id).ok_or_else(|| Error::ImageMissing { image: name.to_string() })
    }

    /// Fetches an image from the registry its name names, or from the Engine's default one, if it answers within
    /// `answer`. Once it does, there is time.
    ///
    /// # Errors
    /// [`Error::Timeout`], or the Engine's words for why it could not.
    pub async fn pull(&self, image: &ImageRef, answer: Duration) -> Result<(), Error> {
        let (name, tag) = image.repository_and_tag().unwrap_or((image.as_str(), ""));
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let engine = self.patient();
        let progress = engine.create_image(Some(options), None, None);
        pin_mut!(progress);
        let what = || format!("pull the image `{image}`");
        let first = tokio::time::timeout(answer, progress.next()).await;
        let mut line = first.map_err(|_| Error::Timeout { what: what() })?;
        while let Some(outcome) = line {
            outcome.map_err(|error| self.explain(what(), error))?;
            line = progress.next().await;
        }
        Ok(())
    }
}

fn nameable(name: &ImageRef) -> Result<(&str, &str), Error> {
    name.repository_and_tag().ok_or_else(|| Error::ImageChanged {
        image: name.to_string(),
        why: "an image cannot be given a digest as its name".to_owned(),
    })
}

/// The Engine fills what a commit leaves open from the container, which has the builder's command, user and labels; so
/// everything is written out, from `commit` or from the image below. Labels cannot be left out, only emptied: with the
/// registry's id in it, whoever ran the image by hand would have a container that the kill switch removes.
fn configuration(below: &ImageFacts, commit: &Commit) -> ContainerConfig {
    let or = |new: &Vec<String>, old: &Vec<String>| Some(if new.is_empty() { old.clone() } else { new.clone() });
    let workdir = [commit.workdir.as_str(), below.workdir.as_str(), "/"];
    let workdir = workdir.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned();
    let mut env = below.env.clone();
    for line in &commit.env {
        let name = line.split('=').next().unwrap_or_default();
        env.retain(|old| old.split('=').next() != Some(name));
        env.push(line.clone());
    }
    let mut labels: HashMap<String, String> =
        OF_A_CONTAINER.into_iter().map(|key| (format!("{LABEL_PREFIX}{key}"), String::new())).collect();
    labels.extend(below.labels.clone());
    labels.extend(commit.labels.clone());
    ContainerConfig {
        user: Some(if commit.user.is_empty() { below.user.clone() } else { commit.user.clone() }),
        env: Some(env),
        cmd: or(&commit.cmd, &below.cmd),
        entrypoint: or(&commit.entrypoint, &below.entrypoint),
        working_dir: Some(workdir),
        labels: Some(labels),
        ..ContainerConfig::default()
    }
}

fn facts(found: ImageInspect) -> ImageFacts {
    let config = found.config.unwrap_or_default();
    ImageFacts {
        id: found.id.unwrap_or_default(),
        layers: found.root_fs.and_then(|root| root.layers).unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        env: config.env.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        workdir: config.working_dir.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default(),
        tags: found.repo_tags.unwrap_or_default(),
        architecture: found.architecture.unwrap_or_default(),
        size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
    }
}
