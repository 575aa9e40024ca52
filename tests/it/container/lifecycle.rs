//! Starting once, adopting, ending.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use futures_util::{StreamExt as _, pin_mut};
use taskforge::container::logs::{self, Copied, LogCursor};
use taskforge::container::{Engine, Error, Happening, How, ImageRef, State};

use super::{Bench, appears, block};

/// A socket before the Engine's that dies at a start: the client's crash, seen from the Engine. With `late`, the start
/// is passed on and only its answer is lost.
fn dying_at_start(folder: &Path, target: &Path, late: bool) -> Engine {
    let path = folder.join(if late { "late.sock" } else { "early.sock" });
    let listener = UnixListener::bind(&path).unwrap();
    let target = target.to_path_buf();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let target = target.clone();
            std::thread::spawn(move || pass_on(client, &target, late));
        }
    });
    Engine::connect_to(Some(&format!("unix://{}", path.display()))).unwrap()
}

fn pass_on(mut client: UnixStream, target: &Path, late: bool) {
    let mut head = vec![0; 64 << 10];
    let length = client.read(&mut head).unwrap_or(0);
    let starts =
        head[..length].split(|&b| b == b'\r').next().is_some_and(|line| line.windows(6).any(|w| w == b"/start"));
    if starts && !late {
        return;
    }
    let mut engine = UnixStream::connect(target).unwrap();
    engine.write_all(&head[..length]).unwrap();
    if starts {
        let _ = engine.read(&mut head);
        return;
    }
    let (mut from_client, mut to_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_engine));
    let _ = std::io::copy(&mut engine, &mut client);
}

#[test]
fn an_attempt_has_one_container_however_often_it_is_started() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sh", "-c", "touch /workspace/up; exec sleep 600"]);
    block(async {
        let first = bench.engine.ensure_started(&spec, &()).await.unwrap();
        assert_eq!(first.how, How::Fresh);
        let second = bench.engine.ensure_started(&spec, &()).await.unwrap();
        assert_eq!((second.how, &second.id), (How::Running, &first.id));
        assert!(second.adopted());
        appears(&bench.workspace().join("up")).await;
        assert!(bench.engine.stop(&spec.name, 0).await.unwrap());
        let third = bench.engine.ensure_started(&spec, &()).await.unwrap();
        assert_eq!((third.how, &third.id), (How::Ended, &first.id));
    });
    assert_eq!(bench.containers(), [spec.name]);
}

#[test]
fn a_crash_between_create_and_start_is_made_good() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sleep", "600"]);
    let dying = dying_at_start(&bench.root(), bench.engine.socket(), false);
    block(async {
        dying.ensure_started(&spec, &()).await.unwrap_err();
        let found = bench.engine.inspect(&spec.name).await.unwrap().unwrap();
        assert_eq!(found.state, State::Created { error: String::new() });
        assert_eq!(found.owner().unwrap(), spec.labels);
        assert_eq!(found.spec_digest(), Some(spec.digest().as_str()));
        let adopted = bench.engine.ensure_started(&spec, &()).await.unwrap();
        assert_eq!((adopted.how, adopted.id), (How::Completed, found.id));
        assert_eq!(bench.engine.inspect(&spec.name).await.unwrap().unwrap().state, State::Running);
    });
}

#[test]
fn a_crash_after_the_start_is_adopted() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sleep", "600"]);
    let dying = dying_at_start(&bench.root(), bench.engine.socket(), true);
    block(async {
        dying.ensure_started(&spec, &()).await.unwrap_err();
        let adopted = bench.engine.ensure_started(&spec, &()).await.unwrap();
        assert!(adopted.adopted());
        assert_eq!(bench.engine.inspect(&spec.name).await.unwrap().unwrap().state, State::Running);
    });
    assert_eq!(bench.containers().len(), 1);
}

