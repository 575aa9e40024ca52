"""What the attacks aim at, run inside a network namespace of the test's own. Writes a JSON line a receipt to the file that
is its first argument: where it arrived, and the bytes. `street` is the network behind the attackers' only route; `home`
is the attackers' own namespace, for what is reached without a route; `host` serves unix sockets on a file system."""

import json
import os
import socket
import struct
import sys
import threading
import urllib.parse

book = open(sys.argv[1], "a", buffering=1)
lock = threading.Lock()


def note(label, data):
    with lock:
        book.write(json.dumps({"at": label, "bytes": data.decode("latin-1")}) + "\n")


def drink(label, connection, answer):
    connection.settimeout(5)
    try:
        while True:
            data = connection.recv(65536)
            if not data:
                return
            note(label, data)
            if answer:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
    except OSError:
        pass
    finally:
        connection.close()


def serve(listener, label, answer=b""):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=drink, args=(label, connection, answer), daemon=True).start()


def tcp(label, address, port, family=socket.AF_INET, answer=b""):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # TCP_FASTOPEN: data in the first packet is taken.
    listener.setsockopt(socket.IPPROTO_TCP, 23, 16)
    listener.bind((address, port))
    listener.listen(64)
    threading.Thread(target=serve, args=(listener, label, answer), daemon=True).start()


def udp(label, address, port, group=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    if group:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("10.77.0.1"))

    def loop():
        while True:
            data, source = sock.recvfrom(65536)
            note(label, data + b" from " + source[0].encode())

    threading.Thread(target=loop, daemon=True).start()


