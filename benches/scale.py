"""What many runs cost: a list of ten thousand, and a tick over as many of which five have something to do."""

import os
import statistics
import sys

import helper
import run as bench

RUNS, ACTIVE, TIMES = 10_000, 5, 15
# The workflow of a run that ends as soon as its one node is skipped.
WORKFLOW = """---
workflowId: small
title: Small
nodes:
  - id: only
    title: Only
    kind: session_turn
    prompt: Work.
    outputs:
      mode: notify
---
"""


def peak(arguments):
    """Milliseconds that a command takes, and the most memory that it held, in MB."""
    arguments = [str(argument) for argument in arguments]
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(arguments[0], arguments)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit("`%s` ended with status %d" % (" ".join(arguments), os.waitstatus_to_exitcode(status)))
    return usage.ru_maxrss / 1000


class Many(helper.Registry):
    def __enter__(self):
        super().__enter__()
        (self.root / "workflows" / "small.task.md").write_text(WORKFLOW)
        print("making %d runs ..." % RUNS, file=sys.stderr)
        for index in range(RUNS):
            name = "run-%05d" % index
            path = ["--workflow-path", "workflows/small.task.md", "--run-id", name]
            bench.silent(*helper.helper(self.root, "scaffold", *path, *helper.SESSION))
            if index >= ACTIVE:
                bench.silent(*helper.helper(self.root, "transition-node", name, "only", "skipped"))
        return self


def row(name, values, unit, limit):
    cells = " / ".join("%.1f" % value for value in statistics.quantiles(values, n=4))
    kept = "" if limit is None else "yes" if statistics.median(values) <= limit else "**no**"
    return "| %s, %s | %d | | %s | | %s | %s |" % (name, unit, len(values), cells, limit or "", kept)


def rows():
    with Many() as many:
        listing = [bench.BINARY, "--registry", many.root, "run", "list"]
        whole = [*listing, "--limit", "0"]
        tick = [bench.BINARY, "--registry", many.root, "tick", "--all"]
        bench.spawned(listing), bench.spawned(tick)
        times = [bench.spawned(listing) for _ in range(TIMES)]
        all_of_it = [bench.spawned(whole) for _ in range(TIMES)]
        memory = [peak(whole) for _ in range(5)]
        ticks = [bench.spawned(tick) for _ in range(TIMES)]
    return [
        row("`run list` of %d runs, the newest hundred" % RUNS, times, "ms", 50),
        row("`run list --limit 0` of %d runs, all of them printed" % RUNS, all_of_it, "ms", 50),
        row("`run list --limit 0` of %d runs" % RUNS, memory, "MB", 40),
        row("`tick --all` of %d runs, %d of them active" % (RUNS, ACTIVE), ticks, "ms", None),
    ]
