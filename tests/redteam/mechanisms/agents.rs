//! Hired agents against one another: by the memory of somebody else, and by children that would have more than their parent.

use std::fs;
use std::path::Path;

use super::gate::tried;
use super::{Mechanism, attack};
use crate::scene::Scene;

/// The most that an agent may remember, in bytes.
const MEMORY: u64 = 1 << 20;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("read another agent's memory", READ, |s| s.looted(&s.product.kept)).recorded(tried),
        attack("write another agent's memory", WRITE, |s| remembered(s, "eve").iter().any(|text| s.is_in(text)))
            .recorded(tried),
        attack("a memory key that leads elsewhere", ELSEWHERE, |s| {
            let inside = [s.product.decisions(), s.cage.host.join("registry/decisions")];
            let found = inside.iter().flat_map(|folder| names(folder)).any(|name| name.contains(&s.token));
            found || s.product.agent("ada").join("memory/..").join(&s.token).exists()
        })
        .recorded(tried),
        attack("a memory without end", ENDLESS, |s| {
            remembered(s, "ada").iter().map(|text| text.len() as u64).sum::<u64>() > MEMORY
        })
        .floods()
        // There is a memory, and what fits into it is in it.
        .recorded(|s| remembered(s, "ada").iter().any(|text| s.is_in(text))),
        attack("a memory that is no text", NO_TEXT, |s| {
            let bad = |text: &Vec<u8>| s.is_in(text) && (text.contains(&0x1b) || std::str::from_utf8(text).is_err());
            remembered(s, "ada").iter().any(bad)
        })
        .recorded(tried),
        attack("a child with more than its parent", MORE, |s| own_children(s).iter().any(|run| has_more(s, run)))
            .recorded(|s| !own_children(s).is_empty()),
        attack("a child of a role that was not named", ROLE, |s| {
            own_children(s).iter().any(|run| s.product.node(run)["container"]["role"]["role"] != "worker")
        })
        .recorded(tried),
        attack("read another run's child", CHILD, |s| s.looted(&s.product.kept)).recorded(tried),
        attack("children as another agent", ANOTHER, |s| {
            let about = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
            let runs = s.product.agent("eve").join("../../runs");
            let of_other = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains(&s.token));
            let _ = s.product.children();
            of_other(&runs.join("other/events.jsonl"))
                || about(&runs.join("other/gate/inbox")).any(|e| of_other(&e.path()))
        })
        .recorded(tried),
    ]
}

impl Scene<'_> {
    fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.token.len()).any(|part| part == self.token.as_bytes())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The values that an agent remembers, where nothing protects and in the product, which has taken in what there was.
