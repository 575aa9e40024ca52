//! To be taken for somebody else: by a name in a body, by another's socket, by asking for what is another's.

use std::fs;

use super::{Mechanism, attack, gate};

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("forge another's progress in the body", PROGRESS, gate::spoke_as_another)
            .recorded(|s| gate::refused(s, "v1/progress")),
        attack("forge another's result", RESULT, gate::spoke_as_another).recorded(gate::heard),
        attack("speak through another's socket", SOCKET, |s| s.received("another's socket")),
        attack("read another's conversation", CONVERSATION, |s| s.looted(&s.victim.secret)),
        attack("a terminal's commands in a reason", REASON, gate::commands_a_terminal).recorded(|s| {
            // The host has it from the gate's inbox.
            s.product.journal().lines().any(|line| line.contains(&s.token) && line.contains("capability.requested"))
        }),
        attack("a terminal's commands in a file's name", NAME, gate::commands_a_terminal).recorded(|s| {
            let left = fs::read_dir(&s.workspace).into_iter().flatten().flatten();
            let left = left.filter(|entry| entry.file_name().to_string_lossy().contains(&s.token)).count();
            left == 1 && gate::heard(s)
        }),
    ]
}

const PROGRESS: &str = r#"
post("/taskforge/v1/progress", {"message": TOKEN, "node": "other", "attempt": 7, "actor": "operator:tester"})
"#;
const RESULT: &str = r#"
post("/taskforge/v1/result", {"summary": TOKEN, "node": "other", "attempt": 7, "actor": "operator:tester", "run": "other"}, "X-Taskforge-Node: other")
"#;
const SOCKET: &str = r#"
import glob
here = "/taskforge/gate/"
tried = glob.glob("/host/registry/runs/*/gate/sockets/*/gate.sock")
tried += [here + name for name in os.listdir(here) if name != "gate.sock"] if os.path.isdir(here) else []
tried += [here + "../other-1/gate.sock", here + "../../other-1/gate.sock", "/proc/1/root/taskforge/gate/../sockets/other-1/gate.sock"]
for path in tried:
    try:
        unix(path)
    except OSError:
        pass
"#;
const CONVERSATION: &str = r#"
s = gate(b"GET /taskforge/v1/conversation?node=other&attempt=1&run=other HTTP/1.1\r\nHost: 127.0.0.1:4180\r\nX-Taskforge-Node: other\r\nConnection: close\r\n\r\n")
loot(s.recv(65536))
"#;
const REASON: &str = r#"
post("/taskforge/v1/capabilities", {"capability": "net:198.51.100.7:443", "reason": "\x1b]0;" + TOKEN + "\x07\x1b[2J all is well"})
"#;
const NAME: &str = r#"
name = "\x1b]0;" + TOKEN + "\x07\x1b[2Jreport.md"
open("/workspace/" + name, "w").close()
post("/taskforge/v1/result", {"summary": "done", "artifacts": [name]})
"#;
