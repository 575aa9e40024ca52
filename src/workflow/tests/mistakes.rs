//! Files with mistakes: every one of them is reported, at its place, in words that help.

use super::*;

const TWELVE: &str = include_str!("twelve-mistakes.task.md");

#[test]
fn twelve_mistakes_at_once() {
    let problems = Workflow::parse("sales.task.md", TWELVE).unwrap_err();
    assert_eq!(problems.count(), 12);
    insta::assert_snapshot!(problems, @r#"
    sales.task.md:2:13: error: workflow id "../escape" may hold only letters, digits, `.`, `_` and `-`, and starts with a letter, a digit or `_`
        2 | workflowId: ../escape
          |             ^
    sales.task.md:3:1: error: unknown key `titel` in the workflow
        3 | titel: Sales report
          | ^
      hint: did you mean `title`?
    sales.task.md:7:9: error: `cron` of `driver`: `every day` is no cron pattern: Invalid pattern: Pattern must have 5 fields when seconds are disallowed
        7 |   cron: every day
          |         ^
      hint: five fields: minute hour day month weekday, as in `*/15 * * * *`
    sales.task.md:11:11: error: `kind` of node `gather` must be `session_turn`, `subagent`, `wait`, `approval` or `summary`, and is `session_turm`
       11 |     kind: session_turm
          |           ^
      hint: did you mean `session_turn`?
    sales.task.md:12:13: error: `prompt` of node `gather` uses `params.regoin`, and there is no such param
       12 |     prompt: Profile {{ params.regoin }}.
          |             ^
      hint: did you mean `params.region`?
    sales.task.md:15:23: error: a file in `requiredFiles` of `outputs` of node `gather`: `../../etc/passwd` leaves the run's folder
       15 |       requiredFiles: [../../etc/passwd]
          |                       ^
    sales.task.md:19:13: error: node `analyse` needs `gathr`, and there is no such node
       19 |     needs: [gathr, report]
          |             ^
      hint: did you mean `gather`?
    sales.task.md:19:20: error: these nodes need each other: analyse -> report -> analyse
       19 |     needs: [gathr, report]
          |                    ^
      hint: drop one of these needs
    sales.task.md:20:13: error: `prompt` of node `analyse` is empty
       20 |     prompt: ""
          |             ^
      hint: say what is to be done
    sales.task.md:22:22: error: capability `pipp:pandas` has an unknown kind; did you mean `pip:`?
       22 |       capabilities: [pipp:pandas]
          |                      ^
    sales.task.md:23:27: error: `memory` of `resources` of `container` of node `analyse`: `512M` is not a size; write it like `512MiB` or `1GiB` (units: B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)
       23 |       resources: {memory: 512M, wall: 30m}
          |                           ^
    sales.task.md:28:9: error: duplicate node id `gather`
       28 |   - id: gather
          |         ^
      hint: the first node of this id stands on line 9
    "#);
}

#[test]
fn problems_serialise_as_a_list() {
    let problems = Workflow::parse("x.task.md", "---\nworkflowId: a\nnodes: []\n---").unwrap_err();
    insta::assert_json_snapshot!(problems, @r#"
    [
      {
        "file": "x.task.md",
        "line": 2,
        "column": 1,
        "message": "the workflow has no `title`",
        "hint": null
      },
      {
        "file": "x.task.md",
        "line": 3,
        "column": 8,
        "message": "`nodes` is empty",
        "hint": "a workflow needs at least one node"
      }
    ]
    "#);
}

#[test]
fn circles_are_reported_without_what_hangs_on_them() {
    let nodes = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "c"), ("e", "f"), ("f", "g, d"), ("g", "e"), ("h", "")];
    let mut text = "---\nworkflowId: w\ntitle: W\nnodes:\n".to_owned();
    for (id, needs) in nodes {
        text += &format!("  - {{id: {id}, title: T, kind: approval, needs: [{needs}]}}\n");
    }
    assert_eq!(
        messages(&(text + "---")),
        ["6:47 these nodes need each other: b -> c -> b", "9:47 these nodes need each other: e -> f -> g -> e",]
    );
}

