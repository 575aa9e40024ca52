//! The base image, made from packages.

use taskforge::container::ImageRef;
use taskforge::image::base::{self, Origin};

use crate::container::{Bench, block};

#[test]
fn an_image_that_is_there_is_left_alone() {
    let bench = Bench::new();
    let mut steps = Vec::new();
    let name = ImageRef::parse(crate::container::BASE).unwrap();
    let origin = block(base::ensure(&bench.engine, &name, None, &mut |step| steps.push(step.to_owned()))).unwrap();
    assert_eq!(origin, Origin::Present);
    assert_eq!(steps, Vec::<String>::new());
}

#[test]
#[ignore = "takes half a minute; `./test` makes the base image this way on a fresh machine"]
fn packages_make_a_base_image() {
    let bench = Bench::new();
    let absent = ImageRef::parse("localhost:1/absent:1").unwrap();
    let mut steps = Vec::new();
    let (name, mut note) = (bench.image(), |step: &str| {
        println!("{step}");
        steps.push(step.to_owned());
    });
    let origin = block(base::pull_or_bootstrap(&bench.engine, &name, Some(&absent), &mut note)).unwrap();
    assert!(matches!(origin, Origin::Bootstrapped(_)), "{origin:?}");
    assert!(steps[1].starts_with("not pulled: "), "{steps:#?}");
    let facts = block(bench.engine.image_inspect(&bench.image())).unwrap().unwrap();
    assert_eq!(facts.labels["io.taskforge.base.recipe"], "1");
    assert_eq!((facts.layers.len(), facts.volumes.len()), (1, 0));
    assert!(facts.size < 260 << 20, "{} bytes", facts.size);

    let script = "python3 --version && python3 -m pip --version && python3 -m pip config list && \
                  ls -d /workspace /inputs /taskforge/bin /taskforge/gate && ls /usr/local/share/ca-certificates && \
                  ls /usr/lib/python3*/EXTERNALLY-MANAGED; dpkg --audit && cat /etc/resolv.conf";
    let mut spec = bench.agent(1, &["sh", "-c", script]);
    spec.image = bench.image();
    let finished = bench.run(&spec);
    let text = String::from_utf8_lossy(&finished.stdout).into_owned() + &String::from_utf8_lossy(&finished.stderr);
    assert!(text.contains("global.retries='0'"), "{text}");
    assert!(text.contains("EXTERNALLY-MANAGED': No such file") || text.contains("cannot access"), "{text}");
    assert_eq!(finished.code, 0, "{text}");
}

#[test]
fn a_registry_that_does_not_answer_is_given_up() {
    let bench = Bench::new();
    let absent = ImageRef::parse("localhost:1/absent:1").unwrap();
    let error = block(bench.engine.pull(&absent, std::time::Duration::from_secs(15))).unwrap_err();
    assert!(error.to_string().contains("pull the image `localhost:1/absent:1`"), "{error}");
}