#[test]
fn many_who_start_the_same_meet_at_one_container() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sleep", "600"]);
    let outcomes = block(futures_util::future::join_all((0..5).map(|_| bench.engine.ensure_started(&spec, &()))));
    let started: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(started.iter().filter(|s| s.how == How::Fresh).count(), 1);
    assert!(started.iter().all(|s| s.id == started[0].id));
}

#[test]
fn another_container_of_the_name_is_a_conflict() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sleep", "600"]);
    block(bench.engine.ensure_started(&spec, &())).unwrap();
    let mut other = spec.clone();
    other.argv = vec!["sleep".into(), "1".into()];
    let error = block(bench.engine.ensure_started(&other, &())).unwrap_err();
    let Error::Conflict { name, differs } = &error else { panic!("{error}") };
    assert_eq!(*name, spec.name);
    assert_eq!(differs.len(), 1);
    assert!(differs[0].starts_with("`io.taskforge.spec` ("), "{error}");
    other.labels.attempt = Some(9);
    let error = block(bench.engine.ensure_started(&other, &())).unwrap_err();
    assert!(error.to_string().contains("`io.taskforge.attempt` (1 instead of 9)"), "{error}");
    assert_eq!(block(bench.engine.inspect(&spec.name)).unwrap().unwrap().state, State::Running);
}

#[test]
fn an_image_that_is_absent_is_named() {
    let bench = Bench::new();
    let mut spec = bench.agent(1, &["true"]);
    spec.image = ImageRef::parse("taskforge/absent:1").unwrap();
    let error = block(bench.engine.ensure_started(&spec, &())).unwrap_err();
    assert_eq!(error.to_string(), "the image `taskforge/absent:1` is not there");
}

#[test]
fn a_command_that_is_absent_is_a_failed_start() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["/no/such/program"]);
    let error = block(bench.engine.ensure_started(&spec, &())).unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error:?}");
    let state = block(bench.engine.inspect(&spec.name)).unwrap().unwrap().state;
    assert!(matches!(state, State::Created { error } if !error.is_empty()));
    let [mut out, mut err] = [Vec::new(), Vec::new()];
    let copied = logs::copy(&bench.engine, &spec.name, LogCursor::default(), 1000, &mut out, &mut err);
    assert_eq!(block(copied).unwrap(), Copied { cursor: LogCursor::default(), more: false });
}

#[test]
fn a_limit_above_the_engines_own_fails_with_a_hint() {
    let bench = Bench::new();
    let mut spec = bench.agent(1, &["true"]);
    spec.resources.files = 1 << 40;
    let error = block(bench.engine.ensure_started(&spec, &())).unwrap_err();
    assert!(error.hints()[0].contains("lower the number of open files"), "{error}");
}

#[test]
fn names_that_are_none_address_nothing() {
    let bench = Bench::new();
    block(async {
        for name in ["", "../images", "a/../../version", "x?force=1"] {
            assert!(bench.engine.inspect(name).await.unwrap().is_none());
            assert!(!bench.engine.remove(name).await.unwrap());
            assert!(!bench.engine.stop(name, 0).await.unwrap());
            assert!(bench.engine.wait(name).await.is_err());
        }
    });
}

#[test]
fn exit_codes_are_the_programs() {
    let bench = Bench::new();
    for (attempt, code) in [(1, 0), (2, 75), (3, 72), (4, 124)] {
        let spec = bench.agent(attempt, &["sh", "-c", &format!("exit {code}")]);
        block(async {
            bench.engine.ensure_started(&spec, &()).await.unwrap();
            assert_eq!(bench.engine.wait(&spec.name).await.unwrap(), code);
            let found = bench.engine.inspect(&spec.name).await.unwrap().unwrap();
            let State::Exited { code: seen, oom_killed, started_at, finished_at, .. } = found.state else {
                panic!("{found:?}")
            };
            assert_eq!((seen, oom_killed), (code, false));
            // A quick program has ended before the Engine noted its start.
            assert!(started_at.is_some() && finished_at.is_some());
        });
    }
}

