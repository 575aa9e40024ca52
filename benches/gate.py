"""What the gate adds to a request to a model, its records durable: beside the direct connection and, where there is one,
beside LiteLLM's proxy (`TASKFORGE_LITELLM=FOLDER`, a virtual environment that holds it), in turn on the same upstream."""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import run as bench

LITELLM = os.environ.get("TASKFORGE_LITELLM")
STREAMS, SECONDS, ROUNDS = 100, 5, 5
# Requests a second where latency is measured; LiteLLM's proxy is asked less often, since it cannot keep up.
RATE, RATE_LITELLM = 500, 50
TURNS = 100
RUN = "bench-1"


def until(what, holds):
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("waited in vain for " + what)
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Gate:
    """An upstream, and a gate of one attempt in front of it, on the disk that registries live on."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.TARGET_DIR))
        self.upstream = subprocess.Popen([bench.FLOORS / "upstream"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.upstream.stdout.readline())
        self.dir = self.folder / "gate"
        for name in ("gate/sockets/a", "gate/replay", "kill", "secrets"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "secrets" / "keys.json").write_text("{}")
        policy = {
            "format": 1, "generation": 1, "registry": "01JD2Z3V5Q8M4K7N9P1R2S3T4V", "run": RUN,
            "providers": {"up": {"kind": "openai", "baseUrl": "http://127.0.0.1:%d/v1" % self.port, "timeoutMs": 60000}},
            "models": [{"match": "*", "provider": "up"}],
            "attempts": [{
                "socket": "a", "node": "work", "attempt": 1, "deadline": "2100-01-01T00:00:00Z", "models": ["*"],
                "limits": {"llmRequests": 100_000_000, "bodyBytes": 8 << 20, "capabilityRequests": 1,
                           "workspaceBytes": 1 << 30},
            }],
        }
        (self.dir / "policy.json").write_text(json.dumps(policy))
        command = [bench.BINARY, "gate", "serve", "--dir", self.dir, "--kill", self.folder / "kill",
                   "--secrets", self.folder / "secrets"]
        self.gate = subprocess.Popen([str(part) for part in command])
        self.socket = self.dir / "sockets/a/gate.sock"
        until("the gate", self.socket.exists)
        self.bodies = {}
        for kind, more in (("plain", {}), ("streamed", {"stream": True})):
            self.bodies[kind] = self.folder / (kind + ".json")
            message = {"role": "user", "content": "Say that it is well done."}
            self.bodies[kind].write_text(json.dumps(dict({"model": "m", "messages": [message]}, **more)))
        return self

    def __exit__(self, *_):
        for process in (self.gate, self.upstream):
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder)

    def load(self, target, kind="plain", rate=RATE, seconds=SECONDS):
        command = [bench.FLOORS / "load", target, "/v1/chat/completions", rate, STREAMS, seconds, self.bodies[kind]]
        said = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
        took = json.loads(said)
        if took["failed"]:
            raise SystemExit("%d of the requests to %s failed" % (took["failed"], target))
        return took

    @property
    def direct(self):
        return "tcp:127.0.0.1:%d" % self.port

    @property
    def ours(self):
        return "unix:%s" % self.socket

    def peak(self):
        """The most memory that the gate has held, in MiB."""
        status = pathlib.Path("/proc/%d/status" % self.gate.pid).read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def on_disk(self):
        return sum(path.stat().st_blocks * 512 for path in self.dir.rglob("*") if path.is_file())

    def converse(self):
        """What each turn of a conversation of a hundred adds on disk, in bytes; each sends all that was said before."""
        messages, sizes = [], [self.on_disk()]
        for turn in range(TURNS):
            messages.append({"role": "user", "content": ("turn %d " % turn) * 100})
            body = self.folder / "turn.json"
            body.write_text(json.dumps({"model": "m", "messages": messages}))
            command = ["curl", "-sf", "-o", self.folder / "answer.json", "--unix-socket", self.socket,
                       "-H", "content-type: application/json", "-d", "@%s" % body, "http://gate/v1/chat/completions"]
            bench.silent(*command)
            answer = json.loads((self.folder / "answer.json").read_text())
            messages.append(answer["choices"][0]["message"])
            sizes.append(self.on_disk())
        return [after - before for before, after in zip(sizes, sizes[1:])]

    def counted(self):
        """How many requests the upstream saw, and how many are on record."""
        seen = int(urllib.request.urlopen("http://127.0.0.1:%d/count" % self.port).read())
        recorded = (self.dir / "traffic.jsonl").read_bytes().count(b'"kind":"llm.request"')
        return seen, recorded


class LiteLlm:
    def __init__(self, gate):
        self.port = free_port()
        settings = gate.folder / "litellm.yaml"
        settings.write_text(json.dumps({
            "model_list": [{"model_name": "m", "litellm_params": {
                "model": "openai/m", "api_key": "x", "api_base": "http://127.0.0.1:%d/v1" % gate.port}}],
        }))
        command = [pathlib.Path(LITELLM) / "bin/litellm", "--config", settings, "--port", self.port, "--host", "127.0.0.1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        more = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "PATH": "%s/bin:%s" % (LITELLM, os.environ["PATH"]),
        }
        environment = dict(os.environ, **more)
        self.process = subprocess.Popen([str(part) for part in command], env=environment, **quiet)
        until("LiteLLM's proxy", lambda: answers(self.port))
        self.target = "tcp:127.0.0.1:%d" % self.port

    def stop(self):
        self.process.terminate()
        self.process.wait()


def quartiles(values, form="%.2f"):
    return " / ".join(form % value for value in statistics.quantiles(values, n=4))


def row(what, rounds, direct, ours, limit, form="%.2f"):
    kept = "" if limit is None else "yes" if limit[1](statistics.median(ours)) else "**no**"
    return "| %s | %d | %s | %s | %s | %s |" % (what, rounds, direct, quartiles(ours, form), limit[0] if limit else "", kept)


def at_most(number):
    return "at most %s" % number, lambda value: value <= number


def at_least(number):
    return "at least %s" % number, lambda value: value >= number


def turns(gate, targets, kind="plain", rate=RATE):
    """One load a round through each of the targets, by turns: a list of loads a target."""
    took = [[] for _ in targets]
    for _ in range(ROUNDS):
        for loads, target in zip(took, targets):
            loads.append(gate.load(target, kind, rate))
    return took


def added(name, direct, through, part, limits=(None, None)):
    """What `through` takes more than `direct`, in milliseconds at p50 and p99, a pair a round."""
    rows = []
    for point, limit in zip(("p50", "p99"), limits):
        before, after = ([load[part][point] / 1000 for load in loads] for loads in (direct, through))
        more = [one - other for one, other in zip(after, before)]
        rows.append(row("%s, added at %s, ms" % (name, point), ROUNDS, quartiles(before), more, limit))
    return rows


def ratio(what, ours, theirs):
    """Ours to theirs, a round at a time."""
    return row(what, ROUNDS, "", [one / other for one, other in zip(ours, theirs)], None)


def rows():
    with Gate() as gate:
        gate.load(gate.ours, seconds=1)
        print("measuring the gate ...", file=sys.stderr)
        table = ["| what | rounds | direct | taskforge | promised | kept |", "|---|---:|---|---|---|---|"]
        limits = (at_most(1.0), at_most(5.0))
        both = (gate.direct, gate.ours)
        direct, ours = turns(gate, both)
        table += added("%d requests a second, whole answers" % RATE, direct, ours, "whole", limits)
        direct, ours = turns(gate, both, "streamed")
        table += added("%d requests a second, first byte of streams" % RATE, direct, ours, "first", limits)
        proxy = LiteLlm(gate) if LITELLM else None
        all_of_them = both + ((proxy.target,) if proxy else ())
        if proxy:
            gate.load(proxy.target, rate=10, seconds=3)
            direct, ours, theirs = turns(gate, all_of_them, rate=RATE_LITELLM)
            at = "%d requests a second" % RATE_LITELLM
            table += added("LiteLLM's proxy instead, %s" % at, direct, theirs, "whole")
            table += added("the gate, %s" % at, direct, ours, "whole")
            took = ([load["whole"]["p50"] for load in loads] for loads in (ours, theirs))
            table.append(ratio("the gate to LiteLLM's proxy, %s, whole answers at p50" % at, *took))
        rates = [[load["rate"] for load in loads] for loads in turns(gate, all_of_them, rate=0)]
        table.append(row("as fast as %d streams can, requests a second" % STREAMS, ROUNDS, quartiles(rates[0], "%.0f"),
                         rates[1], at_least(3000), "%.0f"))
        if proxy:
            table.append(row("LiteLLM's proxy instead, as fast as %d streams can" % STREAMS, ROUNDS, "", rates[2], None, "%.0f"))
            table.append(ratio("the gate to LiteLLM's proxy, as fast as %d streams can" % STREAMS, rates[1], rates[2]))
            proxy.stop()
        table.append("| memory of the gate at its peak, MiB | | | %.1f | at most 30 | %s |"
                     % (gate.peak(), "yes" if gate.peak() <= 30 else "**no**"))
        seen, recorded = gate.counted()
        print("the upstream saw %d requests, of which %d are on record and %d went past the gate"
              % (seen, recorded, seen - recorded), file=sys.stderr)
    with Gate() as gate:
        grown = gate.converse()
        first, last = (sum(grown[part]) for part in (slice(10, 40), slice(70, 100)))
        table.append("| a conversation of %d turns: what turns 71 to 100 add on disk to what 11 to 40 add | | | %.2f | "
                     "at most 1.5 | %s |" % (TURNS, last / first, "yes" if last <= 1.5 * first else "**no**"))
    return table
