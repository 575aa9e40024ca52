#!/usr/bin/env python3
"""How long `taskforge kill` takes from its spawn to its end, when nothing of the registry is left: with 1, 5 and 20 agents
under up to ten gates, beside `docker rm -f` of as many containers of the same image without a gate or a journal.

    python3 benches/kill.py [--rounds N] [--binary FILE] [--write docs/performance.md]

The two of a round run one after the other in random order. A container counts as gone when the Engine does not list it.
"""

import argparse
import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
RELEASE = REPOSITORY / "target" / "x86_64-unknown-linux-musl" / "release" / "taskforge"
IMAGE = "taskforge/base:default"
# Agents, and the gates (one a run) that they are under.
SIZES = ((1, 1), (5, 5), (20, 10))
# What is promised of the command, in seconds.
LIMIT = 2.0
PATIENCE = 120


def quiet(*words, **more):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **more).stdout.decode()


def workflow(agents):
    nodes = "".join(
        "  - id: n%d\n    title: N\n    kind: session_turn\n    prompt: Stay.\n    outputs: {mode: notify}\n"
        "    container:\n      runtime: command\n      command: [sleep, '3600']\n      resources: {memory: 64MiB, cpus: 0.1}\n" % n
        for n in range(agents)
    )
    return "---\nworkflowId: bench\ntitle: Bench\nnodes:\n%s---\n" % nodes


class Registry:
    """A registry with all its agents running."""

    def __init__(self, binary, agents, gates):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tf-bench-"))
        self.root, self.binary = self.folder / "r", binary
        quiet(binary, "init", self.root)
        self.id = re.search(r'^id = "(.*)"', (self.root / "taskforge.toml").read_text(), re.M).group(1)
        (self.root / "workflows" / "bench.task.md").write_text(workflow(agents // gates))
        for run in range(gates):
            self.tf("run", "start", "bench", "--run-id", "r%d" % run, "--detach")
        begun = time.monotonic()
        while len(self.running()) < agents + gates:
            self.tf("tick")
            assert time.monotonic() - begun < PATIENCE, self.running()

    def tf(self, *words):
        return quiet(self.binary, *words, "--registry", self.root)

    def listed(self, *more):
        label = "label=io.taskforge.registry=%s" % self.id
        return quiet("docker", "ps", "-q", "--filter", label, *more).split()

    def running(self):
        return self.listed("--filter", "status=running")

    def kill(self):
        begun = time.monotonic()
        said = json.loads(self.tf("kill", "--reason", "bench", "--json"))
        took = time.monotonic() - begun
        left = self.listed("-a")
        assert not left and not said["unfinished"], (left, said)
        return took

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.binary, "kill", "--reason", "over", "--registry", self.root], capture_output=True)
        shutil.rmtree(self.folder)


def plain(count):
    """As many containers of the same image, removed by the Engine's own command line."""
    made = [quiet("docker", "run", "-d", "--network", "none", IMAGE, "sleep", "3600").strip() for _ in range(count)]
    begun = time.monotonic()
    quiet("docker", "rm", "-f", *made)
    return time.monotonic() - begun


def measure(binary, agents, gates):
    with Registry(binary, agents, gates) as registry:
        sides = [lambda: ("ours", registry.kill()), lambda: ("plain", plain(agents + gates))]
        random.shuffle(sides)
        return dict(side() for side in sides)


def cell(times):
    return "%.2f / %.2f / %.2f" % (min(times), statistics.median(times), max(times))


def table(binary, rounds):
    lines = [
        "| agents | gates | rounds | `docker rm -f` of as many, s (least / median / most) | `taskforge kill`, s | at most | kept |",
        "|---:|---:|---:|---|---|---:|---|",
    ]
    for agents, gates in SIZES:
        found = [measure(binary, agents, gates) for _ in range(rounds)]
        ours, floor = [one["ours"] for one in found], [one["plain"] for one in found]
        kept = "yes" if max(ours) <= LIMIT else "**no**"
        lines.append("| %d | %d | %d | %s | %s | %.1f | %s |" % (agents, gates, rounds, cell(floor), cell(ours), LIMIT, kept))
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", type=pathlib.Path, default=RELEASE)
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    found = table(arguments.binary.resolve(), arguments.rounds)
    if not arguments.write:
        print(found, end="")
        return
    text = arguments.write.read_text()
    begin, end = "<!-- kill table -->", "<!-- end of the kill table -->"
    head, rest = text.split(begin)
    arguments.write.write_text("%s%s\n\n%s\n%s%s" % (head, begin, found, end, rest.split(end)[1]))


if __name__ == "__main__":
    main()
