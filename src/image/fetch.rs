//! After the decision: exactly the lock's files, into the store by digest. The container that downloads runs as the
//! operator without any privilege; what it brings is hashed here, on the host, before it is believed.

use std::fs;
use std::path::Path;

use bollard::Docker;
use tokio::time::Instant;

use super::dockerfile::{PACKAGES, requirements};
use super::error::{Error, Refusal};
use super::folder;
use super::limits::Limits;
use super::lock::Lock;
use super::pip_index;
use super::sandbox::{Bind, Command, Role, Sandbox, Scope, Spec, apt_ca, ca, root_on_host, with_sandbox};
use super::store::{Artifact, KINDS, artifacts};
use crate::container::ImageRef;
use crate::run::id::Digest;

const KEEP: usize = 256 << 10;

/// What to fetch, and where to.
#[derive(Debug, Clone, Copy)]
pub struct FetchOrder<'a> {
    pub base: &'a ImageRef,
    pub lock: &'a Lock,
    /// The store: `.taskforge/packages`.
    pub packages: &'a Path,
    pub ca: Option<&'a Path>,
    pub pip_index: Option<&'a str>,
    pub scope: &'a Scope,
    pub limits: &'a Limits,
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Files that were in the store already.
    pub present: usize,
    pub downloaded: usize,
}

/// Makes sure that the store holds every file of the lock.
///
/// # Errors
/// [`Error::Mismatch`] if a stored or downloaded file is not what the lock names, [`Error::Step`] with the
/// downloader's words, [`Error::NoAddress`], and those of the Engine.
pub async fn fetch<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &FetchOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Fetched, Error> {
    folder::make(order.packages)?;
    let mut missing = Vec::new();
    let mut present = 0;
    for artifact in artifacts(order.lock) {
        if artifact.check(&artifact.stored(order.packages))? {
            present += 1;
        } else {
            missing.push(artifact);
        }
    }
    if missing.is_empty() {
        return Ok(Fetched { present, downloaded: 0 });
    }
    // By the scope's key, as the container's name: two builds with one lock on two bases do not meet here.
    let key = Digest::of(order.scope.key.as_bytes());
    let incoming = order.packages.join(format!(".incoming-{}-{}", order.lock.digest().short(), key.short()));
    let result = download(docker, order, guard, &missing, &incoming).await;
    let cleared = folder::remove_all(&incoming);
    result.and(cleared).map(|()| Fetched { present, downloaded: missing.len() })
}

async fn download<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &FetchOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
    missing: &[Artifact<'_>],
    incoming: &Path,
) -> Result<(), Error> {
    folder::make_empty(incoming)?;
    for kind in KINDS {
        folder::make_empty(&incoming.join(kind))?;
    }
    let wheels = order.lock.pip().iter().filter(|p| missing.iter().any(|m| m.kind == "pip" && m.name == p.name));
    let wheels = Lock::new(wheels.cloned().collect(), Vec::new());
    let wheels = wheels.map_err(|e| Error::format("a lock", e.to_string()))?;
    let list = incoming.join("requirements.txt");
    fs::write(&list, requirements(&wheels)).map_err(Error::file("write", &list))?;

    // The container's root has no privilege, not even over these: where it is nobody here, they are its own.
    let root = root_on_host(docker).await?;
    if let Some(owner) = root {
        for path in [incoming.to_owned(), list].into_iter().chain(KINDS.map(|kind| incoming.join(kind))) {
            folder::give(&path, owner)?;
        }
    }
    let (bind, env) = ca(order.ca);
    let mut binds: Vec<Bind> = bind.into_iter().collect();
    let host = incoming.canonicalize().map_err(Error::file("find", incoming))?;
    binds.push(Bind { host, inside: PACKAGES, writable: true });
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let spec = Spec {
        image: order.base.as_str(),
        role: Role::Fetch,
        scope: order.scope,
        limits: order.limits,
        deadline: Instant::now() + order.limits.wall,
        network: true,
        user: Some(format!("{}:{}", uid.as_raw(), gid.as_raw())),
        read_only: false,
        binds,
    };
    with_sandbox(docker, &spec, guard, async |sandbox| {
        if !wheels.is_empty() {
            fetch_wheels(sandbox, order, env).await?;
        }
        fetch_by_address(sandbox, order, missing).await
    })
    .await?;

    for artifact in missing {
        let brought = incoming.join(artifact.kind).join(&*artifact.filename);
        if !artifact.check(&brought)? {
            return Err(Error::NotDelivered { filename: artifact.filename.to_string() });
        }
        let stored = artifact.stored(order.packages);
        if root.is_some() {
            // The store is the operator's, whoever brought something.
            folder::give(&brought, (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()))?;
        }
        fs::File::open(&brought).and_then(|f| f.sync_all()).map_err(Error::file("sync", &brought))?;
        fs::rename(&brought, &stored).map_err(Error::file("store", &stored))?;
    }
    folder::sync(order.packages)
}

async fn fetch_wheels(
    sandbox: &Sandbox<'_>,
    order: &FetchOrder<'_>,
    mut env: Vec<(String, String)>,
) -> Result<(), Error> {
    let argv = [
        "python3",
        "-I",
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
        "--retries=2",
        "--timeout=30",
        &format!("--dest={PACKAGES}/pip"),
        &format!("--requirement={PACKAGES}/requirements.txt"),
    ];
    env.push(("HOME".to_owned(), "/tmp".to_owned()));
    env.extend(pip_index::variables(order.pip_index));
    let argv: Vec<String> = argv.iter().map(|w| (*w).to_owned()).collect();
    sandbox.succeed(Command { argv: &argv, env, keep: KEEP }).await.map(drop)
}

/// apt's own downloader, which takes address, target and digest and needs no package lists, so that a lock stays
/// fetchable after the lists have moved on. npm's archives come the same way: no npm is needed to get a file.
async fn fetch_by_address(
    sandbox: &Sandbox<'_>,
    order: &FetchOrder<'_>,
    missing: &[Artifact<'_>],
) -> Result<(), Error> {
    // An argument list has 2 MiB at most; a hundred files are some 40 KiB.
    const BATCH: usize = 100;
    let files: Vec<&Artifact<'_>> = missing.iter().filter(|m| m.kind != "pip").collect();
    for batch in files.chunks(BATCH) {
        let mut argv = vec!["/usr/lib/apt/apt-helper".to_owned()];
        argv.extend(apt_ca(order.ca));
        // The container has no privilege that apt could drop, and trying to is an error.
        argv.extend(["-o", "APT::Sandbox::User=root", "download-file"].map(str::to_owned));
        for file in batch {
            let url = file.url.ok_or_else(|| Error::NoAddress { name: file.name.to_owned() })?;
            let target = format!("{PACKAGES}/{}/{}", file.kind, file.filename);
            argv.extend([url.to_owned(), target, file.sum.labelled()]);
        }
        sandbox.succeed(Command { argv: &argv, env: Vec::new(), keep: KEEP }).await?;
    }
    Ok(())
}
