import ctypes, fcntl, json, mmap, os, resource, signal, socket, struct, subprocess, sys, time
os.chdir("/workspace")
TOKEN = os.environ["TOKEN"]
T = TOKEN.encode()
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(number, *arguments):
    done = libc.syscall(ctypes.c_long(number), *[a if isinstance(a, (bytes, ctypes.Array, ctypes.Structure)) or a is None or hasattr(a, "_obj") else ctypes.c_long(a) for a in arguments])
    if done < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return done

def gate(data):
    # Where the gate is, or what stands in its place where nothing protects.
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect("/naive/gate.sock" if os.path.exists("/naive") else "/taskforge/gate/gate.sock")
    s.sendall(data)
    return s

def post(path, body, *fields):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = ["POST %s HTTP/1.1" % path, "Host: 127.0.0.1:4180", "Content-Type: application/json", "Content-Length: %d" % len(body), "Connection: close", *fields]
    return gate(("\r\n".join(head) + "\r\n\r\n").encode() + body).recv(65536)

def unshare(flags):
    if libc.unshare(flags) < 0:
        raise OSError(ctypes.get_errno(), "unshare")

def loot(data):
    with open("/workspace/loot", "ab") as file:
        file.write(data if isinstance(data, bytes) else str(data).encode())

def tcp(host, port, data=T, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(2)
    s.connect((host, port))
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    try:
        return s.recv(65536)
    except OSError:
        return b""

def unix(path, data=T):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(2)
    s.connect(path)
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)

def victim():
    # Of the shared processes: the one whose command is the neighbour's, and what it says of itself.
    for pid in sorted(int(p) for p in os.listdir("/proc") if p.isdigit()):
        try:
            if b"victim.py" in open("/proc/%d/cmdline" % pid, "rb").read():
                return pid, json.loads(os.environ["VICTIM"])
        except OSError:
            pass
    raise LookupError("no neighbour in sight")

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

# Open before anything else: an attack may end up as somebody, or somewhere, that cannot make a file here any more.
said = os.open("/workspace/.said", os.O_WRONLY)
while not os.path.exists("/workspace/.start"):
    time.sleep(0.002)
try:
    exec(compile(open("/workspace/.attack.py").read(), "attack", "exec"))
except BaseException as error:
    os.write(said, (type(error).__name__ + ": " + str(error)[:300]).encode())
os.write(said, b"\nHELD")
time.sleep(120)
