"""Works on a run as OpenTask's service does: the lock held through a long tick, whole files written under one fixed
temporary name. It stops where its gateway would be asked, and goes on when a line comes in.

usage: opentask_service.py RUN_FOLDER NODE TICKS
"""

import fcntl
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

run, node, ticks = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def write(path, value):
    part = path.with_suffix(path.suffix + ".tmp")
    part.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    part.replace(path)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


for tick in range(ticks):
    # Whoever waits for the lock has its turn before the next tick.
    if tick and not sys.stdin.readline():
        os._exit(0)
    with open(run / ".run.lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads((run / "state.json").read_text("utf-8"))
        refs = json.loads((run / "refs.json").read_text("utf-8"))
        print("loaded", flush=True)
        if not sys.stdin.readline():
            os._exit(0)
        now = datetime.now(timezone.utc).isoformat()
        mine = next(item for item in state["nodes"] if item["id"] == node)
        mine["runId"] = refs["nodeRunIds"][node] = f"oc-run-{tick}"
        events = [{"event": "node.run_bound", "runId": run.name, "timestamp": now, "nodeId": node, "payload": {}}]
        if mine["status"] == "ready":
            mine["status"], mine["startedAt"] = "running", now
            events.append({"event": "node.started", "runId": run.name, "timestamp": now, "nodeId": node, "payload": {}})
        with open(run / "events.jsonl", "a", encoding="utf-8") as journal:
            for event in events:
                journal.write(json.dumps(event))
                journal.write("\n")
        state["updatedAt"], state["lastEvent"] = now, events[-1]["event"]
        refs["driverRequestedEventCount"] = refs.get("driverRequestedEventCount", 0) + 1
        write(run / "refs.json", without_nulls(refs))
        write(run / "state.json", without_nulls(state))
    print("done", flush=True)
