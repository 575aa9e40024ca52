//! Engines where a container's user is another user on the host (`userns-remap`, rootless mode): which user that is, by
//! what the Engine says before anything is made, and by what the kernel says of what runs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::Error;
use super::rootless;

/// Whom a run is for on a rootless Engine: its root is root of the namespace that this process is in, too.
pub(crate) const ROOTLESS: (u32, u32) = (0, 0);

/// How many ids an Engine maps where `/etc/subuid` does not say; `useradd` gives as many.
const USUAL: u32 = 65_536;

/// Who root in a container is on the host; ids above it follow. Of a rootless Engine it is 0: this process takes part in
/// the Engine's user namespace, and counts ids as that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remap {
    pub uid: u32,
    pub gid: u32,
    /// How many ids there are.
    pub size: u32,
}

impl Engine {
    /// How the Engine maps users; none where a container's user is the host's. One request.
    ///
    /// # Errors
    /// [`Error::UserNamespace`] where it does so in a way that is not supported.
    pub async fn remap(&self) -> Result<Option<Remap>, Error> {
        let info = self.docker().info().await.map_err(|error| self.explain("describe itself", error))?;
        remap(info.security_options.as_deref().unwrap_or_default(), info.docker_root_dir.as_deref().unwrap_or_default())
    }
}

/// [`mapping`], as this process sees it.
///
/// # Errors
/// As [`mapping`].
pub(crate) fn remap(options: &[String], root: &str) -> Result<Option<Remap>, Error> {
    mapping(options, root, crate::user_namespace::ids())
}

/// `options` and `root` are `SecurityOptions` and `DockerRootDir` of the Engine's `/info`: what belongs to a mapping lies
/// in a folder of its own, `<uid>.<gid>`. `ids` is how many ids the user namespace has that this process is in, if that
/// is not the machine's.
///
/// # Errors
/// [`Error::NotItsUser`] in rootless mode, if this process is not in the Engine's namespace; [`Error::UserNamespace`]
/// when the folder does not say who is meant.
fn mapping(options: &[String], root: &str, ids: Option<u32>) -> Result<Option<Remap>, Error> {
    let has = |mark: &str| options.iter().any(|option| option.split(',').any(|part| part == mark));
    if has("name=rootless") {
        let size = ids.filter(|ids| *ids > 1).ok_or(Error::NotItsUser)?;
        return Ok(Some(Remap { uid: 0, gid: 0, size }));
    }
    if !has("name=userns") {
        return Ok(None);
    }
    let folder = Path::new(root).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ids = folder.split_once('.').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let Some((uid, gid)) = ids.filter(|(uid, gid)| *uid > 0 && *gid > 0) else {
        return Err(Error::UserNamespace { what: "userns-remap, and does not say to which ids" });
    };
    let size = ["/etc/subuid", "/etc/subgid"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let size = size.iter().zip([uid, gid]).map(|(table, first)| size_of(table, first)).min().unwrap_or(USUAL);
    Ok(Some(Remap { uid, gid, size }))
}

/// How many ids from `first` on a table like `/etc/subuid` gives somebody.
fn size_of(table: &str, first: u32) -> u32 {
    let counts = table.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        (fields.next()?.trim().parse() == Ok(first)).then(|| fields.next()?.trim().parse().ok()).flatten()
    });
    counts.min().unwrap_or(USUAL)
}

/// Whether in process `pid` root is who `wanted` says, and nobody else is meant by 0: uid and gid, or the host's own; or,
/// for [`ROOTLESS`], whether it is in the same user namespace as this process. What has ended meanwhile proves nothing, and
/// harms nobody.
///
/// # Errors
/// [`Error::Mapping`], [`Error::NotItsUser`].
pub(crate) fn prove(pid: u32, wanted: Option<(u32, u32)>) -> Result<(), Error> {
    if wanted == Some(ROOTLESS) {
        return match rootless::is_shared_with(pid) {
            Some(false) => Err(Error::NotItsUser),
            Some(true) | None => Ok(()),
        };
    }
    let (uid, gid) = wanted.unwrap_or((0, 0));
    for (name, wanted) in [("uid_map", uid), ("gid_map", gid)] {
        let Ok(map) = std::fs::read_to_string(format!("/proc/{pid}/{name}")) else { continue };
        if first_of(&map) != Some(wanted) {
            let found = map.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            return Err(Error::Mapping { wanted: wanted.to_string(), found });
        }
    }
    Ok(())
}

/// Who 0 is in a map as the kernel shows it, if the map goes on from there without a gap.
fn first_of(map: &str) -> Option<u32> {
    let mut lines = map.lines();
    let fields: Vec<u32> = lines.next()?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    match fields[..] {
        [0, host, count] if count > 1 && lines.next().is_none() => Some(host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_engine_says_how_it_maps() {
        let options = |text: &str| vec!["name=seccomp,profile=default".to_owned(), text.to_owned()];
        let remap = |options: &[String], root| mapping(options, root, None);
        assert_eq!(remap(&options("name=cgroupns"), "/var/lib/docker").unwrap(), None);
        let found = remap(&options("name=userns"), "/var/lib/docker/3000000000.3000000001").unwrap().unwrap();
        assert_eq!(found, Remap { uid: 3_000_000_000, gid: 3_000_000_001, size: USUAL });
        for root in ["/var/lib/docker", "/x/0.0", "/x/a.b", "/x/1.", ""] {
            assert!(remap(&options("name=userns"), root).is_err(), "{root}");
        }
        let rootless = options("name=rootless");
        assert!(remap(&rootless, "/x/1.1").unwrap_err().to_string().contains("rootless"));
        // One without subordinate ids has nobody but its user.
        assert!(mapping(&rootless, "/x", Some(1)).is_err());
        let found = mapping(&rootless, "/x", Some(65_537)).unwrap().unwrap();
        assert_eq!(found, Remap { uid: 0, gid: 0, size: 65_537 });
    }

    #[test]
    fn tables_and_maps_are_read() {
        let table = "a:100000:65536\nb:300000:1000\n\nbroken\nc:300000:2000\n";
        assert_eq!((size_of(table, 300_000), size_of(table, 5)), (1000, USUAL));
        assert_eq!(first_of("         0     100000      65536\n"), Some(100_000));
        assert_eq!(first_of("         0          0 4294967295\n"), Some(0));
        // Of a rootless Engine.
        assert_eq!(first_of("0 1000 1\n1 100000 65536\n"), None);
        assert_eq!((first_of(""), first_of("1 2 3\n"), first_of("x\n")), (None, None, None));
        prove(std::process::id(), None).unwrap();
        assert!(prove(std::process::id(), Some((100_000, 100_000))).is_err());
        // Root of the machine is no root of a namespace.
        assert!(crate::user_namespace::ids().is_some() || prove(std::process::id(), Some(ROOTLESS)).is_err());
    }
}
