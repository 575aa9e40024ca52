"""The Docker Engine's API by plain HTTP over its socket: the floor of starting a container."""

import http.client
import json
import socket

SOCKET = "/var/run/docker.sock"


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("engine", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def call(connection, method, path, body=None, expect=(200, 201, 204)):
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status not in expect:
        raise SystemExit("the Engine answered %s %s with %d: %s" % (method, path, answer.status, content.decode()))
    return json.loads(content) if content else None


def containers(connection, **labels):
    """All containers with these labels, in any state."""
    filters = json.dumps({"label": ["io.taskforge.%s=%s" % item for item in labels.items()]})
    return call(connection, "GET", "/containers/json?all=true&filters=" + filters.replace(" ", ""))


def remove(connection, name):
    call(connection, "DELETE", "/containers/%s?force=true&v=true" % name, expect=(204, 404))


def host_config(connection, name):
    """The HostConfig of a container; of its mounts what they mount to and how, since each has folders of its own."""
    seen = dict(call(connection, "GET", "/containers/%s/json" % name)["HostConfig"])
    seen["Binds"] = sorted(":".join(bind.split(":")[1:]) for bind in seen.get("Binds") or [])
    seen["Mounts"] = sorted(json.dumps(dict(mount, Source=""), sort_keys=True) for mount in seen.get("Mounts") or [])
    return seen


def twin(connection, name):
    """A creation request for a container like `name`, without the labels by which it would be taken for ours."""
    seen = call(connection, "GET", "/containers/%s/json" % name)
    return dict(seen["Config"], Labels={}, Hostname="", HostConfig=seen["HostConfig"])


def start(connection, name, wanted):
    call(connection, "POST", "/containers/create?name=" + name, wanted)
    call(connection, "POST", "/containers/%s/start" % name)
