//! `secret:` grants: the gate adds the header for exactly one host, by TLS, and takes the secret out of what comes back.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::mpsc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use taskforge::gate::Grant;
use taskforge::gate::records::Kind;
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::http::{Answer, Client};
use super::tls::{TlsServer, answer, fixture};
use super::upstream::Got;
use super::world::{World, wait};

const SECRET: &str = "ghp_5up3rS3cr3tT0ken/with+signs==";

fn authorization(got: &Got) -> String {
    let line = got.head.lines().find(|line| line.to_lowercase().starts_with("authorization:"));
    line.map_or_else(String::new, |line| line["authorization:".len()..].trim().to_owned())
}

/// A server that says what it got, in the way that the path names.
fn mirror() -> TlsServer {
    TlsServer::start(|got, stream| {
        let path = got.head.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let auth = authorization(got);
        let key = auth.rsplit(' ').next().unwrap_or_default();
        match path.split('?').next().unwrap_or_default() {
            "/echo" => answer(stream, "200 OK", "", got.head.as_bytes()),
            "/base64" => {
                let all: Vec<String> =
                    (0..3).map(|pad| STANDARD.encode(format!("{}{key}|", "x".repeat(pad)))).collect();
                answer(stream, "200 OK", "", all.join("\n").as_bytes());
            }
            "/hex" => {
                let hex: String = key.bytes().map(|b| format!("{b:02x}")).collect();
                answer(stream, "200 OK", "", hex.as_bytes());
            }
            "/url" => {
                let url = key.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
                answer(stream, "200 OK", "", url.as_bytes());
            }
            "/header" => answer(stream, "200 OK", &format!("x-seen: {key}\r\n"), b"ok"),
            "/gzip" => answer(stream, "200 OK", "content-encoding: gzip\r\n", key.as_bytes()),
            "/away" => answer(stream, "302 Found", "location: https://other.test/elsewhere\r\n", b""),
            "/split" => {
                // In pieces that are records of their own, cut inside of the secret.
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", key.len());
                stream.write_all(head.as_bytes()).unwrap();
                for byte in key.bytes() {
                    stream.write_all(&[byte]).unwrap();
                    stream.flush().unwrap();
                }
            }
            _ => answer(stream, "200 OK", "", b"hello"),
        }
    })
}

fn world(capabilities: &[String]) -> World {
    let mut world = World::new("http://127.0.0.1:1/v1");
    // The roots that this gate trusts.
    std::fs::copy(fixture("ca.pem"), world.root.path().join("no-bundle")).unwrap();
    for name in ["api.test", "other.test"] {
        world.policy.hosts.insert(name.into(), vec![Ipv4Addr::LOCALHOST.into()]);
    }
    keys(&world, &[("vault:github-token", SECRET)]);
    world.policy.attempts[0].grants = grants(capabilities);
    world.start()
}

fn keys(world: &World, keys: &[(&str, &str)]) {
    let keys: serde_json::Map<String, Value> =
        keys.iter().map(|(name, key)| ((*name).to_owned(), json!(key))).collect();
    std::fs::write(world.root.path().join("secrets/keys.json"), Value::Object(keys).to_string()).unwrap();
}

const REQUESTS: [&str; 3] = ["01JD2Z3V5Q8M4K7N9P1R2S3T4V", "01JD2Z3V5Q8M4K7N9P1R2S3T4W", "01JD2Z3V5Q8M4K7N9P1R2S3T4X"];

fn grants(capabilities: &[String]) -> Vec<Grant> {
    let grant = |(request, capability): (&&str, &String)| Grant {
        request: RequestId::parse(request).unwrap(),
        capability: Capability::parse(capability).unwrap(),
        until: None,
    };
    REQUESTS.iter().zip(capabilities).map(grant).collect()
}

/// `127.0.0.1` is granted itself: a name may not lead there otherwise.
fn both(port: u16, more: &str) -> Vec<String> {
    vec![format!("secret:github-token@api.test:{port}{more}"), format!("net:127.0.0.1:{port}")]
}

fn get(world: &World, path: &str) -> Answer {
    world.get(path)
}

