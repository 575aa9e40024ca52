#!/usr/bin/env python3
"""A model server for the example workflow `sales-report`: it speaks OpenAI's chat completions on 127.0.0.1 and plays an
analyst who works from what the tools told it.

    python3 examples/model-server.py [--port 11434] [--require-key KEY] [--log FILE] [--tasks FILE]

It is no language model. Each task is a fixed way of working, but every number, name and decision in an answer is taken
from the tool results in the request: with other data the report is another one, without a refusal nothing is asked for,
and where a result is not what the analyst needs the request is refused with HTTP 400 and the reason. The tests use it
as "any OpenAI-compatible endpoint"; the shipped recording `workflows/sales-report.replay.jsonl` was made against it. With
`--tasks` it plays somebody else: FILE is Python, as `analyst.py` is.

Nothing is kept between requests: a conversation is played again from its first message, and one that this server would
not have had is refused. The answers hold no clock, no randomness and no machine's names.
"""

import argparse
import http.server
import importlib.util
import json
import re
import sys
import threading

sys.dont_write_bytecode = True
from analyst import TASKS, Refused, json_object  # noqa: E402

MODEL = "scripted-analyst"
MAX_BODY = 32 * 1024 * 1024


# ---- the conversation --------------------------------------------------------------------------------------------------


def next_turn(messages):
    """(text, [(call id, name, arguments)]) that follows on `messages`."""
    asked = [text_of(message) for message in messages if message.get("role") == "user"]
    titles = [line for text in asked for line in text.splitlines() if line in TASKS]
    if not titles:
        raise Refused("none of the tasks this server knows is asked for: %s" % "; ".join(TASKS))
    prompt = next(text for text in asked if titles[0] in text.splitlines())
    results = {m.get("tool_call_id"): text_of(m) for m in messages if m.get("role") == "tool"}
    said = [m for m in messages if m.get("role") == "assistant"]
    task = TASKS[titles[0]](prompt)
    number, tries = 0, 0
    text, calls = next(task)
    asking, got = list(range(len(calls))), {}
    for message in said:
        made = message.get("tool_calls") or []
        had = [(call["function"]["name"], loads(call["function"]["arguments"])) for call in made]
        if had != [worded(calls[n], tries) for n in asking]:
            raise Refused("the conversation has a turn that this server would not have answered: %.300s" % json.dumps(had))
        unanswered = [call["id"] for call in made if call["id"] not in results]
        if unanswered:
            raise Refused("no result for the tool calls %s" % ", ".join(unanswered))
        number += len(made)
        got.update((n, results[call["id"]]) for n, call in zip(asking, made))
        asking = [n for n in asking if interrupted(got[n])]
        if asking:
            text, tries = "That was interrupted; again.", tries + 1
            continue
        try:
            text, calls = task.send([got[n] for n in range(len(calls))])
        except StopIteration:
            raise Refused("the task was finished; nothing follows") from None
        asking, got, tries = list(range(len(calls))), {}, 0
    return text, [("call_%d" % (number + at), *worded(calls[n], tries)) for at, n in enumerate(asking, start=1)]


def worded(call, tries):
    """The call as it is made after `tries` interruptions: a task can give a function of that, and never says the same twice."""
    name, arguments = call
    return name, arguments(tries) if callable(arguments) else arguments


def interrupted(result):
    """Whether an attempt ended in the middle of a call, so that its effect is unknown; all of ours can be repeated."""
    value = loads(result)
    return isinstance(value, dict) and str(value.get("error")).startswith("interrupted")


def loads(arguments):
    try:
        return json.loads(arguments)
    except (TypeError, ValueError):
        return None


def text_of(message):
    body = message.get("content")
    if isinstance(body, list):
        return "".join(part.get("text", "") for part in body if isinstance(part, dict))
    return body if isinstance(body, str) else ""


