"""What `taskforge helper` costs: one call, beside its system calls, beside an interpreter that does nothing and, where
there is one, beside OpenTask's own helper; and sixteen calls at a time, on one run and on sixteen."""

import os
import pathlib
import shutil
import sys
import tempfile

import run as bench

WORKFLOW = """---
workflowId: bench
title: Bench
nodes:
  - id: first
    title: First
    kind: session_turn
    prompt: Work.
    outputs:
      mode: notify
  - id: second
    title: Second
    kind: subagent
    needs: [first]
    prompt: Work.
    outputs:
      mode: notify
---
"""
SESSION = ["--source-session-key", "agent:main:main"]
# What the journal of such a run weighs before the first call, so that the floor reads as much.
BEGUN = 2100
# A run's journal is read whole before it is written to; a new run begins after so many calls.
CALLS_A_RUN = 40
PROCESSES, ROUNDS = 16, 4
# OpenTask's helper is not ours to ship. Where somebody has it, this names the file, and it is measured, too.
REFERENCE = os.environ.get("TASKFORGE_REFERENCE_HELPER")


def helper(root, verb, *arguments):
    return [bench.BINARY, "helper", verb, "--registry-root", root, *arguments]


def scaffold(root, run):
    bench.silent(*helper(root, "scaffold", "--workflow-path", "workflows/bench.task.md", "--run-id", run, *SESSION))


class Registry:
    """A folder on the disk that registries live on, with a registry of OpenTask's own kind in it."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.TARGET_DIR))
        self.root = self.folder / "registry"
        (self.root / "workflows").mkdir(parents=True)
        (self.root / "workflows" / "bench.task.md").write_text(WORKFLOW)
        self.count = {}
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def plain(self, name):
        """A folder for the floor that weighs what a new run weighs."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "events.jsonl").write_bytes(b"x" * BEGUN)
        for projection, size in (("state.json", 1400), ("refs.json", 500)):
            (folder / projection).write_bytes(b"y" * size)
        return folder

    def turn(self, side):
        """The name of the run that this side's next call goes to, and whether it is a new one."""
        number, call = divmod(self.count.get(side, 0), CALLS_A_RUN)
        self.count[side] = self.count.get(side, 0) + 1
        return "%s-%d" % (side, number), call == 0


class Call(Registry):
    name = "`helper progress` vs its system calls"
    limit, pairs = 2.5, 200

    def floor(self):
        name, new = self.turn("floor")
        if new:
            self.plain(name)
        return bench.spawned([bench.FLOORS / "helper", self.folder / name])

    def ours(self):
        name, new = self.turn("ours")
        if new:
            scaffold(self.root, name)
        return bench.spawned(helper(self.root, "progress", name, "Half of it is done."))


class Interpreter(Call):
    name = "`helper progress` vs `python3 -c pass`"
    limit, pairs = 0.25, 100

    def floor(self):
        return bench.spawned([sys.executable, "-c", "pass"])


class Reference(Call):
    name = "`helper progress` vs OpenTask's helper"
    limit, pairs = 1 / 15, 60

    def floor(self):
        name, new = self.turn("theirs")
        call = [sys.executable, REFERENCE, "--registry-root", self.root]
        if new:
            path = ["--workflow-path", "workflows/bench.task.md", "--run-id", name]
            bench.silent(*call, "scaffold", *path, *SESSION)
        return bench.spawned([*call, "progress", name, "Half of it is done."])


class OneRun(Registry):
    name = "16 processes on one run, %d calls each" % ROUNDS
    # 70 % of the floor's rate.
    limit, pairs = 1 / 0.7, 20

    def runs(self, side):
        name, _ = self.turn(side)
        return ["%s-%d" % (name, self.count[side])] * PROCESSES

    def floor(self):
        runs = self.runs("floor")
        for run in set(runs):
            self.plain(run)
        return bench.spawned_at_once([[bench.FLOORS / "helper", self.folder / run] for run in runs], ROUNDS)

    def ours(self):
        runs = self.runs("ours")
        for run in set(runs):
            scaffold(self.root, run)
        return bench.spawned_at_once([helper(self.root, "progress", run, "Half of it is done.") for run in runs], ROUNDS)


class ManyRuns(OneRun):
    name = "16 processes on 16 runs, %d calls each" % ROUNDS

    def runs(self, side):
        name, _ = self.turn(side)
        return ["%s-%d-%d" % (name, self.count[side], index) for index in range(PROCESSES)]


BENCHES = {"helper": Call, "interpreter": Interpreter, "one-run": OneRun, "many-runs": ManyRuns}
if REFERENCE:
    BENCHES["reference"] = Reference
