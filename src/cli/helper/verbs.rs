//! The verbs. The first five are OpenTask's, with the names and the order of its helper; the others are ours.

use super::grammar::{Flag, Positional, Verb};

/// The option that stands before a verb or behind it.
pub(super) const REGISTRY_ROOT: Flag = Flag::new(
    "--registry-root",
    "the registry's folder; else TASKFORGE_REGISTRY, else OPENTASK_REGISTRY_ROOT, else here",
);

const RUN: Positional = Positional::new("run_id", "the run");
const NODE: Positional = Positional::new("node_id", "the node");
const MESSAGE: Flag = Flag::new("--message", "one line for people, in the journal");
const PAYLOAD: Flag = Flag::new("--payload-json", "a JSON object, in the journal");
const STATUSES: &[&str] = &["ready", "running", "waiting", "completed", "failed", "skipped"];

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "scaffold",
        about: "Make a run of a workflow.",
        positionals: &[],
        flags: &[
            Flag::new("--workflow-path", "the workflow's file, in the registry").required(),
            Flag::new("--spec-file", "a JSON file that says the nodes, in place of the frontmatter"),
            Flag::new("--run-id", "the new run's id").required(),
            Flag::new("--source-session-key", "the session that asks for the run").required(),
            Flag::new("--source-agent-id", "its agent; as the key says if absent"),
            Flag::new("--delivery-context-json", "where OpenClaw delivers messages, a JSON object"),
            Flag::new("--root-session-key", "the session that drives the run; the source if absent"),
            Flag::new("--planner-session-key", "the session that plans; the root if absent"),
            Flag::new("--driver-session-key", "the session that dispatches; the root if absent"),
        ],
    },
    Verb {
        name: "bind",
        about: "Bind a cron job, a session or a run to the run or to a node.",
        positionals: &[
            RUN,
            Positional::one_of("kind", &["cron", "node-session", "child-session", "node-run", "driver-run"]),
        ],
        flags: &[
            Flag::new("--node-id", "the node"),
            Flag::new("--value", "the id or key that is bound"),
            MESSAGE,
            PAYLOAD,
        ],
    },
    Verb {
        name: "transition-node",
        about: "Say where a node stands; nodes that needed it become ready.",
        positionals: &[RUN, NODE, Positional::one_of("status", STATUSES)],
        flags: &[MESSAGE, PAYLOAD],
    },
    Verb {
        name: "progress",
        about: "Say how the run gets on.",
        positionals: &[RUN, Positional::new("message", "one line for people")],
        flags: &[PAYLOAD],
    },
    Verb {
        name: "validate",
        about: "Check the run's files against each other; exits with 1 if something is wrong.",
        positionals: &[RUN],
        flags: &[],
    },
    Verb {
        name: "next",
        about: "Say what is to be done now: what to dispatch, who is waited for, how to report.",
        positionals: &[RUN],
        flags: &[],
    },
    Verb { name: "status", about: "Say where the run and each of its nodes stand.", positionals: &[RUN], flags: &[] },
    Verb {
        name: "result",
        about: "Record what a node came to as nodes/NODE/result.json; the node stays where it is.",
        positionals: &[RUN, NODE],
        flags: &[
            Flag::new("--status", "what it came to; completed if absent").one_of(STATUSES),
            Flag::new("--summary", "in a few words"),
            Flag::new("--artifact", "a file it left, below the run's folder; may be repeated"),
            Flag::new("--session-key", "the session that did it"),
            Flag::new("--child-session-key", "the subagent's session that did it"),
            Flag::new(
                "--working-memory",
                "one of plan, findings, progress, handoff and its file: NAME=PATH; may be repeated",
            ),
            Flag::new("--payload-json", "whatever else there is to say, a JSON object"),
        ],
    },
    Verb {
        name: "add-node",
        about: "Add a node to the workflow of this run.",
        positionals: &[RUN],
        flags: &[
            Flag::new("--id", "the new node's id").required(),
            Flag::new("--title", "for people").required(),
            Flag::new("--kind", "who does it").required().one_of(&[
                "session_turn",
                "subagent",
                "wait",
                "approval",
                "summary",
            ]),
            Flag::new("--needs", "nodes that come before it, with commas between; may be repeated"),
            Flag::new("--prompt", "what is to be done"),
            Flag::new("--outputs-mode", "report if it leaves files, else notify").one_of(&["notify", "report"]),
            Flag::new("--required-file", "a file it leaves, below the run's folder; may be repeated"),
            Flag::new("--wait-for", "what a wait node waits for").one_of(&["next_tick", "manual", "file_exists"]),
            Flag::new("--wait-path", "the file of --wait-for file_exists, below the run's folder"),
            Flag::new("--before", "the node it is listed before; the first summary if absent"),
        ],
    },
    Verb {
        name: "rewire",
        about: "Give a node that nobody works on yet other needs.",
        positionals: &[RUN, NODE],
        flags: &[Flag::new(
            "--needs",
            "all nodes that come before it, with commas between, or \"\" for none; may be repeated",
        )
        .required()],
    },
];
