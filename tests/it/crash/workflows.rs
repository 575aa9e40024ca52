//! The workflows of these tests: no model and as little work as possible, so that a run is over in a moment.

/// Each with its name.
pub const ALL: [(&str, &str); 6] =
    [("desk", DESK), ("pair", PAIR), ("quick", QUICK), ("held", HELD), ("slow", SLOW), ("asks", ASKS)];

/// Nobody but the engine: no container, done in milliseconds.
const DESK: &str = "---
workflowId: desk
title: Desk
nodes:
  - id: before
    title: Before
    kind: wait
    prompt: Wait.
    waitFor: {type: next_tick}
  - id: ok
    title: May it go on?
    kind: approval
    needs: [before]
    prompt: Look.
  - id: after
    title: After
    kind: wait
    needs: [ok]
    prompt: Wait.
    waitFor: {type: next_tick}
---
";

/// Two decisions that have nothing to do with each other.
const PAIR: &str = "---
workflowId: pair
title: Pair
nodes:
  - {id: one, title: One, kind: approval, prompt: Look.}
  - {id: two, title: Two, kind: approval, prompt: Look.}
---
";

/// One container that does its work at once.
const QUICK: &str = "---
workflowId: quick
title: Quick
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Work.
    outputs: {mode: report, requiredFiles: [nodes/work/report.md]}
    container:
      runtime: command
      command: [sh, -c, \"echo hello; echo done > report.md\"]
---
";

/// One container that does the same once `go` stands in its workspace.
const HELD: &str = "---
workflowId: held
title: Held
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Work.
    outputs: {mode: report, requiredFiles: [nodes/work/report.md]}
    container:
      runtime: command
      command: [sh, -c, \"until test -e go; do sleep 0.02; done; echo hello; echo done > report.md\"]
---
";

/// One container that goes on until it is ended, or `go` stands in its workspace.
const SLOW: &str = "---
workflowId: slow
title: Slow
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Work.
    outputs: {mode: report, requiredFiles: [nodes/work/report.md]}
    container:
      runtime: command
      command: [sh, -c, \"until test -e go; do sleep 0.02; done; echo done > report.md\"]
---
";

/// One that needs a package, asks for it, and works once it is there.
const ASKS: &str = "---
workflowId: asks
title: Asks
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Work.
    outputs: {mode: report, requiredFiles: [nodes/work/report.md]}
    container:
      runtime: command
      command: [sh, -c, \"until test -e go; do sleep 0.02; done; echo hello; python3 -c 'import tomli_w' || exec /taskforge/bin/taskforge agent request pip:tomli-w==1.0.0 --reason needed; echo done > report.md\"]
---
";
