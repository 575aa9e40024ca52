//! The network that the attacks may use, and whatever is in it: two namespaces with one cable between them. `home` is where
//! an unprotected attacker lives; behind its only route lies `street`, which has every address that an attack knows.
//! Neither has another interface, so that no packet can go anywhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::product::{BASE, LABEL, docker};

pub struct Cage {
    pub home: String,
    street: String,
    home_pid: String,
    street_pid: String,
    /// What stands in for the host's files: a secret, its sockets, a registry.
    pub host: PathBuf,
    /// On 127.0.0.1 of the host, and of the street.
    pub port: u16,
    /// On 127.0.0.1, too: what the agent is granted.
    pub upstream: u16,
    books: Vec<PathBuf>,
    servers: Vec<Child>,
}

/// What only the outer end of the cable may have.
const ADDRESSES: [&str; 5] = ["203.0.113.10/32", "169.254.169.254/32", "10.77.0.53/32", "10.77.0.3/32", "fd77::1/64"];

impl Cage {
    pub fn new(folder: &Path, label: &str) -> Self {
        let pause = |name: &str| {
            let arguments = [
                "run",
                "-d",
                "--network",
                "none",
                "--label",
                label,
                "--hostname",
                name,
                "--ipc",
                "shareable",
                "--sysctl",
                "net.ipv6.conf.all.disable_ipv6=0",
                "--sysctl",
                "net.ipv6.conf.default.disable_ipv6=0",
                BASE,
                "sleep",
                "infinity",
            ];
            let id = docker(&arguments);
            let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &id]);
            (id, pid)
        };
        let ((home, home_pid), (street, street_pid)) = (pause("home"), pause("street"));
        let host = folder.join("host");
        make_host(&host);
        let mut cage = Self {
            home,
            street,
            home_pid,
            street_pid,
            host,
            port: 0,
            upstream: 0,
            books: Vec::new(),
            servers: Vec::new(),
        };
        cage.lay_cable();
        cage.assert_closed();
        // Free a moment ago, on the host; in the street everything is.
        let free = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        [cage.port, cage.upstream] = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        for (role, pid) in
            [("street", Some(cage.street_pid.clone())), ("home", Some(cage.home_pid.clone())), ("host", None)]
        {
            let book = folder.join(format!("{role}.jsonl"));
            let mut command = match &pid {
                Some(pid) => {
                    let mut command = Command::new("nsenter");
                    command.args(["-t", pid, "-n", "python3"]);
                    command
                }
                None => Command::new("python3"),
            };
            command.arg("-c").arg(include_str!("targets.py")).arg(&book).arg(role).arg(&cage.host);
            command.arg(cage.port.to_string()).arg(cage.upstream.to_string());
            cage.servers.push(command.stdin(Stdio::null()).spawn().expect("python3 and nsenter"));
            wait_for(&folder.join(format!("{role}.jsonl.ready")));
            cage.books.push(book);
        }
        cage
    }

    fn lay_cable(&self) {
        let suffix = &self.home[..6];
        let (inner, outer) = (format!("tfi{suffix}"), format!("tfo{suffix}"));
        ip(None, &["link", "add", &inner, "type", "veth", "peer", "name", &outer]);
        for (end, pid) in [(&inner, &self.home_pid), (&outer, &self.street_pid)] {
            ip(None, &["link", "set", end, "netns", pid]);
            ip(Some(pid), &["link", "set", end, "name", "eth0"]);
            ip(Some(pid), &["link", "set", "eth0", "up"]);
        }
        ip(Some(&self.home_pid), &["addr", "add", "10.77.0.2/24", "dev", "eth0"]);
        ip(Some(&self.home_pid), &["addr", "add", "fd77::2/64", "dev", "eth0", "nodad"]);
        ip(Some(&self.street_pid), &["addr", "add", "10.77.0.1/24", "dev", "eth0"]);
        for address in ADDRESSES {
            let device = if address.starts_with("10.77.0.3") || address.starts_with("fd77") { "eth0" } else { "lo" };
            let more: &[&str] = if address.contains("::") { &["nodad"] } else { &[] };
            ip(Some(&self.street_pid), &[&["addr", "add", address, "dev", device], more].concat());
        }
        ip(Some(&self.home_pid), &["route", "add", "default", "via", "10.77.0.1"]);
        for pid in [&self.home_pid, &self.street_pid] {
            // New namespaces take over what the host has.
            inside(pid, &["sh", "-c", "for f in /proc/sys/net/ipv[46]/conf/all/forwarding; do echo 0 > $f; done"]);
        }
    }

    /// Not one packet can leave: two interfaces each, one of them the cable, and nobody forwards.
    pub fn assert_closed(&self) {
        for pid in [&self.home_pid, &self.street_pid] {
            assert_eq!(interfaces(pid), ["eth0", "lo"], "the cage has a hole");
        }
        let forwards = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        let of_street = inside(&self.street_pid, &["cat", "/proc/sys/net/ipv4/ip_forward"]);
        assert_eq!(of_street.trim(), "0", "the street forwards (the host: {})", forwards.trim());
        let routes = ip(Some(&self.street_pid), &["route", "show", "default"]);
        assert_eq!(routes.trim(), "", "the street leads on");
        let host = ip(None, &["addr"]);
        for address in ADDRESSES {
            assert!(!host.contains(&format!(" {address}")), "{address} is an address of this machine");
        }
    }

    /// An attacker's only networks are this one and none.
    pub fn assert_inside(&self, pid: u32) {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        if of(&pid.to_string()) != of(&self.home_pid) {
            assert_eq!(interfaces(&pid.to_string()), ["lo"], "an attacker outside of the cage");
        }
    }

    /// Whether `label` has seen `token`.
    pub fn received(&self, label: &str, token: &str) -> bool {
        self.books.iter().any(|book| {
            let text = fs::read_to_string(book).unwrap_or_default();
            let at = format!("{{\"at\": \"{label}\"");
            text.lines().any(|line| line.starts_with(&at) && line.contains(token))
        })
    }

    /// What a program says inside the attackers' namespace.
    pub fn at_home(&self, command: &[&str]) -> String {
        inside(&self.home_pid, command)
    }

    pub fn in_street(&self, command: &[&str]) -> String {
        inside(&self.street_pid, command)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        for id in [&self.home, &self.street] {
            let _ = Command::new("docker").args(["rm", "-f", id]).output();
        }
    }
}

