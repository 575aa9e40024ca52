//! One attack in one container: made, found to be inside the cage, let loose, judged, removed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerCreateBody;

use crate::body;
use crate::cage::{Cage, label};
use crate::mechanisms::Mechanism;
use crate::mechanisms::exhaustion::FULL;
use crate::product::{Product, docker};
use crate::rows::Row;
use crate::victim::Victim;

/// How long an attack may take before it is judged as it stands.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an attack left.
pub struct Outcome {
    /// Its effect was seen at the target.
    pub succeeded: bool,
    /// Whether the product has it on record; none where the kernel refuses, which keeps no book.
    pub recorded: Option<bool>,
    /// What it said itself: only for a person who reads the table.
    pub said: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.succeeded { "SUCCEEDS" } else { "fails" })?;
        if self.succeeded { Ok(()) } else { write!(f, " ({})", self.said) }
    }
}

/// Which container.
pub enum Variant {
    Control { private: bool },
    Ours(Vec<Row>),
}

/// What a judge looks at: everything but the attack.
pub struct Scene<'a> {
    pub token: String,
    pub workspace: PathBuf,
    pub cage: &'a Cage,
    pub victim: &'a Victim,
    pub product: &'a Product,
    /// The container's, and its first process on the host.
    pub id: String,
    pub pid: u32,
    /// The file behind the block device that may be handed out.
    pub disk: PathBuf,
}

