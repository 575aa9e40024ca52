"""What the way from a decision to an image and to a container costs, beside the same steps by hand: a build of one small
wheel, and an approval whose image exists. The wheel comes from an index of this script's own, on this machine."""

import base64
import datetime
import http.server
import io
import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

import engine
import run as bench

NAME = "taskforge-bench-wheel"
MODULE = NAME.replace("-", "_")
PAIRS_BUILD, PAIRS_APPROVAL = 15, 20
LIMIT_BUILD = 1.5
# On top of what a container's own start takes.
LIMIT_APPROVAL_MS = 300
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
      command: [sh, -c, "python3 -c 'import %s' && exec sleep 600; exec /taskforge/bin/taskforge agent request pip:%s==1.0 --reason bench"]
---
""" % (MODULE, NAME)


def wheel():
    """A wheel that nobody else has: its image is this measurement's own."""
    info = MODULE + "-1.0.dist-info"
    files = {
        MODULE + "/__init__.py": "MARK = %r\n" % base64.b32encode(random.SystemRandom().randbytes(20)),
        info + "/METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % NAME,
        info + "/WHEEL": "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[info + "/RECORD"] = "".join(name + ",,\n" for name in [*files, info + "/RECORD"])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for name, text in files.items():
            written.writestr(name, text)
    return archive.getvalue()


class Index(http.server.BaseHTTPRequestHandler):
    file, body = MODULE + "-1.0-py3-none-any.whl", b""

    def do_GET(self):
        import hashlib

        page = '<!DOCTYPE html><a href="/%s#sha256=%s">%s</a>' % (self.file, hashlib.sha256(self.body).hexdigest(), self.file)
        found = {"/simple/%s/" % NAME: page.encode(), "/" + self.file: self.body}.get(self.path)
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, *_):
        pass


def milliseconds(stamp):
    """Of the Engine's time stamp, in nanoseconds, since 1970."""
    whole, rest = re.fullmatch(r"(.{19})(?:\.(\d+))?Z", stamp).groups()
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return seconds * 1000 + float("0." + (rest or "0")) * 1000


class Place:
    """A registry whose packages come from the index, with one image built in it."""

    def __enter__(self):
        self.connection = engine.Connection()
        gateway = engine.call(self.connection, "GET", "/networks/bridge")["IPAM"]["Config"][0]["Gateway"]
        Index.body = wheel()
        self.server = http.server.ThreadingHTTPServer((gateway, 0), Index)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.folder = tempfile.mkdtemp(dir=bench.TARGET_DIR)
        self.root = bench.registry(self.folder, WORKFLOW)
        settings = self.root / "taskforge.toml"
        index = 'pipIndex = "http://%s:%d/simple"\nextraCa' % self.server.server_address
        settings.write_text(settings.read_text().replace("\nextraCa", "\n" + index, 1))
        self.count = 0
        run, _ = self.decide()
        self.tick_until(run, lambda: self.container(run, 2), "the first image")
        self.end(run)
        (image,) = self.json("image", "list")["images"]
        self.recipe, self.tag, self.first = image["recipe"], "taskforge/agent:" + image["recipe"][:12], run
        self.image = engine.call(self.connection, "GET", "/images/%s/json" % self.tag)
        return self

    def __exit__(self, *_):
        bench.silent(bench.BINARY, "--registry", self.root, *bench.KILL)
        engine.call(self.connection, "DELETE", "/images/%s?force=true" % self.tag, expect=(200, 404))
        self.server.shutdown()
        shutil.rmtree(self.folder)

    def taskforge(self, *arguments):
        return [bench.BINARY, "--registry", self.root, *arguments]

    def json(self, *arguments):
        command = [str(word) for word in self.taskforge(*arguments, "--json")]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def tick_until(self, run, holds, what):
        end = time.monotonic() + 120
        while not (found := holds()):
            if time.monotonic() > end:
                raise SystemExit("waited in vain for " + what)
            bench.silent(*self.taskforge(*bench.TICK, run))
            time.sleep(0.02)
        return found

    def container(self, run, attempt):
        found = engine.containers(self.connection, run=run, registry=self.json("run", "show", run)["registry"], attempt=str(attempt))
        return next((one for one in found if one["State"] == "running"), None)

    def ask(self):
        """A run of which a request waits; the run, and the command that approves it."""
        self.count += 1
        run = "bench-%d" % self.count
        bench.silent(*self.taskforge(*bench.start(run)))

        def waiting():
            return next((one for one in self.json("inbox")["waiting"] if one["run"] == run), None)

        found = self.tick_until(run, waiting, "the request")
        shown = self.json("approve", found["id"], "--show")
        return run, self.taskforge("approve", found["id"], "--digest", shown["digest"])

    def decide(self):
        """Approves a new run's request: the run, and when that began, in milliseconds since 1970."""
        run, approve = self.ask()
        begun = time.time() * 1000
        bench.silent(*approve)
        return run, begun

    def end(self, run):
        bench.silent(*self.taskforge("run", "cancel", run, "--reason", "measured"))
        self.tick_until(run, lambda: not self.container(run, 2), "the end of " + run)