def sniff(interface):
    """Every frame that arrives, by what it carries."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((interface, 0))
    while True:
        frame, where = sock.recvfrom(65536)
        if where[2] == socket.PACKET_OUTGOING:
            continue
        kind = struct.unpack("!H", frame[12:14])[0]
        label = {0x0800: "ip", 0x86DD: "ip6", 0x0806: "arp"}.get(kind, "frame")
        if label == "ip":
            label = "ip protocol %d" % frame[23]
            note("source %s" % socket.inet_ntoa(frame[26:30]), frame)
        note(label, frame)


def stream(path, label, answer=b""):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    if not path.startswith("\0"):
        os.chmod(path, 0o666)
    listener.listen(16)
    threading.Thread(target=serve, args=(listener, label, answer), daemon=True).start()


def head_of(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return lines[0].split(" "), {name.lower(): value for name, value in fields.items()}, body, lines[1:]


def tell(host, node, message):
    with open(os.path.join(host, "registry/runs/other/events.jsonl"), "a") as journal:
        journal.write('{"actor": "agent:%s", "message": "%s"}\n' % (node, message))


def obey(connection, host):
    """A gateway that means well and checks nothing: what stands between agents and the world elsewhere."""
    try:
        (method, path, *_), fields, body, told = head_of(connection)
        if method == "CONNECT" or path.startswith("http://"):
            where = path if method == "CONNECT" else path[7:].split("/")[0]
            name, _, port = where.rpartition(":")
            target = socket.create_connection((name.strip("[]"), int(port)), 2)
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                target.sendall(connection.recv(65536))
            else:
                # Byte for byte what it was told, with the path as it reads.
                asked = urllib.parse.unquote(path[7:].partition("/")[2])
                target.sendall("\r\n".join(["%s /%s HTTP/1.1" % (method, asked), *told, "", ""]).encode("latin-1") + body)
            target.close()
            return
        left = int(fields.get("content-length", "0")) - len(body)
        with open(os.path.join(host, "out", "body"), "wb") as kept:
            kept.write(body)
            while left > 0:
                piece = connection.recv(min(left, 1 << 20))
                if not piece:
                    break
                kept.write(piece)
                body += piece if len(body) < 1 << 16 else b""
                left -= len(piece)
        if path.endswith("/progress"):
            said = json.loads(body)
            tell(host, fields.get("x-taskforge-node", said.get("node", "work")), said["message"])
            number = len(os.listdir(os.path.join(host, "out")))
            open(os.path.join(host, "out", "message-%d" % number), "w").close()
        elif path.endswith("/result"):
            said = json.loads(body)
            tell(host, said.get("node", "work"), " ".join([said["summary"], *said.get("artifacts", [])]))
        elif path.endswith("/capabilities"):
            said = json.loads(body)
            tell(host, "work", said["capability"] + " " + said["reason"])
        elif path.startswith("/taskforge/v1/conversation"):
            asked = urllib.parse.parse_qs(path.partition("?")[2]).get("node", ["work"])[0]
            if asked == "other":
                text = open(os.path.join(host, "registry/runs/other/nodes/n/workspace/private"), "rb").read()
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + text)
                return
        elif path.startswith("/taskforge/v1/memory") and method == "GET":
            asked = urllib.parse.parse_qs(path.partition("?")[2]).get("agent", ["ada"])[0]
            key = urllib.parse.unquote(path.partition("?")[0].removeprefix("/taskforge/v1/memory").lstrip("/"))
            text = open(os.path.join(host, "registry/agents", asked, "memory", key + ".md"), "rb").read()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + text)
            return
        elif path.startswith("/taskforge/v1/memory"):
            said = json.loads(body.decode("latin-1"), strict=False)
            kept = os.path.join(host, "registry/agents", said.get("agent", "ada"), "memory", said["key"] + ".md")
            open(kept, "wb").write((said["value"] or "").encode("latin-1"))
        elif path.startswith("/taskforge/v1/children/"):
            text = open(os.path.join(host, "registry/children", path.split("/")[4].partition("?")[0]), "rb").read()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + text)
            return
        elif path.endswith("/decisions"):
            name = json.loads(body)["id"]
            open(os.path.join(host, "registry/decisions", name + ".json"), "wb").write(body)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    except (OSError, ValueError, KeyError):
        pass
    finally:
        connection.close()


def gateway(path, host):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(64)

    def loop():
        while True:
            obey(listener.accept()[0], host)

    threading.Thread(target=loop, daemon=True).start()


role, host, port, upstream = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
hello = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
if role == "street":
    tcp("internet tcp", "203.0.113.10", 7777)
    tcp("internet http", "203.0.113.10", 80, answer=hello)
    tcp("metadata", "169.254.169.254", 80, answer=hello)
    tcp("host service", "10.77.0.1", 8080)
    tcp("neighbour", "10.77.0.3", 6379)
    tcp("resolver tcp", "10.77.0.53", 53)
    tcp("internet tcp6", "fd77::1", 7777, socket.AF_INET6)
    # A gateway without rules lives here, so that its own loopback is the street's.
    tcp("loopback", "127.0.0.1", port)
    tcp("upstream", "127.0.0.1", upstream, answer=hello)
    gateway(os.path.join(host, "naive", "gate.sock"), host)
    udp("internet udp", "203.0.113.10", 7777)
    udp("resolver", "10.77.0.53", 53)
    udp("multicast", "224.0.0.251", 5353, group="224.0.0.251")
    udp("broadcast", "255.255.255.255", 7778)
    threading.Thread(target=sniff, args=("eth0",), daemon=True).start()
elif role == "home":
    stream("\0tf-redteam-agent", "abstract socket")
else:
    engine = b'HTTP/1.1 201 Created\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"Id":"beef"}'
    stream(os.path.join(host, "docker.sock"), "engine", engine)
    stream(os.path.join(host, "agent.sock"), "key agent")
    stream(os.path.join(host, "registry/runs/other/gate/sockets/other-1/gate.sock"), "another's socket", answer=hello)
    tcp("loopback", "127.0.0.1", port)
    tcp("upstream", "127.0.0.1", upstream, answer=hello)
open(sys.argv[1] + ".ready", "w").close()
threading.Event().wait()
