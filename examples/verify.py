#!/usr/bin/env python3
"""Verifies a run that `taskforge audit export` wrote, without taskforge.

    python3 verify.py [ARCHIVE.tar | FOLDER] [--checkpoint FILE]... [--keys FILE] [--allowed-signers FILE]

Only Python's standard library; signatures are checked with `openssl` 3 and, those of decisions, with OpenSSH's `ssh-keygen`.
Without them a signed checkpoint, or decision, is a problem: nothing that was not checked counts. Exit code 0: nothing is wrong. 1: something is. 2: there is nothing to verify.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ED25519 = bytes.fromhex("302a300506032b6570032100")  # what stands before a public key in DER


class Findings:
    def __init__(self):
        self.problems, self.notes = [], []

    def problem(self, text):
        self.problems.append(text)

    def note(self, text):
        self.notes.append(text)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_archive(path):
    """The regular files of an archive, by their path below the run's folder."""
    files = {}
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            name = entry.name.split("/", 1)[-1]
            if not entry.isreg() or name in files:
                raise ValueError(f"{entry.name!r} is in the archive twice, or is no file")
            files[name] = archive.extractfile(entry).read()
    return files


def read_folder(path):
    files = {}
    for folder, _, names in os.walk(path):
        for name in names:
            whole = os.path.join(folder, name)
            if os.path.isfile(whole) and not os.path.islink(whole):
                with open(whole, "rb") as file:
                    files[os.path.relpath(whole, path).replace(os.sep, "/")] = file.read()
    return files


def digests(tag, run, data):
    """The running digest at each place where a line starts or ends."""
    digest = hashlib.sha256(f"{tag}\n{run}\n".encode()).digest()
    found, at = {0: digest}, 0
    for line in re.findall(rb"[^\n]*\n", data):
        digest = hashlib.sha256(digest + line).digest()
        at += len(line)
        found[at] = digest
    return found


def lines_of(data):
    """Each whole line with its number and where it starts."""
    at = 0
    for number, line in enumerate(re.findall(rb"[^\n]*\n", data), 1):
        yield number, at, line[:-1]
        at += len(line)


