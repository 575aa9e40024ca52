//! What a grant lets through, byte for byte, and what it does not: against servers on loopback that see every byte.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};
use taskforge::gate::Grant;
use taskforge::gate::records::{Kind, Record};
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::http::Client;
use super::upstream::Upstream;
use super::world::{World, wait};

const REQUESTS: [&str; 4] = [
    "01JD2Z3V5Q8M4K7N9P1R2S3T4V",
    "01JD2Z3V5Q8M4K7N9P1R2S3T4W",
    "01JD2Z3V5Q8M4K7N9P1R2S3T4X",
    "01JD2Z3V5Q8M4K7N9P1R2S3T4Y",
];

fn grants(capabilities: &[String]) -> Vec<Grant> {
    let grant = |(request, capability): (&&str, &String)| Grant {
        request: RequestId::parse(request).unwrap(),
        capability: Capability::parse(capability).unwrap(),
        until: None,
    };
    REQUESTS.iter().zip(capabilities).map(grant).collect()
}

/// A gate whose one attempt has these grants; `api.test` is 127.0.0.1.
fn granting(capabilities: &[String]) -> World {
    let mut world = World::new("http://127.0.0.1:1/v1");
    world.policy.hosts.insert("api.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    world.policy.attempts[0].grants = grants(capabilities);
    world.start()
}

/// A server that keeps what it gets, and says it back in capitals.
struct Echo {
    port: u16,
    got: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let all = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, all) = (stream.unwrap(), all.clone());
                let mine = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        all.lock().unwrap()[mine].extend_from_slice(&buffer[..count]);
                        buffer[..count].make_ascii_uppercase();
                        let _ = stream.write_all(&buffer[..count]);
                    }
                });
            }
        });
        Self { port, got }
    }

    /// What came over each connection so far.
    fn got(&self) -> Vec<Vec<u8>> {
        self.got.lock().unwrap().clone()
    }
}

/// The first flight of a real TLS client that asks for `name`.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn connect(world: &World, target: &str) -> Client {
    let mut client = world.client();
    client.write(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes()).unwrap();
    client
}

/// A tunnel that stands.
fn tunnel(world: &World, target: &str) -> Client {
    let mut client = connect(world, target);
    let (status, _) = client.head().unwrap();
    assert_eq!(status, 200);
    client
}