fn make_host(host: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for folder in [
        "etc/cron.d",
        "ws",
        "out",
        "naive",
        "registry/decisions",
        "registry/runs/other/nodes/n/workspace",
        "registry/runs/other/gate/inbox",
        "registry/runs/other/gate/sockets/other-1",
        "registry/.git/hooks",
        "registry/agents/ada/memory",
        "registry/agents/eve/memory",
        "registry/children",
        "registry/.taskforge/keys",
        "registry/.taskforge/kill",
    ] {
        fs::create_dir_all(host.join(folder)).unwrap();
    }
    let registry = host.join("registry");
    // Open to anyone who gets there: that nobody does is what is looked at.
    let done = Command::new("chmod").args(["-R", "a+rwX"]).arg(&registry).status().unwrap();
    assert!(done.success());
    fs::set_permissions(host.join("etc/cron.d"), fs::Permissions::from_mode(0o777)).unwrap();
}

fn interfaces(pid: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect();
    names.retain(|name| !name.starts_with("sit") && !name.starts_with("tunl") && !name.starts_with("ip6tnl"));
    names.sort();
    names
}

fn inside(pid: &str, command: &[&str]) -> String {
    let done = Command::new("nsenter").args(["-t", pid, "-n"]).args(command).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn ip(pid: Option<&str>, arguments: &[&str]) -> String {
    let mut command = match pid {
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command.args(["-t", pid, "-n", "ip"]);
            command
        }
        None => Command::new("ip"),
    };
    let done = command.args(arguments).output().expect("`apt-get install iproute2`");
    assert!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

pub fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The label by which everything of these tests is found and removed.
pub fn label(id: &str) -> String {
    format!("{LABEL}={id}")
}
