//! Images: the gate's, those made from a builder's container, and what `doctor` says.

use std::path::Path;
use std::time::Duration;

use taskforge::container::{
    Commit, Error, GateContainer, GateImage, ImageRef, Network, Operator, Promised, Role, Users, probe,
};
use taskforge::run::id::{Digest, RunId};

use super::{BASE, Bench, block};

const BINARY: &str = env!("CARGO_BIN_EXE_taskforge");

#[test]
fn the_gates_image_holds_the_binary_and_runs() {
    let bench = Bench::new();
    // A binary with something behind its end is another image, which no other test uses.
    let binary = bench.root().join("binary");
    let bytes = [std::fs::read(BINARY).unwrap().as_slice(), bench.registry.as_bytes()].concat();
    std::fs::write(&binary, &bytes).unwrap();
    let digest = Digest::of(&bytes);
    let other = block(GateImage::ensure(&bench.engine, Path::new(BINARY), &digest));
    assert!(matches!(other, Err(Error::ImageChanged { .. })), "{other:?}");
    let image = block(GateImage::ensure(&bench.engine, &binary, &digest)).unwrap();
    let again = block(GateImage::ensure(&bench.engine, &binary, &digest)).unwrap();
    assert!(image.made && !again.made);
    assert_eq!(again.name, image.name);
    let facts = block(bench.engine.image_inspect(&image.name)).unwrap().unwrap();
    assert_eq!(facts.layers.len(), 1);
    assert_eq!(facts.entrypoint, ["/taskforge"]);

    let gate = bench.root().join("runs/run/gate");
    let kill = bench.root().join(".taskforge/kill");
    std::fs::create_dir_all(&kill).unwrap();
    let spent = bench.root().join(".taskforge/spent");
    std::fs::create_dir_all(&spent).unwrap();
    let users = Users::of_run(Operator::current(), &bench.registry, "run", (200_000, 265_535), None).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (network, published) in [(Network::Host, None), (Network::Bridge, None), (Network::Bridge, Some(free))] {
        let spec = GateContainer {
            registry: bench.registry.clone(),
            registry_root: bench.root(),
            run: RunId::parse("run").unwrap(),
            image: image.name.clone(),
            args: vec!["--version".into()],
            user: users.gate,
            network,
            published,
            runtime: None,
            gate_folder: gate.clone(),
            kill_folder: kill.clone(),
            spent_folder: spent.clone(),
            secrets: None,
            ca_bundle: None,
        }
        .spec();
        block(async {
            bench.engine.ensure_started(&spec, &()).await.unwrap();
            bench.engine.wait(&spec.name).await.unwrap();
            let graded =
                bench.engine.effective(&spec.name, None, &bench.root(), &Promised::default()).await.unwrap().unwrap();
            assert_eq!((graded.grade, &graded.deductions), (100, &vec![]));
            bench.engine.remove(&spec.name).await.unwrap();
        });
    }
    assert!(block(bench.engine.remove_image(&image.name)).unwrap());
}

#[test]
fn an_image_that_lies_about_its_binary_is_refused() {
    let bench = Bench::new();
    let binary = bench.root().join("binary");
    std::fs::write(&binary, bench.registry.as_bytes()).unwrap();
    let digest = Digest::of(bench.registry.as_bytes());
    let name = GateImage::name_of(&digest).unwrap();
    block(bench.engine.tag(&ImageRef::parse(BASE).unwrap(), &name)).unwrap();
    let outcome = block(GateImage::ensure(&bench.engine, &binary, &digest));
    block(bench.engine.remove_image(&name)).unwrap();
    assert!(matches!(outcome, Err(Error::ImageChanged { .. })), "{outcome:?}");
}

#[test]
fn an_image_is_made_from_what_a_builder_left() {
    let bench = Bench::new();
    let base = block(bench.engine.image_inspect(&ImageRef::parse(BASE).unwrap())).unwrap().unwrap();
    let mut spec = bench.builder(Role::Build, Network::None, &["sh", "-c", "echo $WHAT > /usr/share/made"]);
    spec.env = vec![("WHAT".into(), "made here".into())];
    let commit = Commit {
        labels: [("io.taskforge.recipe".to_owned(), "abc".to_owned())].into(),
        user: "65534:65534".into(),
        ..Commit::default()
    };
    let id = block(async {
        let finished = bench.engine.run_and_keep(&spec, &(), Duration::from_secs(60), 1000).await.unwrap();
        assert!(finished.succeeded());
        bench.engine.commit(&spec.name, &bench.image(), &commit).await.unwrap()
    });
    let made = block(bench.engine.image_inspect(&bench.image())).unwrap().unwrap();
    assert_eq!(made.id, id);
    assert_eq!(made.layers.len(), base.layers.len() + 1);
    assert_eq!(made.layers[..base.layers.len()], base.layers[..]);
    assert_eq!((made.user.as_str(), &made.env, &made.entrypoint), ("65534:65534", &base.env, &base.entrypoint));
    assert_eq!(made.labels["io.taskforge.recipe"], "abc");
    assert_eq!(made.labels["io.taskforge.registry"], "", "a container of this image would be the registry's");
    block(bench.engine.remove(&spec.name)).unwrap();

    let mut look = bench.agent(1, &["cat", "/usr/share/made"]);
    look.image = bench.image();
    assert_eq!(bench.run(&look).stdout, b"made here\n");
    assert!(block(bench.engine.remove_image(&bench.image())).unwrap());
    assert!(!block(bench.engine.remove_image(&bench.image())).unwrap());
    assert!(!block(bench.engine.image_exists(&bench.image())).unwrap());
}

#[test]
fn an_archive_that_breaks_off_makes_no_image() {
    let bench = Bench::new();
    let tar = bench.root().join("broken.tar");
    std::fs::write(&tar, [b'x'; 700]).unwrap();
    block(bench.engine.import_file(&tar, &bench.image(), Vec::new())).unwrap_err();
    assert!(!block(bench.engine.image_exists(&bench.image())).unwrap());
}

#[test]
fn this_engines_users_are_the_hosts() {
    assert_eq!(block(Bench::new().engine.remap()).unwrap(), None);
}

#[test]
fn the_doctor_finds_what_is_missing() {
    let bench = Bench::new();
    let base = ImageRef::parse(BASE).unwrap();
    let checks = block(probe(&bench.engine, &base, None, Some(Path::new(BINARY)), false));
    let wrong: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let absent = ImageRef::parse("taskforge/absent:1").unwrap();
    let checks = block(probe(&bench.engine, &absent, Some("absent"), None, false));
    let wrong: Vec<_> = checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
    assert_eq!(wrong, ["runtime", "base image"]);
    assert!(checks.iter().filter(|check| !check.ok).all(|check| check.fix.is_some()));
}
