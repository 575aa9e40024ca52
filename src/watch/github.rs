//! `github.pr`: the open pull requests of one repository, asked for only if anything about them has changed. What the
//! server says is not believed where it can be compared with what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::item::{Item, tame};
use crate::gate::action::Outcome;
use crate::gate::action::http::{Answer, Service};

const PER_PAGE: usize = 100;
/// How many pages are read.
const MOST_PAGES: usize = 10;
/// The longest tag of an answer that is kept, in bytes.
const LONGEST_TAG: usize = 256;

/// What a look at a repository came to.
#[derive(Debug)]
pub(crate) enum Listed {
    /// Nothing has changed since the answer whose tag was sent.
    Unchanged,
    Found {
        items: Vec<Item>,
        /// The tag of the answer.
        etag: Option<String>,
        /// Something to tell, although it went well.
        odd: Option<String>,
    },
}

/// Why a look came to nothing.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// It is not this repository's alone: nobody there answers, knows the credential, or has time.
    pub(crate) everywhere: bool,
    pub(crate) message: String,
    /// How long the service wants to be left alone.
    pub(crate) wait: Option<Duration>,
}

/// Asks for the open pull requests of `repository`, the last changed first: one request if nothing has changed since the
/// answer with `etag`. And how long the service wants to be left alone afterwards, if it says so.
///
/// # Errors
/// [`Trouble`].
pub(crate) async fn look(
    service: &Service,
    repository: &str,
    etag: Option<&str>,
    drafts: bool,
) -> Result<(Listed, Option<Duration>), Trouble> {
    let (mut items, mut numbers, mut tag, mut odd) = (Vec::new(), BTreeSet::new(), None, None);
    for page in 1..=MOST_PAGES {
        // Whatever changes about a pull request brings it to the first page, so the tag of that one stands for all. Where
        // the next page is, the server does not decide: a link could lead the credential anywhere.
        let path =
            format!("/repos/{repository}/pulls?state=open&sort=updated&direction=desc&per_page={PER_PAGE}&page={page}");
        let mut headers = vec![("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];
        let asked = etag.filter(|_| page == 1);
        headers.extend(asked.map(|etag| ("if-none-match", etag)));
        let answer =
            service.send(Method::GET, &path, &headers, None).await.map_err(|outcome| trouble(repository, outcome))?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return match asked {
                Some(_) => Ok((Listed::Unchanged, pause(&answer))),
                None => Err(lie(repository, "it says that nothing has changed, and was not asked that")),
            };
        }
        if !answer.status.is_success() {
            return Err(refused(repository, &answer));
        }
        let Value::Array(list) = &answer.body else { return Err(lie(repository, "its answer is no list")) };
        if page == 1 {
            // What is kept on the disk holds no credential, whatever a server gives back. Such a tag finds nothing again.
            tag = tag_of(&answer).filter(|tag| service.masked(tag) == *tag);
        }
        let before = numbers.len();
        for pull in list {
            let (number, item) = read(repository, pull, drafts).map_err(|why| lie(repository, &why))?;
            if numbers.insert(number) {
                items.extend(item);
            }
        }
        if numbers.len() > MOST_PAGES * PER_PAGE {
            return Err(lie(repository, "its pages are larger than was asked for"));
        }
        // Servers give fewer than asked for, and say by the link that there is more.
        let link = answer.headers.get("link").and_then(|link| link.to_str().ok()).unwrap_or_default();
        if list.is_empty() || (list.len() < PER_PAGE && !link.contains("rel=\"next\"")) {
            return Ok((Listed::Found { items, etag: tag, odd }, pause(&answer)));
        }
        // What changes between two requests moves what was seen to the next page; a page that is only that has one after it
        // for one thing alone.
        if numbers.len() == before {
            return Err(lie(repository, "it gives the same page again and again"));
        }
        if page == MOST_PAGES {
            odd = Some(format!(
                "{repository} has more than {} open pull requests; the others are not looked at",
                numbers.len()
            ));
        }
    }
    Ok((Listed::Found { items, etag: tag, odd }, None))
}

/// One pull request: its number, and the work that it is unless it is a draft.
pub(crate) fn read(repository: &str, pull: &Value, drafts: bool) -> Result<(u64, Option<Item>), String> {
    let number = pull["number"].as_u64().filter(|number| (1..=u64::from(u32::MAX)).contains(number));
    let number = number.ok_or("a pull request has no number")?;
    let base = pull["base"]["repo"]["full_name"].as_str().unwrap_or_default();
    if !base.eq_ignore_ascii_case(repository) {
        return Err(format!("pull request {number} is of another repository: {:?}", tame(base)));
    }
    if pull["state"] != "open" {
        return Err(format!("pull request {number} is not open"));
    }
    let sha = pull["head"]["sha"].as_str().unwrap_or_default();
    if !matches!(sha.len(), 40 | 64) || !sha.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("the head of pull request {number} is no commit: {:?}", tame(sha)));
    }
    if pull["draft"] == true && !drafts {
        return Ok((number, None));
    }
    let (owner, name) = repository.split_once('/').unwrap_or_default();
    let text = |value: &Value| Value::from(tame(value.as_str().unwrap_or_default()));
    let fields = [
        ("repository", repository.into()),
        ("owner", owner.into()),
        ("name", name.into()),
        ("number", number.into()),
        ("sha", sha.into()),
        ("title", text(&pull["title"])),
        ("author", text(&pull["user"]["login"])),
        ("branch", text(&pull["head"]["ref"])),
        ("base", text(&pull["base"]["ref"])),
        ("url", text(&pull["html_url"])),
    ];
    let item = Item {
        // GitHub does not tell `Acme` from `acme`.
        key: format!("github.pr:{}#{number}@{sha}", repository.to_ascii_lowercase()),
        what: format!("{repository}#{number}"),
        fields: fields
            .map(|(name, value): (&str, Value)| (name.to_owned(), value))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        input: None,
    };
    Ok((number, Some(item)))
}

fn tag_of(answer: &Answer) -> Option<String> {
    let tag = answer.headers.get("etag")?.to_str().ok()?;
    (tag.len() <= LONGEST_TAG && tag.bytes().all(|b| b.is_ascii_graphic())).then(|| tag.to_owned())
}

/// How long to wait when that was the last request for now.
fn pause(answer: &Answer) -> Option<Duration> {
    let number = |name: &str| answer.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let now = u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0);
    let left = number("x-ratelimit-remaining").filter(|left| *left == 0);
    left.and(number("x-ratelimit-reset")).map(|at| Duration::from_secs(at.saturating_sub(now)))
}

fn lie(repository: &str, why: &str) -> Trouble {
    Trouble {
        everywhere: false,
        message: format!("{repository}: the service is not to be believed: {why}"),
        wait: None,
    }
}

fn refused(repository: &str, answer: &Answer) -> Trouble {
    let mut found = trouble(repository, answer.refused(answer.body["message"].as_str()));
    found.everywhere |= answer.status == StatusCode::UNAUTHORIZED;
    found
}

fn trouble(repository: &str, outcome: Outcome) -> Trouble {
    let failure = match outcome {
        Outcome::NotDone(failure) | Outcome::Unclear(failure) => failure,
        Outcome::Done(_) => return lie(repository, "its answer is no list"),
    };
    let everywhere = matches!(failure.code, "service_unreachable" | "rate_limited");
    Trouble { everywhere, message: format!("{repository}: {}", tame(&failure.message)), wait: failure.retry_after }
}
