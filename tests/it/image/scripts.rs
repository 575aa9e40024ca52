//! Packages that do something when they are installed or when they are looked at: without a network, without a user of
//! another's, and within bounds.

use std::fs;
use std::time::Duration;

use taskforge::image::detached::failure;
use taskforge::image::{Error, Installed, Lock, Recipe, Resolution};

use super::Place;
use super::index::{Deb, Index, Wheel};

/// A place whose base gets its Debian packages from the test's index.
async fn place(name: &str, index: &Index) -> Place {
    let mut place = Place::new(name).await;
    let sources = format!(
        "rm -f /etc/apt/sources.list.d/*; echo '{}' > /etc/apt/sources.list; rm -rf /var/lib/apt/lists/*",
        index.apt_source()
    );
    place.own_base(&["sh", "-c", &sources]).await;
    place
}

async fn recipe(place: &Place, index: &Index, capability: &str) -> Recipe {
    match place.resolve_with(&Lock::default(), capability, Some(&index.simple())).await {
        Resolution::Lock { lock, .. } => {
            place.fetch_from(&lock, Some(&index.simple())).await.unwrap();
            place.recipe(&lock).await
        }
        Resolution::Unresolvable(no) => panic!("{no:?}"),
    }
}

/// The build fails, says why, and leaves nothing but its log, of at most `log` bytes.
async fn fails(place: &Place, recipe: &Recipe) -> (Error, String) {
    let error = place.build(recipe).await.unwrap_err();
    let recorded = failure(&place.path("images")).unwrap().unwrap();
    assert_eq!(recorded.reason, taskforge::run::visible::visible(&error.to_string()));
    assert!(place.docker.inspect_image(&recipe.tag()).await.is_err(), "no tag");
    assert_eq!((place.containers().await, place.parts(recipe).await), (0, 0), "nothing left");
    let log = fs::read_to_string(place.path("images/build.log")).unwrap();
    assert!(log.contains("failed: "), "{log:.2000}");
    (error, log)
}

#[tokio::test(flavor = "current_thread")]
async fn scripts_of_debian_packages_get_nowhere() {
    let index = Index::start();
    let reach = format!(
        "#!/bin/sh\nset -e\nexec python3 -c 'import urllib.request as u; u.urlopen(\"{}/x/\")'\n",
        index.simple()
    );
    index.offer_debs(&[
        Deb::new("fetches", "1.0", &reach),
        Deb::new("asks", "1.0", &format!("{reach}true\n").replace("exec ", "").replace("set -e\n", "")),
        Deb::new("minds", "1.0", "#!/bin/sh\nset -e\npython3 -c 'print(1)'\n"),
        Deb::new("plants", "1.0", "#!/bin/sh\ncp /bin/true /usr/bin/become; chmod 4755 /usr/bin/become\n"),
        Deb::new("prints", "1.0", "#!/bin/sh\nyes 'a gigabyte of this' | head -c 1000000000\n"),
        Deb::new("stays", "1.0", "#!/bin/sh\nexec sleep 1000\n"),
        Deb::new("fills", "1.0", "#!/bin/sh\nexec dd if=/dev/zero of=/var/tmp/full bs=1M count=100000 status=none\n"),
        Deb::new("draws", "1.0", "#!/bin/sh\nprintf '\\033[2J\\033]0;owned\\007\\342\\200\\256E: no\\n' >&2; exit 3\n"),
    ]);
    let mut place = place("scripts", &index).await;
    place.limits.log = 64 << 10;

    let fetches = recipe(&place, &index, "apt:fetches").await;
    let (error, log) = fails(&place, &fetches).await;
    assert!(matches!(&error, Error::Step { .. }), "{error}");
    assert!(log.contains("Network is unreachable"), "{log:.2000}");
    assert!(!index.seen().contains(&"/simple/x/".to_owned()));

    // Who goes on without it is on record.
    let asks = recipe(&place, &index, "apt:asks").await;
    place.build(&asks).await.unwrap();
    let log = fs::read_to_string(place.path("images/build.log")).unwrap();
    assert!(log.contains("Network is unreachable") && log.contains("tried to reach a network"), "{log:.2000}");
    let tried = |place: &Place| Installed::read(&place.path("images")).unwrap().unwrap().network_attempts;
    assert!(tried(&place).is_some());
    let minds = recipe(&place, &index, "apt:minds").await;
    place.build(&minds).await.unwrap();
    assert_eq!(tried(&place), None, "{}", fs::read_to_string(place.path("images/build.log")).unwrap());

    let plants = recipe(&place, &index, "apt:plants").await;
    let (error, _) = fails(&place, &plants).await;
    assert!(matches!(&error, Error::Setuid { files } if files == &["/usr/bin/become"]), "{error}");

    let prints = recipe(&place, &index, "apt:prints").await;
    let (error, log) = fails(&place, &prints).await;
    assert!(matches!(&error, Error::TooMuchOutput { .. }), "{error}");
    assert!(log.len() < 80 << 10 && log.contains("bytes left out") && log.contains("a gigabyte of this"));

    let draws = recipe(&place, &index, "apt:draws").await;
    let (error, log) = fails(&place, &draws).await;
    assert!(matches!(&error, Error::Step { .. }), "{error}");
    for text in [error.to_string(), log] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }

    place.limits.disk = 64 << 20;
    let fills = recipe(&place, &index, "apt:fills").await;
    let (error, _) = fails(&place, &fills).await;
    assert!(matches!(&error, Error::TooMuchDisk { .. }) && error.to_string().contains("packages.buildDisk"), "{error}");

    let stays = recipe(&place, &index, "apt:stays").await;
    place.limits.wall = Duration::from_secs(8);
    let (error, _) = fails(&place, &stays).await;
    assert!(matches!(&error, Error::Timeout { .. }), "{error}");
}

