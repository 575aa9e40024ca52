//! Certificates for machines behind a proxy that inspects TLS: the host's own bundle and the authorities that its
//! administrator added. Given to resolving, fetching and the gate; never to an image.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::folder;

/// Where distributions keep the bundle of all trusted authorities.
const BUNDLES: [&str; 4] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
];
/// Where an administrator adds authorities (Debian's `update-ca-certificates`, Red Hat's `update-ca-trust`).
const ADDED: [&str; 2] = ["usr/local/share/ca-certificates", "etc/pki/ca-trust/source/anchors"];
const LIMIT: u64 = 16 << 20;
const FILES: usize = 1000;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// `packages.extraCa` of `taskforge.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraCa {
    /// The authorities that were added to this host, if any.
    Auto,
    /// Nothing: tools use what they bring.
    None,
    /// A file with authorities in PEM.
    File(PathBuf),
}

/// The PEM bundle for containers: the host's bundle, then the added authorities, each once. `None` if nothing was
/// added, so that tools use what they bring.
///
/// # Errors
/// [`Error::File`] or [`Error::Format`] if a file that is named cannot be read or holds no certificate.
pub fn bundle(setting: &ExtraCa) -> Result<Option<Vec<u8>>, Error> {
    bundle_below(Path::new("/"), setting)
}

fn bundle_below(root: &Path, setting: &ExtraCa) -> Result<Option<Vec<u8>>, Error> {
    let added = match setting {
        ExtraCa::None => return Ok(None),
        ExtraCa::File(path) => {
            let found = certificates(&folder::read(path, LIMIT)?);
            if found.is_empty() {
                return Err(Error::format(format!("`{}`", path.display()), "it holds no PEM certificate"));
            }
            found
        }
        ExtraCa::Auto => {
            let mut found = Vec::new();
            for path in ADDED.iter().flat_map(|folder| added_files(&root.join(folder))).take(FILES) {
                // Files in DER, or that only root can read, are for other programs.
                found.extend(folder::read(&path, LIMIT).map(|pem| certificates(&pem)).unwrap_or_default());
            }
            found
        }
    };
    if added.is_empty() {
        return Ok(None);
    }
    let system = BUNDLES.iter().find_map(|path| folder::read(&root.join(path), LIMIT).ok());
    let mut all = system.map(|pem| certificates(&pem)).unwrap_or_default();
    for certificate in added {
        if !all.contains(&certificate) {
            all.push(certificate);
        }
    }
    Ok(Some(all.concat().into_bytes()))
}

fn added_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_file()).take(FILES).collect();
    files.sort_unstable();
    files
}

/// The certificates of a PEM file, each with its newline; comments and keys are left out.
fn certificates(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(pem).replace('\r', "");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(BEGIN) {
        let Some(length) = rest[start..].find(END) else {
            break;
        };
        let end = start + length + END.len();
        let certificate = format!("{}\n", &rest[start..end]);
        if certificate.is_ascii() && !found.contains(&certificate) {
            found.push(certificate);
        }
        rest = &rest[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pem(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}\n")
    }

    fn host(system: &str, added: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/ssl/certs")).unwrap();
        std::fs::write(root.path().join(BUNDLES[0]), system).unwrap();
        std::fs::create_dir_all(root.path().join(ADDED[0])).unwrap();
        for (name, text) in added {
            std::fs::write(root.path().join(ADDED[0]).join(name), text).unwrap();
        }
        root
    }

    #[test]
    fn nothing_added_means_no_bundle() {
        let root = host(&pem("A"), &[]);
        assert_eq!(bundle_below(root.path(), &ExtraCa::Auto).unwrap(), None);
        let root = host(&pem("A"), &[("x.crt", &pem("X"))]);
        assert_eq!(bundle_below(root.path(), &ExtraCa::None).unwrap(), None);
    }

    #[test]
    fn added_authorities_follow_the_hosts_once_each() {
        let key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";
        let root = host(
            &format!("# comment\n{}{}", pem("A"), pem("X")),
            &[
                ("x.crt", &pem("X")),
                ("y.crt", &format!("{key}{}", pem("Y").replace('\n', "\r\n"))),
                ("z.crt", "\u{1}DER"),
            ],
        );
        let expected = [pem("A"), pem("X"), pem("Y")].concat();
        assert_eq!(bundle_below(root.path(), &ExtraCa::Auto).unwrap(), Some(expected.into_bytes()));
    }

    #[test]
    fn a_named_file_must_be_one() {
        let root = host(&pem("A"), &[("x.crt", &pem("X")), ("empty.crt", "")]);
        let named = |name: &str| ExtraCa::File(root.path().join(ADDED[0]).join(name));
        let both = [pem("A"), pem("X")].concat().into_bytes();
        assert_eq!(bundle_below(root.path(), &named("x.crt")).unwrap(), Some(both));
        assert!(bundle_below(root.path(), &named("empty.crt")).is_err());
        assert!(bundle_below(root.path(), &named("absent.crt")).is_err());
    }

    #[test]
    fn a_torn_file_is_no_certificate() {
        assert!(certificates(format!("{BEGIN}\nabc").as_bytes()).is_empty());
        assert_eq!(certificates(format!("{}{BEGIN}\nabc", pem("A")).as_bytes()), [pem("A")]);
    }
}
