//! What an agent is told when it is refused: `{"error":{"code","message","hint",…}}` with the right HTTP status.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::pace::TooFast;
use crate::provider::{ProviderError, Untranslatable, error_type};

/// What is spent, as agents and records know it.
pub(crate) const SPENT: &str = "budget_exhausted";
/// The code of what a role above the agent's has used up: nobody is asked for more in the agent's name.
pub(crate) const SPENT_ABOVE: &str = "budget_above_exhausted";
const TOO_FAST: &str = "rate_limit_exceeded";
const TOO_MANY_AT_ONCE: &str = "too_many_at_once";
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An answer of the gate's own that is not a success.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Words>);

#[derive(Debug)]
struct Words {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// When it makes sense to ask again.
    retry_after: Option<Duration>,
    more: Map<String, Value>,
    /// Whose errors it is to look like.
    shape: Shape,
}

/// Whose clients read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Own,
    OpenAi,
    Anthropic,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Words {
            status,
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
            more: Map::new(),
            shape: Shape::Own,
        }))
    }

    /// The same with other words.
    pub(crate) fn saying(mut self, message: String) -> Self {
        self.0.message = message;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.with("retryAfterMs", millis)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn killed() -> Self {
        Self::new(StatusCode::LOCKED, "killed", "the operator has stopped everything")
    }

    pub(crate) fn closed() -> Self {
        Self::new(StatusCode::GONE, "closed", "this attempt is over: its deadline has passed or it was revoked")
    }

    pub(crate) fn revoked() -> Self {
        Self::new(StatusCode::FORBIDDEN, "revoked", "what granted this was taken back")
    }

    pub(crate) fn denied(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_granted", format!("nothing is granted: {reason}"))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).with("limit", limit)
    }

    pub(crate) fn exhausted(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, SPENT, message)
    }

    pub(crate) fn too_fast(TooFast { limit, within, wait }: TooFast) -> Self {
        let message = format!("this node may make {limit} requests to models within a {within}");
        Self::new(StatusCode::TOO_MANY_REQUESTS, TOO_FAST, message)
            .hint("ask again after what `Retry-After` says")
            .with("limit", limit)
            .retry_after(wait)
    }

    pub(crate) fn too_many_at_once(limit: usize) -> Self {
        let message = format!("this attempt has {limit} requests to models under way");
        Self::new(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_AT_ONCE, message)
            .hint("wait for one to end")
            .with("limit", limit)
            .retry_after(Duration::from_secs(1))
    }

    /// What is not on record does not happen.
    pub(crate) fn record_failed(reason: &str) -> Self {
        let message = format!("the request cannot be recorded, so it was not sent: {reason}");
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "record_failed", message)
    }

    pub(crate) fn inbox_failed(reason: &str) -> Self {
        let message = format!("this cannot be stored durably: {reason}");
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "record_failed", message)
    }

    /// Whether the request itself is to blame, and nothing of it has happened or is on record elsewhere.
    pub(crate) fn is_of_the_request(&self) -> bool {
        // Of these the whole attempt is refused, or the exchange has its records.
        const OTHERS: [&str; 7] = [
            "not_granted",
            "revoked",
            "replay_mismatch",
            "action_not_allowed",
            "arguments_not_allowed",
            "bad_arguments",
            "no_such_action",
        ];
        let refused = matches!(self.0.status.as_u16(), 400 | 403 | 404 | 405 | 413 | 422);
        (refused && !OTHERS.contains(&self.0.code)) || self.0.code == SPENT_ABOVE
    }

    /// Whether the agent has left as many messages of a kind as it may.
    pub(crate) fn is_of_a_flood(&self) -> bool {
        self.0.code == SPENT && self.more("messages").is_some()
    }

    /// Whether a ceiling is reached, for which the gate asks a person.
    pub(crate) fn is_of_a_budget(&self) -> bool {
        self.0.code == SPENT && self.more("capability").is_some()
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// What it says beside its code, its message and its hint.
    pub(crate) fn more(&self, key: &str) -> Option<&Value> {
        self.0.more.get(key)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// Anthropic's clients look for `type` in both places.
    pub(crate) fn for_anthropics_clients(mut self) -> Self {
        self.0.shape = Shape::Anthropic;
        self
    }

    /// OpenAI's clients look for `type` and `param`.
    pub(crate) fn for_openais_clients(mut self) -> Self {
        self.0.shape = Shape::OpenAi;
        self
    }

    pub(crate) fn response(self) -> Response<Body> {
        let words = *self.0;
        // What is spent does not come back by waiting a little.
        let passing = matches!(words.code, TOO_FAST | TOO_MANY_AT_ONCE | "rate_limited" | "action_limit");
        let mut error = Map::new();
        error.insert("code".into(), words.code.into());
        error.insert("message".into(), words.message.into());
        if let Some(hint) = words.hint {
            error.insert("hint".into(), hint.into());
        }
        error.extend(words.more);
        let mut response = if words.shape == Shape::Anthropic {
            error.insert("type".into(), error_type(words.status.as_u16()).into());
            reply(words.status, &json!({"type": "error", "error": error}))
        } else {
            if words.status == StatusCode::TOO_MANY_REQUESTS {
                // As OpenAI's own are.
                error.insert("type".into(), if passing { "requests" } else { "insufficient_quota" }.into());
                error.insert("param".into(), Value::Null);
            } else if words.shape == Shape::OpenAi {
                let kind = if words.status.is_server_error() { "server_error" } else { "invalid_request_error" };
                error.insert("type".into(), kind.into());
                error.entry("param").or_insert(Value::Null);
            }
            reply(words.status, &json!({ "error": error }))
        };
        if let Some(wait) = words.retry_after {
            // Whole seconds, and never a moment too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if words.status == StatusCode::TOO_MANY_REQUESTS && !passing {
            // OpenAI's and Anthropic's clients ask a few times more unless they are told not to.
            response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        let message = error.to_string();
        match error {
            ProviderError::Mismatch { asked, nearest, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "replay_mismatch", message)
                    .hint(
                        "the recording answers only the conversation it was made from; use a live provider for others",
                    )
                    .with("digest", asked)
                    .with("nearest", nearest)
            }
            ProviderError::Crowded { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message),
            ProviderError::Silent { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message),
            _ => Self::new(StatusCode::BAD_GATEWAY, "upstream_error", message),
        }
    }
}

impl From<Untranslatable> for Refusal {
    /// `param` names what is to blame, as OpenAI's errors do.
    fn from(error: Untranslatable) -> Self {
        let message = error.to_string();
        Self::new(StatusCode::BAD_REQUEST, error.code, message).with("param", error.param)
    }
}

/// A JSON answer.
pub(crate) fn reply(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
