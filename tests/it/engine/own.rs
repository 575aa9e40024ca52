//! A Docker Engine of a test's own, beside the machine's: its own data, socket, network and mount table, gone with the test.
//! The one that all other tests use is not touched: a second Engine in the same network would take its bridge away.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::container::BASE;
use crate::scene::Scene;

/// How long an Engine may take to start, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is done before it starts. Alone in its mount table it may have tables of sub-users of its own, and no second
/// hierarchy of control groups beside the first, which old versions of crun cannot do with.
const PRELUDE: &str = r#"
set -e
mount --make-rprivate /
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
for table in subuid subgid; do touch "$1/$table"; [ -e /etc/$table ] || continue; mount --bind "$1/$table" /etc/$table; done
ip link set lo up
shift
exec "$@"
"#;

/// The same for an Engine without root, of a user whom only this mount table knows. What it is in is made by the kernel for
/// its user; only the device behind its network has to be everybody's, as it is on most machines.
const PRELUDE_OF_USER: &str = r#"
set -e
mount --make-rprivate /
for table in subuid subgid passwd group; do touch "/etc/$table"; mount --bind "$1/$table" /etc/$table; done
mknod -m 666 "$1/tun" c 10 200
mkdir -p /dev/net; touch /dev/net/tun; mount --bind "$1/tun" /dev/net/tun
ip link set lo up
folder=$1; uid=$2
shift 2
exec setpriv --reuid $uid --regid $uid --clear-groups env -i HOME="$folder/own" XDG_RUNTIME_DIR="$folder/own" \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin rootlesskit --net=slirp4netns --mtu=1500 --disable-host-loopback \
    --port-driver=builtin --copy-up=/etc --copy-up=/run --propagation=rslave \
    sh -c 'rm -f /run/docker /run/containerd /run/xtables.lock; exec "$@"' sh "$@"
"#;

/// The Engine that tests of one kind have in common while one of them runs: to start one and to give it the base image
/// takes longer than most of what they look at.
pub struct Shared(Mutex<Weak<OwnEngine>>);

impl Shared {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    pub fn take(&self, start: impl FnOnce() -> OwnEngine) -> Arc<OwnEngine> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let engine = Arc::new(start());
            *shared = Arc::downgrade(&engine);
            engine
        })
    }
}

/// The Engine, until this is dropped.
pub struct OwnEngine {
    folder: tempfile::TempDir,
    child: Child,
    user: Option<u32>,
}

impl OwnEngine {
    /// Starts one with more arguments for `dockerd`. `sub_users` becomes `/etc/subuid` and `/etc/subgid` for it.
    pub fn start(arguments: &[&str], sub_users: &str) -> Self {
        Self::spawn(PRELUDE, None, arguments, sub_users)
    }

    /// Starts one that runs without root, as a user with this id, to whom 65536 ids from `first` on are subordinate.
    pub fn rootless(uid: u32, first: u32) -> Self {
        for tool in ["rootlesskit", "slirp4netns", "newuidmap"] {
            let there = Command::new("which").arg(tool).output().unwrap().status.success();
            assert!(there, "`{tool}` is missing: `apt-get install rootlesskit slirp4netns uidmap`");
        }
        Self::spawn(PRELUDE_OF_USER, Some(uid), &[], &format!("tf-operator:{first}:65536\n"))
    }