def parse(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_number(value):
    return isinstance(value, int) and not isinstance(value, bool)


def journal(data, run, find):
    """The records that whole batches hold, where the last of them ends, and the digests."""
    steps = digests("taskforge-journal-v1", run, data)
    accepted, batch, end, seq = [], [], 0, 0
    for number, at, text in lines_of(data):
        record = parse(text) if text.startswith(b"{") else None
        if record is None or "seq" not in record:
            continue
        place, counts = f"events.jsonl line {number}", record.get("batch")
        if record.get("runId") != run:
            find.problem(f"{place} belongs to run {record.get('runId')!r}")
        if not (isinstance(counts, list) and len(counts) == 2 and all(map(is_number, counts))):
            find.problem(f"{place} has no `batch`")
            continue
        follows = batch and batch[-1][2] == at and batch[-1][0]["batch"] == [counts[0] - 1, counts[1]]
        if not follows:
            batch = []
            if counts[0] != 1:
                find.note(f"{place} is of a batch that is not whole")
                continue
        batch.append((record, at, at + len(text) + 1))
        if counts[0] != counts[1]:
            continue
        for one, start, _ in batch:
            seq += 1
            if one["seq"] != seq:
                find.problem(f"{place}: seq {one['seq']!r} where {seq} is due")
                seq = one["seq"] if is_number(one["seq"]) else seq
            continues = one.get("at")
            if not is_number(continues) or continues not in steps or not end <= continues <= batch[0][1]:
                find.problem(f"{place} continues byte {continues!r}, where nothing starts")
            elif steps[continues].hex() != one.get("prev"):
                find.problem(f"{place} does not continue the first {continues} bytes: some of them have changed")
        accepted += [one for one, _, _ in batch]
        end, batch = batch[-1][2], []
    return accepted, end, steps


def keys_of(text, find):
    """Public keys by name and hash."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            name, digest, data = line.split("+", 2)
            data = base64.b64decode(data, validate=True)
        except (ValueError, binascii.Error):
            find.problem(f"{line[:80]!r} is no public key")
            continue
        right = hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8]
        if len(data) != 33 or data[0] != 1 or digest != right:
            find.problem(f"{line[:80]!r} is no Ed25519 key, or its hash is wrong")
            continue
        found[(name, bytes.fromhex(digest))] = data[1:]
    return found


def signed(text, signature, key):
    """Whether openssl finds that `key` signed `text`."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("text", "signature", "key")]
        for path, data in zip(paths, (text, signature, ED25519 + key)):
            with open(path, "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", paths[2]]
        command += ["-in", paths[0], "-sigfile", paths[1]]
        return subprocess.run(command, capture_output=True).returncode == 0


def checkpoint(name, note, run, keys, find):
    """The size and digest that a checkpoint names; None if it is wrong."""
    try:
        text, _, rest = note.decode().rpartition("\n\n")
        text += "\n"
        lines, rest = text.split("\n"), rest.split("\n")
        origin, size, digest = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
        if rest.pop() != "" or not rest or len(digest) != 32 or str(size) != lines[1]:
            raise ValueError
        signatures = []
        for line in rest:
            dash, who, data = line.split(" ")
            data = base64.b64decode(data, validate=True)
            if dash != "\u2014" or len(data) < 5:
                raise ValueError
            signatures.append((who, data[:4], data[4:]))
    except (ValueError, IndexError, binascii.Error):
        find.problem(f"{name} is no checkpoint")
        return None
    if not origin.startswith("taskforge/") or origin.split("/", 2)[-1] != run:
        find.problem(f"{name} is of {origin!r}, not of run {run!r}")
        return None
    known = [(signature, keys[(who, digest)]) for who, digest, signature in signatures if (who, digest) in keys]
    if not known:
        find.problem(f"{name} is signed by no key that is known here")
        return None
    if not shutil.which("openssl"):
        find.problem(f"{name}: the signature was NOT checked, because there is no openssl")
    elif not all(signed(text.encode(), signature, key) for signature, key in known):
        find.problem(f"{name} has a signature that its key did not make")
        return None
    return size, digest


VERDICTS = {
    "capability.approved": "approve", "capability.denied": "deny", "capability.superseded": "suggest",
    "node.completed": "approve", "node.failed": "deny",
}


def signatures(records, run, files, allowed, find):
    """Whether each decision that took effect is what its file says, and each signed one signed: by OpenSSH itself, at the
    journal's time."""
    by_digest = {sha256(data): path for path, data in files.items() if path.startswith("decisions/")}
    registry, waits = None, {}
    for record in records:
        event, data = record.get("event"), record.get("data") or {}
        if event == "run.created":
            registry = data.get("registry", "")
        elif event == "node.waiting":
            on = data.get("on")
            waits[record.get("nodeId")] = on.get("approval") if isinstance(on, dict) else None
        decision = data.get("decision") or {}
        path = by_digest.get(decision.get("file"))
        # A rule's has no file, and that of a grant which stands for later runs is of another request.
        if path is None or str(decision.get("by")).startswith(("policy:", "grant:")):
            continue
        request = data.get("id") if event.startswith("capability.") else waits.get(record.get("nodeId"))
        if not fits(parse(files[path]) or {}, path, event, decision, {"request": request, "run": run, "registry": registry}):
            find.problem(f"{path} says something else than the journal has for it")
        if not decision.get("proven"):
            continue
        signature = files.get(f"{path}.sig")
        name = decision.get("by", "").partition(":")[2]
        if signature is None:
            find.problem(f"{path} has lost its signature")
        elif allowed is None:
            find.problem(f"{path}: the signature was NOT checked, because there is no allowed_signers")
        elif not shutil.which("ssh-keygen"):
            find.problem(f"{path}: the signature was NOT checked, because there is no ssh-keygen")
        elif not worded(files[path], signature, allowed, name, record["timestamp"]):
            find.problem(f"{path} is not signed by {name!r}")


def rules(records, files, allowed, find):
    """Whether the rules by which something was granted are here and signed by somebody who may; what they say is not
    looked at."""
    folders, registry, signed_run = {}, "", False
    for path in sorted(files):
        parts = path.split("/")
        if parts[0] == "policies" and len(parts) == 3:
            folders.setdefault(parts[1], {})[parts[2]] = files[path]
    known = {}
    for folder in folders.values():
        named = [[name, sha256(data)] for name, data in sorted(folder.items()) if not name.endswith(".sig")]
        text = json.dumps(named, separators=(",", ":"), ensure_ascii=False)
        known[sha256(f"taskforge-policies-v1\n{text}".encode())] = folder
    for record in records:
        event, data = record.get("event"), record.get("data") or {}
        if event == "run.created":
            registry, signed_run = data.get("registry", ""), data.get("signed", False)
        decision = data.get("decision") or {}
        by = str(decision.get("by"))
        if event != "capability.approved" or not by.startswith("policy:"):
            continue
        folder, name = known.get(decision.get("file")), by[len("policy:"):].rpartition(":")[0]
        if folder is None or name not in folder:
            tell = find.problem if signed_run else find.note
            tell(f"the rules by which {by} granted {data.get('id')} are not here")
        elif not signed_run:
            continue
        elif f"{name}.sig" not in folder:
            find.problem(f"{name}, by which {data.get('id')} was granted, is not signed")
        elif allowed is None or not shutil.which("ssh-keygen"):
            find.problem(f"{name}: the signature was NOT checked, for want of allowed_signers or of ssh-keygen")
        elif not worded(folder[name], folder[f"{name}.sig"], allowed, None, record["timestamp"], f"taskforge-policy@{registry}"):
            find.problem(f"{name}, by which {data.get('id')} was granted, is signed by nobody who may")


def fits(file, path, event, decision, belongs):
    """Whether a decision's file says what the journal says that it does, and of this request of this run."""
    if file.get("format") == 1 and not decision.get("proven"):
        belongs = {**belongs, "registry": None}  # format 1 names none, and proves nothing
    said = {**belongs, "verdict": VERDICTS.get(event)}
    wrote = {name: file.get(name) for name in said}
    for one, into in ((decision, said), (file, wrote)):
        into.update({name: one.get(name) for name in ("digest", "by", "at", "comment")})
        into["scope"], into["until"] = one.get("scope", "run"), moment(one.get("until"))
        # The journal has names of packages as their indexes write them.
        into["instead"] = [re.sub("[-_.]+", "-", text).lower() for text in one.get("instead") or []]
    return path == f"decisions/{belongs['request']}.json" and said == wrote


def moment(text):
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return text


def worded(data, signature, allowed, name, timestamp, namespace="taskforge-decision"):
    """Whether ssh-keygen finds that `name`, or anybody who may, signed `data`, with a key that was good at `timestamp`."""
    at = "".join(character for character in timestamp[:19] if character.isdigit()) + "Z"
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, part) for part in ("signature", "allowed")]
        for path, content in zip(paths, (signature, allowed)):
            with open(path, "wb") as file:
                file.write(content)
        said = ["-s", paths[0], "-f", paths[1], "-O", f"verify-time={at}"]
        names = [name]
        if name is None:
            found = subprocess.run(["ssh-keygen", "-Y", "find-principals", *said], capture_output=True, check=False)
            names = found.stdout.decode().split("\n")[:-1]
        for name in names:
            command = ["ssh-keygen", "-Y", "verify", "-n", namespace, "-I", name, *said]
            if subprocess.run(command, input=data, capture_output=True, check=False).returncode == 0:
                return True
        return False