fn absolute(world: &World, url: &str, host: &str) -> Client {
    let mut client = world.client();
    client.write(format!("GET {url} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
    client
}

fn fields(record: &Record) -> Value {
    let mut fields = Value::Object(record.fields.clone());
    fields.as_object_mut().unwrap().shift_remove("totalMs");
    fields
}

#[test]
fn raw_bytes_pass_by_a_tcp_grant_and_both_ends_are_on_record() {
    let echo = Echo::start();
    let target = format!("127.0.0.1:{}", echo.port);
    let world = granting(&[format!("tcp:{target}")]);
    let mut client = tunnel(&world, &target);
    // On record before the connection was made, and so before the answer.
    let allowed = &world.records(&Kind::EgressAllowed, 1)[0];
    assert_eq!(
        fields(allowed),
        json!({"surface": "tcp", "target": target, "method": "CONNECT", "grant": REQUESTS[0], "addresses": [target]})
    );
    client.write(b"hello there").unwrap();
    assert_eq!(client.exactly(11), b"HELLO THERE");
    client.shut();
    let ended = &world.records(&Kind::EgressEnded, 1)[0];
    assert_eq!(
        fields(ended),
        json!({"egress": allowed.seq, "verdict": "closed", "address": target, "bytesOut": 11, "bytesIn": 11})
    );
    assert_eq!(echo.got(), [b"hello there"]);
}

#[test]
fn a_granted_host_is_that_host_and_that_port() {
    let (echo, other) = (Echo::start(), Echo::start());
    let world = granting(&[format!("tcp:127.0.0.1:{}", echo.port), format!("net:api.test:{}", echo.port)]);
    for target in [
        format!("127.0.0.1:{}", other.port),
        format!("127.0.0.2:{}", echo.port),
        format!("localhost:{}", echo.port),
        format!("sub.api.test:{}", echo.port),
        format!("api.tes:{}", echo.port),
        format!("[::1]:{}", echo.port),
    ] {
        let got = connect(&world, &target).answer().unwrap();
        assert_eq!((got.status, got.code().as_str()), (403, "capability_required"), "{target}");
        let got = absolute(&world, &format!("http://{target}/"), &target).answer().unwrap();
        assert_eq!((got.status, got.code().as_str()), (403, "capability_required"), "{target}");
    }
    for target in ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "127.0.0.1.", "api.test."] {
        let got = connect(&world, &format!("{target}:{}", echo.port)).answer().unwrap();
        assert_eq!((got.status, got.code().as_str()), (400, "bad_target"), "{target}");
    }
    assert_eq!((echo.got().len(), other.got().len()), (0, 0));
    assert_eq!(world.traffic().of(&Kind::EgressDenied).count(), 6 * 2 + 7);
    assert_eq!(world.traffic().of(&Kind::EgressAllowed).count(), 0);
}

#[test]
fn tls_passes_for_the_granted_name_and_for_no_other() {
    let echo = Echo::start();
    let (name, address) = (format!("api.test:{}", echo.port), format!("127.0.0.1:{}", echo.port));
    let world = granting(&[format!("net:{name}"), format!("net:{address}")]);
    let good = hello("api.test");
    let mut client = tunnel(&world, &name);
    client.write(&good).unwrap();
    client.exactly(good.len());
    client.shut();
    world.records(&Kind::EgressEnded, 1);
    let mut client = tunnel(&world, &address);
    let plain = hello("127.0.0.1");
    client.write(&plain).unwrap();
    client.exactly(plain.len());
    client.shut();
    world.records(&Kind::EgressEnded, 2);

    for (target, first, denied) in [
        (&name, hello("evil.test"), format!("evil.test:{}", echo.port)),
        // No name is not the granted one.
        (&name, hello("127.0.0.1"), name.clone()),
        (&address, hello("evil.test"), format!("evil.test:{}", echo.port)),
    ] {
        let before = world.traffic().of(&Kind::EgressEnded).count();
        let mut client = tunnel(&world, target);
        client.write(&first).unwrap();
        // A fatal `unrecognized_name`, and the end.
        assert_eq!(client.exactly(7), [21, 3, 3, 0, 2, 2, 112]);
        assert!(client.ended());
        wait("the end", || world.traffic().of(&Kind::EgressEnded).count() > before);
        let traffic = world.traffic();
        let last = traffic.of(&Kind::EgressEnded).last().unwrap();
        assert_eq!((last.text("verdict"), &last.fields["bytesOut"]), (Some("name_mismatch"), &json!(0)));
        let refused = traffic.of(&Kind::EgressDenied).last().unwrap();
        assert_eq!((refused.text("surface"), refused.text("verdict")), (Some("tls"), Some("name_mismatch")));
        assert_eq!(refused.text("target"), Some(denied.as_str()));
    }
    // Two connections said something; those refused were made and heard nothing.
    let heard: Vec<_> = echo.got().into_iter().filter(|got| !got.is_empty()).collect();
    assert_eq!(heard, [good, plain]);
}

#[test]
fn a_second_hello_for_another_name_ends_the_tunnel() {
    let echo = Echo::start();
    let (name, address) = (format!("api.test:{}", echo.port), format!("127.0.0.1:{}", echo.port));
    let world = granting(&[format!("net:{name}"), format!("net:{address}")]);
    let good = hello("api.test");
    let mut client = tunnel(&world, &name);
    // As after a HelloRetryRequest: the same name once more, behind a `change_cipher_spec`.
    for _ in 0..2 {
        client.write(&good).unwrap();
        client.exactly(good.len());
        client.write(&[20, 3, 3, 0, 1, 1]).unwrap();
        client.exactly(6);
    }
    client.write(&hello("evil.test")).unwrap();
    assert!(client.ended());
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].text("verdict"), Some("name_mismatch"));
    assert_eq!(
        world.records(&Kind::EgressDenied, 1)[0].text("target"),
        Some(format!("evil.test:{}", echo.port).as_str())
    );
    let spec = [20, 3, 3, 0, 1, 1];
    assert_eq!(echo.got(), [[&good[..], &spec, &good, &spec].concat()]);
}

