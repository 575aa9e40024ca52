"""Notes progress on a run as OpenTask's helper does: without any lock, from what it read a moment before.

usage: opentask_writer.py RUN_FOLDER COUNT
"""

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

run, count = Path(sys.argv[1]), int(sys.argv[2])


def write(path, value):
    part = path.with_suffix(path.suffix + ".tmp")
    part.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    part.replace(path)


for number in range(count):
    state = json.loads((run / "state.json").read_text("utf-8"))
    refs = json.loads((run / "refs.json").read_text("utf-8"))
    now = datetime.now(timezone.utc).isoformat()
    event = {"event": "run.progress", "timestamp": now, "runId": run.name, "payload": {}, "message": f"theirs {number}"}
    with open(run / "events.jsonl", "a", encoding="utf-8") as journal:
        journal.write(json.dumps(event))
        journal.write("\n")
    state["lastProgressMessage"], state["lastProgressMessageAt"] = event["message"], now
    state["updatedAt"], state["lastEvent"] = now, "run.progress"
    write(run / "state.json", state)
    write(run / "refs.json", refs)