/// A `.pth` file is run by each Python that starts, and no Python is started of what was just installed.
#[tokio::test(flavor = "current_thread")]
async fn code_that_python_runs_by_itself_is_not_run_by_looking_at_what_is_installed() {
    let index = Index::start();
    let mut place = place("pth", &index).await;
    let pth = |name: &str, code: &str| Wheel::new(name, "1.0", &[(&format!("{name}.pth"), code)]);
    let marks = "import time, pathlib; pathlib.Path('/run/was-run').touch(); print('seen'); time.sleep(1000)\n";
    index.offer("sleeps", &[&pth("sleeps", marks)]);
    let sleeping = recipe(&place, &index, "pip:sleeps").await;
    place.limits.wall = Duration::from_secs(60);
    let built = place.build(&sleeping).await.unwrap();
    let log = fs::read_to_string(place.path("images/build.log")).unwrap();
    assert!(log.contains("equal to the lock") && !log.contains("seen"), "{log}");
    assert_eq!(Place::in_image(&built.image, &["ls", "/run"]).matches("was-run").count(), 0);
}

/// What would answer for the packages after they are installed is what they install: each says what one wants to hear.
#[tokio::test(flavor = "current_thread")]
async fn a_package_that_replaces_the_tools_by_liars_is_found_out() {
    let index = Index::start();
    let place = place("liars", &index).await;
    let honest = r#"[{"name": "liar", "version": "1.0"}, {"name": "pip", "version": "23.0.1"}]"#;
    let python = format!("#!/bin/sh\necho '{honest}'\n");
    let nothing = "#!/bin/sh\nexit 0\n";
    let wheel = Wheel::new(
        "liar",
        "1.0",
        &[
            ("liar-1.0.data/purelib/evil-6.6.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 6.6\n"),
            ("liar-1.0.data/purelib/evil.py", "import os\n"),
            ("liar-1.0.data/scripts/python3", &python),
            ("liar-1.0.data/scripts/find", nothing),
            ("liar-1.0.data/scripts/dpkg-query", nothing),
        ],
    );
    index.offer("liar", &[&wheel]);
    let lies = recipe(&place, &index, "pip:liar").await;
    let (error, _) = fails(&place, &lies).await;
    let Error::ReadBack { differences } = &error else { panic!("{error}") };
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].starts_with("Python package `evil` 6.6 was not asked for"), "{differences:?}");

    let script = "#!/bin/sh\nset -e\n\
        cp /bin/true /usr/bin/become; chmod 4755 /usr/bin/become\n\
        cp /bin/true /usr/bin/share; chgrp 42 /usr/bin/share; chmod 2755 /usr/bin/share\n\
        for tool in find dpkg-query python3 pip; do\n\
        rm -f /usr/bin/$tool; printf '#!/bin/sh\\nexit 0\\n' > /usr/bin/$tool; chmod 755 /usr/bin/$tool\n\
        done\n";
    index.offer_debs(&[Deb::new("hides", "1.0", script)]);
    let hides = recipe(&place, &index, "apt:hides").await;
    let (error, log) = fails(&place, &hides).await;
    assert!(matches!(&error, Error::Setuid { files } if files == &["/usr/bin/become", "/usr/bin/share"]), "{error}");
    assert!(log.contains("/usr/bin/become, /usr/bin/share"), "it is said where one looks: {log}");
}

/// A folder on a disk of its own, which is gone with it.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn at(path: std::path::PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=755");
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).status();
        assert!(mount.unwrap().success(), "mounting needs root, as the Engine does");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_full_disk_fails_the_build_and_is_named() {
    let index = Index::start();
    let place = Place::new("full-disk").await;
    let large = "x".repeat(1 << 20);
    index.offer("large", &[&Wheel::new("large", "1.0", &[("large/data.txt", &large)])]);
    let resolved = place.resolve_with(&Lock::default(), "pip:large", Some(&index.simple())).await;
    let Resolution::Lock { lock, .. } = resolved else { panic!("{resolved:?}") };
    let _disk = SmallDisk::at(place.path("packages"), "256k");
    let error = place.fetch_from(&lock, Some(&index.simple())).await.unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert_eq!(fs::read_dir(place.path("packages")).unwrap().count(), 0, "there is room again");
    assert_eq!(place.containers().await, 0);
}
