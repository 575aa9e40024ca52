//! `webhook.send`: JSON to a URL that a rule names as it is, signed where a secret is set up for that.

use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::{Arguments, Wrong};
use super::hook;
use super::{Failure, Outcome};
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;
use crate::run::capability::{ActionRules, is_url};

/// The largest body, in bytes.
const LARGEST: usize = 256 << 10;

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Post {
    pub(crate) url: String,
    pub(crate) body: Value,
}

impl Post {
    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, Wrong> {
        let url = arguments.text("url")?;
        if !is_url(&url) {
            return Err(Wrong("`url` is not https:// (or http://), a host and a path, without a query".to_owned()));
        }
        let body = arguments.json("body")?;
        match body.to_string().len() > LARGEST {
            true => Err(Wrong(format!("`body` has more than {LARGEST} bytes"))),
            false => Ok(Self { url, body }),
        }
    }

    pub(crate) fn check(&self, rules: &ActionRules) -> Result<(), Wrong> {
        match rules.has_url(&self.url) {
            true => Ok(()),
            false => Err(Wrong(format!("{} is not among the URLs that are named", self.url))),
        }
    }

    pub(crate) async fn perform(&self, gate: &Gate, socket: &Socket, key: &str) -> Outcome {
        let secret = match gate.rules().policy.services.webhook.clone() {
            None => None,
            Some(entry) => match gate.rules().key(&entry).cloned() {
                Some(secret) => Some(secret),
                None => {
                    let message = format!("the secret `{entry}` of `actions.webhook` is not in the vault");
                    return Outcome::NotDone(Failure::new("service_missing", message));
                }
            },
        };
        match hook::post(gate, socket, &self.url, &self.body, secret.as_ref(), key).await {
            Ok(status) if (200..300).contains(&status) => Outcome::Done(json!({"status": status})),
            Ok(status) => {
                let message = format!("{} answers {status}", self.url);
                let failure = |code| Failure { code, message, status: Some(status), retry_after: None };
                match status {
                    500.. => Outcome::Unclear(failure("service_error")),
                    300..400 => Outcome::NotDone(failure("moved")),
                    _ => Outcome::NotDone(failure("service_refused")),
                }
            }
            Err(outcome) => outcome,
        }
    }
}
