"""Reads a registry as strictly as OpenTask's readers do, and says what it read as JSON.

Written from what its files are known to hold: which keys its models forbid and which they pass over, which words they
know, what they fill in. None of its code.
"""

import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

Kind = Literal["session_turn", "subagent", "wait", "approval", "summary"]
NodeStatus = Literal["pending", "ready", "running", "waiting", "completed", "failed", "skipped"]
RunStatus = Literal["draft", "running", "paused", "completed", "failed", "cancelled"]
KEYS = ("rootSessionKey", "driverSessionKey", "plannerSessionKey", "sourceSessionKey")


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class WaitFor(Strict):
    type: Literal["next_tick", "manual", "file_exists"] = "manual"
    path: str | None = None

    @model_validator(mode="after")
    def a_file_has_a_path(self):
        if self.type == "file_exists" and not self.path:
            raise ValueError("a wait for a file names it")
        return self


class WorkingMemory(Strict):
    plan: str | None = None
    findings: str | None = None
    progress: str | None = None
    handoff: str | None = None


class Delivery(Strict):
    channel: str | None = None
    to: str | None = None
    accountId: str | None = None
    threadId: str | None = None


class Node(Lenient):
    id: str
    title: str
    kind: Kind
    status: NodeStatus = "pending"
    needs: list[str] = []
    outputsMode: Literal["notify", "report"] | None = None
    sessionKey: str | None = None
    childSessionKey: str | None = None
    runId: str | None = None
    artifactPaths: list[str] = []
    workingMemory: WorkingMemory | None = None
    notes: list[str] = []
    startedAt: str | None = None
    completedAt: str | None = None
    waitFor: WaitFor | None = None


class Sessions(Lenient):
    sourceSessionKey: str | None = None
    sourceAgentId: str | None = None
    rootSessionKey: str | None = None
    plannerSessionKey: str | None = None
    driverSessionKey: str | None = None
    deliveryContext: Delivery | None = None
    cronJobId: str | None = None

    @model_validator(mode="after")
    def somebody_drives_it(self):
        if not any(getattr(self, key) for key in KEYS):
            raise ValueError("no session key at all")
        return self


class State(Sessions):
    runId: str
    workflowId: str
    title: str
    status: RunStatus
    updatedAt: str
    createdAt: str
    nodes: list[Node]
    lastEvent: str | None = None
    lastProgressMessage: str | None = None
    lastProgressMessageAt: str | None = None


class Refs(Sessions):
    runId: str | None = None
    driverRunId: str | None = None
    driverRequestedEventCount: int = 0
    driverRequestedActivityCount: int = 0
    lastProgressEventCount: int = 0
    nodeSessions: dict[str, str] = {}
    childSessions: dict[str, str] = {}
    nodeRunIds: dict[str, str] = {}
    appliedControlIds: list[str] = []


class Event(Lenient):
    event: str
    runId: str
    timestamp: str
    nodeId: str | None = None
    message: str | None = None
    payload: dict[str, Any] = {}


class Control(Strict):
    id: str
    action: Literal["pause", "resume", "retry", "skip", "approve", "send_message", "patch_cron"]
    runId: str
    timestamp: str
    nodeId: str | None = None
    message: str | None = None
    patch: dict[str, Any] = {}


class Result(Strict):
    nodeId: str
    runId: str
    status: NodeStatus
    summary: str | None = None
    artifacts: list[str] = []
    sessionKey: str | None = None
    childSessionKey: str | None = None
    workingMemory: WorkingMemory | None = None
    payload: dict[str, Any] = {}


def lines(path, model):
    # Splits where Python does, also at U+2028 and its like: a line that holds one raw is no JSON then.
    return [model.model_validate_json(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def read(run):
    state = State.model_validate_json((run / "state.json").read_text("utf-8"))
    refs = Refs.model_validate_json((run / "refs.json").read_text("utf-8"))
    results = [Result.model_validate_json(path.read_text("utf-8")) for path in sorted(run.glob("nodes/*/result.json"))]
    return {
        "status": state.status,
        "title": state.title,
        "nodes": {node.id: [node.kind, node.status] for node in state.nodes},
        "notes": {node.id: node.notes for node in state.nodes if node.notes},
        "events": [event.event for event in lines(run / "events.jsonl", Event)],
        "messages": [event.message for event in lines(run / "events.jsonl", Event) if event.message],
        "controls": [control.action for control in lines(run / "control.jsonl", Control)],
        "applied": len(refs.appliedControlIds),
        "sessions": refs.nodeSessions,
        "results": {result.nodeId: result.status for result in results},
    }


if __name__ == "__main__":
    runs = sorted(path for path in (Path(sys.argv[1]) / "runs").iterdir() if path.is_dir())
    json.dump({run.name: read(run) for run in runs}, sys.stdout)
