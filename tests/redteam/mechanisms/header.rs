//! Past the gate's plain HTTP, to an upstream that the agent is granted: a request within a request, and headers that
//! nobody but the gate may say. What counts is what the upstream received.

use super::gate::tried;
use super::{Mechanism, attack};
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    let named = |mechanism: Mechanism| mechanism.recorded(tried);
    vec![
        named(attack("a request behind a body of two lengths", TWO_FRAMINGS, |s| smuggled(s, "GET /"))),
        named(attack("a request behind a chunked body that is none", NO_CHUNKS, |s| smuggled(s, "GET /"))),
        named(attack("a request between two lengths", TWO_LENGTHS, |s| smuggled(s, "GET /"))),
        named(attack("a header folded into another", FOLDED, |s| smuggled(s, r"\r\n X-Injected: "))),
        // The way is open: as text of the path it gets there.
        attack("a header in the path", PATH, |s| smuggled(s, r"\r\nX-Injected: "))
            .recorded(|s| tried(s) && smuggled(s, "%0d%0aX-Injected:%20")),
        named(attack("a header behind a lone return", LONE_RETURN, |s| smuggled(s, r"\rX-Injected: "))),
        named(attack("a header behind the body", TRAILER, |s| smuggled(s, r"X-Injected: "))),
        named(attack("another host in the header", HOST, |s| smuggled(s, "Host: "))),
    ]
}

/// Whether the upstream received `before` and the token behind it, as the book has its bytes.
fn smuggled(scene: &Scene<'_>, before: &str) -> bool {
    scene.received_after("upstream", before)
}

const TWO_FRAMINGS: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
hidden = "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (TOKEN, where)
body = "0\r\n\r\n" + hidden
s = gate(("POST http://%s/ HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s" % (where, where, len(body), body)).encode())
s.recv(65536)
"#;
const NO_CHUNKS: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
hidden = "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (TOKEN, where)
s = gate(("POST http://%s/ HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\nTransfer-Encoding : chunked\r\n\r\nabc%s" % (where, where, hidden)).encode())
s.recv(65536)
"#;
const TWO_LENGTHS: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
hidden = "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (TOKEN, where)
s = gate(("POST http://%s/ HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%s" % (where, where, len(hidden), hidden)).encode())
s.recv(65536)
"#;
const FOLDED: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
gate(("GET http://%s/ HTTP/1.1\r\nHost: %s\r\nX-A: a\r\n X-Injected: %s\r\n\r\n" % (where, where, TOKEN)).encode()).recv(65536)
"#;
const PATH: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
gate(("GET http://%s/a%%20HTTP/1.1%%0d%%0aX-Injected:%%20%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (where, TOKEN, where)).encode()).recv(65536)
"#;
const LONE_RETURN: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
gate(("GET http://%s/ HTTP/1.1\r\nHost: %s\r\nX-A: a\rX-Injected: %s\r\n\r\n" % (where, where, TOKEN)).encode()).recv(65536)
"#;
const TRAILER: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
gate(("POST http://%s/ HTTP/1.1\r\nHost: %s\r\nTrailer: X-Injected\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Injected: %s\r\n\r\n" % (where, where, TOKEN)).encode()).recv(65536)
"#;
const HOST: &str = r#"
where = "127.0.0.1:" + os.environ["UPSTREAM_PORT"]
gate(("GET http://%s/ HTTP/1.1\r\nHost: %s.example\r\n\r\n" % (where, TOKEN)).encode()).recv(65536)
"#;
