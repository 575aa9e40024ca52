//! Files that are fine.

use super::*;

/// Every key of OpenTask and all five kinds.
const OPENTASK: &str = "---
workflowId: weekly-report
title: 'Weekly report'
defaults: {agentId: main, model: gemini-2.5-flash, thinking: low, timeoutMs: 30000}
driver:
  cron: '*/2 * * * *'
  timeoutMs: 45000
  wakeMode: next-heartbeat
  sessionKeyTemplate: session:workflow:{runId}:driver
  plannerSessionKeyTemplate: session:workflow:{runId}:planner
nodes:
- id: gather
  title: Gather the facts
  kind: session_turn
  needs: []
  prompt: |
    Read everything.

    ---
    Then {{ secrets.KEEP }} the rest {% as it is %}.
  outputs: {mode: report, path: nodes/gather/report.md, requiredFiles: [./nodes/gather/data.csv]}
- id: check
  title: Check in parallel
  kind: subagent
  needs:
  - gather
  prompt: Check the facts.
  timeoutMs: 60000
  sessionKey: session:checks
  metadata: {owner: ada, tags: [x, 1, true, null]}
- id: settle
  title: Let it settle
  kind: wait
  needs: [check]
  waitFor: {type: file_exists, path: nodes/gather/data.csv}
- {id: approve, title: Approve, kind: approval, needs: [settle], waitFor: {type: manual}}
- id: sum
  title: Sum up
  kind: summary
  needs: [approve, check]
---

# Weekly report

Gathers, checks
and sums up.
";

