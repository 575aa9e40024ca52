//! Bytes thrown at a gate's socket: real requests with changes in them, many at once. Whatever they are, the gate stays,
//! needs no more memory than its bounds allow, and has as many requests on record as the upstream was sent.

use serde_json::json;
use taskforge::gate::records::Kind;
use taskforge::gate::{Grant, ModelRule, ProviderSpec};
use taskforge::run::capability::Capability;
use taskforge::run::id::RequestId;

use super::crash::spawn;
use super::http::Client;
use super::upstream::Upstream;
use super::world::{World, completion, endpoint, wait};

/// How many connections are thrown at it.
const ROUNDS: u64 = 6000;
/// What the process may take at its peak: the room for bodies, what they become, the records, and itself. In KiB.
const MOST_MEMORY: u64 = 160 * 1024;

/// What breaks parsers more often than chance finds it.
const TOKENS: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b": ",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1",
    b"POST ",
    b"{",
    b"]",
    b"\"",
    b"\\ud800",
    b"18446744073709551616",
    b"\x1b[31m",
];

/// Xorshift: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.below(256) as u8,
                1 => drop(bytes.splice(at..at, TOKENS[self.below(TOKENS.len())].to_vec())),
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.drain(at..(at + self.below(40)).min(bytes.len()))),
                _ => {
                    let again = bytes[at..(at + self.below(60)).min(bytes.len())].to_vec();
                    drop(bytes.splice(at..at, again));
                }
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
    }
}

