//! Arguments, as `argparse` reads them.

use serde_json::json;

use super::{DEMO, helper, node_of, run_of};
use crate::scene::Scene;

/// The complaint of a call that is not understood.
fn complaint(scene: &Scene, arguments: &[&str]) -> String {
    let ended = helper(scene, arguments).exits(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.starts_with("usage: taskforge helper"), "{}", ended.stderr);
    ended.stderr.lines().last().unwrap().to_owned()
}

#[test]
fn options_are_read_in_all_their_forms() {
    let scene = run_of(DEMO);
    let bound = |arguments: &[&str]| helper(&scene, arguments).ok().json()["event"]["message"].clone();
    for (arguments, value) in [
        (&["bind", "r1", "cron", "--value", "v"][..], "v"),
        (&["bind", "--value", "v", "r1", "cron"], "v"),
        (&["bind", "r1", "--value", "v", "cron"], "v"),
        (&["bind", "r1", "cron", "--val", "v"], "v"),
        (&["bind", "r1", "cron", "--v=x=y"], "x=y"),
        (&["bind", "r1", "cron", "--value", "a", "--value", "b"], "b"),
        (&["bind", "r1", "cron", "--value", "-5"], "-5"),
        (&["bind", "r1", "cron", "--value", "-1.5"], "-1.5"),
        (&["bind", "r1", "cron", "--value", "-"], "-"),
        (&["bind", "r1", "cron", "--value", "- a b"], "- a b"),
        (&["bind", "r1", "cron", "--value=-x"], "-x"),
        (&["bind", "r1", "cron", "--value=--message"], "--message"),
    ] {
        assert_eq!(bound(arguments), format!("Bound cron {value}."), "{arguments:?}");
    }
    let call = ["bind", "r1", "--node", "gather", "node-session", "--val", "k", "--mess", "m1", "--mess=m2"];
    assert_eq!(bound(&call), "m2");
    assert_eq!(node_of(&scene, "gather")["sessionKey"], "k");
    for (message, arguments) in [
        ("-5", &["progress", "r1", "-5"][..]),
        ("- item", &["progress", "r1", "- item"]),
        ("-x", &["progress", "r1", "--", "-x"]),
        ("--message", &["progress", "--", "r1", "--message"]),
    ] {
        assert_eq!(helper(&scene, arguments).ok().json()["event"]["message"], json!(message));
    }
}

#[test]
fn the_registry_may_be_named_before_or_behind_the_verb() {
    let scene = run_of(DEMO);
    let root = scene.root().display().to_string();
    let (joined, home) = (format!("--registry-root={root}"), scene.outside("home"));
    for call in [
        &["--registry-root", &root, "validate", "r1"][..],
        &[&joined, "validate", "r1"],
        &["--reg", &root, "validate", "r1"],
        &["validate", "r1", "--registry-root", &root],
        &["validate", &joined, "r1"],
        &["validate", "--reg", &root, "r1"],
        &["--registry-root", "/nonexistent", "validate", "r1", "--registry-root", &root],
    ] {
        helper(&scene, call).cwd(&home).ok();
    }
    scene.tf(&["--registry", &root, "helper", "validate", "r1"]).cwd(&home).ok();
    helper(&scene, &["validate", "r1"]).cwd(&home).env("OPENTASK_REGISTRY_ROOT", &root).ok();
    helper(&scene, &["validate", "r1"]).cwd(&home).exits(1).complains("run not found: r1");
}