def named_files(records):
    """What events say of files: their digests by path, and those of decisions."""
    files, decisions = {}, set()
    for record in records:
        data = record.get("data") or {}
        artifacts = []
        if record.get("event") == "run.created":
            files["workflow.lock.md"] = data.get("workflowDigest")
            artifacts = data.get("inputs") or []
        elif record.get("event") == "node.completed":
            artifacts = data.get("artifacts") or []
        files.update((artifact["path"], artifact["sha256"]) for artifact in artifacts)
        # A rule's decision has no file: what it said stands beside the request.
        if data.get("decision") and not str(data["decision"].get("by")).startswith("policy:"):
            decisions.add(data["decision"].get("file"))
    return files, decisions


def continued(named, files):
    """A body that goes on from others, and whether a part of it was taken away."""
    pack, parts = files["gate/bodies/pack"], []
    while named.get("continues"):
        line, newline, _ = pack[named["pack"]:named["pack"] + 512].partition(b"\n")
        link = parse(line) if newline else None
        if link is None or link["from"].get("pack", -1) >= named["pack"]:
            return b"", not line.strip(b"\0")
        begin = named["pack"] + len(line) + 1
        parts.append((link, pack[begin:begin + named["bytes"] - link["start"] - link["end"]]))
        named = link["from"]
    if "pack" in named:
        body = pack[named["pack"]:named["pack"] + named["bytes"]]
    else:
        body = files.get(f"gate/bodies/{named['sha256']}")
    if body is None or sha256(body) != named["sha256"]:
        return b"", body is None or not body.strip(b"\0")
    for link, between in reversed(parts):
        body = body[:link["start"]] + between + body[len(body) - link["end"]:]
    return body, False


def traffic(data, run, files, find):
    steps = digests("taskforge-traffic-v1", run, data)
    missing, redacted = [], set()
    for number, at, text in lines_of(data):
        if not text.strip(b" "):
            continue
        record = parse(text)
        if record is None or record.get("at") != at or record.get("prev") != steps[at].hex():
            find.problem(f"gate/traffic.jsonl line {number} does not continue what stands before it")
            continue
        if record.get("kind") == "llm.redacted":
            redacted.update(record.get("records") or [])
        named = record.get("body") or {}
        name, begin = named.get("sha256"), named.get("pack")
        if name is None:
            continue
        absent = (record.get("seq"), f"the body {name[:12]} of gate/traffic.jsonl line {number} is not there")
        if named.get("continues"):
            own, gone = files.get(f"gate/bodies/{name}"), False
            if own is None and "gate/bodies/pack" in files:
                own, gone = continued(named, files)
            if gone or own is None:
                missing.append(absent)
            elif sha256(own) != name:
                find.problem(f"gate/bodies/pack has another body at {begin} than gate/traffic.jsonl line {number} says")
            continue
        if begin is not None and "gate/bodies/pack" in files:
            body = files["gate/bodies/pack"][begin:begin + named["bytes"]]
            # Zeros are a body that was taken away.
            if len(body) == named["bytes"] and sha256(body) != name and not body.strip(b"\0"):
                missing.append(absent)
            elif sha256(body) != name:
                find.problem(f"gate/bodies/pack has other bytes at {begin} than gate/traffic.jsonl line {number} says")
            continue
        body = files.get(f"gate/bodies/{name}")
        if body is None:
            missing.append(absent)
        elif sha256(body) != name:
            find.problem(f"gate/bodies/{name} has changed")
    for seq, what in missing:
        if seq not in redacted:
            find.problem(f"{what}, and no redaction says why")
    return steps


