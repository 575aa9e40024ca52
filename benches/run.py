#!/usr/bin/env python3
"""Measures what docs/performance.md promises: pairs of floor and ours, interleaved, as a Markdown table.

    python3 benches/run.py [--pairs N] [--only NAME] [--images] [--desk] [--agents] [--watch] [--skip-build] [--write FILE]

It ends with 1, and names them, if anything took longer than its bound.

The two of a pair run one after the other in random order, so that a slow moment of the machine hits both; the ratio is
the median of the pairs' ratios. A pair's time runs from before the process is spawned until it has ended.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import engine  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
TARGET = "x86_64-unknown-linux-musl"
TARGET_DIR = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()
BINARY = TARGET_DIR / TARGET / "release" / "taskforge"
FLOORS = TARGET_DIR / "bench-floors"

# ---- All that is assumed about the command line of taskforge
# In turn: each is one intent in control.jsonl and one event in the journal, and a tick that finds nothing to do.
COMMITS = (["control", "pause"], ["control", "resume"])
INIT = ["init"]
TICK = ["tick"]
KILL = ["kill", "--reason", "the measurement is over"]


def start(run):
    return ["run", "start", "bench", "--run-id", run, "--detach"]


# A run that nothing drives: its only node waits for a person's word.
IDLE_WORKFLOW = """---
workflowId: bench
title: Bench
nodes:
  - id: idle
    title: Idle
    kind: wait
    waitFor: {type: manual}
---
"""
# `keep` holds the gate up; `next` becomes ready in the tick that finds the file `go`, and its dispatch is what is timed.
DISPATCH_WORKFLOW = """---
workflowId: bench
title: Bench
nodes:
  - id: keep
    title: Keep the gate up
    kind: session_turn
    prompt: Sleep.
    container: {runtime: command, command: [sleep, "600"]}
  - id: go
    title: Wait for the word
    kind: wait
    waitFor: {type: file_exists, path: nodes/go/go}
  - id: next
    title: What is timed
    kind: session_turn
    needs: [go]
    prompt: Sleep.
    container: {runtime: command, command: [sleep, "600"]}
