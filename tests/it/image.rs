//! Resolving, fetching and building against a real Engine and the package indexes that it reaches.

mod hostile;
pub mod index;
mod npm;
mod scripts;

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptionsBuilder};
use taskforge::container::ImageRef;
use taskforge::image::ca::{ExtraCa, bundle};
use taskforge::image::detached::{failure, hold};
use taskforge::image::{
    BuildOrder, Built, Cause, Error, FetchOrder, Limits, Lock, Recipe, Resolution, ResolveOrder, Scope, base_layers,
    fetch, resolve, run_build,
};
use taskforge::run::capability::Capability;

const BASE: &str = "taskforge/base:default";

fn free() -> Result<(), Infallible> {
    Ok(())
}

/// A registry's folders and an Engine. What the test built or left running is removed at its end.
struct Place {
    docker: Docker,
    root: tempfile::TempDir,
    scope: Scope,
    ca: Option<PathBuf>,
    base: ImageRef,
    limits: Limits,
    npm_registry: Option<String>,
}

impl Place {
    async fn new(name: &str) -> Self {
        let docker = Docker::connect_with_unix_defaults().expect("install Docker: apt-get install docker.io");
        docker.ping().await.expect("start Docker: systemctl start docker (or `./test`, which does)");
        let root = tempfile::tempdir().unwrap();
        let ca = bundle(&ExtraCa::Auto).unwrap().map(|pem| {
            let path = root.path().join("ca.pem");
            fs::write(&path, pem).unwrap();
            path
        });
        let registry = format!("test-{name}-{}", std::process::id());
        let scope = Scope { registry, run: "demo-1".to_owned(), key: name.to_owned() };
        let base = ImageRef::parse(BASE).unwrap();
        base_layers(&docker, &base).await.expect("make the base image: ./test does");
        Self {
            docker,
            root,
            scope,
            ca,
            base,
            limits: Limits { wall: Duration::from_secs(240), ..Limits::default() },
            npm_registry: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn resolve_with(&self, approved: &Lock, capability: &str, index: Option<&str>) -> Resolution {
        let capability = Capability::parse(capability).unwrap();
        let order = ResolveOrder {
            base: &self.base,
            approved,
            capability: &capability,
            members: &[],
            ca: self.ca.as_deref(),
            pip_index: index,
            npm_registry: self.npm_registry.as_deref(),
            node: "24.21.0",
            scope: &self.scope,
            limits: &self.limits,
        };
        resolve(&self.docker, &order, &free).await.unwrap()
    }

    async fn resolve(&self, approved: &Lock, capability: &str) -> Resolution {
        self.resolve_with(approved, capability, None).await
    }

    async fn lock(&self, approved: &Lock, capability: &str) -> Lock {
        match self.resolve(approved, capability).await {
            Resolution::Lock { lock, .. } => lock,
            Resolution::Unresolvable(no) => panic!("{no:?}"),
        }
    }

    async fn recipe(&self, lock: &Lock) -> Recipe {
        Recipe::new(self.base.clone(), base_layers(&self.docker, &self.base).await.unwrap(), lock.clone())
    }

    async fn build(&self, recipe: &Recipe) -> Result<Built, Error> {
        run_build(
            &self.docker,
            &self.order(recipe, &self.path("images"), &self.path("packages"), &self.path("lock")),
            &free,
        )
        .await
    }

    fn order<'a>(&'a self, recipe: &'a Recipe, folder: &'a Path, packages: &'a Path, lock: &'a Path) -> BuildOrder<'a> {
        BuildOrder {
            recipe,
            folder,
            packages,
            lock_file: lock,
            ca: self.ca.as_deref(),
            pip_index: None,
            scope: &self.scope,
            limits: &self.limits,
        }
    }

    async fn fetch(&self, lock: &Lock) -> Result<(), Error> {
        self.fetch_from(lock, None).await
    }

    async fn fetch_from(&self, lock: &Lock, pip_index: Option<&str>) -> Result<(), Error> {
        let order = FetchOrder {
            base: &self.base,
            lock,
            packages: &self.path("packages"),
            ca: self.ca.as_deref(),
            pip_index,
            scope: &self.scope,
            limits: &self.limits,
        };
        fetch(&self.docker, &order, &free).await.map(drop)
    }

