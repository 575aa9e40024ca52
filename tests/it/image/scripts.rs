//! Packages that do something when they are installed or when they are looked at: without a network, without a user of
//! another's, and within bounds.

use std::fs;
use std::time::Duration;

use taskforge::image::detached::failure;
use taskforge::image::{Error, Lock, Recipe, Resolution};

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

/// A `.pth` file is run by each Python that starts, that which lists what is installed included.
#[tokio::test(flavor = "current_thread")]
async fn code_that_python_runs_by_itself_is_bounded_too() {
    let index = Index::start();
    let mut place = place("pth", &index).await;
    let pth = |name: &str, code: &str| Wheel::new(name, "1.0", &[(&format!("{name}.pth"), code)]);
    let sleeps = "import time; time.sleep(1000)\n";
    let prints = "import sys; [sys.stdout.write('x' * 1000000) for _ in range(1000)]\n";
    index.offer("prints", &[&pth("prints", prints)]);
    index.offer("sleeps", &[&pth("sleeps", sleeps)]);
    let printing = recipe(&place, &index, "pip:prints").await;
    let (error, _) = fails(&place, &printing).await;
    assert!(matches!(&error, Error::TooMuchOutput { .. }), "{error}");
    let sleeping = recipe(&place, &index, "pip:sleeps").await;
    place.limits.wall = Duration::from_secs(8);
    let (error, _) = fails(&place, &sleeping).await;
    assert!(matches!(&error, Error::Timeout { .. }), "{error}");
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
