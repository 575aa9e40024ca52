//! One request of an action to a service's API: where the credential goes, and what an answer means. No redirect is ever
//! followed: the credential is for the host that the settings name.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Failure, Outcome};
use crate::gate::policy::Endpoint;
use crate::gate::shared::Gate;
use crate::provider::{Key, Mask};

/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 8 << 20;
/// The longest message of a service that is passed on, in characters.
const LONGEST: usize = 500;
/// How often what only reads is asked again.
const RETRIES: u32 = 2;

/// A service and the credential for it.
pub(crate) struct Service {
    client: reqwest::Client,
    base: String,
    key: Key,
    mask: Mask,
}

/// What a service answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// How large it was.
    pub(crate) bytes: usize,
}

impl Service {
    /// The service `name` as the policy has it now.
    ///
    /// # Errors
    /// When it is not set up, or its credential is not there.
    pub(crate) fn of(gate: &Gate, name: &str, endpoint: Option<&Endpoint>) -> Result<Self, Failure> {
        let missing = |message: String| Failure::new("service_missing", message);
        let endpoint = endpoint.ok_or_else(|| missing(format!("`actions.{name}` is not set up here")))?;
        let entry = endpoint.key.as_deref().unwrap_or_default();
        let rules = gate.rules();
        let key = rules.key(entry).cloned();
        let key =
            key.ok_or_else(|| missing(format!("the secret `{entry}` of `actions.{name}` is not in the vault")))?;
        Ok(Self::new(gate.client.clone(), &endpoint.base_url, key))
    }

    /// The service whose API is at `base`, asked with `key`.
    pub(crate) fn new(client: reqwest::Client, base: &str, key: Key) -> Self {
        let mask = Mask::of_forms(key.expose());
        Self { client, base: base.trim_end_matches('/').to_owned(), key, mask }
    }

    /// Sends a request once; `path` begins with a slash and is made of parts that need no escaping.
    ///
    /// # Errors
    /// What went wrong on the way, and whether anything may have arrived.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Outcome> {
        let not_done = |message: String| Outcome::NotDone(Failure::new("service_unreachable", message));
        let text = Zeroizing::new(format!("Bearer {}", self.key.expose()));
        let mut bearer = HeaderValue::from_str(&text)
            .map_err(|_| not_done("its credential holds characters that a header cannot".to_owned()))?;
        bearer.set_sensitive(true);
        let mut request = self.client.request(method, format!("{}{path}", self.base)).header(AUTHORIZATION, bearer);
        request = request.header("user-agent", concat!("taskforge/", env!("CARGO_PKG_VERSION"))).timeout(PATIENCE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json; charset=utf-8").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| self.lost(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let (body, bytes) = self.read(answer).await?;
        Ok(Answer { status, headers, body, bytes })
    }

    /// [`Service::send`] for what changes nothing: asked again when the service stumbles.
    pub(crate) async fn get(&self, path: &str, headers: &[(&'static str, &'static str)]) -> Result<Answer, Outcome> {
        let mut tries = 0;
        loop {
            let answer = self.send(Method::GET, path, headers, None).await;
            let stumbles = match &answer {
                Ok(answer) => answer.status.is_server_error(),
                Err(_) => true,
            };
            if !stumbles || tries == RETRIES {
                return answer;
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(200 << tries)).await;
        }
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<(Value, usize), Outcome> {
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.lost(&error))? {
            if bytes.len() + piece.len() > LARGEST {
                return Err(Outcome::Unclear(Failure::new("service_error", "its answer is larger than 8 MiB")));
            }
            bytes.extend_from_slice(&piece);
        }
        let clear = self.mask.whole(&bytes);
        // What is no JSON is told by its status.
        let body = crate::provider::check_complexity_within(&clear, 64)
            .ok()
            .and_then(|()| serde_json::from_slice(&clear).ok())
            .unwrap_or(Value::Null);
        Ok((body, bytes.len()))
    }

    /// `text` without the credential: for what an answer says beside its body.
    pub(crate) fn masked(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask.whole(text.as_bytes())).into_owned()
    }

    /// A request without an answer. Only what did not get as far as a connection is known not to have arrived.
    fn lost(&self, error: &reqwest::Error) -> Outcome {
        let mut message = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&text);
            cause = error.source();
        }
        let message = String::from_utf8_lossy(&self.mask.whole(message.as_bytes())).chars().take(LONGEST).collect();
        let failure = Failure::new(
            "service_unreachable",
            format!("{} does not answer: {}", self.base, {
                let message: String = message;
                message
            }),
        );
        if error.is_connect() { Outcome::NotDone(failure) } else { Outcome::Unclear(failure) }
    }
}

impl Answer {
    /// What an answer that is no success means, for something that was to be done.
    pub(crate) fn refused(&self, said: Option<&str>) -> Outcome {
        let status = self.status.as_u16();
        let said: String = said.unwrap_or("without a word").chars().take(LONGEST).collect();
        let failure =
            |code, message: String| Failure { code, message, status: Some(status), retry_after: self.retry_after() };
        if self.is_rate_limit() {
            return Outcome::NotDone(failure("rate_limited", format!("the service asks to wait: {said}")));
        }
        if self.status.is_redirection() {
            let message = "the service points elsewhere, and a credential is not sent there: it was moved or renamed";
            return Outcome::NotDone(failure("moved", message.to_owned()));
        }
        let message = format!("the service answers {status}: {said}");
        // Something may have been done before the server fell over.
        match self.status.is_server_error() {
            true => Outcome::Unclear(failure("service_error", message)),
            false => Outcome::NotDone(failure("service_refused", message)),
        }
    }

    fn is_rate_limit(&self) -> bool {
        let none_left = self.headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        let told = self.headers.contains_key(RETRY_AFTER);
        self.status == StatusCode::TOO_MANY_REQUESTS || (self.status == StatusCode::FORBIDDEN && (none_left || told))
    }

    /// How long to wait, as either header says; at most a day.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let number = |name: &str| self.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let reset = || {
            let now = u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0);
            self.is_rate_limit().then(|| number("x-ratelimit-reset"))?.map(|at| at.saturating_sub(now))
        };
        number("retry-after").or_else(reset).map(|seconds| Duration::from_secs(seconds.min(86_400)))
    }
}