def completion(request):
    messages = request.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Refused("`messages` has to be a list of objects")
    text, calls = next_turn(messages)
    offered = [t.get("function", {}).get("name") for t in request.get("tools") or []]
    absent = [name for _, name, _ in calls if name not in offered]
    if absent:
        raise Refused("the tool %s is needed, but the request offers %s" % (absent[0], ", ".join(map(str, offered)) or "none"))
    message = {"role": "assistant", "content": text or None}
    message["tool_calls"] = [
        {"id": i, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, name, arguments in calls
    ]
    sent, answered = (len(json.dumps(value)) // 4 for value in (messages, message))
    return {
        "id": "chatcmpl-%s" % calls[0][0],
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model") or MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": sent, "completion_tokens": answered, "total_tokens": sent + answered},
    }


def chunks(answer, with_usage):
    """The same answer as the pieces of a stream."""
    shared = {key: answer[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    message = answer["choices"][0]["message"]

    def piece(delta, reason=None):
        return shared | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield piece({"role": "assistant", "content": message["content"] or ""})
    for index, call in enumerate(message["tool_calls"]):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        start = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        yield piece({"tool_calls": [start]})
        for at in range(0, len(arguments), 400):
            yield piece({"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 400]}}]})
    yield piece({}, answer["choices"][0]["finish_reason"])
    if with_usage:
        yield shared | {"choices": [], "usage": answer["usage"]}


# ---- HTTP --------------------------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    key = None
    log = None
    log_lock = threading.Lock()


class Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self):
        if not self.allowed():
            return
        if self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "examples"}]})
        else:
            self.fail(404, "no such path: %s" % self.path)

    def do_POST(self):
        body = self.body()
        if body is None or not self.allowed():
            return
        if self.path != "/v1/chat/completions":
            return self.fail(404, "no such path: %s" % self.path)
        self.note(body)
        try:
            request = json_object(body.decode("utf-8"), "the request")
            answer = completion(request)
        except Refused as error:
            return self.refuse(str(error))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            return self.refuse("the request has not the form it needs: %s: %s" % (type(error).__name__, error))
        if request.get("stream"):
            usage = (request.get("stream_options") or {}).get("include_usage")
            events = ["data: %s\n\n" % json.dumps(piece) for piece in chunks(answer, usage)] + ["data: [DONE]\n\n"]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event.encode("ascii")))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.answer(200, answer)

    def allowed(self):
        if self.server.key is None or self.headers.get("Authorization") == "Bearer %s" % self.server.key:
            return True
        self.fail(401, "the key is missing or wrong")
        return False

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            read = b""
            while True:
                size = self.rfile.readline(64).strip()
                if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size) or len(read) + int(size, 16) > MAX_BODY:
                    return self.fail(413, "a bad or too large body")
                read += self.rfile.read(int(size, 16))
                self.rfile.readline(64)
                if int(size, 16) == 0:
                    return read
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            return self.fail(413, "a bad or too large body")
        return self.rfile.read(int(length))

    def note(self, body):
        if self.server.log:
            with self.server.log_lock, open(self.server.log, "ab") as log:
                log.write(body.replace(b"\n", b" ") + b"\n")

    def answer(self, status, value):
        data = json.dumps(value).encode("ascii")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status in (401, 413):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, reason):
        print("refused: %s" % reason, file=sys.stderr, flush=True)
        self.fail(400, reason)

    def fail(self, status, message):
        self.answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": "refused"}})

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--port", type=int, default=11434, help="0 takes a free one (default: 11434)")
    arguments.add_argument("--require-key", metavar="KEY", help="answer 401 unless this bearer token is sent")
    arguments.add_argument("--log", metavar="FILE", help="append every chat request's body, one a line")
    arguments.add_argument("--tasks", metavar="FILE", help="Python whose TASKS are done (default: the analyst's)")
    given = arguments.parse_args()
    if given.tasks:
        spec = importlib.util.spec_from_file_location("tasks", given.tasks)
        others = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(others)
        TASKS.clear()
        TASKS.update(others.TASKS)
    server = Server(("127.0.0.1", given.port), Connection)
    server.key, server.log = given.require_key, given.log
    print("listening on http://127.0.0.1:%d/v1" % server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