#[test]
fn the_header_is_added_for_the_granted_host_alone_and_the_records_hold_nothing_of_it() {
    let server = mirror();
    let port = server.port;
    let mut world = world(&[]);
    // Before: nothing grants it, and the refusal is on record.
    let refused = get(&world, &format!("/to/api.test:{port}/echo"));
    assert_eq!((refused.status, refused.code().as_str()), (403, "capability_required"));
    // After.
    world.policy.attempts[0].grants = grants(&both(port, ""));
    world.apply();
    let done = get(&world, &format!("/to/api.test:{port}/plain?a=b"));
    assert_eq!((done.status, done.body.as_slice()), (200, &b"hello"[..]));
    let got = server.got();
    assert_eq!(authorization(&got[0]), format!("Bearer {SECRET}"));
    assert!(got[0].head.starts_with("GET /plain?a=b HTTP/1.1\r\n"), "{}", got[0].head);
    assert!(got[0].head.contains(&format!("host: api.test:{port}\r\n")), "{}", got[0].head);
    // Another name for the same server has no secret, and no way.
    let other = get(&world, &format!("/to/other.test:{port}/echo"));
    assert_eq!((other.status, other.code().as_str()), (403, "capability_required"));
    // By address there is a way, and no secret.
    let bare = get(&world, &format!("/to/127.0.0.1:{port}/plain"));
    assert_eq!(bare.status, 200);
    assert_eq!(authorization(&server.got()[1]), "");
    // Revoked.
    world.policy.attempts[0].grants.remove(0);
    world.apply();
    let revoked = get(&world, &format!("/to/api.test:{port}/plain"));
    assert_eq!((revoked.status, revoked.code().as_str()), (403, "capability_required"));
    assert_eq!(server.got().len(), 2);

    let allowed = world.records(&Kind::EgressAllowed, 2);
    assert_eq!(allowed[0].fields["surface"], "fetch");
    assert_eq!(allowed[0].fields["secrets"], json!(["github-token"]));
    assert_eq!(allowed[0].fields["path"], "/plain?a=b");
    assert!(!allowed[1].fields.contains_key("secrets"));
    let ended = world.records(&Kind::EgressEnded, 2);
    assert_eq!((ended[0].fields["status"].as_u64(), world.body(&ended[0])), (Some(200), b"hello".to_vec()));
    for (path, bytes) in world.files() {
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{}", path.display());
    }
}

#[test]
fn what_comes_back_is_shorn_of_the_secret_in_every_form() {
    let server = mirror();
    let world = world(&both(server.port, ""));
    let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
    for (path, told) in [
        ("/echo", SECRET.to_owned()),
        ("/split", SECRET.to_owned()),
        ("/header", SECRET.to_owned()),
        ("/hex", hex),
        ("/url", "ghp_5up3rS3cr3tT0ken%2F".to_owned()),
        ("/base64", STANDARD.encode(SECRET)[..30].to_owned()),
        ("/base64", STANDARD.encode(format!("x{SECRET}"))[2..30].to_owned()),
        ("/base64", STANDARD.encode(format!("xx{SECRET}"))[4..30].to_owned()),
    ] {
        let answer = get(&world, &format!("/to/api.test:{}{path}", server.port));
        let all = format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.status, 200, "{all}");
        assert!(answer.whole && !all.contains(&told), "{path}: {all}");
        assert!(all.contains("****"), "{path}: {all}");
    }
    // Compressed, it could not be seen.
    let gzip = get(&world, &format!("/to/api.test:{}/gzip", server.port));
    assert_eq!((gzip.status, gzip.code().as_str()), (502, "encoded"));
    for (path, bytes) in world.files() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("5up3rS3cr3t") && !text.contains(&STANDARD.encode(SECRET)[..30]), "{}", path.display());
    }
}

#[test]
fn an_agent_decides_neither_the_header_nor_in_which_pieces_the_answer_comes() {
    let server = mirror();
    let world = world(&both(server.port, ""));
    let mut client = world.client();
    let headers = "authorization: Bearer mine\r\nrange: bytes=0-3\r\naccept-encoding: gzip\r\nx-own: kept\r\n";
    client.send("POST", &format!("/to/api.test:{}/plain", server.port), headers, b"a body");
    assert_eq!(client.head().unwrap().0, 200);
    let got = server.got().remove(0);
    let head = got.head.to_lowercase();
    assert_eq!((authorization(&got), got.body.as_slice()), (format!("Bearer {SECRET}"), &b"a body"[..]));
    assert_eq!(head.matches("authorization").count(), 1, "{head}");
    assert!(
        !head.contains("range") && head.contains("accept-encoding: identity") && head.contains("x-own: kept"),
        "{head}"
    );
    let allowed = world.records(&Kind::EgressAllowed, 1);
    assert_eq!(world.body(&allowed[0]), b"a body");
    // `TRACE` would have the host say the header back.
    let mut client: Client = world.client();
    client.send("TRACE", &format!("/to/api.test:{}/plain", server.port), "", b"");
    assert_eq!(client.head().unwrap().0, 400);
    // A redirect is the agent's to see, and goes nowhere with the secret.
    let away = get(&world, &format!("/to/api.test:{}/away", server.port));
    assert_eq!((away.status, away.header("location").unwrap().as_str()), (302, "https://other.test/elsewhere"));
    assert_eq!(server.got().len(), 2);
}

