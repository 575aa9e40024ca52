//! A tunnel: bytes in both directions until one end closes or the leash is pulled. By a `net:` grant it carries TLS, and
//! the name that TLS asks for in the clear is the granted one; or HTTP, whose `Host` is.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::counted::Counted;
use super::inside;
use super::rewound::Rewound;
use super::target::name;
use super::vetted::{Records, Refused, Vetted};
use super::{Hello, Passage, Target, Unfit, open, read_hello};
use crate::gate::body::Body;
use crate::gate::refusal::Refusal;
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;
use crate::run::capability::Endpoint;

/// How long the client may take to begin TLS.
const HELLO: Duration = Duration::from_secs(30);
/// A fatal alert, `unrecognized_name` (RFC 6066, section 3): what a TLS client understands.
const UNRECOGNIZED: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

type Reply = oneshot::Sender<Result<Response<Body>, Refusal>>;

/// Does all of a `CONNECT`. `reply` gets the answer to it; the tunnel is this task's.
pub(crate) async fn tunnel(
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    target: Target,
    request: Request<Incoming>,
    reply: Reply,
) {
    let (mut passage, upstream) = match open(&gate, &socket, &target).await {
        Ok(open) => open,
        Err(refusal) => {
            let _ = reply.send(Err(refusal));
            return;
        }
    };
    let upgrade = hyper::upgrade::on(request);
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::OK;
    if reply.send(Ok(response)).is_err() {
        return passage.end("client", None).await;
    }
    let verdict = tokio::select! {
        biased;
        why = passage.leash.pulled() => Some(why),
        upgraded = upgrade => match upgraded {
            Ok(upgraded) => return through(passage, TokioIo::new(upgraded), upstream).await,
            Err(_) => None,
        },
    };
    passage.end(verdict.unwrap_or("client"), None).await;
}

async fn through<C: AsyncRead + AsyncWrite + Unpin>(mut passage: Passage, mut client: C, mut upstream: Counted) {
    if passage.raw {
        let verdict = both_ways(&mut passage, &mut client, &mut upstream).await;
        drop((client, upstream));
        return passage.end(verdict, None).await;
    }
    let endpoint = passage.endpoint.clone();
    let mut records = Records::new(move |hello: &Hello| fits(&endpoint, hello));
    let mut seen = Vec::new();
    match begin(&mut passage, &mut records, &mut seen, &mut client, &mut upstream).await {
        Begun::Tls => {}
        Begun::Http => {
            let verdict = inside::requests(&mut passage, Rewound::new(seen, client), upstream).await;
            if verdict == "not_http" {
                refuse(&passage, Refused::NotTls).await;
            }
            return passage.end(verdict, None).await;
        }
        Begun::Not(verdict) => return passage.end(verdict, None).await,
    }
    let mut client = Vetted::new(client, records);
    let mut verdict = both_ways(&mut passage, &mut client, &mut upstream).await;
    if let Some(refused) = client.refused().cloned() {
        verdict = refuse(&passage, refused).await;
    }
    drop((client, upstream));
    passage.end(verdict, None).await;
}

/// Copies until both ends have closed or the leash is pulled.
async fn both_ways<C: AsyncRead + AsyncWrite + Unpin>(
    passage: &mut Passage,
    client: &mut C,
    upstream: &mut Counted,
) -> &'static str {
    tokio::select! {
        biased;
        why = passage.leash.pulled() => why,
        // A connection that breaks is the two ends' business.
        _ = tokio::io::copy_bidirectional(client, upstream) => "closed",
    }
}

/// Puts on record what did not pass; the verdict.
async fn refuse(passage: &Passage, refused: Refused) -> &'static str {
    let granted = passage.endpoint.to_string();
    let (asked, verdict, message) = match refused {
        Refused::NotTls => (granted, "not_http", "what goes through the tunnel is neither TLS nor HTTP".to_owned()),
        Refused::Unread => (granted, "name_mismatch", "TLS asks once more, in a way that cannot be read".to_owned()),
        Refused::Name(Hello { name, encrypted }) => {
            let what = if encrypted { " (and one that is encrypted)" } else { "" };
            let shown = name.as_deref().unwrap_or("no name");
            let message = format!("TLS asks for {shown}{what}, and the grant is for {granted}");
            (name.map_or(granted, |name| format!("{name}:{}", passage.endpoint.port())), "name_mismatch", message)
        }
    };
    passage.deny(asked, verdict, message).await;
    verdict
}

/// What a tunnel turned out to carry.
enum Begun {
    /// The first flight has gone through.
    Tls,
    /// Nothing has.
    Http,
    /// Neither; the verdict, and it is on record.
    Not(&'static str),
}

/// Looks at the first flight of the client, and lets it through if it asks for the granted name.
async fn begin<C: AsyncRead + AsyncWrite + Unpin, F: Fn(&Hello) -> bool>(
    passage: &mut Passage,
    records: &mut Records<F>,
    seen: &mut Vec<u8>,
    client: &mut C,
    upstream: &mut Counted,
) -> Begun {
    let read = async {
        loop {
            match read_hello(seen) {
                Ok(Some(hello)) => return Ok(hello),
                Ok(None) => {}
                Err(unfit) => return Err(Some(unfit)),
            }
            if !matches!(client.read_buf(seen).await, Ok(count) if count > 0) {
                return Err(None);
            }
        }
    };
    let hello = tokio::select! {
        biased;
        why = passage.leash.pulled() => return Begun::Not(why),
        hello = tokio::time::timeout(HELLO, read) => hello.unwrap_or(Err(Some(Unfit::NotTls))),
    };
    let refused = match hello {
        Ok((hello, end)) if fits(&passage.endpoint, &hello) => match records.push(&seen[end..]) {
            Ok(()) if upstream.write_all(seen).await.is_ok() => return Begun::Tls,
            Ok(()) => return Begun::Not("closed"),
            Err(refused) => refused,
        },
        Ok((hello, _)) => Refused::Name(hello),
        // The client went away before it had said anything.
        Err(None) if seen.is_empty() => return Begun::Not("closed"),
        Err(_) if inside::looks_like_http(seen) => return Begun::Http,
        Err(_) => Refused::NotTls,
    };
    let named = matches!(refused, Refused::Name(_));
    let verdict = refuse(passage, refused).await;
    let tell = async {
        if named {
            let _ = client.write_all(&UNRECOGNIZED).await;
        }
        let _ = client.shutdown().await;
    };
    // Who does not read what it is told keeps nobody waiting.
    tokio::select! {
        biased;
        _ = passage.leash.pulled() => {}
        () = tell => {}
    }
    Begun::Not(verdict)
}

/// A name has to be asked for, and in the clear; an address cannot be, in TLS, but some clients write it there.
fn fits(endpoint: &Endpoint, hello: &Hello) -> bool {
    let asked = match (name(endpoint), hello.name.as_deref()) {
        (Some(granted), Some(asked)) => asked.eq_ignore_ascii_case(granted),
        (Some(_), None) => false,
        (None, None) => true,
        (None, Some(asked)) => endpoint.host().address().is_some_and(|ip| asked.parse() == Ok(ip)),
    };
    asked && !hello.encrypted
}
