//! Proposals that mean harm, and applications that try to get out.

use std::net::TcpListener;

use serde_json::Value;

use super::stage::{Ports, RUN, deployments, page, proposed, records, stage, until};
use crate::scene::text;

fn log(scene: &crate::scene::Scene) -> String {
    scene.tf(&["run", "logs", RUN]).ok().stdout
}

#[test]
fn what_is_no_proposal_is_refused_where_it_is_made() {
    let scene = stage(
        r#"
put("ok/a", "x")
def no(port, command, folder="ok"):
    code, answer = deploy(port, command, folder)
    assert code == 2, (port, command, folder, code, answer)
    print("no:", answer["error"]["message"], flush=True)
for port in ["0", "70000", "-1", "080", "80-90", "127.0.0.1:80", "4180", "8000;id", ""]:
    no(port, ["serve"])
for command in [["sh", "-c", "a\nb"], ["\x1b[2J"], ["\u202ehs"], ["x"] * 65, ["x" * 9000]]:
    no(8000, command)
for folder in ["..", "/etc", "ok/../..", "ok//x", "a:b", "a\nb"]:
    no(8000, ["serve"], folder)
bare = subprocess.run(["/taskforge/bin/taskforge", "agent", "request", "port:8000", "--reason", "x"], capture_output=True)
assert bare.returncode == 2, bare
other = subprocess.run(["/taskforge/bin/taskforge", "agent", "request", "pip:six", "--reason", "x", "--", "serve"], capture_output=True)
assert other.returncode == 2, other
print("all refused", flush=True)
"#,
    );
    scene.start("deployed", RUN);
    scene.drive(RUN, 0);
    let said = log(&scene);
    for part in ["a port is a number", "is where the gate is offered", "not shown as itself", "all refused"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.matches("no: ").count(), 20, "{said}");
    assert!(scene.events(RUN, "capability.requested").is_empty());
}

#[test]
fn files_that_are_none_cannot_be_deployed_and_the_agent_is_told_so() {
    let _ports = Ports::take();
    let scene = stage(
        r#"
put("linked/a", "x"); put("piped/a", "x"); put("named/a", "x"); put("up/a", "x")
for link, to in [("linked/passwd", "/etc/passwd"), ("up/out", ".."), ("way", "linked")]:
    if not os.path.lexists("/workspace/" + link): os.symlink(to, "/workspace/" + link)
if not os.path.exists("/workspace/piped/p"): os.mkfifo("/workspace/piped/p")
put("named/a\x1b[2J", "x")
os.makedirs("/workspace/empty", exist_ok=True)
codes = [deploy(8000, ["serve"], folder)[0] for folder in ["linked", "piped", "named", "up", "way", "empty", "missing"]]
if 75 in codes: sys.exit(75)
print("codes", codes, flush=True)
"#,
    );
    scene.start("deployed", RUN);
    scene.drive(RUN, 0);
    assert!(log(&scene).contains("codes [4, 4, 4, 4, 4, 4, 4]"), "{}", log(&scene));
    let problems: Vec<String> =
        scene.events(RUN, "capability.unresolvable").iter().map(|line| text(&line["data"]["reason"])).collect();
    for part in ["passwd is a symlink", "p is neither", "not shown as itself", "out is a symlink", "way is a symlink"] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
    assert!(problems.iter().any(|problem| problem.contains("no folder missing")), "{problems:#?}");
    assert_eq!(deployments(&scene), Vec::<Value>::new());
    assert!(!problems.iter().any(|problem| problem.contains('\u{1b}')));
}

#[test]
fn an_application_reaches_nothing_and_changes_nothing_and_two_on_one_port_do_not_meet() {
    let _ports = Ports::take();
    let scene = stage(
        r#"
put("app/serve.py", '''
import errno, http.server, os, socket, urllib.request
def tried(what):
    try:
        return str(what())
    except urllib.error.HTTPError as error:
        return f"http {error.code}"
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
def post(path, body):
    return urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:4180" + path, body), timeout=20).status
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        lines = [
            "mine " + open("/workspace/app/name").read(),
            "write " + tried(lambda: open("/workspace/app/name", "w")),
            "new " + tried(lambda: open("/workspace/app/new", "w")),
            "above " + tried(lambda: open("/workspace/new", "w")),
            "net " + tried(lambda: socket.create_connection(("192.0.2.1", 80), 5)),
            "proxy " + tried(lambda: urllib.request.urlopen("http://example.com/", timeout=20)),
            "model " + tried(lambda: post("/v1/chat/completions", b"{}")),
            "ask " + tried(lambda: post("/taskforge/v1/capabilities", b'{"capability":"pip:six"}')),
            "tmp " + str(open("/tmp/x", "w").write("x")),
            "uid " + str(os.getuid() != 0),
        ]
        self.send_response(200); self.end_headers()
        self.wfile.write("\\n".join(lines).encode())
http.server.HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
''')
put("app/name", "one")
codes = [deploy(8000, ["python3", "serve.py"], "app")[0], deploy(8000, ["python3", "serve.py", "two"], "app")[0]]
sys.exit(75 if 75 in codes else 0)
"#,
    );
    scene.start("deployed", RUN);
    scene.drive(RUN, 11);
    for _ in 0..2 {
        let id = text(&scene.waiting(RUN)[0]["id"]);
        let shown = scene.tf(&["approve", &id, "--show", "--json"]).ok().json();
        scene.tf(&["approve", &id, "--digest", &text(&shown["digest"])]).ok();
    }
    scene.tick_until(RUN, |_| deployments(&scene).iter().filter(|row| row["status"] == "running").count() == 2);
    let rows = deployments(&scene);
    assert_ne!(rows[0]["address"], rows[1]["address"], "each has a port of its own");
    for row in &rows {
        let answer = page(row, "/").unwrap();
        for line in [
            "mine one",
            "write EROFS",
            "new EROFS",
            "net ENETUNREACH",
            "proxy http 403",
            "model http 404",
            "ask http 404",
            "tmp 1",
            "uid True",
        ] {
            assert!(answer.lines().any(|said| said == line), "{line}: {answer}");
        }
        assert!(!answer.contains("above <"), "{answer}");
        let denied = records(&scene, &text(&row["id"]), "egress.denied");
        assert_eq!(denied[0]["target"], "example.com:80", "what it tried is on record");
    }
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
}

#[test]
fn a_port_that_somebody_else_listens_on_is_passed_over_and_one_that_was_taken_meanwhile_is_said() {
    let _ports = Ports::take();
    // Whichever of the first is free now is somebody else's from now on.
    let other = (9100..=9120).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
    let scene = stage(super::stage::SITE);
    let (id, digest) = proposed(&scene);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    let row = until(&scene, "running");
    let taken = other.local_addr().unwrap().to_string();
    assert_ne!(text(&row["address"]), taken);
    // While it is down another program takes its port: it waits, says so, and goes on once the port is free.
    scene.tf(&["deployment", "stop", &id, "--reason", "to see"]).ok();
    let thief = TcpListener::bind(text(&row["address"])).unwrap();
    let said = scene.tf(&["deployment", "start", &id]).exits(1);
    said.complains("is failing").complains(&format!("cannot listen on {}", text(&row["address"])));
    drop(thief);
    scene.tf(&["deployment", "start", &id]).ok().says("runs at");
    assert!(page(&row, "/").unwrap().contains("it works"));
}