#[test]
fn a_second_hello_in_parts_with_another_record_between_them_is_judged_all_the_same() {
    let echo = Echo::start();
    let name = format!("api.test:{}", echo.port);
    let world = granting(&[format!("net:{name}"), format!("net:127.0.0.1:{}", echo.port)]);
    let good = hello("api.test");
    let mut client = tunnel(&world, &name);
    client.write(&good).unwrap();
    client.exactly(good.len());
    let evil = hello("evil.test");
    let (one, two) = evil[5..].split_at(20);
    let record = |kind: u8, content: &[u8]| {
        [&[kind, 3, 3][..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
    };
    let _ = client.write(&[record(22, one), record(20, &[1]), record(22, two)].concat());
    assert!(client.ended());
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].text("verdict"), Some("name_mismatch"));
    assert_eq!(echo.got(), [good]);
}

#[test]
fn a_tunnel_of_a_net_grant_carries_nothing_but_tls_and_http() {
    let echo = Echo::start();
    let target = format!("127.0.0.1:{}", echo.port);
    let world = granting(&[format!("net:{target}")]);
    for first in [&b"SSH-2.0-x\r\n\r\n"[..], b"\x05\x01\x00", &[22, 3, 1, 0, 5, 2, 0, 0, 1, 0]] {
        let mut client = tunnel(&world, &target);
        client.write(first).unwrap();
        assert!(client.ended());
    }
    world.records(&Kind::EgressEnded, 3);
    assert!(echo.got().iter().all(Vec::is_empty));
    assert!(world.traffic().of(&Kind::EgressDenied).all(|denied| denied.text("verdict") == Some("not_http")));
}