impl Scene<'_> {
    pub fn received(&self, at: &str) -> bool {
        self.received_text(at, &self.token)
    }

    fn received_text(&self, at: &str, text: &str) -> bool {
        // What was sent is on its way for a moment.
        let begun = Instant::now();
        loop {
            if self.cage.received(at, text) {
                return true;
            }
            if begun.elapsed() > Duration::from_millis(300) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the product's gate has written down since the attack began.
    pub fn new_records(&self) -> String {
        let before: usize = fs::read_to_string(self.workspace.join(".records")).unwrap().parse().unwrap();
        self.product.traffic().lines().skip(before).map(|line| format!("{line}\n")).collect()
    }

    /// Whether `at` received the token right behind `before`, which is written as in JSON.
    pub fn received_after(&self, at: &str, before: &str) -> bool {
        self.received_text(at, &format!("{before}{}", self.token))
    }

    /// Whether a file of the host's holds the attack's token.
    pub fn holds(&self, path: impl AsRef<Path>) -> bool {
        fs::read(self.cage.host.join(path)).is_ok_and(|bytes| contains(&bytes, &self.token))
    }

    /// Whether the attack carried off `secret`.
    pub fn looted(&self, secret: &str) -> bool {
        fs::read(self.workspace.join("loot")).is_ok_and(|bytes| contains(&bytes, secret))
    }

    /// Whether the neighbour noted `what` with the attack's token.
    pub fn hit(&self, what: &str) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(400) {
            if self.victim.noted(what).is_some_and(|text| text.contains(&self.token)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// What the attack says of itself, and whether it is through.
    fn said(&self) -> String {
        fs::read_to_string(self.workspace.join(".said")).unwrap_or_default()
    }

    /// A file of the attacker's in `/proc` of the host.
    pub fn proc(&self, file: &str) -> String {
        let bytes = fs::read(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where a link of the attacker's in `/proc` leads.
    pub fn link(&self, file: &str) -> String {
        fs::read_link(format!("/proc/{}/{file}", self.pid)).map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// What the attacker has open.
    pub fn open_files(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).map(|path| path.display().to_string()).collect()
    }

    /// How many processes its first one has made.
    pub fn children(&self) -> usize {
        self.proc(&format!("task/{}/children", self.pid)).split_whitespace().count()
    }

    /// A path as the attacker sees it.
    pub fn seen_inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// Whether the namespace `kind` of the attacker's process is another than its container was given.
    pub fn left_namespace(&self, kind: &str) -> bool {
        let given = fs::read_to_string(self.workspace.join(".given")).unwrap_or_default();
        let now = self.link(&format!("ns/{kind}"));
        let before =
            given.lines().find_map(|line| line.strip_prefix(&format!("{kind} "))).unwrap_or_default().to_owned();
        !now.is_empty() && now != before
    }

    /// What stands in the container's own layer.
    pub fn written_to_image(&self) -> String {
        docker(&["diff", &self.id])
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

pub struct Stage {
    docker: Docker,
    runtime: tokio::runtime::Runtime,
    id: String,
    device: Option<String>,
    /// Its name that is handed out.
    node: Option<String>,
    disk: PathBuf,
    cage: Cage,
    product: Product,
    victim: RefCell<Victim>,
    /// Last, because those before it still need what is in it.
    folder: Folder,
}

/// Removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = tempfile::Builder::new().prefix("tf-redteam-").tempdir().unwrap().keep();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "the red team's network namespaces need root: `sudo -E ./test`");
        let id = ulid::Ulid::generate().to_string().to_lowercase();
        let folder = Folder::new();
        let cage = Cage::new(&folder, &label(&id));
        // The image's own, whose libraries are there.
        docker(&["cp", &format!("{}:/bin/cp", cage.home), &folder.join("cp").display().to_string()]);
        let product = Product::new(&folder, cage.upstream);
        let victim = Victim::new(&folder, &label(&id), product.user());
        let disk = folder.join("disk");
        fs::write(&disk, vec![0; 1 << 20]).unwrap();
        let device = loop_device(&disk);
        let node = device.as_ref().map(|device| open_node(device, &folder.join("disk-node")));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let docker = taskforge::container::Engine::connect().unwrap().docker().clone();
        Self { docker, runtime, id, folder, device, node, disk, cage, product, victim: RefCell::new(victim) }
    }

    pub fn control(&self, mechanism: &Mechanism) -> Variant {
        Variant::Control { private: mechanism.floods }
    }

    pub fn ours(&self) -> Variant {
        Variant::Ours(Vec::new())
    }

    pub fn without(&self, rows: &[Row]) -> Variant {
        Variant::Ours(rows.to_vec())
    }

    pub fn run(&self, mechanism: &Mechanism, variant: &Variant) -> Outcome {
        if self.victim.borrow().noted("spent").is_some() {
            let fresh = Victim::new(&self.folder, &label(&self.id), self.product.user());
            self.victim.replace(fresh);
        }
        let victim = self.victim.borrow();
        if let (Some(output), Variant::Ours(_)) = (mechanism.reads, variant) {
            let (taken, detail) = self.product.collect(&self.script(mechanism), output);
            let succeeded = taken.contains(&victim.secret);
            let said = "the host took nothing in".to_owned();
            return Outcome { succeeded, recorded: Some(detail.contains(output)), said };
        }
        if let (true, Variant::Ours(taken)) = (mechanism.lasts, variant) {
            let wall = if taken.contains(&Row::WallClock) { "1d" } else { "2s" };
            let succeeded = self.product.outlives(&self.script(mechanism), wall);
            return Outcome { succeeded, recorded: None, said: "it was ended".to_owned() };
        }
        if let (true, Variant::Ours(taken)) = (mechanism.fills, variant)
            && !taken.contains(&Row::Init)
        {
            let (written, shown) = self.product.fills(&self.script(mechanism));
            let recorded = Some(shown.contains("\"over_disk\""));
            return Outcome { succeeded: written > FULL, recorded, said: "it was ended".to_owned() };
        }
        let token = format!("tok{}", ulid::Ulid::generate().to_string().to_lowercase());
        let workspace = self.workspace(&token, mechanism);
        let mut body = match variant {
            Variant::Control { private } => {
                body::control(&self.cage, &victim, &workspace, self.node.as_deref(), *private)
            }
            Variant::Ours(taken) => {
                let mut body = body::ours(&self.product, &workspace);
                for row in taken {
                    body::take(*row, &mut body, &self.cage, &victim, self.node.as_deref());
                }
                body
            }
        };
        body.labels =
            Some([label(&self.id).split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap()].into());
        body.entrypoint = Some(["python3", "-u", "/workspace/.prelude.py"].map(str::to_owned).into());
        let told = HashMap::from([
            ("TOKEN", token.clone()),
            ("VICTIM", victim.told()),
            ("OTHER_UID", "4242".to_owned()),
            ("LOOPBACK_PORT", self.cage.port.to_string()),
            ("UPSTREAM_PORT", self.cage.upstream.to_string()),
            ("CHILD", self.product.child.clone()),
        ]);
        body::tell(&mut body, &told);
        let (id, pid) = match self.start(body) {
            Ok(started) => started,
            // A container that the Engine does not start harms nobody, and proves nothing.
            Err(error) => panic!("{}: {error}", mechanism.name),
        };
        assert!(Path::new(&format!("/proc/{pid}")).exists(), "{}: {}", mechanism.name, docker(&["logs", &id]));
        // Removed, whatever the judge does.
        let removes = Removes(id.clone());
        self.cage.assert_closed();
        self.cage.assert_inside(pid);
        let (cage, product, disk) = (&self.cage, &self.product, self.disk.clone());
        let scene = Scene { token, workspace, cage, victim: &victim, product, id, pid, disk };
        note_namespaces(&scene);
        self.prepare(&scene);
        fs::write(scene.workspace.join(".records"), self.product.traffic().lines().count().to_string()).unwrap();
        if let Some(prepare) = mechanism.prepare {
            prepare(&scene);
        }
        fs::write(scene.workspace.join(".start"), "").unwrap();
        let begun = Instant::now();
        while !scene.said().ends_with("\nHELD") && begun.elapsed() < PATIENCE && alive(&scene) {
            std::thread::sleep(Duration::from_millis(3));
        }
        let succeeded = (mechanism.judge)(&scene);
        let recorded = mechanism.trace.filter(|_| matches!(variant, Variant::Ours(_))).map(|trace| trace(&scene));
        let said = scene.said().trim_end_matches("\nHELD").to_owned();
        let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
        if mechanism.spends {
            fs::write(victim.out.join("spent"), "").unwrap();
        }
        drop(removes);
        let _ = fs::remove_dir_all(&scene.workspace);
        let _ = fs::remove_dir_all(self.cage.host.join("out"));
        fs::create_dir_all(self.cage.host.join("out")).unwrap();
        Outcome { succeeded, recorded, said }
    }

    /// The script, told where on the host the secret lies: hiding that is nobody's protection.
    fn script(&self, mechanism: &Mechanism) -> String {
        mechanism.script.replace("@HOST@", &self.cage.host.display().to_string())
    }

    /// A workspace as an agent has it, with a file of root's in it and what the control container mounts.
    fn workspace(&self, token: &str, mechanism: &Mechanism) -> PathBuf {
        let (uid, gid) = self.product.user();
        let workspace = self.cage.host.join("ws").join(token);
        fs::create_dir_all(workspace.join(".inputs")).unwrap();
        fs::create_dir_all(workspace.join(".taskforge/bin")).unwrap();
        fs::create_dir_all(workspace.join(".taskforge/gate")).unwrap();
        fs::write(workspace.join(".inputs/input.txt"), "as it was\n").unwrap();
        fs::write(workspace.join(".taskforge/bin/taskforge"), "as it was\n").unwrap();
        fs::write(workspace.join(".prelude.py"), include_str!("prelude.py")).unwrap();
        fs::write(workspace.join(".attack.py"), self.script(mechanism)).unwrap();
        for (name, mode) in [("of-root", 0o600), ("of-group", 0o660), (".said", 0o666), ("loot", 0o666)] {
            let text = if name.starts_with("of-") { "as it was\n" } else { "" };
            fs::write(workspace.join(name), text).unwrap();
            fs::set_permissions(workspace.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let setuid = workspace.join("setuid-cp");
        fs::copy(self.folder.join("cp"), &setuid).unwrap();
        fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).unwrap();
        chown(&workspace, Some(uid), Some(gid)).unwrap();
        workspace
    }

    /// What the attacks find, as it was before any of them.
    fn prepare(&self, scene: &Scene<'_>) {
        let host = &self.cage.host;
        let secret = &scene.victim.secret;
        for file in fs::read_dir(host.join("registry/agents/ada/memory")).into_iter().flatten().flatten() {
            let _ = fs::remove_file(file.path());
        }
        for (file, text) in [
            ("secret", secret.clone()),
            ("registry/.taskforge/keys/checkpoint.key", secret.clone()),
            ("registry/runs/other/nodes/n/workspace/private", secret.clone()),
            ("registry/runs/other/events.jsonl", "{\"seq\":1}\n".to_owned()),
            ("registry/runs/other/gate/traffic.jsonl", "{\"seq\":1}\n".to_owned()),
            ("registry/runs/other/gate/policy.json", "{\"generation\":1}\n".to_owned()),
            ("registry/.taskforge/kill/lock.json", "{}\n".to_owned()),
            ("registry/agents/eve/memory/private.md", self.product.kept.clone()),
            (&format!("registry/children/{}", self.product.child), self.product.kept.clone()),
        ] {
            fs::write(host.join(file), text).unwrap();
            fs::set_permissions(host.join(file), fs::Permissions::from_mode(0o666)).unwrap();
        }
        fs::set_permissions(host.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(self.input(), "as it was\n").unwrap();
        fs::set_permissions(self.input(), fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// The file on the host that is the agent's input.
    fn input(&self) -> PathBuf {
        let mounts = self.product.found.host_config.as_ref().unwrap().mounts.as_ref().unwrap();
        let input = mounts.iter().find(|mount| mount.target.as_deref() == Some("/inputs/input.txt")).unwrap();
        PathBuf::from(input.source.as_ref().unwrap())
    }

    fn start(&self, body: ContainerCreateBody) -> Result<(String, u32), bollard::errors::Error> {
        self.runtime.block_on(async {
            let id = self.docker.create_container(None, body).await?.id;
            let started = self.docker.start_container(&id, None).await;
            if let Err(error) = started {
                let _ = Command::new("docker").args(["rm", "-f", &id]).output();
                return Err(error);
            }
            let found = self.docker.inspect_container(&id, None).await?;
            let pid = found.state.and_then(|state| state.pid).unwrap_or_default();
            Ok((id, u32::try_from(pid).unwrap()))
        })
    }
}

fn alive(scene: &Scene<'_>) -> bool {
    // A zombie has done what it will do.
    let status = scene.proc("status");
    !status.is_empty() && !status.contains("State:\tZ")
}

/// Which namespaces the container was given, before the attack has begun.
fn note_namespaces(scene: &Scene<'_>) {
    let lines: Vec<String> = ["user", "mnt", "net", "uts", "ipc", "pid", "cgroup"]
        .iter()
        .map(|kind| format!("{kind} {}", scene.link(&format!("ns/{kind}"))))
        .collect();
    fs::write(scene.workspace.join(".given"), lines.join("\n")).unwrap();
}

/// Another name of a block device, which everybody may write to: of one that is root's a user who is not root keeps anyone.
fn open_node(device: &str, path: &Path) -> String {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let number = fs::metadata(device).unwrap().rdev();
    mknodat(CWD, path, FileType::BlockDevice, Mode::from_raw_mode(0o600), number).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    path.display().to_string()
}

fn loop_device(disk: &Path) -> Option<String> {
    let made = Command::new("losetup").args(["--find", "--show"]).arg(disk).stdin(Stdio::null()).output().ok()?;
    made.status.success().then(|| String::from_utf8_lossy(&made.stdout).trim().to_owned())
}

struct Removes(String);

impl Drop for Removes {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.0]).output();
    }
}

impl Stage {
    /// After all of it, the product's records hold.
    pub fn must_be_sound(&self) {
        self.product.must_be_sound();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let filter = format!("label={}", label(&self.id));
        if let Ok(found) = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output() {
            for id in String::from_utf8_lossy(&found.stdout).split_whitespace() {
                let _ = Command::new("docker").args(["rm", "-f", "-v", id]).output();
            }
        }
        if let Some(device) = &self.device {
            let _ = Command::new("losetup").args(["-d", device]).output();
        }
    }
}

/// The size of a file, in bytes; 0 if there is none.
pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.size())
}