#[test]
fn opentasks_files_parse() {
    let workflow = sound(OPENTASK);
    assert_eq!(workflow.id.as_str(), "weekly-report");
    assert_eq!(workflow.description.as_deref(), Some("Gathers, checks and sums up."));
    assert_eq!(workflow.driver.wake_mode, Some(WakeMode::NextHeartbeat));
    assert_eq!(workflow.defaults.timeout, Some(Duration::from_secs(30)));
    let kinds: Vec<&str> = workflow.nodes.iter().map(|node| node.kind.as_str()).collect();
    assert_eq!(kinds, ["session_turn", "subagent", "wait", "approval", "summary"]);
    let modes: Vec<OutputsMode> = workflow.nodes.iter().map(|node| node.outputs.mode).collect();
    use OutputsMode::{Notify, Report};
    assert_eq!(modes, [Report, Report, Notify, Notify, Report]);
    let files = |id: &str| {
        let files = &workflow.node(id).unwrap().outputs.artifact_paths;
        files.iter().map(RelativePath::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(files("gather"), "nodes/gather/data.csv nodes/gather/report.md");
    assert_eq!(files("check"), "nodes/check/report.md");
    assert_eq!(files("settle"), "");
    assert_eq!(files("sum"), "nodes/sum/report.md");
    let wait = workflow.node("settle").unwrap().wait_for.clone();
    assert!(matches!(wait, Some(WaitFor::FileExists { path }) if path.as_str() == "nodes/gather/data.csv"));
    assert_eq!(workflow.node("approve").unwrap().wait_for, None);
    // Without `params` a prompt is literal, dashes and braces included.
    let prompt = "Read everything.\n\n---\nThen {{ secrets.KEEP }} the rest {% as it is %}.\n";
    assert_eq!(workflow.node("gather").unwrap().prompt.as_deref(), Some(prompt));
    let rendered = workflow.render(&BTreeMap::new()).unwrap();
    assert_eq!(rendered.prompts.values().next_back().map(String::as_str), Some(prompt));
}

/// Every key of ours.
const OURS: &str = "---
workflowId: sales
title: Sales
params:
  region: {type: string, default: eu, enum: [eu, us], description: Where}
  top: {type: integer, default: 10}
  share: {type: number}
  quick: {type: boolean, default: false}
schedule: {cron: '0 6 * * 1-5', timezone: Europe/Berlin, overlap: queue, catchup: true}
concurrency: 4
nodes:
  - id: größe
    title: Größe – 日本
    kind: session_turn
    prompt: The {{ params.top }} largest of {{ params.region }}, {{ params.share }}, {{ params.quick }}.
    retry: {limit: 2, backoff: 10s, maxBackoff: 5m, on: [1, 137]}
    continueOn: [failed, skipped]
    when: params.quick == false
    timeout: 1h30m
    container: &box
      image: default
      runtime: builtin
      role: code-review-engineer
      model: gemini-2.5-flash
      capabilities: [pip:pandas==2.2.3, 'net:api.github.com:443']
      resources: {cpus: 1, memory: 512MiB, pids: 128, disk: 1GiB, wall: 30m}
      iterations: 20
  - id: run
    title: Run
    kind: session_turn
    needs: [größe]
    outputs: {requiredFiles: [nodes/run/chart.svg]}
    container:
      image: registry.example:5000/tools@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      runtime: command
      command: [python3, job.py]
  - {id: end, title: End, kind: summary, prompt: Sum up., needs: [run], container: *box}
---
";

#[test]
fn our_keys_parse() {
    let workflow = sound(OURS);
    let node = workflow.node("größe").unwrap();
    assert_eq!(node.timeout, Some(Duration::from_secs(5400)));
    assert_eq!(node.continue_on, [Ending::Failed, Ending::Skipped]);
    let container = node.container.as_ref().unwrap();
    assert_eq!(container.resources.memory, Some(512 << 20));
    assert_eq!(workflow.node("end").unwrap().container.as_ref(), Some(container));
    let run = workflow.node("run").unwrap().container.as_ref().unwrap();
    assert_eq!((run.runtime, run.command.len()), (Runtime::Command, 2));
    assert!(run.image.as_ref().unwrap().is_reference());
    let json = serde_json::to_value(&workflow).unwrap();
    insta::assert_json_snapshot!(json["nodes"][0], @r#"
    {
      "id": "größe",
      "title": "Größe – 日本",
      "kind": "session_turn",
      "needs": [],
      "prompt": "The {{ params.top }} largest of {{ params.region }}, {{ params.share }}, {{ params.quick }}.",
      "outputs": {
        "mode": "report",
        "artifactPaths": [
          "nodes/größe/report.md"
        ]
      },
      "timeoutMs": 5400000,
      "sessionKey": null,
      "waitFor": null,
      "retry": {
        "limit": 2,
        "backoffMs": 10000,
        "maxBackoffMs": 300000,
        "on": [
          1,
          137
        ]
      },
      "continueOn": [
        "failed",
        "skipped"
      ],
      "when": "params.quick == false",
      "container": {
        "image": "default",
        "runtime": "builtin",
        "command": [],
        "role": "code-review-engineer",
        "agent": null,
        "model": "gemini-2.5-flash",
        "capabilities": [
          "pip:pandas==2.2.3",
          "net:api.github.com:443"
        ],
        "resources": {
          "cpus": 1.0,
          "memoryBytes": 536870912,
          "pids": 128,
          "diskBytes": 1073741824,
          "wallMs": 1800000
        },
        "iterations": 20
      },
      "metadata": {}
    }
    "#);
    insta::assert_json_snapshot!(json["params"]["region"], @r#"
    {
      "type": "string",
      "default": "eu",
      "description": "Where",
      "enum": [
        "eu",
        "us"
      ]
    }
    "#);
}

#[test]
fn params_are_filled_in() {
    let workflow = sound(OURS);
    let given = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let rendered = workflow.render(&given(&[("share", "0.5"), ("region", "us")])).unwrap();
    let prompt = rendered.prompts.iter().find(|(id, _)| id.as_str() == "größe").unwrap().1;
    assert_eq!(prompt, "The 10 largest of us, 0.5, false.");
    let errors = workflow.render(&given(&[("regoin", "us"), ("region", "mars"), ("top", "1.5")])).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "there is no param `regoin`; did you mean `region`?",
            "param `region` must be `eu` or `us`, and is `mars`",
            "param `share` is not given, and has no default",
            "param `top` must be an integer, and is `1.5`",
        ]
    );
}

#[test]
fn line_ends_and_marks_make_no_difference() {
    let plain = sound(OPENTASK);
    assert_eq!(sound(&OPENTASK.replace('\n', "\r\n")), plain);
    assert_eq!(sound(&format!("\u{feff}\n\n{OPENTASK}")), plain);
    assert_eq!(sound(OPENTASK.trim_end()), plain);
    let (head, _) = OPENTASK.rsplit_once("\n---\n").unwrap();
    assert_eq!(sound(&format!("{head}\n---")).nodes, plain.nodes);
}

#[test]
fn dashes_in_prompts_end_nothing() {
    for (yaml, prompt) in [
        ("|\n  a\n  ---\n  b", "a\n---\nb\n"),
        (">-\n  ---", "---"),
        ("'a\n  ---\n  b'", "a --- b"),
        ("\"--- x\"", "--- x"),
        ("a --- b", "a --- b"),
    ] {
        let workflow = sound(&node(&format!("kind: subagent\nprompt: {yaml}")));
        assert_eq!(workflow.nodes[0].prompt.as_deref(), Some(prompt), "{yaml}");
    }
}

#[test]
fn a_drawing_cannot_be_broken_out_of() {
    let title = "\"]; click n0 \\\"javascript:x\\\" <b>`#%{{&";
    let text = node("kind: approval\nmetadata: {}\n").replace("title: A", &format!("title: '{title}'"));
    let drawing = graph::mermaid(&sound(&text));
    insta::assert_snapshot!(drawing, @r#"
    flowchart TD
        n0{{"a<br/>#34;#93;#59; click n0 #92;#34;javascript#58;x#92;#34; #60;b#62;#96;#35;#37;#123;#123;#38;"}}
    "#);
    insta::assert_snapshot!(graph::mermaid(&sound(OURS)), @r#"
    flowchart TD
        n0["größe<br/>Größe #8211; 日本"]:::container
        n1["run<br/>Run"]:::container
        n2[/"end<br/>End"/]:::container
        n0 --> n1
        n1 --> n2
        classDef container stroke-width:3px
    "#);
}

#[test]
fn a_folder_is_listed_sound_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.task.md", OURS);
    write("a.task.md", "no");
    write("notes.md", OURS);
    write(".hidden.task.md", OURS);
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("c.task.md")).unwrap();
    std::fs::create_dir(folder.path().join("d.task.md")).unwrap();
    let listings = list(folder.path()).unwrap();
    let lines: Vec<String> = listings
        .iter()
        .map(|listing| match &listing.outcome {
            Ok(summary) => format!("{} {} {}", summary.workflow_id, summary.nodes, summary.container_nodes),
            Err(Error::Invalid(problems)) => format!("{} problem", problems.count()),
            Err(error) => error.to_string().replace(&folder.path().display().to_string(), ""),
        })
        .collect();
    let not_a_file = "is not a regular file; name the file itself, not a link to it";
    assert_eq!(
        lines,
        ["1 problem", "sales 3 3", &format!("/c.task.md {not_a_file}"), &format!("/d.task.md {not_a_file}")]
    );
    assert!(list(&folder.path().join("absent")).unwrap().is_empty());
}