#[test]
fn what_is_not_understood_is_said_in_argparse_s_words() {
    let scene = run_of(DEMO);
    let kinds = "(choose from 'cron', 'node-session', 'child-session', 'node-run', 'driver-run')";
    for (arguments, said) in [
        (&[][..], "taskforge helper: error: the following arguments are required: command".to_owned()),
        (&["--bogus"], "taskforge helper: error: the following arguments are required: command".to_owned()),
        (&["bind"], "taskforge helper bind: error: the following arguments are required: run_id, kind".to_owned()),
        (&["bind", "r"], "taskforge helper bind: error: the following arguments are required: kind".to_owned()),
        (&["bind", "r", "x"], format!("taskforge helper bind: error: argument kind: invalid choice: 'x' {kinds}")),
        (&["bind", "r", "it's"], format!("taskforge helper bind: error: argument kind: invalid choice: \"it's\" {kinds}")),
        (&["bind", "r", "a\nb"], format!("taskforge helper bind: error: argument kind: invalid choice: 'a\\nb' {kinds}")),
        (&["bind", "r", "cron", "--bogus", "x"], "taskforge helper: error: unrecognized arguments: --bogus x".to_owned()),
        (&["bind", "r", "cron", "-x"], "taskforge helper: error: unrecognized arguments: -x".to_owned()),
        (&["validate", "a", "b"], "taskforge helper: error: unrecognized arguments: b".to_owned()),
        (&["bind", "r", "cron", "--value"], "taskforge helper bind: error: argument --value: expected one argument".to_owned()),
        (&["bind", "r", "cron", "--value", "-x"], "taskforge helper bind: error: argument --value: expected one argument".to_owned()),
        (&["bind", "r", "cron", "--value", "--", "-x"], "taskforge helper bind: error: argument --value: expected one argument".to_owned()),
        (&["--registry-root"], "taskforge helper: error: argument --registry-root: expected one argument".to_owned()),
        (&["scaffold", "--r", "x"], "taskforge helper scaffold: error: ambiguous option: --r could match --run-id, --root-session-key".to_owned()),
        (&["scaffold"], "taskforge helper scaffold: error: the following arguments are required: --workflow-path, --run-id, --source-session-key".to_owned()),
        (&["transition-node", "r", "n", "pending"], "taskforge helper transition-node: error: argument status: invalid choice: 'pending' (choose from 'ready', 'running', 'waiting', 'completed', 'failed', 'skipped')".to_owned()),
        (&["bind", "--help=1"], "taskforge helper bind: error: argument -h/--help: ignored explicit argument '1'".to_owned()),
        (&["bind", "-hfoo"], "taskforge helper bind: error: argument -h/--help: ignored explicit argument 'foo'".to_owned()),
    ] {
        assert_eq!(complaint(&scene, arguments), said);
    }
    let said = complaint(&scene, &["nonsense"]);
    assert!(
        said.starts_with(
            "taskforge helper: error: argument command: invalid choice: 'nonsense' (choose from 'scaffold', 'bind',"
        ),
        "{said}"
    );
    assert_eq!(super::names(&scene, "r1").len(), 2);
}

#[test]
fn usage_lines_break_as_argparse_breaks_them() {
    let scene = run_of(DEMO);
    let usage = |arguments: &[&str]| {
        let said = helper(&scene, arguments).exits(2).stderr;
        said.lines()
            .take_while(|line| !line.starts_with("taskforge"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    insta::assert_snapshot!(usage(&["bind"]) + &usage(&["transition-node"]) + &usage(&["progress"]) + &usage(&["validate"]) + &usage(&["scaffold"]), @r"
    usage: taskforge helper bind [-h] [--node-id NODE_ID] [--value VALUE]
                                 [--message MESSAGE] [--payload-json PAYLOAD_JSON]
                                 run_id
                                 {cron,node-session,child-session,node-run,driver-run}
    usage: taskforge helper transition-node [-h] [--message MESSAGE]
                                            [--payload-json PAYLOAD_JSON]
                                            run_id node_id
                                            {ready,running,waiting,completed,failed,skipped}
    usage: taskforge helper progress [-h] [--payload-json PAYLOAD_JSON]
                                     run_id message
    usage: taskforge helper validate [-h] run_id
    usage: taskforge helper scaffold [-h] --workflow-path WORKFLOW_PATH
                                     [--spec-file SPEC_FILE] --run-id RUN_ID
                                     --source-session-key SOURCE_SESSION_KEY
                                     [--source-agent-id SOURCE_AGENT_ID]
                                     [--delivery-context-json DELIVERY_CONTEXT_JSON]
                                     [--root-session-key ROOT_SESSION_KEY]
                                     [--planner-session-key PLANNER_SESSION_KEY]
                                     [--driver-session-key DRIVER_SESSION_KEY]
    ");
}

#[test]
fn help_is_on_standard_output() {
    let scene = run_of(DEMO);
    for call in [&["-h"][..], &["--help"], &["--he"], &["bind", "-h"], &["bind", "r", "--help", "--bogus"]] {
        let said = helper(&scene, call).ok();
        assert!(said.stdout.starts_with("usage: taskforge helper") && said.stderr.is_empty(), "{call:?}");
    }
    // A verb that is wrong before it asks for help is wrong.
    helper(&scene, &["bind", "r", "x", "-h"]).exits(2);
}