#[test]
fn memory_that_ran_out_is_told_from_a_kill() {
    let bench = Bench::new();
    let mut spec = bench.agent(1, &["python3", "-c", "x = bytearray(1 << 30)"]);
    spec.resources.memory = 32 << 20;
    let killed = bench.agent(2, &["sleep", "600"]);
    block(async {
        bench.engine.ensure_started(&spec, &()).await.unwrap();
        assert_eq!(bench.engine.wait(&spec.name).await.unwrap(), 137);
        let state = bench.engine.inspect(&spec.name).await.unwrap().unwrap().state;
        assert!(matches!(state, State::Exited { code: 137, oom_killed: true, .. }), "{state:?}");

        bench.engine.ensure_started(&killed, &()).await.unwrap();
        bench.engine.stop(&killed.name, 0).await.unwrap();
        let state = bench.engine.inspect(&killed.name).await.unwrap().unwrap().state;
        assert!(matches!(state, State::Exited { code: 137, oom_killed: false, .. }), "{state:?}");
    });
}

#[test]
fn stopping_asks_first() {
    let bench = Bench::new();
    let script = "trap 'exit 7' TERM; touch /workspace/up; while :; do sleep 0.01; done";
    let spec = bench.agent(1, &["sh", "-c", script]);
    block(async {
        bench.engine.ensure_started(&spec, &()).await.unwrap();
        appears(&bench.workspace().join("up")).await;
        assert!(bench.engine.stop(&spec.name, 30).await.unwrap());
        assert_eq!(bench.engine.wait(&spec.name).await.unwrap(), 7);
        assert!(bench.engine.remove(&spec.name).await.unwrap());
        assert!(!bench.engine.remove(&spec.name).await.unwrap());
        assert!(!bench.engine.stop(&spec.name, 0).await.unwrap());
        assert!(bench.engine.inspect(&spec.name).await.unwrap().is_none());
        assert!(matches!(bench.engine.wait(&spec.name).await, Err(Error::NotFound { .. })));
    });
}

#[test]
fn killing_all_leaves_none_in_any_state() {
    let bench = Bench::new();
    let other = Bench::new();
    let dying = dying_at_start(&bench.root(), bench.engine.socket(), false);
    block(async {
        for attempt in 1..=4 {
            // A container that ignores SIGTERM is killed all the same.
            let spec = bench.agent(attempt, &["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
            bench.engine.ensure_started(&spec, &()).await.unwrap();
        }
        let ended = bench.agent(5, &["true"]);
        bench.engine.ensure_started(&ended, &()).await.unwrap();
        bench.engine.wait(&ended.name).await.unwrap();
        dying.ensure_started(&bench.agent(6, &["true"]), &()).await.unwrap_err();
        assert_eq!(bench.engine.list(&bench.registry).await.unwrap().len(), 6);

        other.engine.ensure_started(&other.agent(1, &["sleep", "600"]), &()).await.unwrap();
        let killed = bench.engine.kill_all(&bench.registry).await.unwrap();
        assert_eq!((killed.removed.len(), killed.failed.len()), (6, 0));
        assert!(bench.engine.list(&bench.registry).await.unwrap().is_empty());
        assert!(bench.engine.kill_all(&bench.registry).await.unwrap().removed.is_empty());
        let theirs = other.engine.list(&other.registry).await.unwrap();
        assert!(theirs.len() == 1 && theirs[0].running, "another registry's container was killed");
    });
}

#[test]
fn an_end_is_told_as_it_happens() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sh", "-c", "exit 3"]);
    let since = Utc::now();
    block(async {
        bench.engine.ensure_started(&spec, &()).await.unwrap();
        // Whether it ended before the stream was opened or ends now, the stream tells it once.
        let events = bench.engine.events(&bench.registry, since);
        pin_mut!(events);
        let told = tokio::time::timeout(Duration::from_secs(60), events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((told.happening, told.name.as_str()), (Happening::Died(3), spec.name.as_str()));
        assert_eq!(told.owner, Some(spec.labels.clone()));
    });
}
