"""What a look of a watch costs that finds nothing new in a hundred repositories: one conditional request each, counted by the
server, and how long `tick` takes for it."""

import http.server
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

import run as bench

REPOSITORIES, TIMES = 100, 15
WORKFLOW = """---
workflowId: review
title: Review
nodes:
  - {id: only, title: Only, kind: session_turn, prompt: Work., outputs: {mode: notify}}
---
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Every repository has no open pull request, and says so with a tag."""

    protocol_version = "HTTP/1.1"
    asked, unchanged = 0, 0

    def do_GET(self):
        Hub.asked += 1
        known = self.headers.get("if-none-match") == '"nothing"'
        Hub.unchanged += known
        self.send_response(304 if known else 200)
        self.send_header("etag", '"nothing"')
        if not known:
            self.send_header("content-length", "2")
        self.end_headers()
        if not known:
            self.wfile.write(b"[]")

    def log_message(self, *_):
        pass


class Watched:
    """A registry with a vault and a watch of them all."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.TARGET_DIR))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.home = os.environ.get("HOME")
        os.environ["HOME"] = str(self.folder)
        self.root = self.folder / "registry"
        bench.silent(bench.BINARY, "init", self.root)
        (self.root / "workflows" / "review.task.md").write_text(WORKFLOW)
        bench.silent(*self.call("secret", "init", "--no-passphrase"))
        token = [str(word) for word in self.call("secret", "set", "token")]
        subprocess.run(token, input=b"a-token-for-the-measurement", check=True, stdout=subprocess.DEVNULL)
        names = ", ".join('"acme/tool-%d"' % number for number in range(REPOSITORIES))
        with (self.root / "taskforge.toml").open("a") as settings:
            settings.write('\n[actions.github]\nbaseUrl = "http://127.0.0.1:%d"\ntoken = "vault:token"\n' % self.server.server_port)
            settings.write('[watch.all]\nsource = "github.pr"\nworkflow = "review"\nrepositories = [%s]\n' % names)
        return self

    def call(self, *words):
        return [bench.BINARY, "--registry", self.root, *words]

    def __exit__(self, *_):
        self.server.shutdown()
        if self.home is not None:
            os.environ["HOME"] = self.home
        shutil.rmtree(self.folder)


def rows():
    print("measuring a watch of %d repositories ..." % REPOSITORIES, file=sys.stderr)
    with Watched() as watched:
        tick = watched.call("tick", "--all")
        bench.spawned(tick)
        times, counts = [], set()
        for _ in range(TIMES):
            before = Hub.asked, Hub.unchanged
            times.append(bench.spawned(tick))
            counts.add((Hub.asked - before[0], Hub.unchanged - before[1]))
        (requests,) = {asked for asked, _ in counts}
        kept = "yes" if counts == {(REPOSITORIES, REPOSITORIES)} else "**no**"
        if any((watched.root / "runs").iterdir()):
            raise SystemExit("a look that found nothing began a run")
    cells = " / ".join("%.1f" % value for value in statistics.quantiles(times, n=4))
    what = "`tick` over %d watched repositories, nothing new" % REPOSITORIES
    return [
        "| %s, conditional requests | %d | | %d | | %d | %s |" % (what, TIMES, requests, REPOSITORIES, kept),
        "| %s, ms | %d | | %s | |  |  |" % (what, TIMES, cells),
    ]