    /// A base of this test's own, so that its images are nobody else's: the real base and a file.
    async fn own_base(&mut self, change: &[&str]) {
        let name = format!("taskforge-test/{}:1", self.scope.registry);
        let run = |args: &[&str]| {
            let output = std::process::Command::new("docker").args(args).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let container = self.scope.registry.clone();
        let mut args = vec!["run", "--network", "none", "--name", &container, "--label", "test", BASE];
        args.extend(change);
        run(&args);
        let label = format!("LABEL io.taskforge.test={container}");
        run(&["commit", "--change", "CMD [\"/bin/sh\"]", "--change", &label, &container, &name]);
        run(&["rm", "-f", &container]);
        self.base = ImageRef::parse(&name).unwrap();
    }

    async fn containers(&self) -> usize {
        let label = vec![format!("io.taskforge.registry={}", self.scope.registry)];
        let filters = std::collections::HashMap::from([("label", label)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        self.docker.list_containers(Some(options)).await.unwrap().len()
    }

    async fn parts(&self, recipe: &Recipe) -> usize {
        let label = vec![format!("io.taskforge.part={}", recipe.identity())];
        let filters = std::collections::HashMap::from([("label", label)]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        self.docker.list_images(Some(options)).await.unwrap().len()
    }

    fn in_image(image: &str, argv: &[&str]) -> String {
        let mut command = std::process::Command::new("docker");
        command.args(["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", image]).args(argv);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Images made from a base of the test's own inherit its label.
impl Drop for Place {
    fn drop(&mut self) {
        let registry = &self.scope.registry;
        let remove = format!(
            "docker ps -aq --filter label=io.taskforge.registry={registry} | xargs -r docker rm -f; \
             docker rm -f {registry}; \
             for i in 1 2; do docker images -q --filter label=io.taskforge.test={registry} | sort -u | xargs -r docker rmi -f; done"
        );
        let _ = std::process::Command::new("sh").args(["-c", &remove]).output();
    }
}

/// What `DOCKER_BUILDKIT=1 docker build --network none` asks of the Engine; the command itself may lack its plugin.
fn build_by_hand(folder: &Path, tag: &str) {
    use std::io::{Read as _, Write as _};
    let mut context = tar::Builder::new(Vec::new());
    context.append_dir_all(".", folder).unwrap();
    let context = context.into_inner().unwrap();
    let mut socket = std::os::unix::net::UnixStream::connect("/var/run/docker.sock").unwrap();
    let head = format!(
        "POST /build?version=2&networkmode=none&t={tag} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
         Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        context.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(&context).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("errorDetail"), "{answer}");
}

fn why(resolution: Resolution) -> (Cause, String) {
    match resolution {
        Resolution::Unresolvable(no) => (no.cause, no.reason),
        Resolution::Lock { lock, .. } => panic!("resolved to {lock:?}"),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_python_package_from_request_to_image() {
    let mut place = Place::new("pygal").await;
    place.own_base(&["touch", "/etc/own-1"]).await;
    let lock = place.lock(&Lock::default(), "pip:pygal").await;
    let names: Vec<&str> = lock.pip().iter().map(|p| p.name.as_str()).collect();
    assert!(names.contains(&"pygal") && names.contains(&"importlib-metadata"), "{names:?}");
    assert!(lock.pip().iter().all(|p| p.filename.ends_with(".whl")));
    assert_eq!(
        lock.granted(&Capability::parse("pip:pygal").unwrap()),
        lock.pip().iter().find(|p| p.name == "pygal").unwrap().granted()
    );

    let recipe = place.recipe(&lock).await;
    let built = place.build(&recipe).await.unwrap();
    assert!(!built.cached);
    let again = place.build(&recipe).await.unwrap();
    assert!(again.cached);
    assert_eq!((&again.tag, &again.image), (&built.tag, &built.image));

    // The image works, unprivileged, and holds nothing of how it was made.
    let svg = "import pygal; print(pygal.Bar().render().decode()[:5])";
    assert_eq!(Place::in_image(&built.tag, &["python3", "-c", svg]), "<?xml\n");
    assert_eq!(Place::in_image(&built.tag, &["id", "-u"]), "65534\n");
    assert_eq!(Place::in_image(&built.tag, &["ls", "-A", "/mnt"]), "");
    assert_eq!(
        Place::in_image(
            &built.tag,
            &["sh", "-c", "env | grep -ci -e pip -e ssl -e ca.pem; ls /run | grep -c taskforge; true"]
        ),
        "0\n0\n"
    );
    let inspected = place.docker.inspect_image(&built.tag).await.unwrap();
    let config = inspected.config.unwrap();
    assert_eq!(config.cmd, Some(vec!["/bin/sh".to_owned()]));
    assert_eq!(config.entrypoint.unwrap_or_default(), Vec::<String>::new());
    let labels = config.labels.unwrap();
    assert_eq!(labels["io.taskforge.recipe"], recipe.identity().as_str());
    assert_eq!(labels["io.taskforge.registry"], "");
    assert_eq!(
        inspected.root_fs.unwrap().layers.unwrap().len(),
        recipe.base().len() + 1,
        "one layer for one ecosystem"
    );

    // What a reviewer finds beside it.
    let file = |name: &str| fs::read_to_string(place.path("images").join(name)).unwrap();
    assert_eq!(Recipe::parse(file("recipe.json").as_bytes()).unwrap(), recipe);
    assert_eq!(Lock::parse(file("packages.lock").as_bytes()).unwrap(), lock);
    assert_eq!(file("Dockerfile"), recipe.dockerfile());
    assert!(file("build.log").contains("Successfully installed"));
    assert_eq!(place.containers().await, 0);

    // The Dockerfile builds by hand to the same versions.
    taskforge::image::stage(&lock, &place.path("packages"), &place.path("images/packages")).unwrap();
    let by_hand = format!("taskforge-test/{}:hand", place.scope.registry);
    build_by_hand(&place.path("images"), &by_hand);
    let list = ["python3", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"];
    assert_eq!(Place::in_image(&by_hand, &list), Place::in_image(&built.tag, &list));
}

#[tokio::test(flavor = "current_thread")]
async fn what_does_not_resolve_says_why() {
    let place = Place::new("unresolvable").await;
    let none = Lock::default();
    let (cause, reason) = why(place.resolve(&none, "pip:taskforge-does-not-exist-zzqq").await);
    assert_eq!(cause, Cause::DoesNotExist);
    assert!(reason.contains("No matching distribution found for taskforge-does-not-exist-zzqq"), "{reason}");
    let (cause, reason) = why(place.resolve(&none, "pip:pygal==99.0").await);
    assert_eq!(cause, Cause::DoesNotExist);
    assert!(reason.contains("3.0.5"), "the versions that exist: {reason}");
    let (cause, reason) = why(place.resolve(&none, "pip:docopt==0.6.2").await);
    assert_eq!(cause, Cause::NoBinary);
    assert!(reason.contains("has no wheel"), "{reason}");
    let (cause, reason) = why(place.resolve_with(&none, "pip:six", Some("http://me:hunter2@127.0.0.1:9/")).await);
    assert_eq!(cause, Cause::Unreachable);
    assert!(reason.contains("Connection refused") && !reason.contains("hunter2"), "{reason}");
    let (cause, _) = why(place.resolve(&none, "net:api.example.org:443").await);
    assert_eq!(cause, Cause::Unsupported, "no image gives it");
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn debian_names_are_exact() {
    let place = Place::new("debnames").await;
    let none = Lock::default();
    // apt-get itself reads this as a regular expression and selects a thousand packages.
    let (cause, _) = why(place.resolve(&none, "apt:lib.q").await);
    assert_eq!(cause, Cause::DoesNotExist);
    let (cause, _) = why(place.resolve(&none, "apt:awk").await);
    assert_eq!(cause, Cause::DoesNotExist, "a virtual package is no package");
    let (cause, reason) = why(place.resolve(&none, "apt:jq=0.1-1").await);
    assert_eq!(cause, Cause::DoesNotExist);
    assert!(reason.contains("0.1-1"), "{reason}");
    let (cause, _) = why(place.resolve(&none, "apt:python3").await);
    assert_eq!(cause, Cause::AlreadyThere);

    let mut place = Place::new("deboffline").await;
    let nowhere = "echo 'deb http://127.0.0.1:9/debian stable main' > /etc/apt/sources.list";
    place.own_base(&["sh", "-c", nowhere]).await;
    let (cause, reason) = why(place.resolve(&none, "apt:jq").await);
    assert_eq!(cause, Cause::Unreachable);
    assert!(reason.contains("127.0.0.1:9"), "{reason}");
}

#[tokio::test(flavor = "current_thread")]
async fn both_ecosystems_and_what_was_approved_before() {
    let mut place = Place::new("both").await;
    place.own_base(&["touch", "/etc/own-2"]).await;
    let wheels = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    let lock = place.lock(&wheels, "apt:jq").await;
    assert_eq!(lock.pip(), wheels.pip());
    let names: Vec<&str> = lock.apt().iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["jq", "libjq1", "libonig5"]);
    // A file name with an escaped colon.
    let lock = place.lock(&lock, "apt:vim-tiny").await;
    assert!(lock.apt().iter().any(|a| a.name == "vim-tiny" && a.version.contains(':') && a.filename.contains("%3a")));

    let (cause, _) = why(place.resolve(&lock, "pip:six==1.15.0").await);
    assert_eq!(cause, Cause::Conflict);

    let recipe = place.recipe(&lock).await;
    let built = place.build(&recipe).await.unwrap();
    assert!(Place::in_image(&built.tag, &["jq", "--version"]).starts_with("jq-"));
    assert_eq!(Place::in_image(&built.tag, &["python3", "-c", "import six; print(six.__version__)"]), "1.16.0\n");
    let layers = place.docker.inspect_image(&built.tag).await.unwrap().root_fs.unwrap().layers.unwrap();
    assert_eq!(layers.len(), recipe.base().len() + 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_that_is_not_the_locks_is_refused() {
    let mut place = Place::new("tampered").await;
    place.own_base(&["touch", "/etc/own-tampered"]).await;
    let lock = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    place.fetch(&lock).await.unwrap();
    let pin = &lock.pip()[0];
    let stored = place.path("packages").join(format!("{}-{}", pin.sha256, pin.filename));
    let good = fs::read(&stored).unwrap();
    fs::write(&stored, [&good[..], b"x"].concat()).unwrap();
    let recipe = place.recipe(&lock).await;
    let error = place.build(&recipe).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert!(failure(&place.path("images")).unwrap().unwrap().reason.contains("SHA-256"));
    assert!(fs::read_to_string(place.path("images/build.log")).unwrap().contains("failed:"));

    // The index serves something else than what was approved.
    let mut other = pin.clone();
    other.sha256 = taskforge::run::id::Digest::of(b"approved");
    let other = Lock::new(vec![other], vec![]).unwrap();
    let error = place.fetch(&other).await.unwrap_err();
    assert!(matches!(&error, Error::Step { words, .. } if words.contains("HASHES")), "{error}");
    let left: Vec<_> = fs::read_dir(place.path("packages")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_installed_must_be_what_was_approved() {
    let mut place = Place::new("readback").await;
    // This base's pip installs what it is told, and a package more.
    let script = r#"set -e
cat > /usr/local/bin/python3 <<'SH'
#!/bin/sh
/usr/bin/python3 "$@"; code=$?
case "$*" in *--no-index*) mkdir -p /usr/local/lib/python3.11/dist-packages/evil-1.dist-info
printf 'Metadata-Version: 2.1\nName: evil\nVersion: 1\n' > /usr/local/lib/python3.11/dist-packages/evil-1.dist-info/METADATA;; esac
exit $code
SH
chmod 755 /usr/local/bin/python3"#;
    place.own_base(&["sh", "-c", script]).await;
    let lock = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    let recipe = place.recipe(&lock).await;
    let error = place.build(&recipe).await.unwrap_err();
    assert!(error.to_string().contains("`evil` 1 was not asked for"), "{error}");
    assert!(failure(&place.path("images")).unwrap().unwrap().reason.contains("evil"));
    assert!(place.docker.inspect_image(&recipe.tag()).await.is_err(), "no tag");
    assert_eq!((place.containers().await, place.parts(&recipe).await), (0, 0), "nothing left");
}

#[tokio::test(flavor = "current_thread")]
async fn a_new_setuid_file_fails_the_build() {
    let mut place = Place::new("setuid").await;
    let script = r#"set -e
cat > /usr/local/bin/python3 <<'SH'
#!/bin/sh
case "$*" in *--no-index*) cp /bin/true /usr/local/bin/become; chmod 4755 /usr/local/bin/become;; esac
exec /usr/bin/python3 "$@"
SH
chmod 755 /usr/local/bin/python3"#;
    place.own_base(&["sh", "-c", script]).await;
    let lock = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    let recipe = place.recipe(&lock).await;
    let error = place.build(&recipe).await.unwrap_err();
    assert!(matches!(&error, Error::Setuid { files } if files == &["/usr/local/bin/become"]), "{error}");
    assert_eq!(place.parts(&recipe).await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_build_has_no_network_no_time_and_no_memory_to_waste() {
    let mut place = Place::new("confined").await;
    // What the install step sees goes into the log; then it hangs.
    let script = r#"set -e
cat > /usr/local/bin/python3 <<'SH'
#!/bin/sh
case "$*" in *--no-index*)
 echo interfaces: $(ls /sys/class/net); grep -e CapEff -e NoNewPrivs /proc/self/status
 echo memory: $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null)
 touch /mnt/x 2>&1; i=0; while [ $i -lt 40000 ]; do echo "a line of a very long log $i"; i=$((i+1)); done; exec sleep 300;; esac
exec /usr/bin/python3 "$@"
SH
chmod 755 /usr/local/bin/python3"#;
    place.own_base(&["sh", "-c", script]).await;
    let lock = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    let recipe = place.recipe(&lock).await;
    place.fetch(&lock).await.unwrap();
    place.limits = Limits { wall: Duration::from_secs(8), memory: 300 << 20, log: 64 << 10, ..Limits::default() };
    let started = Instant::now();
    let error = place.build(&recipe).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!((place.containers().await, place.parts(&recipe).await), (0, 0));
    let log = fs::read_to_string(place.path("images/build.log")).unwrap();
    assert!(log.len() < 80 << 10, "{}", log.len());
    assert!(log.contains("interfaces: lo\n"), "{log:.2000}");
    assert!(log.contains("CapEff:\t00000000000000db") || log.contains("CapEff:    00000000000000db"), "{log:.2000}");
    assert!(log.contains("NoNewPrivs:    1"), "{log:.2000}");
    assert!(log.contains("memory: 314572800"), "{log:.2000}");
    assert!(log.contains("Read-only file system"), "{log:.2000}");
    assert!(log.contains("bytes left out"));
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_starts_without_a_permit_and_one_process_builds() {
    let mut place = Place::new("permit").await;
    place.own_base(&["touch", "/etc/own-permit"]).await;
    let lock = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    let recipe = place.recipe(&lock).await;
    let (images, packages, lock_file) = (place.path("images"), place.path("packages"), place.path("lock"));
    let order = place.order(&recipe, &images, &packages, &lock_file);
    let killed = || Err::<(), _>("the kill switch is on");
    let error = run_build(&place.docker, &order, &killed).await.unwrap_err();
    assert!(matches!(error, Error::NotPermitted { .. }) && error.is_passing(), "{error}");
    assert_eq!(failure(&images).unwrap(), None, "being killed is no failure of the build");
    assert_eq!(place.containers().await, 0);

    let held = hold(&lock_file).unwrap().unwrap();
    let error = run_build(&place.docker, &order, &free).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    drop(held);

    let mut base = recipe.base().to_vec();
    base.push(taskforge::run::id::Digest::of(b"another layer"));
    let moved = Recipe::new(place.base.clone(), base, lock);
    let error = place.build(&moved).await.unwrap_err();
    assert!(matches!(error, Error::BaseChanged { .. }), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_kill_ends_a_build_without_failing_its_request() {
    let mut place = Place::new("killed").await;
    let script = r#"printf '#!/bin/sh\ncase "$*" in *--no-index*) exec sleep 60;; esac\nexec /usr/bin/python3 "$@"\n' \
        > /usr/local/bin/python3; chmod 755 /usr/local/bin/python3"#;
    place.own_base(&["sh", "-c", script]).await;
    let lock = place.lock(&Lock::default(), "pip:six==1.16.0").await;
    place.fetch(&lock).await.unwrap();
    let recipe = place.recipe(&lock).await;
    let (images, packages, lock_file) = (place.path("images"), place.path("packages"), place.path("lock"));
    let order = place.order(&recipe, &images, &packages, &lock_file);
    let killed = std::cell::Cell::new(false);
    let guard = || if killed.get() { Err("the kill switch is on") } else { Ok(()) };
    let kill = async {
        while place.containers().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        killed.set(true);
        let label = format!("label=io.taskforge.registry={}", place.scope.registry);
        let remove = format!("docker ps -aq --filter {label} | xargs docker rm -f");
        assert!(std::process::Command::new("sh").args(["-c", &remove]).output().unwrap().status.success());
    };
    let started = Instant::now();
    let (result, ()) = tokio::join!(run_build(&place.docker, &order, &guard), kill);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(failure(&images).unwrap(), None);
    assert_eq!((place.containers().await, place.parts(&recipe).await), (0, 0));
}

/// How long the demo would wait for its package: `cargo test --test it image::timing -- --ignored --nocapture`.
#[tokio::test(flavor = "current_thread")]
#[ignore = "a measurement, not a test"]
async fn timing() {
    for package in ["pip:pygal", "pip:matplotlib", "apt:jq"] {
        let mut place = Place::new("timing").await;
        place.own_base(&["touch", "/etc/own-timing"]).await;
        let started = Instant::now();
        let lock = place.lock(&Lock::default(), package).await;
        let resolving = started.elapsed();
        let built = place.build(&place.recipe(&lock).await).await.unwrap();
        let count = lock.pip().len() + lock.apt().len();
        println!(
            "{package}: {count} packages, resolve {resolving:.2?}, fetch {:.2?}, build {:.2?}",
            built.fetching, built.building
        );
    }
}