#[test]
fn other_headers_and_schemes() {
    let server = mirror();
    let basic = format!("Basic {}", STANDARD.encode(SECRET));
    for (more, header, expected) in [
        (",header=x-api-key", "x-api-key", SECRET.to_owned()),
        (",scheme=token", "authorization", format!("token {SECRET}")),
        (",scheme=basic", "authorization", basic.clone()),
        (",header=x-auth,scheme=bearer", "x-auth", format!("Bearer {SECRET}")),
    ] {
        let world = world(&both(server.port, more));
        assert_eq!(get(&world, &format!("/to/api.test:{}/plain", server.port)).status, 200);
        let head = server.got().pop().unwrap().head;
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{header}:"))).unwrap();
        assert_eq!(line[header.len() + 1..].trim(), expected, "{more}");
        let echo = get(&world, &format!("/to/api.test:{}/echo", server.port));
        let text = String::from_utf8_lossy(&echo.body).into_owned();
        assert!(!text.contains(SECRET) && !text.contains(&basic["Basic ".len()..40]), "{text}");
    }
}

#[test]
fn a_secret_goes_over_tls_to_whom_the_roots_vouch_for_and_else_nowhere() {
    // A server of the same port that speaks no TLS gets not a byte of HTTP.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        let count = std::io::Read::read(&mut stream, &mut bytes).unwrap();
        say.send(bytes[..count].to_vec()).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let plain = world(&both(port, ""));
    let broken = get(&plain, &format!("/to/api.test:{port}/plain"));
    assert_eq!((broken.status, broken.code().as_str()), (502, "broken"));
    assert_eq!(said.recv().unwrap()[0], 22, "the first byte is that of a TLS handshake");
    // One whose certificate nobody vouches for gets no request.
    let server = mirror();
    let mut unknown = World::new("http://127.0.0.1:1/v1");
    unknown.policy.hosts.insert("api.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    keys(&unknown, &[("vault:github-token", SECRET)]);
    unknown.policy.attempts[0].grants = grants(&both(server.port, ""));
    let unknown = unknown.start();
    assert_eq!(get(&unknown, &format!("/to/api.test:{}/plain", server.port)).code(), "broken");
    // Nor one that is called otherwise than its certificate says.
    let mut misnamed = World::new("http://127.0.0.1:1/v1");
    std::fs::copy(fixture("ca.pem"), misnamed.root.path().join("no-bundle")).unwrap();
    misnamed.policy.hosts.insert("evil.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    keys(&misnamed, &[("vault:github-token", SECRET)]);
    let port = server.port;
    misnamed.policy.attempts[0].grants =
        grants(&[format!("secret:github-token@evil.test:{port}"), format!("net:127.0.0.1:{port}")]);
    let misnamed = misnamed.start();
    assert_eq!(get(&misnamed, &format!("/to/evil.test:{port}/plain")).code(), "broken");
    assert!(server.got().is_empty());
}

#[test]
fn a_secret_that_is_gone_or_has_another_value_takes_effect_with_the_next_policy() {
    let server = mirror();
    let mut world = world(&both(server.port, ""));
    let path = format!("/to/api.test:{}/plain", server.port);
    keys(&world, &[("vault:github-token", "another-value-of-it")]);
    world.policy.secrets.insert("vault:github-token".into(), "0123456789ab".into());
    world.apply();
    assert_eq!(get(&world, &path).status, 200);
    assert_eq!(authorization(&server.got()[0]), "Bearer another-value-of-it");
    keys(&world, &[]);
    world.policy.secrets.clear();
    world.apply();
    let gone = get(&world, &path);
    assert_eq!((gone.status, gone.code().as_str()), (503, "secret_missing"));
    assert_eq!(server.got().len(), 1);
}

#[test]
fn a_revocation_cuts_a_request_that_is_under_way() {
    let (begun, is_begun) = mpsc::channel();
    let begun = std::sync::Mutex::new(begun);
    let server = TlsServer::start(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nfirst");
        let _ = stream.flush();
        begun.lock().unwrap().send(()).unwrap();
        let mut rest = [0; 64];
        let _ = std::io::Read::read(stream, &mut rest);
    });
    let mut world = world(&both(server.port, ""));
    let mut client = world.client();
    client.send("GET", &format!("/to/api.test:{}/", server.port), "", b"");
    is_begun.recv().unwrap();
    assert_eq!(client.head().unwrap().0, 200);
    world.policy.attempts[0].grants.clear();
    world.apply();
    wait("the end to be on record", || world.traffic().of(&Kind::EgressEnded).count() == 1);
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].fields["verdict"], "revoked");
}
