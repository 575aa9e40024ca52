#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Utc;

use super::*;
use crate::registry::create::stage_run;
use crate::registry::init::InitOptions;
use crate::registry::{Registry, kill};
use crate::run::id::{Digest, RunId};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(10);

fn registry() -> (tempfile::TempDir, Registry, RunId) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::init(folder.path(), &InitOptions::default()).unwrap();
    let run = RunId::parse("r").unwrap();
    stage_run(&registry, &run).unwrap().publish().unwrap();
    (folder, registry, run)
}

#[test]
fn the_second_waits_and_then_says_which_run() {
    let (_folder, registry, run) = registry();
    let lock = RunLock::acquire(&registry, &run, SHORT).unwrap();
    let error = RunLock::acquire(&registry, &run, SHORT).unwrap_err();
    assert!(matches!(&error, Error::Locked { .. }) && error.to_string().contains("run `r`"), "{error}");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| RunLock::acquire(&registry, &run, LONG).is_ok());
        std::thread::sleep(SHORT);
        drop(lock);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_lock_makes_no_run() {
    let (_folder, registry, _) = registry();
    let ghost = RunId::parse("ghost").unwrap();
    assert!(matches!(RunLock::acquire(&registry, &ghost, SHORT), Err(Error::RunNotFound { .. })));
    assert!(!registry.layout().run(&ghost).root().exists());
}

#[test]
fn it_is_the_flock_that_opentask_takes() {
    let (_folder, registry, run) = registry();
    let file = std::fs::File::create(registry.layout().run(&run).lock()).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    assert!(matches!(RunLock::acquire(&registry, &run, SHORT), Err(Error::Locked { .. })));
}

#[test]
fn one_tick_drives() {
    let (_folder, registry, run) = registry();
    let first = DriveLock::try_acquire(&registry, &run).unwrap();
    assert!(first.is_some() && DriveLock::try_acquire(&registry, &run).unwrap().is_none());
    drop(first);
    assert!(DriveLock::try_acquire(&registry, &run).unwrap().is_some());
}

#[test]
fn one_build_an_image() {
    let (_folder, registry, _) = registry();
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert!(!ImageLock::is_held(&registry, &a).unwrap());
    let first = ImageLock::try_acquire(&registry, &a).unwrap();
    assert!(first.is_some() && ImageLock::try_acquire(&registry, &a).unwrap().is_none());
    assert!(ImageLock::try_acquire(&registry, &b).unwrap().is_some());
    assert!(ImageLock::is_held(&registry, &a).unwrap());
    drop(first);
    assert!(!ImageLock::is_held(&registry, &a).unwrap());
}

#[test]
fn no_start_while_killed_and_no_kill_during_a_start() {
    let (_folder, registry, _) = registry();
    let permit = StartPermit::acquire(&registry, SHORT).unwrap();
    let second = StartPermit::acquire(&registry, SHORT).unwrap();
    kill::engage(registry.layout(), "test", "operator:ada", Utc::now()).unwrap();
    let error = StartPermit::acquire(&registry, SHORT).unwrap_err();
    assert!(matches!(&error, Error::Killed { reason, by, .. } if reason == "test" && by == "operator:ada"));
    assert!(matches!(KillLock::acquire(&registry, SHORT), Err(Error::Locked { .. })));
    drop((permit, second));
    drop(KillLock::acquire(&registry, SHORT).unwrap());
    assert!(kill::lift(registry.layout()).unwrap());
    assert!(!kill::lift(registry.layout()).unwrap());
    StartPermit::acquire(&registry, SHORT).unwrap();
}

#[test]
fn once_kill_has_returned_nothing_starts() {
    let (_folder, registry, _) = registry();
    let returned = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Ok(permit) = StartPermit::acquire(&registry, LONG) {
                    assert!(!returned.load(Ordering::SeqCst));
                    std::thread::sleep(Duration::from_millis(1));
                    assert!(!returned.load(Ordering::SeqCst));
                    drop(permit);
                }
            });
        }
        std::thread::sleep(SHORT);
        kill::engage(registry.layout(), "test", "operator:ada", Utc::now()).unwrap();
        drop(KillLock::acquire(&registry, LONG).unwrap());
        returned.store(true, Ordering::SeqCst);
    });
}

#[test]
fn whatever_stands_under_the_name_kills() {
    let (_folder, registry, _) = registry();
    let path = registry.layout().kill_file();
    std::os::unix::fs::symlink("/nowhere", &path).unwrap();
    assert!(matches!(StartPermit::acquire(&registry, SHORT), Err(Error::Killed { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "garbage").unwrap();
    assert!(matches!(StartPermit::acquire(&registry, SHORT), Err(Error::Killed { .. })));
}

#[test]
fn a_kill_stays_what_it_was_and_uses_the_spare() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, registry, _) = registry();
    let layout = registry.layout();
    let spare = std::fs::metadata(layout.kill_spare()).unwrap().ino();
    let first = kill::engage(layout, &"é".repeat(9999), "operator:ada", Utc::now()).unwrap();
    assert_eq!(std::fs::metadata(layout.kill_file()).unwrap().ino(), spare);
    assert_eq!(kill::engage(layout, "later", "operator:bob", Utc::now()).unwrap(), first);
    assert_eq!(kill::read(layout).unwrap(), Some(first));
    kill::lift(layout).unwrap();
    std::fs::remove_file(layout.kill_spare()).unwrap();
    kill::engage(layout, "without a spare", "operator:ada", Utc::now()).unwrap();
    assert_eq!(kill::read(layout).unwrap().unwrap().reason, "without a spare");
}