fn remembered(scene: &Scene<'_>, agent: &str) -> Vec<Vec<u8>> {
    scene.product.journal();
    let folders =
        [scene.cage.host.join("registry/agents").join(agent).join("memory"), scene.product.agent(agent).join("memory")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    files.filter_map(|file| fs::read(file.path()).ok()).collect()
}

/// The children that this attack asked for, as runs.
fn own_children(scene: &Scene<'_>) -> Vec<String> {
    let all = scene.product.children();
    let runs = all.as_array().into_iter().flatten().filter_map(|child| child["run"].as_str().map(str::to_owned));
    runs.filter(|run| {
        let workflow = scene.product.agent("ada").join("../../runs").join(run).join("workflow.lock.md");
        fs::read(workflow).is_ok_and(|text| scene.is_in(&text))
    })
    .collect()
}

/// Whether a child was given anything that the attacker's node does not have.
fn has_more(scene: &Scene<'_>, run: &str) -> bool {
    let (parent, child) = (scene.product.node("redteam"), scene.product.node(run));
    let (parent, child) = (&parent["container"], &child["container"]);
    let more = |what: &str| child["resources"][what].as_u64() > parent["resources"][what].as_u64();
    let policy = scene.product.agent("ada").join("../../runs").join(run).join("gate/policy.json");
    let policy = fs::read_to_string(policy).unwrap_or_default();
    ["cpuMillis", "memory", "pids", "disk", "wallMs"].into_iter().any(more)
        || child["iterations"].as_u64() > parent["iterations"].as_u64()
        || child["capabilities"].as_array().is_some_and(|all| !all.is_empty())
        || policy.contains("github.pr.list")
}

const READ: &str = r#"
fields = "X-Taskforge-Agent: eve\r\nX-Taskforge-Node: other\r\nAuthorization: Bearer eve\r\n"
for path in ("private?agent=eve", "private", "eve/private", "..%2F..%2Feve%2Fmemory%2Fprivate", "../../eve/memory/private", "%2e%2e/eve/private"):
    try:
        s = gate(("GET /taskforge/v1/memory/%s HTTP/1.1\r\nHost: 127.0.0.1:4180\r\n%sConnection: close\r\n\r\n" % (path, fields)).encode())
        loot(s.recv(65536) + s.recv(65536))
    except OSError:
        pass
"#;
const WRITE: &str = r#"
post("/taskforge/v1/memory", {"key": "private", "value": TOKEN, "agent": "eve"}, "X-Taskforge-Agent: eve")
post("/taskforge/v1/memory?agent=eve", {"key": "private", "value": TOKEN}, "X-Taskforge-Node: other")
post("/taskforge/v1/memory", {"key": "../../eve/memory/private", "value": TOKEN})
"#;
const ELSEWHERE: &str = r#"
for key in ("../../../decisions/" + TOKEN, "..%2f..%2f..%2fdecisions%2f" + TOKEN, "/workspace/../decisions/" + TOKEN, "../" + TOKEN, "a/../../" + TOKEN, ".." , "x\x00/../" + TOKEN):
    try:
        post("/taskforge/v1/memory", {"key": key, "value": TOKEN})
    except OSError:
        pass
"#;
const ENDLESS: &str = r#"
value = (TOKEN + " ") * 500
for number in range(150):
    post("/taskforge/v1/memory", {"key": "flood.%d" % number, "value": value[:16000]})
post("/taskforge/v1/memory", {"key": "flood.large", "value": TOKEN + "x" * (4 << 20)})
post("/taskforge/v1/memory", {"key": "k" * 5000, "value": TOKEN})
"#;
const NO_TEXT: &str = r#"
for number, value in enumerate((b"\xff\xfe ", b"\x1b]0;", b"\\u001b]0;", b"\\ud800", b"\x00", b"\xc0\xae\xc0\xae/")):
    try:
        post("/taskforge/v1/memory", b'{"key": "odd.%d", "value": "%s%s"}' % (number, value, T))
    except OSError:
        pass
"#;
const MORE: &str = r#"
more = {"capabilities": ["net:198.51.100.7:443"], "grants": ["net:198.51.100.7:443"], "resources": {"memory": "64GiB"}, "actions": ["github.pr.list"], "parent": None}
post("/taskforge/v1/children", {"role": "worker", "task": TOKEN, **more})
post("/taskforge/v1/children", {"role": "worker", "task": TOKEN, "requests": 4000000000})
post("/taskforge/v1/children", {"role": "worker", "task": TOKEN, "requests": -1})
post("/taskforge/v1/children", {"role": "worker", "task": TOKEN, "requests": 2, "wallMs": 31622400000})
"#;
const ROLE: &str = r#"
for role in ("boss", "../boss", "worker/../boss", "attacker", "worker\x00boss", "WORKER"):
    post("/taskforge/v1/children", {"role": role, "task": TOKEN})
post("/taskforge/v1/children", b'{"role": "worker", "role": "boss", "task": "%s"}' % T)
"#;
const CHILD: &str = r#"
fields = "X-Taskforge-Node: work\r\nX-Taskforge-Run: other\r\nX-Taskforge-Agent: eve\r\n"
for path in ("/" + os.environ["CHILD"], "", "/../other/" + os.environ["CHILD"], "?run=other"):
    s = gate(("GET /taskforge/v1/children%s HTTP/1.1\r\nHost: 127.0.0.1:4180\r\n%sConnection: close\r\n\r\n" % (path, fields)).encode())
    try:
        loot(s.recv(65536) + s.recv(65536))
    except OSError:
        pass
"#;
const ANOTHER: &str = r#"
for more in ({"agent": "eve"}, {"run": "other"}, {"parent": "other"}, {"node": "work", "attempt": 1}):
    post("/taskforge/v1/children", {"role": "worker", "task": TOKEN, **more}, "X-Taskforge-Run: other", "X-Taskforge-Agent: eve", "Authorization: Bearer eve")
"#;