---
"""


def spawned(arguments):
    """Milliseconds from spawning `arguments` to their end; ends the program if they fail."""
    arguments = [str(argument) for argument in arguments]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter_ns()
    child = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=quiet)
    _, status = os.waitpid(child, 0)
    taken = (time.perf_counter_ns() - start) / 1e6
    if status != 0:
        raise SystemExit("`%s` ended with status %d" % (" ".join(arguments), os.waitstatus_to_exitcode(status)))
    return taken


def spawned_at_once(commands, rounds):
    """Milliseconds until each of `commands` has run `rounds` times, all of them at once, each its next when it ends."""
    commands = [[str(argument) for argument in command] for command in commands]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    left = {index: rounds for index in range(len(commands))}
    running = {}

    def begin(index):
        left[index] -= 1
        running[os.posix_spawn(commands[index][0], commands[index], os.environ, file_actions=quiet)] = index

    start = time.perf_counter_ns()
    for index in range(len(commands)):
        begin(index)
    while running:
        child, status = os.waitpid(-1, 0)
        index = running.pop(child)
        if status != 0:
            raise SystemExit("`%s` ended with status %d" % (" ".join(commands[index]), os.waitstatus_to_exitcode(status)))
        if left[index]:
            begin(index)
    return (time.perf_counter_ns() - start) / 1e6


def silent(*arguments):
    subprocess.run([str(argument) for argument in arguments], check=True, stdout=subprocess.DEVNULL)


def registry(folder, workflow):
    """A new registry with `workflow` in it; its path."""
    root = pathlib.Path(folder) / "registry"
    silent(BINARY, *INIT, root)
    (root / "workflows" / "bench.task.md").write_text(workflow)
    return root


class Version:
    name = "`taskforge --version` vs an empty static binary"
    limit, pairs = 3.0, 300

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def floor(self):
        return spawned([FLOORS / "empty"])

    def ours(self):
        return spawned([BINARY, "--version"])


class Commit:
    name = "a commit vs its system calls"
    limit, pairs = 2.5, 200
    # A run's journal is read whole before it is written to. So many commits, and a new run begins: its journal grows
    # from 5 to 45 lines, about as many as the example's has at its end.
    commits_a_run = 40

    def __enter__(self):
        # Both on the disk that registries live on; a tmpfs would make fdatasync free.
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=TARGET_DIR))
        self.root = registry(self.folder, IDLE_WORKFLOW)
        self.done = {"floor": 0, "ours": 0}
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def next(self, side):
        """The number of the run that the next commit of this side goes to, and the number of the commit in it."""
        run, commit = divmod(self.done[side], self.commits_a_run)
        self.done[side] += 1
        return run, commit

    def floor(self):
        run, commit = self.next("floor")
        plain = self.folder / ("plain-%d" % run)
        if commit == 0:
            # What a new run's journal weighs, so that both read as much.
            plain.mkdir()
            (plain / "events.jsonl").write_bytes(b"x" * 2600)
        return spawned([FLOORS / "commit", plain])

    def ours(self):
        run, commit = self.next("ours")
        run = "bench-%d" % run
        if commit == 0:
            silent(BINARY, "--registry", self.root, *start(run))
            silent(BINARY, "--registry", self.root, *TICK, run)
        return spawned([BINARY, "--registry", self.root, *COMMITS[commit % 2], run])


class Dispatch:
    name = "a dispatch through `tick` vs create and start"
    limit, pairs = 1.25, 20

    def __enter__(self):
        self.connection = engine.Connection()
        self.round = None
        return self

    def __exit__(self, *_):
        self.end_round()

    def begin_round(self):
        """A run whose gate is up and whose node `next` the next tick starts. Made anew for each pair."""
        self.end_round()
        folder = tempfile.mkdtemp(dir=TARGET_DIR)
        root = registry(folder, DISPATCH_WORKFLOW)
        self.round = {"folder": folder, "root": root, "left": {"floor", "ours"}}
        silent(BINARY, "--registry", root, *start("bench"))
        shown = subprocess.run([str(BINARY), "--registry", str(root), "run", "show", "bench", "--json"],
                               check=True, capture_output=True, text=True).stdout
        self.key = json.loads(shown)["registry"]
        silent(BINARY, "--registry", root, *TICK, "bench")
        (self.kept,) = engine.containers(self.connection, registry=self.key, node="keep")
        if self.kept["State"] != "running":
            raise SystemExit("the node `keep` did not start: %s" % self.kept["Status"])
        (root / "runs/bench/nodes/go").mkdir(parents=True, exist_ok=True)
        (root / "runs/bench/nodes/go/go").touch()

    def end_round(self):
        if self.round:
            silent(BINARY, "--registry", self.round["root"], *KILL)
            shutil.rmtree(self.round["folder"])
            self.round = None

    def turn(self, side):
        if not self.round or side not in self.round["left"]:
            self.begin_round()
        self.round["left"].remove(side)
        time.sleep(0.5)  # What was started just before is at rest.

    def ours(self):
        self.turn("ours")
        taken = spawned([BINARY, "--registry", self.round["root"], *TICK, "bench"])
        (started,) = engine.containers(self.connection, registry=self.key, node="next")
        if engine.host_config(self.connection, started["Id"]) != engine.host_config(self.connection, self.kept["Id"]):
            raise SystemExit("the floor starts another container than the tick")
        return taken

    def floor(self):
        self.turn("floor")
        wanted = engine.twin(self.connection, self.kept["Id"])
        name = "tf-bench-%d" % os.getpid()
        start = time.perf_counter_ns()
        engine.start(self.connection, name, wanted)
        taken = (time.perf_counter_ns() - start) / 1e6
        engine.remove(self.connection, name)
        return taken


def benches():
    # Measured with what stands above: when this file is the program, it is known by this name there.
    sys.modules.setdefault("run", sys.modules[__name__])
    import helper  # noqa: E402

    return {"version": Version, "commit": Commit, "dispatch": Dispatch, **helper.BENCHES}


def measure(bench, pairs, order):
    with bench:
        for _ in range(0 if pairs < 50 else 10):  # caches, and the first file of a folder
            bench.floor()
            bench.ours()
        floors, ours = [], []
        for _ in range(pairs):
            if order.random() < 0.5:
                ours.append(bench.ours())
                floors.append(bench.floor())
            else:
                floors.append(bench.floor())
                ours.append(bench.ours())
    return floors, ours


def spread(values, form):
    return " / ".join(form % value for value in statistics.quantiles(values, n=4))


def row(bench, floors, ours):
    ratios = [mine / floor for floor, mine in zip(floors, ours)]
    form = "%.2f" if statistics.median(floors) < 20 else "%.0f"
    kept = "yes" if statistics.median(ratios) <= bench.limit else "**no**"
    cells = (bench.name, len(ratios), spread(floors, form), spread(ours, form), spread(ratios, "%.2f"), "%.2f" % bench.limit)
    return "| %s | %d | %s | %s | %s | %s | %s |" % (*cells, kept)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = "load %.1f at the end" % os.getloadavg()[0]
    return "%s, %d processors, Linux %s, %s" % (model, os.cpu_count(), platform.release(), load)


def build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=REPOSITORY, check=True)
    FLOORS.mkdir(parents=True, exist_ok=True)
    for source in sorted((HERE / "floor").glob("*.rs")):
        options = ["-O", "--target", TARGET, "--edition", "2024", "-C", "panic=abort", "-C", "strip=symbols"]
        subprocess.run(["rustc", *options, "-o", FLOORS / source.stem, source], cwd=REPOSITORY, check=True)


def table(chosen, pairs, many, gate, images, desk, agents, watch):
    order = random.Random(1)
    lines = ["| what | pairs | floor, ms (quartiles) | taskforge, ms (quartiles) | ratio, pair by pair (quartiles) | at most | kept |"]
    lines.append("|---|---:|---|---|---|---:|---|")
    for name in chosen:
        bench = benches()[name]()
        print("measuring %s ..." % name, file=sys.stderr)
        lines.append(row(bench, *measure(bench, pairs or bench.pairs, order)))
    if many:
        import scale  # noqa: E402

        lines += scale.rows()
    if agents:
        import agents as agent_benches  # noqa: E402

        lines += agent_benches.rows()
    if desk:
        import decide  # noqa: E402

        lines += decide.rows()
    if watch:
        import watch as watches  # noqa: E402

        lines += watches.rows()
    if images:
        import images as image_benches  # noqa: E402

        lines += image_benches.rows(pairs)
    megabytes = BINARY.stat().st_size / 1e6
    lines.append("| the release binary, MB | | | %.1f | | 25 | %s |" % (megabytes, "yes" if megabytes < 25 else "**no**"))
    if gate:
        import gate as gates  # noqa: E402

        lines += ["", *gates.rows()]
    lines += ["", "Measured on %s." % machine()]
    return "\n".join(lines)


def missed(text):
    """What the rows of `text` are of whose bound was not kept."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [cells[0] for cells in rows if cells[-1] == "**no**"]