#[test]
fn plain_http_in_a_tunnel_goes_to_the_granted_host_request_by_request() {
    let upstream =
        Upstream::start(|got, wire| wire.answer("200 OK", "text/plain", got.head.split(' ').nth(1).unwrap()));
    let host = format!("127.0.0.1:{}", upstream.port);
    let world = granting(&[format!("net:{host}")]);
    for bad in [
        "GET /x HTTP/1.1\r\nhost: evil.test\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET /x HTTP/1.1\r\nhost: {host}\r\nhost: evil.test\r\n\r\n"),
        format!("GET http://evil.test/x HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        format!("GET http://{host}/x HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        format!("CONNECT evil.test:443 HTTP/1.1\r\nhost: {host}\r\n\r\n"),
    ] {
        let before = world.traffic().of(&Kind::EgressDenied).count();
        let mut client = tunnel(&world, &host);
        // A good one first: what follows on the same connection is judged by itself.
        client.write(format!("GET /good HTTP/1.1\r\nhost: {host}\r\n\r\n{bad}").as_bytes()).unwrap();
        assert_eq!(client.answer().unwrap().body, b"/good");
        let got = client.answer().unwrap();
        assert_eq!((got.status, got.code().as_str()), (400, "bad_target"), "{bad}");
        assert!(client.ended());
        assert_eq!(world.traffic().of(&Kind::EgressDenied).count(), before + 1, "{bad}");
    }
    assert!(upstream.got().iter().all(|got| got.head.starts_with("GET /good HTTP/1.1\r\n")));
    let mut client = tunnel(&world, &host);
    for path in ["/a", "/b?c"] {
        client.write(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(client.answer().unwrap().body, path.as_bytes());
    }
}

#[test]
fn a_name_that_leads_to_a_special_address_is_refused_until_the_address_is_granted() {
    let upstream = Upstream::start(|_, wire| wire.answer("200 OK", "text/plain", "hi"));
    let url = format!("http://api.test:{}/", upstream.port);
    let host = format!("api.test:{}", upstream.port);
    let mut world = granting(&[format!("net:{host}"), format!("tcp:{host}")]);
    for address in [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fd00:ec2::254",
        "224.0.0.1",
    ] {
        let address: IpAddr = address.parse().unwrap();
        world.policy.hosts.insert("api.test".into(), vec![address]);
        world.apply();
        let got = absolute(&world, &url, &host).answer().unwrap();
        assert_eq!((got.status, got.code().as_str()), (403, "address_refused"), "{address}");
    }
    assert_eq!((upstream.got().len(), world.traffic().of(&Kind::EgressAllowed).count()), (0, 0));
    // A `net:` grant of the address does not do for a tunnel that nobody looks into.
    world.policy.hosts.insert("api.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    world.policy.attempts[0].grants = grants(&[format!("tcp:{host}"), format!("net:127.0.0.1:{}", upstream.port)]);
    world.apply();
    let got = connect(&world, &host).answer().unwrap();
    assert_eq!(got.code(), "address_refused");
    assert_eq!(got.json()["error"]["capability"], format!("tcp:127.0.0.1:{}", upstream.port));
    world.policy.attempts[0].grants = grants(&[format!("net:{host}"), format!("net:127.0.0.1:{}", upstream.port)]);
    world.apply();
    assert_eq!(absolute(&world, &url, &host).answer().unwrap().body, b"hi");
}

#[test]
fn plain_http_goes_to_the_granted_host_without_what_is_the_proxys() {
    let upstream = Upstream::start(|got, wire| wire.answer("201 Created", "text/plain", &got.body));
    let host = format!("127.0.0.1:{}", upstream.port);
    let world = granting(&[format!("net:{host}")]);
    let mut client = world.client();
    let request = format!(
        "POST http://{host}/a/b?c=d HTTP/1.1\r\nhost: {host}\r\nproxy-authorization: Basic c2VjcmV0\r\nconnection: x-one, keep-alive\r\n\
         x-one: 1\r\nx-two: 2\r\nproxy-connection: keep-alive\r\nte: trailers\r\ncontent-length: 3\r\n\r\nabc"
    );
    client.write(request.as_bytes()).unwrap();
    let got = client.answer().unwrap();
    assert_eq!((got.status, got.body.as_slice(), got.whole), (201, &b"abc"[..], true));
    let seen = &upstream.got()[0];
    let head = seen.head.to_lowercase();
    assert!(head.starts_with("post /a/b?c=d http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {host}\r\n")) && head.contains("x-two: 2\r\n"), "{head}");
    for gone in ["proxy-", "x-one", "te:", "c2vjcmv0"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    let ended = &world.records(&Kind::EgressEnded, 1)[0];
    assert_eq!((ended.text("verdict"), &ended.fields["status"]), (Some("closed"), &json!(201)));
    assert!(ended.fields["bytesOut"].as_u64().unwrap() > 50 && ended.fields["bytesIn"].as_u64().unwrap() > 50);
    // The path stays between the two.
    assert!(
        !String::from_utf8(world.files().into_iter().flat_map(|(_, bytes)| bytes).collect()).unwrap().contains("c=d")
    );
}

#[test]
fn another_host_header_is_another_host() {
    let upstream = Upstream::start(|_, wire| wire.answer("200 OK", "text/plain", "hi"));
    let host = format!("127.0.0.1:{}", upstream.port);
    let world = granting(&[format!("net:{host}")]);
    let evil = ["evil.test", "127.0.0.1", "127.0.0.1:1", "", "x\r\nhost: y"];
    for other in evil {
        let got = absolute(&world, &format!("http://{host}/"), other).answer().unwrap();
        assert_eq!((got.status, got.code().as_str()), (400, "bad_target"), "{other:?}");
    }
    let two = absolute(&world, &format!("http://{host}/"), &format!("{host}\r\nhost: evil.test")).answer().unwrap();
    assert_eq!(two.code(), "bad_target");
    assert_eq!(upstream.got().len(), 0);
}

#[test]
fn a_second_request_on_the_same_connection_is_judged_by_itself() {
    let upstream = Upstream::start(|_, wire| wire.answer("200 OK", "text/plain", "hi"));
    let host = format!("127.0.0.1:{}", upstream.port);
    let world = granting(&[format!("net:{host}")]);
    let mut client = world.client();
    let both = format!(
        "GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\n\r\nGET http://127.0.0.2:{}/ HTTP/1.1\r\nhost: 127.0.0.2:{}\r\n\r\n",
        upstream.port, upstream.port
    );
    client.write(both.as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(client.answer().unwrap().code(), "capability_required");
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn a_revocation_cuts_its_own_connections_and_no_others_before_its_generation_stands() {
    let (one, two) = (Echo::start(), Echo::start());
    let (first, second) = (format!("127.0.0.1:{}", one.port), format!("127.0.0.1:{}", two.port));
    let mut world = granting(&[format!("tcp:{first}"), format!("tcp:{second}")]);
    let (mut lost, mut kept) = (tunnel(&world, &first), tunnel(&world, &second));
    lost.write(b"a").unwrap();
    lost.exactly(1);
    world.policy.attempts[0].grants.remove(0);
    world.apply();
    let ended = &world.records(&Kind::EgressEnded, 1)[0];
    assert_eq!((ended.text("verdict"), &ended.fields["bytesOut"]), (Some("revoked"), &json!(1)));
    assert!(lost.ended());
    kept.write(b"b").unwrap();
    assert_eq!(kept.exactly(1), b"B");
    assert_eq!(connect(&world, &first).answer().unwrap().code(), "capability_required");
    // Granted anew upon another request, it is another grant.
    world.policy.attempts[0].grants = grants(&[format!("tcp:{second}"), format!("tcp:{first}")]);
    world.apply();
    tunnel(&world, &first);
    assert!(kept.ended());
}

#[test]
fn the_kill_switch_and_the_deadline_cut_every_tunnel() {
    let echo = Echo::start();
    let target = format!("127.0.0.1:{}", echo.port);
    let mut world = granting(&[format!("tcp:{target}")]);
    let mut client = tunnel(&world, &target);
    world.policy.attempts[0].deadline = chrono::Utc::now() + chrono::Duration::milliseconds(200);
    world.apply();
    assert!(client.ended());
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].text("verdict"), Some("closed"));

    let world = granting(&[format!("tcp:{target}")]);
    let mut client = tunnel(&world, &target);
    world.kill();
    assert!(client.ended());
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].text("verdict"), Some("killed"));
}

