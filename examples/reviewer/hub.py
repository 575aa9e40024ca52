#!/usr/bin/env python3
"""A GitHub of your own on 127.0.0.1, over bare git repositories: every branch but the default one is a pull request.

    python3 examples/reviewer/hub.py --port 8417 --token-file FILE FOLDER

FOLDER holds `owner/name.git`. A push to a branch opens its pull request or moves its head, and deleting the branch closes it.
It speaks the part of GitHub's REST API that reviewers use, below /api/v3: repositories, pull requests and their files, reviews,
comments; pages and links, ETags, bearer tokens. As GitHub does, it refuses a review whose commit is not of the pull request
and a comment on a line that the change does not show. Reviews and comments are kept in `owner/name.hub.json`.
"""

import argparse
import hashlib
import http.server
import json
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse

MAX_BODY = 1024 * 1024
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class Answer(Exception):
    """An answer other than 200."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Repository:
    """One bare repository, with what was said about its branches."""

    def __init__(self, folder, name):
        self.name, self.git_dir = name, folder / (name + ".git")
        self.path = folder / (name + ".hub.json")
        if not self.git_dir.is_dir():
            raise Answer(404, "Not Found")
        self.said = {"pulls": {}, "reviews": [], "comments": [], "changes": 0}
        if self.path.exists():
            self.said = json.loads(self.path.read_text())
        self.default = self.git("symbolic-ref", "--short", "HEAD").strip()
        self.notice()

    def git(self, *arguments):
        command = ["git", "--git-dir", str(self.git_dir), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def notice(self):
        """Numbers branches as they come, and notes which of them moved."""
        heads = {}
        for line in self.git("for-each-ref", "--format=%(objectname) %(refname:short)", "refs/heads").splitlines():
            commit, branch = line.split(" ", 1)
            if branch != self.default:
                heads[branch] = commit
        pulls, before = self.said["pulls"], json.dumps(self.said)
        for branch, commit in sorted(heads.items()):
            pull = pulls.setdefault(branch, {"number": len(pulls) + 1, "commits": []})
            if pull["commits"][-1:] != [commit] or pull["state"] != "open":
                self.said["changes"] += 1
                pull.update(commits=pull["commits"] + [commit], changed=self.said["changes"], state="open")
        for branch, pull in pulls.items():
            if branch not in heads:
                pull["state"] = "closed"
        if json.dumps(self.said) != before:
            self.save()

    def save(self):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.said, indent=1))
        new.replace(self.path)

    # ---- as GitHub shows it

    def shown(self):
        return {"full_name": self.name, "description": None, "default_branch": self.default, "private": True}

    def pull(self, branch):
        pull = self.said["pulls"][branch]
        title = self.git("log", "-1", "--format=%s", pull["commits"][-1]).strip()
        author = self.git("log", "-1", "--format=%an", pull["commits"][-1]).strip()
        repo = {"full_name": self.name}
        return {
            "number": pull["number"],
            "title": title,
            "body": None,
            "state": pull["state"],
            "draft": False,
            "user": {"login": author},
            "html_url": "http://127.0.0.1/%s/pull/%d" % (self.name, pull["number"]),
            "head": {"ref": branch, "sha": pull["commits"][-1], "repo": repo},
            "base": {"ref": self.default, "sha": self.git("rev-parse", self.default).strip(), "repo": repo},
        }

    def pulls(self, state):
        wanted = [item for item in self.said["pulls"].items() if state in ("all", item[1]["state"])]
        wanted.sort(key=lambda item: -item[1]["changed"])
        return [self.pull(branch) for branch, _ in wanted]

    def branch(self, number):
        found = [branch for branch, pull in self.said["pulls"].items() if pull["number"] == number]
        if not found:
            raise Answer(404, "Not Found")
        return found[0]

    def files(self, branch):
        head = self.said["pulls"][branch]["commits"][-1]
        span = "%s...%s" % (self.default, head)
        files = []
        for line in self.git("diff", "--no-renames", "--name-status", span).splitlines():
            status, name = line.split("\t", 1)
            text = self.git("diff", "--no-renames", span, "--", name)
            patch = text[text.index("\n@@") + 1 :].rstrip("\n") if "\n@@" in text else ""
            lines = patch.splitlines()
            added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
            word = {"A": "added", "D": "removed"}.get(status, "modified")
            files.append({"filename": name, "status": word, "additions": added, "deletions": removed, "patch": patch})
        return files

    # ---- what is said

    def review(self, branch, said):
        pull = self.said["pulls"][branch]
        commit = said.get("commit_id") or pull["commits"][-1]
        if commit not in pull["commits"]:
            raise Answer(422, "commit_id is not part of the pull request")
        if said.get("event") not in ("APPROVE", "REQUEST_CHANGES", "COMMENT") or not said.get("body"):
            raise Answer(422, "event and body have to be there")
        shown = {file["filename"]: new_lines(file["patch"]) for file in self.files(branch)}
        for comment in said.get("comments", []):
            if comment.get("line") not in shown.get(comment.get("path"), ()) or not comment.get("body"):
                raise Answer(422, "line must be part of the diff: %s:%s" % (comment.get("path"), comment.get("line")))
        state = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}[said["event"]]
        review = {
            "id": len(self.said["reviews"]) + 1,
            "pull": pull["number"],
            "state": state,
            "commit_id": commit,
            "body": said["body"],
            "comments": said.get("comments", []),
            "submitted_at": now(),
        }
        self.said["reviews"].append(review)
        self.save()
        print("review of %s#%d at %.12s: %s" % (self.name, pull["number"], commit, state), flush=True)
        return review

    def comment(self, number, said):
        if not said.get("body"):
            raise Answer(422, "body has to be there")
        comment = {"id": len(self.said["comments"]) + 1, "pull": number, "body": said["body"], "created_at": now()}
        self.said["comments"].append(comment)
        self.save()
        return comment

    def of(self, number, what):
        return [one for one in self.said[what] if one["pull"] == number]


def new_lines(patch):
    """The lines of the new file that a patch shows."""
    lines, at = set(), 0
    for line in patch.splitlines():
        hunk = re.match(r"@@ -\d+(?:,\d+)? \+(\d+)", line)
        if hunk:
            at = int(hunk.group(1))
        elif line[:1] in ("+", " "):
            lines.add(at)
            at += 1
    return lines


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    folder = token = None
    # One request at a time works on a repository: git and the file beside it are read and written together.
    lock = threading.Lock()


class Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        self.serve(None)

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            return self.send(413, {"message": "a bad or too large body"})
        self.serve(self.rfile.read(int(length)))

    def serve(self, body):
        try:
            if self.headers.get("Authorization") != "Bearer " + self.server.token:
                raise Answer(401, "Bad credentials")
            path, _, query = self.path.partition("?")
            found = re.fullmatch("/api/v3/repos/(%s/%s)(/.*)?" % (NAME, NAME), path)
            if not found:
                raise Answer(404, "Not Found")
            with self.server.lock:
                repository = Repository(self.server.folder, found.group(1))
                value = self.answer(repository, found.group(2) or "", dict(urllib.parse.parse_qsl(query)), body)
            while body is not None and self.server.hold and self.server.hold.exists():
                time.sleep(0.05)
            self.send(200, value)
        except Answer as answer:
            self.send(answer.status, {"message": str(answer)})
        except (ValueError, TypeError, AttributeError):
            self.send(400, {"message": "Problems parsing the request"})

    def answer(self, repository, rest, query, body):
        if not rest and body is None:
            return repository.shown()
        if rest == "/pulls" and body is None:
            return self.page(repository.pulls(query.get("state", "open")), query)
        found = re.fullmatch(r"/(?:pulls|issues)/(\d{1,9})(/files|/reviews|/comments)?", rest)
        if not found:
            raise Answer(404, "Not Found")
        number, what = int(found.group(1)), found.group(2)
        branch = repository.branch(number)
        if body is not None:
            said = json.loads(body)
            if what == "/reviews":
                return repository.review(branch, said)
            if what == "/comments":
                return repository.comment(number, said)
            raise Answer(404, "Not Found")
        if what is None:
            return repository.pull(branch)
        return self.page(repository.files(branch) if what == "/files" else repository.of(number, what[1:]), query)

    def page(self, every, query):
        size, at = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        self.more = size * at < len(every)
        return every[size * (at - 1) : size * at]

    def send(self, status, value):
        data = json.dumps(value).encode()
        tag = '"%s"' % hashlib.sha256(data).hexdigest()[:32]
        same = status == 200 and self.command == "GET" and self.headers.get("If-None-Match") == tag
        self.send_response(304 if same else status)
        if getattr(self, "more", False):
            self.send_header("Link", '<http://127.0.0.1/next>; rel="next"')
            self.more = False
        if self.command == "GET":
            self.send_header("ETag", tag)
        if not same:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not same:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("folder", type=pathlib.Path, help="where owner/name.git are")
    arguments.add_argument("--port", type=int, default=8417, help="0 takes a free one (default: 8417)")
    arguments.add_argument("--hold", type=pathlib.Path, help="while this file is there, no review is answered")
    arguments.add_argument("--token-file", type=pathlib.Path, required=True, help="the token that has to be sent")
    given = arguments.parse_args()
    server = Server(("127.0.0.1", given.port), Connection)
    server.hold = given.hold
    server.folder, server.token = given.folder, given.token_file.read_text().strip()
    print("listening on http://127.0.0.1:%d/api/v3" % server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
