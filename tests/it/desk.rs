//! A stand-in for the built-in agent, without a container: it runs the tool calls of the model server in a temporary
//! folder, so that the server's work can be judged by what it makes. `pip` and the decision are played, with the answers
//! that the box gives; everything else is really run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::model_server::{ModelServer, repository};

const PIP_FAILS: &str = "ERROR: No matching distribution found for pygal==3.1.3";

/// What the person answers to the request for a package.
#[derive(Clone)]
pub enum Decision {
    Approved,
    Denied(&'static str),
}

/// `/inputs` and the workspaces of one run.
pub struct Desk<'a> {
    server: &'a ModelServer,
    folder: tempfile::TempDir,
    decision: Decision,
    approved: bool,
    /// Capabilities asked for, with their reasons.
    pub asked: Vec<(String, String)>,
}

impl<'a> Desk<'a> {
    pub fn new(server: &'a ModelServer, orders: &str, decision: Decision) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inputs")).unwrap();
        fs::write(folder.path().join("inputs/sales.csv"), orders).unwrap();
        Self { server, folder, decision, approved: false, asked: Vec::new() }
    }

    /// Works on a node until it calls `finish` or the server refuses; its files become `/inputs/<node>`. The messages, and
    /// the refusal if there was one.
    pub fn work(&mut self, node: &str) -> (Vec<Value>, Option<String>) {
        let workspace = self.path("inputs").join(node);
        fs::create_dir(&workspace).unwrap();
        let mut messages = vec![
            json!({"role": "system", "content": "You work in a container."}),
            json!({"role": "user", "content": prompt(node)}),
        ];
        for _ in 0..20 {
            let (status, answer) = self.server.chat(&request(&messages));
            if status != 200 {
                return (messages, Some(answer["error"]["message"].as_str().unwrap().to_owned()));
            }
            let message = answer["choices"][0]["message"].clone();
            let calls = message["tool_calls"].as_array().unwrap().clone();
            messages.push(message);
            for call in &calls {
                let name = call["function"]["name"].as_str().unwrap();
                if name == "finish" {
                    return (messages, None);
                }
                let arguments = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
                let result = self.call(name, &arguments, node);
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result.to_string()}));
            }
        }
        panic!("{node} did not finish");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path("inputs").join(path)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The container's paths in `text`, as they are here.
    fn here(&self, text: &str, node: &str) -> String {
        let inputs = format!("{}/", self.path("inputs").display());
        text.replace("/inputs/", &inputs).replace("/workspace/", &format!("{inputs}{node}/"))
    }

    fn call(&mut self, name: &str, arguments: &Value, node: &str) -> Value {
        let text = |key: &str| arguments[key].as_str().unwrap().to_owned();
        match name {
            "shell" if text("command").contains("pip install") => json!({
                "exit": 0, "stdout": format!("{PIP_FAILS}\n"), "stderr": "", "truncated": false,
                "refused": [{"code": "capability_required", "surface": "connect", "target": "packages.invalid:443"}],
            }),
            "shell" => {
                let command = self.here(&text("command"), node);
                let modules = self.path("modules");
                let mut shell = Command::new("sh");
                shell.args(["-c", &command]).current_dir(self.path("inputs").join(node));
                if self.approved {
                    fs::create_dir_all(&modules).unwrap();
                    fs::write(modules.join("pygal.py"), PYGAL).unwrap();
                    shell.env("PYTHONPATH", &modules);
                }
                let done = shell.output().unwrap();
                json!({
                    "exit": done.status.code().unwrap(), "stdout": String::from_utf8(done.stdout).unwrap(),
                    "stderr": String::from_utf8(done.stderr).unwrap(), "truncated": false, "refused": [],
                })
            }
            "read_file" => {
                json!({"content": fs::read_to_string(self.here(&text("path"), node)).unwrap(), "truncated": false})
            }
            "write_file" => {
                let path = self.here(&text("path"), node);
                let written = if path.ends_with(".py") { self.here(&text("content"), node) } else { text("content") };
                fs::write(path, written).unwrap();
                json!({"written": text("content").len()})
            }
            "request_capability" => {
                self.asked.push((text("capability"), text("reason")));
                match self.decision {
                    Decision::Approved => {
                        self.approved = true;
                        json!({"status": "approved", "granted": [text("capability")], "comment": ""})
                    }
                    Decision::Denied(comment) => json!({"status": "denied", "comment": comment}),
                }
            }
            other => panic!("no such tool: {other}"),
        }
    }
}

/// As much of pygal as the analyst uses; the real one is installed where a run is tested in its containers.
const PYGAL: &str = r#"
class style:
    Style = dict

class Line:
    def __init__(self, **_):
        self.lines = []

    def add(self, name, values):
        self.lines.append("<text>%s %.2f</text>" % (name, sum(values)))

    def render_to_file(self, path):
        with open(path, "w") as target:
            target.write("<svg><!-- pygal -->%s</svg>\n" % "".join(self.lines))
"#;

/// A chat request as the built-in agent sends it.
pub fn request(messages: &[Value]) -> Value {
    let tools: Vec<Value> = ["shell", "read_file", "write_file", "request_capability", "finish"]
        .iter()
        .map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}))
        .collect();
    json!({"model": "scripted-analyst", "messages": messages, "tools": tools})
}

/// The prompt of a node of the shipped workflow.
pub fn prompt(node: &str) -> String {
    let workflow = fs::read_to_string(repository("workflows/sales-report.task.md")).unwrap();
    let frontmatter = workflow.split("\n---\n").next().unwrap();
    let start = frontmatter.find(&format!("  - id: {node}\n")).unwrap_or_else(|| panic!("no node {node}"));
    let prompt = frontmatter[start..].split_once("prompt: |\n").unwrap().1;
    let lines = prompt.lines().take_while(|line| line.is_empty() || line.starts_with("      "));
    lines.map(|line| format!("{}\n", line.trim_start())).collect::<String>().trim_end().to_owned() + "\n"
}