class Build(Place):
    name, limit, pairs = "a build of one small wheel vs the same steps by hand", LIMIT_BUILD, PAIRS_BUILD

    def ours(self):
        engine.call(self.connection, "DELETE", "/images/%s?force=true" % self.tag, expect=(200, 404))
        return bench.spawned(self.taskforge("image", "build", "--recipe", self.recipe, "--run", self.first))

    def run_in(self, container, argv):
        made = engine.call(self.connection, "POST", "/containers/%s/exec" % container,
                           {"AttachStdout": True, "AttachStderr": True, "Cmd": argv})
        self.connection.request("POST", "/exec/%s/start" % made["Id"], "{}", {"Content-Type": "application/json"})
        self.connection.getresponse().read()
        code = engine.call(self.connection, "GET", "/exec/%s/json" % made["Id"])["ExitCode"]
        if code != 0:
            raise SystemExit("`%s` ended with exit code %d" % (" ".join(argv), code))

    def floor(self):
        """One container that installs, all files of what it made as one stream, the tag."""
        folder = pathlib.Path(self.folder) / "by-hand"
        (folder / "pip").mkdir(parents=True, exist_ok=True)
        (folder / "pip" / Index.file).write_bytes(Index.body)
        lock = json.loads((self.root / "images" / self.recipe[:12] / "packages.lock").read_text())["pip"][0]
        (folder / "requirements.txt").write_text("%s==1.0 --hash=sha256:%s\n" % (NAME, lock["sha256"]))
        base = json.loads((self.root / "images" / self.recipe[:12] / "recipe.json").read_text())["from"]
        names = ["tf-bench-%s-%d" % (part, id(self)) for part in ("build", "probe")]
        install = ["python3", "-I", "-m", "pip", "install", "--no-index", "--no-deps", "--require-hashes", "--force-reinstall",
                   "--find-links=/mnt/pip", "--no-cache-dir", "--disable-pip-version-check", "--break-system-packages",
                   "--root-user-action=ignore", "--requirement=/mnt/requirements.txt"]
        idle = {"Entrypoint": ["sleep"], "Cmd": ["600"], "User": "0:0"}
        start = time.perf_counter_ns()
        mount = {"Type": "bind", "Source": str(folder), "Target": "/mnt", "ReadOnly": True}
        engine.start(self.connection, names[0],
                     {**idle, "Image": base, "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}})
        self.run_in(names[0], install)
        image = engine.call(self.connection, "POST", "/commit?container=" + names[0], {})["Id"]
        engine.remove(self.connection, names[0])
        engine.call(self.connection, "POST", "/containers/create?name=" + names[1], {"Image": image, "Cmd": ["true"]})
        self.connection.request("GET", "/containers/%s/export" % names[1])
        answer = self.connection.getresponse()
        while answer.read(1 << 20):
            pass
        engine.remove(self.connection, names[1])
        engine.call(self.connection, "POST", "/images/%s/tag?repo=taskforge/bench&tag=by-hand" % image)
        taken = (time.perf_counter_ns() - start) / 1e6
        engine.call(self.connection, "DELETE", "/images/taskforge/bench:by-hand?force=true")
        return taken


class Approval(Place):
    name, pairs = "an approval whose image exists: until its container runs vs create and start", PAIRS_APPROVAL

    def __enter__(self):
        self.seen = None
        return super().__enter__()

    def started(self, name, begun):
        return milliseconds(engine.call(self.connection, "GET", "/containers/%s/json" % name)["State"]["StartedAt"]) - begun

    def pair(self, order):
        """The same container's start, within an approval and by itself, in random order: a pair of milliseconds."""
        taken = {}
        if order.random() < 0.5:
            taken["ours"], run, found = self.approve()
            taken["floor"] = self.start(found)
            self.end(run)
        else:
            # What is started by itself is like the one before.
            if self.seen is None:
                _, run, found = self.approve()
                self.seen = engine.twin(self.connection, found)
                self.end(run)
            taken["floor"] = self.start(None)
            taken["ours"], run, _ = self.approve()
            self.end(run)
        return taken["floor"], taken["ours"]

    def approve(self):
        run, begun = self.decide()
        found = self.tick_until(run, lambda: self.container(run, 2), "the container of " + run)["Id"]
        return self.started(found, begun), run, found

    def start(self, found):
        if found:
            self.seen = engine.twin(self.connection, found)
        # Its folders are those of an attempt that is over: what is mounted may be gone.
        kept = [mount for mount in self.seen["HostConfig"].get("Mounts") or [] if pathlib.Path(mount["Source"]).exists()]
        binds = [bind for bind in self.seen["HostConfig"].get("Binds") or [] if pathlib.Path(bind.split(":")[0]).exists()]
        wanted = dict(self.seen, HostConfig=dict(self.seen["HostConfig"], Mounts=kept, Binds=binds), Entrypoint=["sleep"], Cmd=["60"])
        name = "tf-bench-twin-%d" % id(self)
        begun = time.time() * 1000
        engine.start(self.connection, name, wanted)
        taken = self.started(name, begun)
        engine.remove(self.connection, name)
        return taken


def rows(pairs=None):
    """Two rows of the table; of the approval, what stands for the ratio is the difference in milliseconds."""
    order = random.Random(1)
    print("measuring image builds ...", file=sys.stderr)
    build = Build()
    lines = [bench.row(build, *bench.measure(build, pairs or build.pairs, order))]
    print("measuring approvals ...", file=sys.stderr)
    with Approval() as approval:
        measured = [approval.pair(order) for _ in range(pairs or approval.pairs)]
    floors, ours = zip(*measured)
    differences = [mine - floor for floor, mine in measured]
    kept = "yes" if statistics.median(differences) <= LIMIT_APPROVAL_MS else "**no**"
    cells = (approval.name, len(measured), bench.spread(floors, "%.0f"), bench.spread(ours, "%.0f"), bench.spread(differences, "%.0f ms more"))
    lines.append("| %s | %d | %s | %s | %s | %d ms more | %s |" % (*cells, LIMIT_APPROVAL_MS, kept))
    return lines
