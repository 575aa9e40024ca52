"""The reviewer that `model-server.py --tasks` plays: it reads a change through the gate, holds it against what the team has
agreed on, and writes one review. It is no language model: each remark comes from a line of the patch that it was sent and a rule
that it knows, of its own or of its memory. `analyst.py` says what a task is.
"""

import json
import re

from analyst import Refused, finish, parsed, write_file

# Whatever a team has agreed on: text in an added line of Python, and what is said about it.
OWN = [
    (r"^\s*except\s*:", "This catches everything, `KeyboardInterrupt` included. Name the error that is meant."),
    (r"\bfloat\(", "Amounts of money as binary fractions do not add up. Use `Decimal` or cents."),
]


def act(action, **arguments):
    return ("act", {"action": action, "arguments": arguments})


def memory(op, **more):
    return ("memory", {"op": op, **more})


def review(prompt):
    asked = re.search(r"Pull request (\d+) of (\S+/\S+) at commit ([0-9a-f]{40})\.", prompt)
    if not asked:
        raise Refused("the prompt does not say which pull request at which commit")
    number, repo, commit = int(asked.group(1)), asked.group(2), asked.group(3)
    read, files, keys = yield "What is it about?", [
        act("github.pr.read", repo=repo, number=number),
        act("github.pr.files", repo=repo, number=number),
        memory("list"),
    ]
    head = result(read, "github.pr.read")["head"]["sha"]
    if head != commit:
        yield "", [write_file("/workspace/report.md", "The head is %s by now, which has a task of its own.\n" % head)]
        yield "", [finish("Nothing reviewed: %s has moved on." % commit[:12])]
        return
    patches = result(files, "github.pr.files")
    if patches.get("truncated"):
        raise Refused("github.pr.files: the list was cut")
    # What was said about this one before, and what the team has agreed on.
    own = "pull.%s.%d" % (re.sub(r"[^a-z0-9]+", ".", repo.lower()), number)
    known = {entry["key"] for entry in parsed(keys, "memory list")["memory"]}
    wanted = [key for key in ("team.conventions", own) if key in known]
    notes = {}
    if wanted:
        found = yield "", [memory("get", key=key) for key in wanted]
        notes = {key: parsed(text, "memory get")["value"] for key, text in zip(wanted, found)}
    remarks = found_in(patches["files"], rules(notes.get("team.conventions", "")))
    before = json.loads(notes[own]) if own in notes else None
    verdict = "REQUEST_CHANGES" if remarks else "COMMENT"
    comments = [{"path": path, "line": line, "body": text} for path, line, text in remarks]
    body = summary(patches["files"], remarks, before)

    def submit(tries):
        # Like any model, it does not find the same words twice. The key says that it is one review all the same.
        said = body + "".join("\nLooked at once more." for _ in range(tries))
        name, call = act("github.review.submit", repo=repo, number=number, commit=commit, verdict=verdict, body=said, comments=comments)
        return call | {"key": "review-%d-%s" % (number, commit)}

    (done,) = yield "%d remarks." % len(remarks), [("act", submit)]
    if refused(done) != "key_reused":
        result(done, "github.review.submit")
    kept, wrote = yield "", [
        memory("set", key=own, value=json.dumps({"commit": commit[:12], "remarks": len(remarks)})),
        write_file("/workspace/report.md", "# %s#%d at %s\n\n%s\n" % (repo, number, commit[:12], body)),
    ]
    parsed(kept, "memory set")
    parsed(wrote, "write_file")
    yield "", [finish("%s#%d: %s with %d remarks." % (repo, number, verdict, len(remarks)))]


def refused(text):
    """The code by which the gate refused it, if it did."""
    error = json.loads(text).get("error")
    return error.get("code") if isinstance(error, dict) else None


def result(text, what):
    value = parsed(text, what)
    if not isinstance(value.get("result"), dict):
        raise Refused("%s: there is no result: %.200s" % (what, text))
    return value["result"]


def rules(conventions):
    """Our own rules, and one for each `code` that the team's conventions say `never` of."""
    agreed = [line for line in conventions.splitlines() if line.lower().startswith("never `")]
    theirs = [(re.escape(line.split("`")[1]), "The team's conventions: " + line.strip()) for line in agreed]
    return [(re.compile(pattern), text) for pattern, text in OWN + theirs]


def added(patch):
    """The added lines of a patch, each with its number in the new file."""
    at = 0
    for line in patch.splitlines():
        hunk = re.match(r"@@ -\d+(?:,\d+)? \+(\d+)", line)
        if hunk:
            at = int(hunk.group(1))
        elif line.startswith("+"):
            yield at, line[1:]
            at += 1
        elif line.startswith(" "):
            at += 1


def found_in(files, known):
    remarks = []
    for file in files:
        if file["filename"].endswith(".py"):
            for number, line in added(file.get("patch", "")):
                remarks += [(file["filename"], number, text) for pattern, text in known if pattern.search(line)]
    return remarks


def summary(files, remarks, before):
    names = [file["filename"] for file in files]
    lines = ["Looked at %s." % ", ".join("`%s`" % name for name in names)]
    if before:
        count = before["remarks"] if isinstance(before.get("remarks"), int) else "some"
        lines.append("The review of %s had %s remarks, this one has %d." % (before.get("commit"), count, len(remarks)))
    code = [name for name in names if name.endswith(".py") and not name.startswith("tests/")]
    if code and not any(name.startswith("tests/") for name in names):
        lines.append("No test changes with it.")
    if not remarks:
        lines.append("Nothing to object to.")
    lines.append("Not looked at: whether it works. Nothing was run.")
    return "\n".join(lines)


# The first line of the prompt says which task it is.
TASKS = {"# Review a pull request": review}
