//! HTTP over the gate's unix socket. One connection a request: a gate that was restarted leaves nothing stale behind,
//! and a local connect costs less than deciding whether an old connection still lives.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::error::AgentError;
use super::refusal::Refusal;

/// More than the gate lets a model answer; a limit all the same, since this process has little memory.
const ANSWER_LIMIT: usize = 32 << 20;
const PAUSE: Duration = Duration::from_millis(100);
/// How long one answer may take when the gate is asked something of its own. Longer than its longest poll (30 s).
const OWN_ANSWER: Duration = Duration::from_secs(60);

/// A client of one gate.
#[derive(Debug, Clone)]
pub(crate) struct GateClient {
    socket: PathBuf,
    patience: Duration,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) what: String,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl GateClient {
    /// `patience`: for how long a gate that cannot be reached is waited for; it may just be restarting.
    pub(crate) fn new(socket: impl Into<PathBuf>, patience: Duration) -> Self {
        Self { socket: socket.into(), patience }
    }

    /// A gate that breaks off is asked again while patience lasts: everything but a chat may be asked twice, since
    /// the gate knows requests by their capability and tool results by their call.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, AgentError> {
        self.repeat("GET", path, None).await
    }

    /// As [`get`](Self::get), with a body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Reply, AgentError> {
        self.repeat("POST", path, Some(body)).await
    }

    /// Posts without repeating and without a limit in time: a model may think for as long as the attempt has.
    pub(crate) async fn post_once(&self, path: &str, body: &Value) -> Result<Reply, AgentError> {
        let stream = self.connect(Instant::now() + self.patience).await?;
        exchange(stream, "POST", path, Some(body)).await
    }

    async fn repeat(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, AgentError> {
        let until = Instant::now() + self.patience;
        loop {
            let stream = self.connect(until).await?;
            let answer = tokio::time::timeout(OWN_ANSWER, exchange(stream, method, path, body)).await;
            let broken = match answer {
                Ok(Err(error @ AgentError::BrokenOff { .. })) => error,
                Ok(other) => return other,
                Err(_) => AgentError::Silent { what: name(method, path), seconds: OWN_ANSWER.as_secs() },
            };
            if Instant::now() >= until {
                return Err(broken);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Connects, trying again until `until`.
    pub(crate) async fn connect(&self, until: Instant) -> Result<UnixStream, AgentError> {
        loop {
            match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Ok(stream),
                Err(source) if Instant::now() >= until => {
                    return Err(AgentError::Unreachable { socket: self.socket.clone(), source });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// For answers whose body says nothing; any status but a success is the error.
    pub(crate) fn accepted(&self) -> Result<(), AgentError> {
        if self.is_success() { Ok(()) } else { Err(AgentError::Refused(Box::new(self.refusal()))) }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::read(&self.what, self.status, &self.body)
    }

    /// The JSON of a successful answer; any other status is the error.
    pub(crate) fn json(&self) -> Result<Value, AgentError> {
        self.accepted()?;
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(error.to_string()))
    }

    pub(crate) fn unexpected(&self, why: impl Into<String>) -> AgentError {
        AgentError::Unexpected { what: self.what.clone(), why: why.into() }
    }
}

fn name(method: &str, path: &str) -> String {
    format!("{method} {path}")
}

async fn exchange(stream: UnixStream, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, AgentError> {
    let what = name(method, path);
    let broken =
        |source: Box<dyn std::error::Error + Send + Sync>| AgentError::BrokenOff { what: name(method, path), source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(Box::new(e)))?;
    // The connection's own error, if any, reaches the request's future as well.
    let connection = tokio::spawn(async move { connection.await.map_err(io::Error::other) });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gate.taskforge")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))
        .map_err(|e| broken(Box::new(e)))?;
    let response = sender.send_request(request).await.map_err(|e| broken(Box::new(e)))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    connection.abort();
    match body {
        Ok(body) => Ok(Reply { what, status, body: body.to_bytes() }),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(AgentError::Unexpected { what, why: format!("it is larger than {ANSWER_LIMIT} bytes") })
        }
        Err(error) => Err(AgentError::BrokenOff { what, source: error }),
    }
}