    fn spawn(prelude: &str, user: Option<u32>, arguments: &[&str], sub_users: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "an Engine of one's own needs root");
        // Short: a socket's path has 108 bytes.
        let folder = tempfile::Builder::new().prefix("tf-engine-").tempdir_in("/var/tmp").unwrap();
        let own = folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        let at = |name: &str| own.join(name).display().to_string();
        for table in ["subuid", "subgid"] {
            std::fs::write(folder.path().join(table), sub_users).unwrap();
        }
        if let Some(uid) = user {
            std::os::unix::fs::chown(&own, Some(uid), Some(uid)).unwrap();
            let known = [
                ("passwd", format!("tf-operator:x:{uid}:{uid}::/:/bin/sh\n")),
                ("group", format!("tf-operator:x:{uid}:\n")),
            ];
            for (table, line) in known {
                let all = std::fs::read_to_string(format!("/etc/{table}")).unwrap();
                std::fs::write(folder.path().join(table), all + &line).unwrap();
            }
        }
        // Containers of other users have to get at what lies below.
        for path in [folder.path(), &own] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--net", "sh", "-c", prelude, "sh"])
            .arg(folder.path())
            .args(user.map(|uid| uid.to_string()))
            .args(["dockerd", "--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("sock")), "--storage-driver", "overlay2"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Its containerd and what that starts are ended with it.
            .process_group(0)
            .spawn()
            .expect("`unshare` is missing: `apt-get install util-linux`");
        let mut engine = Self { folder, child, user };
        let begun = Instant::now();
        while !engine.docker(&["version"]).status.success() {
            let ended = engine.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "the Engine does not start: {}", engine.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        engine
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("own/sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn docker(&self, arguments: &[&str]) -> Output {
        Command::new("docker").env("DOCKER_HOST", self.host()).args(arguments).output().unwrap()
    }

    /// What `docker` prints.
    pub fn says(&self, arguments: &[&str]) -> String {
        let done = self.docker(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Whether it keeps the limits of containers, as it says itself.
    pub fn keeps_limits(&self) -> bool {
        self.says(&["info", "--format", "{{.MemoryLimit}} {{.PidsLimit}} {{.CPUCfsQuota}}"]) == "true true true"
    }

    /// Gives it the base image that the machine's Engine has.
    pub fn take_base(&self) {
        let mut save = Command::new("docker").args(["save", BASE]).stdout(Stdio::piped()).spawn().unwrap();
        let image = save.stdout.take().unwrap();
        let load = Command::new("docker").env("DOCKER_HOST", self.host()).arg("load").stdin(image).output().unwrap();
        assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        assert!(save.wait().unwrap().success(), "`taskforge image base` makes {BASE}");
    }

    /// The containers of a registry, those that have ended included.
    pub fn containers_of(&self, scene: &Scene) -> usize {
        let registry = format!("label=io.taskforge.registry={}", scene.id());
        self.says(&["ps", "--all", "--quiet", "--filter", &registry]).lines().count()
    }

    /// A registry whose Engine this one is.
    pub fn scene(&self) -> Scene {
        let mut scene = match self.user {
            None => Scene::empty(),
            Some(uid) => Scene::empty().of_user(uid),
        };
        scene.env("DOCKER_HOST", &self.host());
        scene.tf(&["init", "."]).ok();
        if self.user.is_none() {
            crate::pinned::lend(&scene.root());
        }
        scene
    }

    /// Does something on what is the Engine's machine to it: where its published ports are.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network_of(self.child.id(), work)
    }

    /// A listener that the Engine's containers reach, and nobody else.
    pub fn listener(&self) -> TcpListener {
        // It is the first address, which not every Engine names.
        let subnet = self.says(&["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"]);
        let gateway = subnet.replace(".0/16", ".1");
        let pid = std::fs::read_to_string(self.folder.path().join("own/pid")).unwrap();
        // One without root has its bridge in a network of its own.
        in_network_of(pid.trim().parse().unwrap(), || TcpListener::bind((gateway.as_str(), 0)).unwrap())
    }

    pub fn log(&self) -> String {
        let mut text = String::new();
        let file = std::fs::File::open(self.folder.path().join("log"));
        let _ = file.and_then(|mut file| file.read_to_string(&mut text));
        let from = text.len().saturating_sub(4000);
        String::from_utf8_lossy(&text.as_bytes()[from..]).into_owned()
    }
}

/// Does something in the network of process `pid`, by a thread that ends with it.
fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    let network = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let enter = || move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter().unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        let ids = self.docker(&["ps", "--all", "--quiet"]);
        for id in String::from_utf8_lossy(&ids.stdout).split_whitespace() {
            self.docker(&["rm", "--force", id]);
        }
        // It ends its own parts and takes its mounts away when it is asked to.
        let _ = kill_process(group, Signal::TERM);
        let begun = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if begun.elapsed() > Duration::from_secs(20) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
}
