#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::super::lock::tests::{apt, npm, pip};
use super::super::npm_pin::{Bundled, NpmPin};
use super::*;

const STATUS: &str = "Package: jq\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n";
const DIST: &str = "usr/local/lib/python3.11/dist-packages";

/// An archive of files with their modes; a folder for a name that ends with `/`.
fn archive(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (name, mode, text) in files {
        let mut header = Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(text.len() as u64);
        header.set_entry_type(if name.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn held(files: &[(&str, u32, &str)]) -> Held {
    read(archive(files).as_slice()).unwrap()
}

fn lock() -> Lock {
    Lock::new(vec![pip("thing", "1.0")], vec![apt("jq", "1.0")]).unwrap().with_npm(vec![npm("odd", "1.0.0")]).unwrap()
}

#[test]
fn packages_of_all_kinds_and_files_that_run_as_another_are_found_by_their_files() {
    let there = held(&[
        (
            "var/lib/dpkg/status",
            0o644,
            &format!("{STATUS}\nPackage: old\nStatus: deinstall ok config-files\nVersion: 2\nArchitecture: all\n"),
        ),
        (
            &format!("{DIST}/Thing_X-2024.01.dist-info/METADATA"),
            0o644,
            "Metadata-Version: 2.1\nName: Thing.X\nVersion: 2024.01\n\nName: words\n",
        ),
        ("usr/lib/python3/dist-packages/six-1.0.egg-info", 0o644, "Name: six\nVersion: 1.0\n"),
        ("usr/lib/python3/dist-packages/two.egg-info/PKG-INFO", 0o644, "Name: two\nVersion: 2.0\n"),
        (&format!("{DIST}/setuptools/_vendor/x-1.0.dist-info/METADATA"), 0o644, "Name: x\nVersion: 1.0\n"),
        ("node_modules/", 0o755, ""),
        ("node_modules/@a/b/package.json", 0o644, "{\"name\": \"@a/b\", \"version\": \"v1.0.0\"}"),
        ("node_modules/@a/b/node_modules/c/", 0o755, ""),
        ("srv/node_modules/d/package.json", 0o644, "{\"name\": \"d\", \"version\": \"1.0.0\"}"),
        ("usr/bin/become", 0o4755, "x"),
        ("usr/bin/share", 0o2755, "x"),
        ("usr/share/folder/", 0o2755, ""),
    ]);
    let (debian, python, node) = there.versions();
    let all = |versions: Versions| versions.into_iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>();
    assert_eq!(all(debian), ["jq:amd64 1.0", "old:all 2 (config-files)"]);
    assert_eq!(all(python), ["six 1.0", "thing-x 2024.1", "two 2.0"]);
    assert_eq!(all(node), ["node_modules/@a/b @a/b@1.0.0", "node_modules/@a/b/node_modules/c @"]);
    assert_eq!(there.new_setuid(&Held::default()), ["/usr/bin/become", "/usr/bin/share"]);
    assert!(there.new_setuid(&there).is_empty());
}

#[test]
fn each_step_may_change_what_it_is_for_and_nothing_else() {
    let base =
        [("var/lib/dpkg/status", 0o644, "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n")];
    let before = held(&base);
    let with = |more: &[(&str, u32, &str)]| held(&[&base[..], more].concat());
    let said = |there: &Held, step| there.differs(&before, step, &lock());
    let metadata = format!("{DIST}/thing-1.0.dist-info/METADATA");
    let thing = (metadata.as_str(), 0o644, "Name: thing\nVersion: 1.0\n");
    assert!(said(&with(&[thing]), Ecosystem::Pip).is_empty());
    assert_eq!(said(&before, Ecosystem::Pip), ["Python package `thing` 1.0 is missing"]);
    let other = (metadata.as_str(), 0o644, "Name: thing\nVersion: 1.1\n");
    assert!(said(&with(&[other]), Ecosystem::Pip).contains(&"Python package `thing` is 1.1 instead of 1.0".to_owned()));
    let path = format!("{DIST}/evil-1.dist-info/METADATA");
    let evil = (path.as_str(), 0o644, "Name: evil\nVersion: 1\n");
    assert_eq!(
        said(&with(&[thing, evil]), Ecosystem::Pip),
        [format!("Python package `evil` 1 was not asked for (/{path})")]
    );
    // A link instead of metadata says nothing for itself, and the package is not there.
    let nameless = (path.as_str(), 0o644, "");
    assert_eq!(said(&with(&[thing, nameless]), Ecosystem::Pip).len(), 1);
    let odd = ("node_modules/odd/package.json", 0o644, "{\"name\": \"odd\", \"version\": \"1.0.0\"}");
    assert!(said(&with(&[odd]), Ecosystem::Npm).is_empty());
    assert_eq!(said(&with(&[odd, thing]), Ecosystem::Npm).len(), 1, "no step of npm brings a wheel");
    assert_eq!(said(&with(&[odd, thing]), Ecosystem::Pip).len(), 1, "no wheel brings a package of npm");
    // What lies within an archive is what the lock says of it, too.
    let inner = Bundled {
        location: "node_modules/odd/node_modules/pad".to_owned(),
        name: "pad".to_owned(),
        version: "1.0.0".to_owned(),
    };
    let bundling = NpmPin { bundles: true, bundled: vec![inner], ..npm("odd", "1.0.0") };
    let bundling = Lock::default().with_npm(vec![bundling]).unwrap();
    let said_of = |there: &Held| there.differs(&before, Ecosystem::Npm, &bundling);
    let pad = |version: &'static str| ("node_modules/odd/node_modules/pad/package.json", 0o644, version);
    let listed = pad("{\"name\": \"pad\", \"version\": \"1.0.0\"}");
    let more =
        ("node_modules/odd/node_modules/evil/package.json", 0o644, "{\"name\": \"evil\", \"version\": \"1.0.0\"}");
    assert!(said_of(&with(&[odd, listed])).is_empty());
    assert_eq!(said_of(&with(&[odd])), ["npm package `node_modules/odd/node_modules/pad` pad@1.0.0 is missing"]);
    let newer = pad("{\"name\": \"pad\", \"version\": \"1.0.1\"}");
    assert!(said_of(&with(&[odd, newer]))[0].ends_with("is pad@1.0.1 instead of pad@1.0.0"));
    assert_eq!(
        said_of(&with(&[odd, listed, more])),
        ["npm package `node_modules/odd/node_modules/evil` evil@1.0.0 was not asked for"]
    );
    let updates = ("var/lib/dpkg/updates/0001", 0o644, "Package: b\n");
    assert_eq!(
        said(&with(&[thing, updates]), Ecosystem::Pip),
        ["/var/lib/dpkg/updates/0001: dpkg was not done with it"]
    );
    // Of Debian's packages, just the list counts; of Python's, whatever lies there since is the new base.
    let both = format!("{}\n{STATUS}", base[0].2);
    let installed = held(&[("var/lib/dpkg/status", 0o644, &both), evil]);
    assert!(said(&installed, Ecosystem::Apt).is_empty());
    let again = held(&[("var/lib/dpkg/status", 0o644, &both), evil, thing]);
    assert!(again.differs(&installed, Ecosystem::Pip, &lock()).is_empty());
    assert_eq!(said(&again, Ecosystem::Pip).len(), 2, "{:?}", said(&again, Ecosystem::Pip));
    let half = format!("{}\n{}", base[0].2, STATUS.replace("ok installed", "ok half-configured"));
    let half = held(&[("var/lib/dpkg/status", 0o644, &half)]);
    assert_eq!(said(&half, Ecosystem::Apt), ["Debian package `jq:amd64` is 1.0 (half-configured) instead of 1.0"]);
    let twice = held(&[("var/lib/dpkg/status", 0o644, &format!("{both}\n{}", STATUS.replace("1.0", "0.9")))]);
    assert_eq!(said(&twice, Ecosystem::Apt), ["Debian package `jq:amd64` is 1.0 and 0.9 instead of 1.0"]);
    assert!(!said(&held(&[]), Ecosystem::Apt).is_empty(), "a list that is gone holds nothing");
}

#[test]
fn a_capability_of_the_kernel_in_a_file_counts_as_running_as_another() {
    let mut bytes = Vec::new();
    {
        let mut archive = Builder::new(&mut bytes);
        let attributes = [("SCHILY.xattr.security.capability", b"\x01\x00\x00\x02".as_slice())];
        archive.append_pax_extensions(attributes).unwrap();
        let mut header = Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header, "usr/bin/raw", b"".as_slice()).unwrap();
        archive.finish().unwrap();
    }
    assert_eq!(read(bytes.as_slice()).unwrap().new_setuid(&Held::default()), ["/usr/bin/raw"]);
}

#[test]
fn a_file_that_runs_as_another_and_is_another_file_than_before_is_found() {
    let link = |first: &str, second: &str, text: &str| {
        let mut archive = Builder::new(Vec::new());
        for (name, target) in [(first, None), (second, Some(first))] {
            let mut header = Header::new_gnu();
            header.set_mode(0o4755);
            header.set_size(if target.is_some() { 0 } else { text.len() as u64 });
            header.set_entry_type(if target.is_some() { EntryType::Link } else { EntryType::Regular });
            match target {
                Some(target) => archive.append_link(&mut header, name, target).unwrap(),
                None => archive.append_data(&mut header, name, text.as_bytes()).unwrap(),
            }
        }
        read(archive.into_inner().unwrap().as_slice()).unwrap()
    };
    let su = |mode, text| held(&[("usr/bin/su", mode, text)]);
    let before = su(0o4755, "honest");
    assert!(su(0o4755, "honest").new_setuid(&before).is_empty());
    for other in [su(0o4755, "own"), su(0o6755, "honest"), su(0o4777, "honest")] {
        assert_eq!(other.new_setuid(&before), ["/usr/bin/su"]);
    }
    assert!(su(0o755, "own").new_setuid(&before).is_empty(), "it runs as whoever starts it");
    assert!(held(&[]).new_setuid(&before).is_empty(), "it is gone");
    // The same file under two names, in whichever order.
    let two = link("usr/bin/a", "usr/bin/b", "x");
    assert!(link("usr/bin/b", "usr/bin/a", "x").new_setuid(&two).is_empty());
    assert_eq!(link("usr/bin/a", "usr/bin/b", "y").new_setuid(&two), ["/usr/bin/a", "/usr/bin/b"]);
    // What was kept of a base by an earlier version says less, and is looked at anew.
    assert!(
        serde_json::from_str::<Held>(r#"{"debian":{},"python":{},"npm":{},"setuid":["/usr/bin/su"],"odd":[]}"#)
            .is_err()
    );
    let kept: Held = serde_json::from_slice(&serde_json::to_vec(&before).unwrap()).unwrap();
    assert_eq!(kept, before);
    // One that says something of packages, too, still does.
    let status = held(&[("var/lib/dpkg/status", 0o4644, STATUS)]);
    assert_eq!(status.versions().0.len(), 1);
    assert_eq!(status.new_setuid(&before), ["/var/lib/dpkg/status"]);
}

#[test]
fn a_stream_that_ends_in_the_middle_or_is_none_is_no_answer() {
    let whole = archive(&[("var/lib/dpkg/status", 0o644, &STATUS.repeat(100))]);
    assert!(read(&whole[..1000]).is_err());
    assert!(read([b'x'; 2048].as_slice()).is_err());
    assert_eq!(read([0; 1024].as_slice()).unwrap(), Held::default());
}

proptest! {
    #[test]
    fn no_stream_panics(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = read(bytes.as_slice());
    }

    #[test]
    fn no_file_of_a_package_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&text);
        let metadata = format!("{DIST}/x.dist-info/METADATA");
        let files = [("var/lib/dpkg/status", 0o644, &*text), (metadata.as_str(), 0o644, &*text), ("node_modules/x/package.json", 0o644, &*text)];
        let _ = held(&files);
    }
}

#[test]
fn what_packages_of_debians_brought_is_told_from_the_bases_and_the_locks() {
    let metadata = |name: &str| format!("usr/lib/python3/dist-packages/{name}-1.egg-info");
    let (old, brought, locked) = (metadata("old"), metadata("brought"), format!("{DIST}/thing-1.0.dist-info/METADATA"));
    let base = [(old.as_str(), 0o644, "Name: old\nVersion: 1\n")];
    let odd = ("node_modules/odd/package.json", 0o644, "{\"name\": \"odd\", \"version\": \"1.0.0\"}");
    let inner =
        ("node_modules/odd/node_modules/pad/package.json", 0o644, "{\"name\": \"pad\", \"version\": \"1.0.0\"}");
    let more = [
        (brought.as_str(), 0o644, "Name: brought\nVersion: 1\n"),
        (locked.as_str(), 0o644, "Name: thing\nVersion: 1.0\n"),
        odd,
        inner,
        ("node_modules/deb/package.json", 0o644, "{\"name\": \"deb\", \"version\": \"1.0.0\"}"),
    ];
    let (before, after) = (held(&base), held(&[&base[..], &more[..]].concat()));
    let by_debian: Vec<String> = after.by_debian(&before, &lock()).into_iter().collect();
    assert_eq!(by_debian, ["npm:deb", "pip:brought"]);
    assert!(before.by_debian(&before, &lock()).is_empty());
}