def write(path, text):
    begin, end = "<!-- table -->", "<!-- end of table -->"
    document = path.read_text()
    head, rest = document.split(begin)
    path.write_text("%s%s\n\n%s\n\n%s%s" % (head, begin, text, end, rest.split(end)[1]))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--pairs", type=int, help="instead of each measurement's own number")
    arguments.add_argument("--only", action="append", choices=list(benches()))
    arguments.add_argument("--many", action="store_true", help="also with --only: ten thousand runs")
    arguments.add_argument("--gate", action="store_true", help="also with --only: what the gate adds to a request")
    arguments.add_argument("--desk", action="store_true", help="also with --only: what waits, and rules")
    arguments.add_argument("--images", action="store_true", help="also with --only: builds of images, and approvals")
    arguments.add_argument("--agents", action="store_true", help="also with --only: hired agents")
    arguments.add_argument("--watch", action="store_true", help="also with --only: a watch of a hundred repositories")
    arguments.add_argument("--skip-build", action="store_true")
    arguments.add_argument("--write", type=pathlib.Path, metavar="FILE", help="replace the table in this document")
    given = arguments.parse_args()
    if not given.skip_build:
        build()
    text = table(given.only or list(benches()), given.pairs, given.many or not given.only, given.gate or not given.only,
                 given.images or not given.only, given.desk or not given.only, given.agents or not given.only,
                 given.watch or not given.only)
    print(text)
    if given.write:
        write(given.write, text)
    if late := missed(text):
        sys.exit("\n".join("missed its bound: " + what for what in late))


if __name__ == "__main__":
    main()