#[test]
fn each_rule_has_its_words() {
    let cases: &[(&str, &[&str])] = &[
        ("kind: session_turn", &["5:5 node `a` has no `prompt`"]),
        ("kind: session_turn\npromt: x", &["8:5 unknown key `promt` in node `a`"]),
        ("kind: session_turn\nprompt: '  '", &["8:13 `prompt` of node `a` is empty"]),
        ("kind: summary\ncontainer: {}", &["5:5 node `a` has no `prompt`"]),
        ("kind: summary\nprompt: x\ncontainer:", &["9:5 `container` of node `a` has nothing behind it"]),
        ("kind: summary\ncontainer: {runtime: command}", &["8:16 `container` of node `a` has no `command`"]),
        (
            "kind: summary\nprompt: x\ncontainer: {command: [a]}",
            &["9:17 `container` of node `a` has a `command`, and its runtime does not run one"],
        ),
        (
            "kind: summary\ncontainer: {runtime: command, command: []}",
            &["8:44 `command` of `container` of node `a` names no program"],
        ),
        (
            "kind: approval\ncontainer: {}\nprompt: x",
            &["8:5 node `a` is of the kind `approval`, which runs in no container"],
        ),
        ("kind: approval\nneeds: [a]", &["8:13 node `a` needs itself"]),
        ("kind: approval\nneeds: a", &["8:12 `needs` of node `a` must be a list, and is text"]),
        (
            "kind: approval\nneeds: [b, 1]",
            &[
                "8:13 node `a` needs `b`, and there is no such node",
                "8:16 an id in `needs` of node `a` must be text, and is a number",
            ],
        ),
        ("kind: approval\ntimeout: 30", &["8:14 `timeout` of node `a` needs a unit"]),
        ("kind: approval\ntimeout: 30m\ntimeoutMs: 5", &["8:5 node `a` has both `timeout` and `timeoutMs`"]),
        (
            "kind: approval\ntimeoutMs: -5",
            &["8:16 `timeoutMs` of node `a` must be a whole number from 1 to 31622400000, and is -5"],
        ),
        (
            "kind: approval\nwaitFor: {type: next_tick}",
            &["8:14 node `a` is of the kind `approval`, and only `wait` waits for something"],
        ),
        ("kind: wait\nwaitFor: {type: file_exists}", &["8:14 `waitFor` of node `a` has no `path`"]),
        (
            "kind: wait\nwaitFor: {type: manual, path: x}",
            &["8:29 `waitFor` of node `a` has a `path`, and its type has none"],
        ),
        ("kind: wait\nwaitFor: manual", &["8:14 `waitFor` of node `a` must be a map, and is text"]),
        ("kind: wait\nkind: wait", &["8:5 duplicate key `kind` in node `a`"]),
        (
            "kind: wait\nretry: {backoff: 1m, on: [72, 300, 1, 1]}",
            &[
                "8:12 `retry` of node `a` has no `limit`",
                "8:31 exit code 72 in `on` of `retry` of node `a` means that the gate refused, and is not retried",
                "8:35 an exit code in `on` of `retry` of node `a` must be a whole number from 1 to 255, and is 300",
                "8:43 exit code 1 stands twice in `on` of `retry` of node `a`",
            ],
        ),
        ("kind: wait\nwhen: region == 'eu'", &["8:11 `when` of node `a` uses `region`, which is not known there"]),
        (
            "kind: wait\ncontinueOn: [fail]",
            &["8:18 an ending in `continueOn` of node `a` must be `failed` or `skipped`, and is `fail`"],
        ),
        ("kind: wait\nmetadata: {x: 1, x: 2}", &["8:22 duplicate key `x` in `metadata` of node `a`"]),
        (
            "kind: summary\nprompt: x\ncontainer: {image: 'python:3.12', resources: {cpus: 0, memory: 1MiB, pids: 0.5}, iterations: 0, role: ../x}",
            &[
                "9:24 `image` of `container` of node `a`: `python:3.12` is neither a name nor a reference with a digest",
                "9:57 `cpus` of `resources` of `container` of node `a` must be a number from 0.01 to 1024, and is 0",
                "9:68 `memory` of `resources` of `container` of node `a` must be at least 6MiB",
                "9:80 `pids` of `resources` of `container` of node `a` must be a whole number from 1 to 4194304, and is 0.5",
                "9:98 `iterations` of `container` of node `a` must be a whole number from 1 to 10000, and is 0",
                "9:107 `role` of `container` of node `a`: role \"../x\" is not 1 to 63 lower-case letters, digits and `-`, the first no `-`",
            ],
        ),
        (
            "kind: summary\nprompt: x\ncontainer: {}\noutputs: {requiredFiles: [report.md, nodes/a/attempts/1/exit.json, nodes/a/x, nodes/a/x-y, nodes/a/x/y]}",
            &[
                "10:31 output `report.md` of the container node `a` must stand below `nodes/a/`",
                "10:42 output `nodes/a/attempts/1/exit.json` of node `a` has the name of a file that taskforge keeps",
                "10:96 output `nodes/a/x/y` of node `a` stands below its output `nodes/a/x`",
            ],
        ),
        (
            "kind: summary\noutputs: {mode: reprot, path: /x}",
            &[
                "8:21 `mode` of `outputs` of node `a` must be `notify` or `report`, and is `reprot`",
                "8:35 `path` of `outputs` of node `a`: `/x` is absolute; it must be relative to the run's folder",
            ],
        ),
        (
            "kind: wait\nprompt: 'use {{ params.x }}'",
            &["8:13 `prompt` of node `a` uses `{{ params… }}`, and the workflow has no `params`"],
        ),
    ];
    for (lines, wanted) in cases {
        assert_eq!(messages(&node(lines)), *wanted, "{lines}");
    }
}