def verify(files, extra, trusted, allowed, find):
    data = files["events.jsonl"]
    first = next((record for _, _, text in lines_of(data) if (record := parse(text)) and "seq" in record), {})
    run = first.get("runId")
    if not isinstance(run, str):
        find.problem("events.jsonl has no line of taskforge's")
        return "?", 0, 0
    records, end, steps = journal(data, run, find)

    keys = keys_of(trusted if trusted is not None else files.get("checkpoint.pub", b"").decode(), find)
    notes = {name: note for name, note in files.items() if name.startswith("checkpoints/")}
    sealed = 0
    for name, note in [*notes.items(), *extra]:
        head = checkpoint(name, note, run, keys, find)
        if head is None:
            continue
        if head[0] > len(data):
            find.problem(f"events.jsonl was cut: {name} says that it had {head[0]} bytes")
        elif steps.get(head[0]) != head[1]:
            find.problem(f"events.jsonl has other first {head[0]} bytes than {name} says")
        else:
            sealed = max(sealed, head[0])
    if sealed < end:
        find.note(f"no checkpoint covers events.jsonl from byte {sealed} on")

    named, decisions = named_files(records)
    for path, digest in named.items():
        if path not in files:
            find.problem(f"{path} is not here, and the journal names it")
        elif sha256(files[path]) != digest:
            find.problem(f"{path} is not what the journal says")
    for path in files:
        if path.startswith("decisions/") and not path.endswith(".sig") and sha256(files[path]) not in decisions:
            find.problem(f"{path} is not a decision that the journal names")
    for digest in decisions - {sha256(files[path]) for path in files if path.startswith("decisions/")}:
        find.note(f"the decision with SHA-256 {digest} is not here")
    allowed = allowed if allowed is not None else files.get("allowed_signers")
    signatures(records, run, files, allowed, find)
    rules(records, files, allowed, find)

    heads = [((record.get("data") or {}).get("end") or {}).get("traffic") for record in records]
    heads = [head for head in heads if head]
    if "gate/traffic.jsonl" in files:
        chain = traffic(files["gate/traffic.jsonl"], run, files, find)
        for head in heads:
            if chain.get(head["at"], b"").hex() != head["digest"]:
                find.problem(f"gate/traffic.jsonl has other first {head['at']} bytes than the journal says, or fewer")
    elif heads:
        find.problem("gate/traffic.jsonl is not here, and the journal names it")
    return run, len(records), sealed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("path", nargs="?", default=here, help="an archive or its unpacked folder [default: this one]")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE", help="kept elsewhere; repeatable")
    parser.add_argument("--keys", metavar="FILE", help="public keys from elsewhere, in place of checkpoint.pub")
    parser.add_argument("--allowed-signers", metavar="FILE", help="who may sign decisions, from elsewhere")
    arguments = parser.parse_args()
    find = Findings()
    try:
        files = read_folder(arguments.path) if os.path.isdir(arguments.path) else read_archive(arguments.path)
        extra = [(path, open(path, "rb").read()) for path in arguments.checkpoint]
        trusted = open(arguments.keys, encoding="utf-8").read() if arguments.keys else None
        allowed = open(arguments.allowed_signers, "rb").read() if arguments.allowed_signers else None
        if "events.jsonl" not in files:
            raise ValueError("there is no events.jsonl in it")
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    try:
        run, lines, sealed = verify(files, extra, trusted, allowed, find)
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        find.problem(f"something in it has a shape that taskforge does not write: {error!r}")
        run, lines, sealed = "?", 0, 0
    for text in find.problems:
        print(f"PROBLEM {text}")
    for text in find.notes:
        print(f"note    {text}")
    word = "NOT SOUND" if find.problems else "sound"
    print(f"{word}: run {run}, {lines} lines of taskforge's, sealed up to byte {sealed}")
    return 1 if find.problems else 0


if __name__ == "__main__":
    sys.exit(main())
