//! `email.draft` and `email.send`: one message of plain text, composed here, so that no header is an agent's but the subject.
//! A draft is composed, put on record and not sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::{Arguments, Wrong};
use super::smtp;
use super::{Failure, Outcome};
use crate::gate::policy::MailServer;
use crate::gate::shared::Gate;
use crate::run::capability::{ActionRules, is_address};

/// The most recipients of a message.
const MOST: usize = 50;
/// The longest subject, in bytes.
const LONGEST_SUBJECT: usize = 500;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mail {
    pub(crate) is_draft: bool,
    pub(crate) to: Vec<String>,
    cc: Vec<String>,
    subject: String,
    body: String,
}

impl Mail {
    pub(crate) fn parse(name: &str, arguments: &mut Arguments) -> Result<Self, Wrong> {
        let (to, cc) = (arguments.texts("to", MOST)?, arguments.texts("cc", MOST)?);
        if to.is_empty() || to.len() + cc.len() > MOST {
            return Err(Wrong(format!("`to` and `cc` are 1 to {MOST} addresses, the first of them in `to`")));
        }
        if let Some(wrong) = to.iter().chain(&cc).find(|address| !is_address(address)) {
            return Err(Wrong(format!("{:?} is no plain mail address", wrong.chars().take(100).collect::<String>())));
        }
        let subject = arguments.text("subject")?;
        if subject.trim().is_empty() || subject.len() > LONGEST_SUBJECT || subject.contains(['\n', '\r', '\t']) {
            return Err(Wrong(format!("`subject` is not one line of 1 to {LONGEST_SUBJECT} bytes")));
        }
        let body = arguments.text("body")?;
        Ok(Self { is_draft: name == "email.draft", to, cc, subject, body })
    }

    pub(crate) fn recipients(&self) -> impl Iterator<Item = &str> {
        self.to.iter().chain(&self.cc).map(String::as_str)
    }

    pub(crate) fn check(&self, rules: &ActionRules) -> Result<(), Wrong> {
        match self.recipients().find(|recipient| !rules.has_recipient(recipient)) {
            None => Ok(()),
            Some(other) => Err(Wrong(format!("the recipient {other} is not among those that are named"))),
        }
    }

    pub(crate) async fn perform(
        &self,
        gate: &Gate,
        server: Option<&MailServer>,
        key: &str,
        now: DateTime<Utc>,
    ) -> Outcome {
        let missing = || Outcome::NotDone(Failure::new("service_missing", "`actions.email` is not set up here"));
        let Some(server) = server else { return missing() };
        let message = self.compose(&server.from, key, now);
        let recipients: Vec<&str> = self.recipients().collect();
        let shown = json!({"messageId": message_id(&server.from, key), "from": server.from, "recipients": recipients});
        if self.is_draft {
            return Outcome::Done(with(shown, "message", message));
        }
        match smtp::send(gate, server, &recipients, &message).await {
            Ok(said) => Outcome::Done(with(shown, "accepted", said)),
            Err(outcome) => outcome,
        }
    }

    /// The message as RFC 5322 has it: headers in ASCII, the body in base64.
    fn compose(&self, from: &str, key: &str, now: DateTime<Utc>) -> String {
        let mut text = format!("From: {from}\r\nTo: {}\r\n", self.to.join(",\r\n "));
        if !self.cc.is_empty() {
            text += &format!("Cc: {}\r\n", self.cc.join(",\r\n "));
        }
        text += &format!("Subject: {}\r\n", encoded(&self.subject));
        text += &format!("Date: {}\r\nMessage-ID: {}\r\n", now.to_rfc2822(), message_id(from, key));
        text += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n";
        // What answers itself is not answered by others that do (RFC 3834).
        text += "Auto-Submitted: auto-generated\r\n\r\n";
        let body = self.body.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        for line in STANDARD.encode(body).as_bytes().chunks(76) {
            text += &String::from_utf8_lossy(line);
            text += "\r\n";
        }
        text
    }
}

fn with(mut shown: Value, key: &str, value: String) -> Value {
    shown[key] = value.into();
    shown
}

/// The same for each try of the same message: whoever gets two of them can tell.
fn message_id(from: &str, key: &str) -> String {
    let domain = from.rsplit('@').next().unwrap_or("localhost");
    format!("<{key}@{domain}>")
}

/// A subject as header text: as it is where it is short and plain, in encoded words otherwise (RFC 2047).
fn encoded(subject: &str) -> String {
    if subject.len() <= 60 && subject.bytes().all(|b| (b' '..=b'~').contains(&b)) && !subject.contains("=?") {
        return subject.to_owned();
    }
    let mut words: Vec<String> = vec![String::new()];
    for character in subject.chars() {
        // 45 bytes are 60 characters of base64; an encoded word has at most 75.
        if words.last().is_some_and(|word| word.len() + character.len_utf8() > 45) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}
