//! `slack.message.*`: Slack's Web API. A message that is sent carries its key as metadata, by which it is found again.

use hyper::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, Wrong};
use super::http::{Answer, Service};
use super::{Failure, Found, Outcome};
use crate::run::capability::{ActionRules, is_channel};

/// What the metadata of our messages is called.
const EVENT: &str = "taskforge_action";
/// How many pages are looked through for a message that may have been sent.
const MOST_SEARCHED: usize = 5;
const PER_PAGE: u64 = 100;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Call {
    List { channel: String, limit: u64 },
    Read { channel: String, ts: String },
    Send { channel: String, text: String, thread: Option<String> },
}

impl Call {
    pub(crate) fn parse(name: &str, arguments: &mut Arguments) -> Result<Self, Wrong> {
        let channel = arguments.text("channel")?;
        if !is_channel(&channel) {
            return Err(Wrong(
                "`channel` is neither Slack's id of a channel, capital letters and digits, nor `#` and a name"
                    .to_owned(),
            ));
        }
        if channel.starts_with('#') && name != "slack.message.send" {
            return Err(Wrong(format!(
                "Slack reads a channel by its id alone, and {channel} is a name: write the id, such as C0123456789, which stands \
                 at the end of what Slack shows about the channel"
            )));
        }
        let stamp = |text: String| match is_stamp(&text) {
            true => Ok(text),
            false => Err(Wrong("it is not a message's time as Slack writes it: 1700000000.123456".to_owned())),
        };
        Ok(match name {
            "slack.message.list" => {
                let limit = arguments.maybe_number("limit")?.unwrap_or(50);
                if limit > PER_PAGE {
                    return Err(Wrong(format!("`limit` is more than {PER_PAGE}")));
                }
                Self::List { channel, limit }
            }
            "slack.message.read" => Self::Read { channel, ts: stamp(arguments.text("ts")?)? },
            _ => {
                let text = arguments.text("text")?;
                if text.trim().is_empty() {
                    return Err(Wrong("`text` is empty".to_owned()));
                }
                Self::Send { channel, text, thread: arguments.maybe_text("thread")?.map(stamp).transpose()? }
            }
        })
    }

    pub(crate) fn channel(&self) -> &str {
        match self {
            Self::List { channel, .. } | Self::Read { channel, .. } | Self::Send { channel, .. } => channel,
        }
    }

    pub(crate) fn check(&self, rules: &ActionRules) -> Result<(), Wrong> {
        let channel = self.channel();
        match rules.has_channel(channel) {
            true => Ok(()),
            false => Err(Wrong(format!("the channel {channel} is not among those that are named"))),
        }
    }

    pub(crate) const fn is_write(&self) -> bool {
        matches!(self, Self::Send { .. })
    }

    pub(crate) fn target(&self) -> String {
        match self {
            Self::Read { channel, ts } => format!("{channel}/{ts}"),
            _ => self.channel().to_owned(),
        }
    }

    pub(crate) async fn perform(&self, service: &Service, key: &str) -> Outcome {
        let done = match self {
            Self::List { channel, limit } => {
                let path = format!("/conversations.history?channel={channel}&limit={limit}");
                asked(service, &path).await.map(|found| json!({"messages": messages(&found)}))
            }
            Self::Read { channel, ts } => {
                let path = format!("/conversations.replies?channel={channel}&ts={ts}&limit={PER_PAGE}");
                asked(service, &path).await.map(|found| json!({"messages": messages(&found)}))
            }
            Self::Send { channel, text, thread } => {
                let mut body = json!({
                    "channel": channel, "text": text,
                    "metadata": {"event_type": EVENT, "event_payload": {"key": key}},
                });
                if let Some(thread) = thread {
                    body["thread_ts"] = thread.as_str().into();
                }
                match service.send(Method::POST, "/chat.postMessage", &[], Some(&body)).await {
                    Ok(answer) => {
                        understood(answer).map(|found| json!({"channel": found["channel"], "ts": found["ts"]}))
                    }
                    Err(lost) => Err(lost),
                }
            }
        };
        match done {
            Ok(result) => Outcome::Done(result),
            Err(Outcome::Unclear(failure)) if !self.is_write() => Outcome::NotDone(failure),
            Err(outcome) => outcome,
        }
    }

