"""What a person at the keyboard waits for: `inbox` with a thousand pending requests, `policy explain` with a thousand rules."""

import pathlib
import shutil
import statistics
import sys
import tempfile

import run as bench

RUNS, EACH, RULES, TIMES = 10, 100, 1000, 25
LIMIT_INBOX_MS, LIMIT_EXPLAIN_MS = 50, 10
# What a run waits for before its first container: nothing of it runs.
WORKFLOW = """---
workflowId: bench
title: Bench
nodes:
  - id: work
    title: Work
    kind: session_turn
    prompt: Work.
    outputs: {mode: notify}
    container:
      runtime: command
      command: ["true"]
      capabilities: [%s]
---
""" % ", ".join('"net:host-%d.example:443"' % number for number in range(EACH))


class Desk:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(dir=bench.TARGET_DIR)
        self.root = bench.registry(self.folder, WORKFLOW)
        print("making %d requests ..." % (RUNS * EACH), file=sys.stderr)
        for number in range(RUNS):
            bench.silent(*self.taskforge(*bench.start("bench-%d" % number)))
        rule = "- {effect: %s, kind: net, name: 'service-%d.*.example:*', because: rule %d}\n"
        rules = "".join(rule % ("deny" if number % 7 == 0 else "allow", number, number) for number in range(RULES))
        self.rules = pathlib.Path(self.folder) / "rules.yaml"
        self.rules.write_text("format: 1\nrules:\n" + rules)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def taskforge(self, *arguments):
        return [bench.BINARY, "--registry", self.root, *arguments]


def row(name, values, limit):
    cells = " / ".join("%.1f" % value for value in statistics.quantiles(values, n=4))
    kept = "yes" if statistics.median(values) <= limit else "**no**"
    return "| %s, ms | %d | | %s | | %s | %s |" % (name, len(values), cells, limit, kept)


def rows():
    with Desk() as desk:
        inbox = desk.taskforge("inbox")
        explain = desk.taskforge("policy", "explain", "net:service-993.eu.example:443", "--policies", desk.rules)
        bench.spawned(inbox), bench.spawned(explain)
        return [
            row("`inbox` with %d pending requests" % (RUNS * EACH), [bench.spawned(inbox) for _ in range(TIMES)], LIMIT_INBOX_MS),
            row("`policy explain` with %d rules" % RULES, [bench.spawned(explain) for _ in range(TIMES)], LIMIT_EXPLAIN_MS),
        ]
