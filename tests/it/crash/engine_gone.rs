//! An Engine that ends in the middle of a build, and comes back with nothing of what ran in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::half::{Half, Verdict};
use super::{World, completed, said, story, wait_until};
use crate::container::{block, require_engine};

/// The first command of a build that installs something: the one before fetches it.
const INSTALL: usize = 2;

fn approved_under(world: &World, half: &Half, run: &str) {
    world.start("asks", run);
    world.let_go(run);
    world.settle(run);
    let arguments = world.approval("approve", run);
    let mut approve = world.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let approved = half.under(&mut approve).output().unwrap();
    assert!(approved.status.success(), "{}", said(&approved));
}

fn failures(world: &World) -> usize {
    let folders = std::fs::read_dir(world.root().join("images")).unwrap().flatten();
    folders.filter(|folder| folder.path().join("failed.json").exists()).count()
}

/// As a restart leaves them: whatever ran is gone.
fn containers_end(world: &World) {
    block(require_engine().kill_all(&world.id)).unwrap();
}

#[test]
fn a_build_whose_engine_goes_away_is_done_when_it_is_back() {
    let world = World::with_own_base();
    let (down, starts) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let of_rule = Arc::clone(&down);
    let half = Half::at(&world.beside("docker.sock"), move |line, _| {
        let is_exec = line.starts_with("POST /exec/") && line.ends_with("/start");
        if is_exec && starts.fetch_add(1, Ordering::SeqCst) + 1 == INSTALL {
            of_rule.store(true, Ordering::SeqCst);
        }
        if of_rule.load(Ordering::SeqCst) { Verdict::Cut } else { Verdict::Pass }
    });
    approved_under(&world, &half, "r");
    assert!(wait_until(|| down.load(Ordering::SeqCst)), "the build came to its install step: {:?}", half.seen());
    let build_is_over = || {
        let state = world.state("r");
        let mut recipes = state.requests.iter().filter_map(|request| request.resolution.as_ref());
        recipes.all(|resolution| !taskforge::registry::ImageLock::is_held(&world.registry, &resolution.recipe).unwrap())
    };
    assert!(wait_until(build_is_over));
    containers_end(&world);
    assert_eq!((failures(&world), world.images()), (0, 0), "that the Engine is away is no failure of the build");
    // A tick says what is the matter, and the run waits.
    let before = world.records("r");
    let tick = half.under(&mut world.command(&["tick", "r"])).output().unwrap();
    assert!(!tick.status.success() && said(&tick).contains("Engine"), "{}", said(&tick));
    assert!(world.records("r").starts_with(&before));

    let state = world.settle("r");
    assert!(completed(&state), "{:#?}", story(&state));
    assert_eq!(world.images(), 1);
    world.assert_sound("r", &before);
}

#[test]
fn a_build_whose_engine_has_forgotten_it_begins_again_once() {
    for lasting in [false, true] {
        let world = World::with_own_base();
        let (lost, starts) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let of_rule = Arc::clone(&lost);
        let half = Half::at(&world.beside("docker.sock"), move |line, _| {
            let is_exec = line.starts_with("POST /exec/") && line.ends_with("/start");
            if is_exec && starts.fetch_add(1, Ordering::SeqCst) + 1 >= INSTALL {
                let before = of_rule.fetch_add(1, Ordering::SeqCst);
                if lasting || before == 0 {
                    return Verdict::Forgotten;
                }
            }
            Verdict::Pass
        });
        approved_under(&world, &half, "r");
        let state = world.settle("r");
        assert!(lost.load(Ordering::SeqCst) > 0);
        assert_eq!(completed(&state), !lasting, "{:#?}", story(&state));
        assert_eq!((failures(&world), world.images()), if lasting { (1, 0) } else { (0, 1) });
        if lasting {
            let shown = world.ok(&["run", "show", "r"]);
            assert!(shown.contains("could not be built") && shown.contains("No such exec instance"), "{shown}");
        }
        world.assert_sound("r", &[]);
    }
}