    pub(crate) async fn find(&self, service: &Service, key: &str) -> Found {
        let Self::Send { channel, thread, .. } = self else { return Found::NotThere };
        if channel.starts_with('#') {
            // The id is in the answer, which was lost.
            return Found::Unknown(format!("Slack is looked through by a channel's id, and {channel} is a name"));
        }
        let place = match thread {
            Some(thread) => format!("/conversations.replies?channel={channel}&ts={thread}"),
            None => format!("/conversations.history?channel={channel}"),
        };
        let mut cursor = String::new();
        for _ in 0..MOST_SEARCHED {
            let path = format!("{place}&include_all_metadata=true&limit={PER_PAGE}{cursor}");
            let found = match asked(service, &path).await {
                Ok(found) => found,
                Err(Outcome::NotDone(failure) | Outcome::Unclear(failure)) => return Found::Unknown(failure.message),
                Err(Outcome::Done(_)) => return Found::Unknown(String::new()),
            };
            let own = |message: &&Value| message["metadata"]["event_payload"]["key"].as_str() == Some(key);
            if let Some(message) = found["messages"].as_array().into_iter().flatten().find(own) {
                return Found::Done(json!({"channel": channel, "ts": message["ts"]}));
            }
            let next = found["response_metadata"]["next_cursor"].as_str().unwrap_or_default();
            if next.is_empty() {
                return Found::NotThere;
            }
            let fits = next.len() <= 200 && next.bytes().all(|b| b.is_ascii_alphanumeric() || b"=_-:+/".contains(&b));
            if !fits {
                return Found::Unknown("the service's cursor is none".to_owned());
            }
            cursor = format!("&cursor={}", next.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
        }
        Found::Unknown("there are more messages than are looked through".to_owned())
    }
}

fn is_stamp(text: &str) -> bool {
    let digits = |text: &str| (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, rest)| digits(seconds) && digits(rest))
}

async fn asked(service: &Service, path: &str) -> Result<Value, Outcome> {
    understood(service.get(path, &[]).await?)
}

/// Slack says in the body of a 200 that it did not do it.
fn understood(answer: Answer) -> Result<Value, Outcome> {
    if !answer.status.is_success() {
        return Err(answer.refused(answer.body["error"].as_str()));
    }
    match answer.body["ok"].as_bool() {
        Some(true) => Ok(answer.body),
        Some(false) => {
            let error: String = answer.body["error"].as_str().unwrap_or("unknown").chars().take(100).collect();
            let code = match error.as_str() {
                "ratelimited" | "rate_limited" => "rate_limited",
                known if is_refusal(known) => "service_refused",
                _ => "service_error",
            };
            let mut failure = Failure::new(code, format!("Slack says {error}"));
            failure.status = Some(answer.status.as_u16());
            Err(if code == "service_error" { Outcome::Unclear(failure) } else { Outcome::NotDone(failure) })
        }
        None => Err(Outcome::Unclear(Failure::new("service_error", "its answer does not say whether it is done"))),
    }
}

/// The errors of Slack that refuse what was asked, before anything of it is done. Of `internal_error`, `fatal_error`,
/// `service_unavailable` and `request_timeout` Slack itself says that part of it may have happened; so may whatever is not
/// known here.
const REFUSALS: [&str; 49] = [
    "access_denied",
    "accesslimited",
    "account_inactive",
    "as_user_not_supported",
    "attachment_payload_limit_exceeded",
    "block_mismatch",
    "blocked_file_type",
    "cannot_reply_to_message",
    "channel_not_found",
    "channel_type_not_supported",
    "deprecated_endpoint",
    "duplicate_channel_not_found",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "external_channel_migrating",
    "is_archived",
    "is_inactive",
    "markdown_text_conflict",
    "message_limit_exceeded",
    "message_not_found",
    "messages_tab_disabled",
    "metadata_must_be_sent_from_app",
    "metadata_too_large",
    "method_deprecated",
    "method_not_supported_for_channel_type",
    "missing_argument",
    "missing_post_type",
    "missing_scope",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_permission",
    "no_text",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "post_type_mismatch",
    "team_access_not_granted",
    "team_not_found",
    "thread_not_found",
    "token_expired",
    "token_revoked",
    "too_many_attachments",
    "too_many_contact_cards",
    "two_factor_setup_required",
    "unknown_method",
    "user_not_found",
    "user_not_in_channel",
    "users_not_found",
];

fn is_refusal(error: &str) -> bool {
    let families = ["invalid_", "restricted_action", "slack_connect_"];
    REFUSALS.contains(&error) || families.iter().any(|family| error.starts_with(family))
}

fn messages(found: &Value) -> Vec<Value> {
    let keys = ["ts", "thread_ts", "user", "bot_id", "text", "reply_count"];
    let one = |message: &Value| {
        let some: Map<String, Value> =
            keys.iter().filter_map(|key| Some(((*key).to_owned(), message.get(key)?.clone()))).collect();
        Value::Object(some)
    };
    found["messages"].as_array().into_iter().flatten().map(one).collect()
}