#[test]
fn titles_cannot_act_on_a_terminal() {
    for (title, character) in
        [("\"a\\e[2J\"", "U+001B"), ("\"a\\u202eb\"", "U+202E"), ("'a\u{202e}b'", "U+202E"), ("\"a\\nb\"", "U+000A")]
    {
        let text = node("kind: wait").replace("title: A", &format!("title: {title}"));
        let wanted = format!("6:12 `title` of node `a` holds {character}, a control or direction character");
        assert_eq!(messages(&text), [wanted]);
    }
}

#[test]
fn params_and_the_rest_of_the_top() {
    let text = "---
workflowId: 12
title: [x]
params:
  a-b: {type: string}
  c: {type: text}
  d: {type: integer, enum: [1, x], default: 3}
  e: string
  d: {type: boolean}
schedule: {timezone: ../zone, overlap: que}
concurrency: 0
defaults: {agentid: x}
nodes: {}
---";
    assert_eq!(
        messages(text),
        [
            "2:13 `workflowId` must be text, and is a number",
            "3:8 `title` must be text, and is a list",
            "5:3 param `a-b` has no proper name",
            "6:13 `type` of param `c` must be `string`, `integer`, `number` or `boolean`, and is `text`",
            "7:32 a choice in `enum` of param `d` must be an integer, and is text",
            "7:45 `default` of param `d` must be `1`",
            "8:6 param `e` must be a map, and is text",
            "9:3 duplicate key `d` in `params`",
            "10:11 `schedule` has no `cron`",
            "10:22 `timezone` of `schedule`: `../zone` is no time zone",
            "10:40 `overlap` of `schedule` must be `skip`, `queue` or `replace`, and is `que`",
            "11:14 `concurrency` must be a whole number from 1 to 1000, and is 0",
            "12:12 unknown key `agentid` in `defaults`",
            "13:8 `nodes` must be a list, and is a map",
        ]
    );
}