#[test]
fn a_streamed_answer_is_cut_by_a_revocation() {
    let upstream = Upstream::start(|_, wire| {
        wire.stream_head();
        wire.chunk("x");
        wire.wait_until_cut();
    });
    let host = format!("127.0.0.1:{}", upstream.port);
    let mut world = granting(&[format!("net:{host}")]);
    let mut client = absolute(&world, &format!("http://{host}/"), &host);
    client.head().unwrap();
    client.chunk().unwrap().unwrap();
    world.policy.attempts[0].grants.clear();
    world.apply();
    assert!(client.chunk().is_err());
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].text("verdict"), Some("revoked"));
}

#[test]
fn what_cannot_be_reached_says_so_and_ends_on_record() {
    // Bound and not listening: nobody else gets the port meanwhile.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let world = granting(&[format!("tcp:127.0.0.1:{port}")]);
    let got = connect(&world, &format!("127.0.0.1:{port}")).answer().unwrap();
    assert_eq!((got.status, got.code().as_str()), (502, "unreachable"));
    assert_eq!(world.records(&Kind::EgressEnded, 1)[0].text("verdict"), Some("unreachable"));
}

#[test]
fn one_attempt_does_not_go_by_the_grant_of_another() {
    let echo = Echo::start();
    let target = format!("127.0.0.1:{}", echo.port);
    let mut world = World::new("http://127.0.0.1:1/v1");
    let mut other = world.attempt("b2", "analyse", 1);
    other.grants = grants(&[format!("tcp:{target}")]);
    world.policy.attempts.push(other);
    let world = world.start();
    assert_eq!(connect(&world, &target).answer().unwrap().code(), "capability_required");
    let mut client = Client::connect(&world.socket("b2")).unwrap();
    client.write(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(client.head().unwrap().0, 200);
}

#[test]
fn there_are_only_so_many_connections_and_each_that_ends_makes_room() {
    let echo = Echo::start();
    let target = format!("127.0.0.1:{}", echo.port);
    let world = granting(&[format!("tcp:{target}")]);
    let mut all: Vec<Client> = (0..64).map(|_| tunnel(&world, &target)).collect();
    assert_eq!(connect(&world, &target).answer().unwrap().status, 429);
    assert_eq!(world.records(&Kind::EgressDenied, 1)[0].text("verdict"), Some("exhausted"));
    // The gate still hears everything else.
    assert_eq!(world.get("/taskforge/v1/hello").status, 200);
    all.pop().unwrap().shut();
    world.records(&Kind::EgressEnded, 1);
    tunnel(&world, &target);
}

#[test]
fn a_gate_that_is_stopped_leaves_no_passage_without_its_end() {
    let echo = Echo::start();
    let target = format!("127.0.0.1:{}", echo.port);
    let mut world = granting(&[format!("tcp:{target}")]);
    let mut client = tunnel(&world, &target);
    world.stop();
    assert!(client.ended());
    assert_eq!(world.traffic().of(&Kind::EgressEnded).count(), 1);
}
