"""What hired agents cost: a list of a thousand, and a dispatch to one beside a dispatch to a plain node."""

import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import engine
import run as bench
import scale

AGENTS, TIMES, PAIRS = 1000, 15, 15
ROLE = """---
role: bench
displayName: Bench
description: What is measured
skills: [bench]
allowedActions: [memory.get, memory.set]
---
You are measured.
"""
SKILL = "---\nname: bench\ndescription: To be measured\n---\n" + "Be measured.\n" * 200


def registry(folder, workflow):
    root = bench.registry(folder, workflow)
    (root / "roles" / "bench.role.md").write_text(ROLE)
    (root / "skills" / "bench").mkdir(parents=True)
    (root / "skills" / "bench" / "SKILL.md").write_text(SKILL)
    return root


def listing():
    folder = pathlib.Path(tempfile.mkdtemp(dir=bench.TARGET_DIR))
    try:
        root = registry(folder, bench.IDLE_WORKFLOW)
        print("hiring %d agents ..." % AGENTS, file=sys.stderr)
        for index in range(AGENTS):
            name = "agent-%04d" % index
            bench.silent(bench.BINARY, "--registry", root, "agent", "hire", "bench", "--name", name)
        command = [bench.BINARY, "--registry", root, "agent", "list"]
        bench.spawned(command)
        return [bench.spawned(command) for _ in range(TIMES)]
    finally:
        shutil.rmtree(folder)


def dispatch(connection, hired):
    """Milliseconds of the tick that starts the node `next`, which a hired agent does or nobody in particular."""
    folder = tempfile.mkdtemp(dir=bench.TARGET_DIR)
    workflow = bench.DISPATCH_WORKFLOW
    if hired:
        head, tail = workflow.rsplit("command: [sleep, \"600\"]}", 1)
        workflow = head + "command: [sleep, \"600\"], agent: ada}" + tail
    root = registry(folder, workflow)
    try:
        bench.silent(bench.BINARY, "--registry", root, "agent", "hire", "bench", "--name", "ada")
        bench.silent(bench.BINARY, "--registry", root, "memory", "set", "ada", "a", "b" * 1000)
        bench.silent(bench.BINARY, "--registry", root, *bench.start("bench"))
        shown = subprocess.run([str(bench.BINARY), "--registry", str(root), "run", "show", "bench", "--json"],
                               check=True, capture_output=True, text=True).stdout
        key = json.loads(shown)["registry"]
        bench.silent(bench.BINARY, "--registry", root, *bench.TICK, "bench")
        (root / "runs/bench/nodes/go").mkdir(parents=True, exist_ok=True)
        (root / "runs/bench/nodes/go/go").touch()
        time.sleep(0.5)  # What was started just before is at rest.
        taken = bench.spawned([bench.BINARY, "--registry", root, *bench.TICK, "bench"])
        (_started,) = engine.containers(connection, registry=key, node="next")
        return taken
    finally:
        bench.silent(bench.BINARY, "--registry", root, *bench.KILL)
        shutil.rmtree(folder)


def rows():
    connection, order = engine.Connection(), random.Random(2)
    more, plain = [], []
    for number in range(PAIRS):
        print("measuring dispatches to an agent, %d of %d ..." % (number + 1, PAIRS), file=sys.stderr)
        first = order.random() < 0.5
        one = dispatch(connection, first)
        other = dispatch(connection, not first)
        hired, alone = (one, other) if first else (other, one)
        more.append(hired - alone)
        plain.append(alone)
    print("a plain dispatch: %.0f ms" % statistics.median(plain), file=sys.stderr)
    return [
        scale.row("`agent list` of %d agents" % AGENTS, listing(), "ms", 50),
        scale.row("a dispatch to a hired agent, beyond one to a plain node", more, "ms", 20),
    ]
