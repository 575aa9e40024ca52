"""A neighbour's process: it keeps a secret in its memory, its environment, a file and an open descriptor, and writes down
what is done to it."""

import ctypes
import json
import os
import time

OUT = "/out/"
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(b"untouched" + b"\0" * 64, 128)
secret = os.environ["VICTIM_SECRET"]
kept = ctypes.create_string_buffer(("memory " + secret).encode())
open("/tmp/private", "w").write("file " + secret)
os.chmod("/tmp/private", 0o600)
descriptor = os.open("/tmp/private", os.O_RDONLY)
child = os.fork()
if child == 0:
    while True:
        time.sleep(60)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0x7466, 4096, 0o1666)
shared = libc.shmat(segment, None, 0)
queue = libc.msgget(0x7466, 0o1666)


class Message(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_long), ("text", ctypes.c_char * 128)]


def write(name, data):
    with open(OUT + name, "wb") as file:
        file.write(data)


write("victim.json", json.dumps({
    "child": child, "buffer": ctypes.addressof(buffer), "kept": ctypes.addressof(kept), "fd": descriptor,
}).encode())
seen = set()
while True:
    if buffer.raw[:9] != b"untouched":
        write("memory", buffer.raw)
    text = ctypes.string_at(shared, 128)
    if text.strip(b"\0"):
        write("shm", text)
    message = Message()
    if libc.msgrcv(queue, ctypes.byref(message), 128, 0, 0o4000) > 0:
        write("queue", message.text)
    done, status = os.waitpid(child, os.WNOHANG) if "killed" not in seen else (0, 0)
    if done:
        seen.add("killed")
        write("killed", str(status).encode())
    time.sleep(0.01)