/// Requests of every kind; `granted` is a host and a port that there is a way out to.
fn seeds(granted: &str) -> Vec<Vec<u8>> {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let turns = json!([{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "r"}]);
    let asked = |path: &str, body: serde_json::Value| {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1:4180\r\ncontent-type: application/json\r\n");
        format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
    };
    let mut seeds: Vec<Vec<u8>> = ["m", "mc", "mg", "mo"]
        .iter()
        .flat_map(|model| {
            let chat = json!({"model": model, "messages": turns, "tools": [tool], "stream": true, "temperature": 0.5});
            let message = json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
            [
                asked("/v1/chat/completions", chat),
                asked("/v1/messages", message),
                asked("/v1/embeddings", json!({"model": model, "input": ["x"]})),
            ]
        })
        .collect();
    seeds.push(asked("/taskforge/v1/capabilities", json!({"capability": "pip:x", "reason": "y"})));
    seeds.push(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec());
    seeds.push(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n".to_vec());
    seeds.push(asked("/taskforge/v1/progress", json!({"message": "on its way"})));
    seeds.push(asked("/taskforge/v1/result", json!({"summary": "done", "artifacts": ["a.md"]})));
    seeds.push(asked("/taskforge/v1/memory", json!({"op": "set", "key": "k", "value": "v"})));
    seeds.push(asked("/taskforge/v1/children", json!({"role": "reader", "task": "read"})));
    seeds.push(asked("/taskforge/v1/actions/webhook.send", json!({"url": "https://a.example/", "body": {}})));
    seeds.push(asked("/taskforge/v1/turns", json!({"messages": []})));
    for path in ["conversation", "brief", "refusals?after=0", "memory", "memory/k", "children", "actions"] {
        let head = format!("GET /taskforge/v1/{path} HTTP/1.1\r\nhost: 127.0.0.1:4180\r\n");
        seeds.push(format!("{head}connection: close\r\n\r\n").into_bytes());
        // Another one behind it on the same connection.
        seeds.push(format!("{head}\r\n{head}connection: close\r\n\r\n").into_bytes());
    }
    let plain = format!("GET http://{granted}/x HTTP/1.1\r\nhost: {granted}\r\nconnection: close\r\n\r\n");
    let posted = format!(
        "POST http://{granted}/x HTTP/1.1\r\nhost: {granted}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    let tunnel = format!("CONNECT {granted} HTTP/1.1\r\nhost: {granted}\r\n\r\n");
    let inside = format!("GET /x HTTP/1.1\r\nhost: {granted}\r\nconnection: close\r\n\r\n");
    // A hello of TLS 1.3 with the fewest things that make it one.
    let hello = [&[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    seeds.push(plain.into_bytes());
    seeds.push(posted.into_bytes());
    seeds.push(
        format!("GET /to/{granted}/x HTTP/1.1\r\nhost: 127.0.0.1:4180\r\nconnection: close\r\n\r\n").into_bytes(),
    );
    seeds.push([tunnel.as_bytes(), inside.as_bytes()].concat());
    seeds.push([tunnel.as_bytes(), &hello].concat());
    seeds
}

#[test]
fn bytes_of_any_kind_neither_end_the_gate_nor_lose_a_record() {
    let upstream = Upstream::start(|_, wire| wire.json(completion("ok").to_string()));
    let mut world = World::new(&upstream.base());
    world.policy.attempts[0].limits.llm_requests = 1_000_000;
    let outside = Upstream::start(|_, wire| wire.json("{}"));
    let granted = format!("127.0.0.1:{}", outside.port);
    world.policy.attempts[0].grants = vec![Grant {
        request: RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap(),
        capability: Capability::parse(&format!("net:{granted}")).unwrap(),
        until: None,
    }];
    for (model, spec) in [
        ("mc", ProviderSpec::Anthropic(endpoint(&upstream.base()))),
        ("mg", ProviderSpec::Gemini(endpoint(&upstream.base()))),
        ("mo", ProviderSpec::Ollama(endpoint(&upstream.base()))),
    ] {
        world.policy.providers.insert(model.into(), spec);
        world.policy.models.insert(0, ModelRule::new(model, model));
    }
    world.policy.write(&world.dir()).unwrap();
    let gate = spawn(&world);
    let seeds = seeds(&granted);
    std::thread::scope(|scope| {
        for lane in 0..4_u64 {
            let (world, seeds) = (&world, &seeds);
            scope.spawn(move || {
                let mut dice = Dice(0x7461_736b_666f_7267 + lane);
                for _ in 0..ROUNDS / 4 {
                    let mut bytes = seeds[dice.below(seeds.len())].clone();
                    // Some stay whole, so that there is something to lose.
                    let whole = dice.below(4) == 0;
                    if !whole {
                        dice.change(&mut bytes);
                    }
                    // A gate that is gone, or accepts nobody, fails here.
                    let mut client = Client::connect(&world.socket("a1")).unwrap();
                    let sent = client.write(&bytes).is_ok();
                    if whole && !bytes.starts_with(b"CONNECT") {
                        assert!(client.answer().is_some(), "no answer to {}", String::from_utf8_lossy(&bytes));
                    } else if sent && dice.below(3) > 0 {
                        // Half-closed: a request that says that there is more is over, too.
                        client.shut();
                        client.ended();
                    }
                }
            });
        }
    });
    wait("all outcomes", || world.traffic().unclosed().is_empty());
    let count = |kind: Kind| world.traffic().of(&kind).count();
    wait("the end of all connections", || count(Kind::EgressAllowed) == count(Kind::EgressEnded));
    assert!(count(Kind::EgressAllowed) > 100 && outside.got().len() > 50, "too little gets out");
    assert_eq!(world.say("still here?").status, 200);
    let traffic = world.traffic();
    let unsent =
        traffic.records.iter().filter(|r| r.kind.is_outcome() && r.fields.get("reached") == Some(&json!(false)));
    let requests = traffic.of(&Kind::LlmRequest).count();
    assert!(requests > 300, "{requests}: the changes leave too little whole");
    // A client that left in time may have kept the upstream from seeing what was on its way.
    let aborted = traffic.of(&Kind::LlmAborted).count();
    let (sent, seen) = (requests - unsent.count(), upstream.got().len());
    assert!(seen <= sent && sent - seen <= aborted, "{seen} of {sent} arrived, {aborted} were taken back");
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    println!("{requests} requests, {aborted} taken back, {} records, {peak} KiB at the peak", traffic.records.len());
}
