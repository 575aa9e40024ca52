//! `github.*`: pull requests as GitHub's REST API has them. To read, to comment and to review; there is no word here for
//! merging, closing or pushing.

use hyper::Method;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, Wrong};
use super::http::{Answer, Service};
use super::{Failure, Found, Outcome};
use crate::run::capability::{ActionRules, is_repository_part};

const HEADERS: [(&str, &str); 2] = [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];
const PER_PAGE: usize = 100;
/// How many pages of a list are read.
const MOST_PAGES: usize = 10;
/// The most that is read for one list, in bytes: the gate is small, and others have work for it too.
const MOST_BYTES: usize = 16 << 20;
/// The longest text of one entry of a list, in characters; the whole of it is there to be read by its number.
const LONGEST_LISTED: usize = 2000;
/// How many pages are looked through for something that may have been done.
const MOST_SEARCHED: usize = 50;
/// The most comments on lines of one review.
const MOST_COMMENTS: usize = 100;

/// `owner/name`; nothing in it means anything in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository(String);

impl Repository {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let fits = text.split_once('/').is_some_and(|(owner, name)| {
            // An owner is letters, digits and hyphens on GitHub; servers of others know more, and no path.
            is_repository_part(owner) && is_repository_part(name)
        });
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong("`repo` is not owner/name, of letters, digits, `-`, `.` and `_`".to_owned())),
        }
    }
}

/// As GitHub compares names: equal ones are one repository.
impl Serialize for Repository {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_ascii_lowercase())
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum Call {
    List { repo: Repository, state: &'static str },
    Read { repo: Repository, number: u64 },
    Files { repo: Repository, number: u64 },
    RepoRead { repo: Repository },
    Comment { repo: Repository, number: u64, body: String },
    Review { repo: Repository, number: u64, review: Review },
}

/// A review of a pull request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Review {
    verdict: &'static str,
    body: String,
    /// The commit that was looked at.
    commit: Option<String>,
    comments: Vec<Value>,
}

impl Call {
    pub(crate) fn parse(name: &str, arguments: &mut Arguments) -> Result<Self, Wrong> {
        let repo = Repository::parse(&arguments.text("repo")?)?;
        Ok(match name {
            "github.pr.list" => {
                let state = arguments.one_of("state", &["open", "closed", "all"])?.unwrap_or("open");
                Self::List { repo, state }
            }
            "github.pr.read" => Self::Read { repo, number: arguments.number("number")? },
            "github.pr.files" => Self::Files { repo, number: arguments.number("number")? },
            "github.pr.comment" => {
                let (number, body) = (arguments.number("number")?, arguments.text("body")?);
                if body.trim().is_empty() {
                    return Err(Wrong("`body` is empty".to_owned()));
                }
                Self::Comment { repo, number, body }
            }
            "github.review.submit" => {
                let number = arguments.number("number")?;
                Self::Review { repo, number, review: Review::parse(arguments)? }
            }
            _ => Self::RepoRead { repo },
        })
    }

    const fn repo(&self) -> &Repository {
        match self {
            Self::List { repo, .. }
            | Self::Read { repo, .. }
            | Self::Files { repo, .. }
            | Self::RepoRead { repo }
            | Self::Comment { repo, .. }
            | Self::Review { repo, .. } => repo,
        }
    }

    pub(crate) fn check(&self, rules: &ActionRules) -> Result<(), Wrong> {
        let repo = &self.repo().0;
        if !rules.has_repository(repo) {
            return Err(Wrong(format!("the repository {repo} is not among those that are named")));
        }
        match self {
            Self::Review { review, .. } if !rules.verdicts.iter().any(|verdict| verdict == review.verdict) => {
                Err(Wrong(format!("the verdict {} is not among those that are named", review.verdict)))
            }
            _ => Ok(()),
        }
    }

    pub(crate) const fn is_write(&self) -> bool {
        matches!(self, Self::Comment { .. } | Self::Review { .. })
    }

    pub(crate) fn target(&self) -> String {
        let repo = &self.repo().0;
        match self {
            Self::Read { number, .. } | Self::Files { number, .. } | Self::Comment { number, .. } => {
                format!("{repo}#{number}")
            }
            Self::Review { number, review, .. } => format!("{repo}#{number} {}", review.verdict),
            Self::List { .. } | Self::RepoRead { .. } => repo.clone(),
        }
    }

    pub(crate) fn capability(&self, name: &str) -> String {
        let repo = &self.repo().0;
        match self {
            Self::Review { review, .. } => format!("action:{name},repo={repo},verdict={}", review.verdict),
            _ => format!("action:{name},repo={repo}"),
        }
    }

    /// Does it. `key` marks what is written, so that it can be found again.
    pub(crate) async fn perform(&self, service: &Service, key: &str) -> Outcome {
        let done = match self {
            Self::List { repo, state } => {
                let path = format!("/repos/{}/pulls?state={state}", repo.0);
                pages(service, &path, MOST_PAGES, brief).await.map(|(all, whole)| listed("pulls", all, whole))
            }
            Self::Files { repo, number } => {
                let path = format!("/repos/{}/pulls/{number}/files?", repo.0);
                pages(service, &path, MOST_PAGES, file).await.map(|(all, whole)| listed("files", all, whole))
            }
            Self::Read { repo, number } => {
                one(service, &format!("/repos/{}/pulls/{number}", repo.0)).await.map(|found| pull(&found))
            }
            Self::RepoRead { repo } => {
                one(service, &format!("/repos/{}", repo.0)).await.map(|found| repository(&found))
            }
            Self::Comment { repo, number, body } => {
                let path = format!("/repos/{}/issues/{number}/comments", repo.0);
                match is_pull(service, repo, *number).await {
                    Ok(()) => write(service, &path, &json!({"body": marked(body, key)})).await,
                    Err(outcome) => Err(outcome),
                }
            }
            Self::Review { repo, number, review } => {
                let path = format!("/repos/{}/pulls/{number}/reviews", repo.0);
                write(service, &path, &review.request(key)).await
            }
        };
        match done {
            Ok(result) => Outcome::Done(result),
            // What only reads was not done, whatever became of it.
            Err(Outcome::Unclear(failure)) if !self.is_write() => Outcome::NotDone(failure),
            Err(outcome) => outcome,
        }
    }

    /// Looks for what may have been written with `key`.
    pub(crate) async fn find(&self, service: &Service, key: &str) -> Found {
        let path = match self {
            Self::Comment { repo, number, .. } => format!("/repos/{}/issues/{number}/comments?", repo.0),
            Self::Review { repo, number, .. } => format!("/repos/{}/pulls/{number}/reviews?", repo.0),
            _ => return Found::NotThere,
        };
        let mark = mark(key);
        let own = |one: &Value| match one["body"].as_str().is_some_and(|body| body.contains(&mark)) {
            true => written(one),
            false => Value::Null,
        };
        match pages(service, &path, MOST_SEARCHED, own).await {
            Ok((all, whole)) => match all.into_iter().find(|one| !one.is_null()) {
                Some(one) => Found::Done(one),
                None if whole => Found::NotThere,
                None => Found::Unknown("there are more comments than are looked through".to_owned()),
            },
            Err(Outcome::NotDone(failure) | Outcome::Unclear(failure)) => Found::Unknown(failure.message),
            Err(Outcome::Done(_)) => Found::Unknown(String::new()),
        }
    }
}

impl Review {
    fn parse(arguments: &mut Arguments) -> Result<Self, Wrong> {
        let verdict = arguments.one_of("verdict", &["COMMENT", "REQUEST_CHANGES", "APPROVE"])?;
        let verdict = verdict.ok_or_else(|| Wrong("`verdict` is missing".to_owned()))?;
        let body = arguments.text("body")?;
        if body.trim().is_empty() {
            return Err(Wrong("`body` is empty".to_owned()));
        }
        let commit = arguments.maybe_text("commit")?;
        let is_commit = |text: &String| {
            matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !commit.as_ref().is_none_or(is_commit) {
            return Err(Wrong("`commit` is not a commit's whole id in lower case".to_owned()));
        }
        let mut comments = Vec::new();
        for mut comment in arguments.objects("comments", MOST_COMMENTS)? {
            let (path, line, body) = (comment.text("path")?, comment.number("line")?, comment.text("body")?);
            let side = comment.one_of("side", &["LEFT", "RIGHT"])?.unwrap_or("RIGHT");
            comment.nothing_else()?;
            comments.push(json!({"path": path, "line": line, "side": side, "body": body}));
        }
        Ok(Self { verdict, body, commit, comments })
    }

    fn request(&self, key: &str) -> Value {
        let mut request = Map::new();
        request.insert("event".into(), self.verdict.into());
        request.insert("body".into(), marked(&self.body, key).into());
        if let Some(commit) = &self.commit {
            request.insert("commit_id".into(), commit.as_str().into());
        }
        if !self.comments.is_empty() {
            request.insert("comments".into(), self.comments.clone().into());
        }
        Value::Object(request)
    }
}

/// A comment that no reader sees, by which the text is found again.
fn mark(key: &str) -> String {
    format!("<!-- taskforge:{key} -->")
}

fn marked(body: &str, key: &str) -> String {
    format!("{body}\n\n{}", mark(key))
}

fn said(answer: &Answer) -> Outcome {
    answer.refused(answer.body["message"].as_str())
}

async fn one(service: &Service, path: &str) -> Result<Value, Outcome> {
    let answer = service.get(path, &HEADERS).await?;
    match answer.status.is_success() && answer.body.is_object() {
        true => Ok(answer.body),
        false if answer.status.is_success() => {
            Err(Outcome::NotDone(Failure::new("service_error", "its answer is no JSON object")))
        }
        false => Err(said(&answer)),
    }
}

/// To comment on a pull request is to comment on an issue of its number, and plain issues have numbers, too.
async fn is_pull(service: &Service, repo: &Repository, number: u64) -> Result<(), Outcome> {
    match one(service, &format!("/repos/{}/pulls/{number}", repo.0)).await {
        Ok(_) => Ok(()),
        Err(Outcome::NotDone(mut failure) | Outcome::Unclear(mut failure)) => {
            if failure.status == Some(404) {
                failure.message = format!("#{number} is no pull request of {}, as far as this credential sees", repo.0);
            }
            // Whatever became of the look, nothing is written yet.
            Err(Outcome::NotDone(failure))
        }
        Err(done) => Err(done),
    }
}

async fn write(service: &Service, path: &str, body: &Value) -> Result<Value, Outcome> {
    let answer = service.send(Method::POST, path, &HEADERS, Some(body)).await?;
    match answer.status.is_success() {
        true if answer.body["id"].is_number() => Ok(written(&answer.body)),
        // Some proxy may have answered: whether it is there is found out by looking.
        true => Err(Outcome::Unclear(Failure::new("service_error", "its answer does not say what was written"))),
        false => Err(said(&answer)),
    }
}

/// The pages of a list, and whether those are all of it. Where the next page is, the server does not decide: a link could
/// lead the credential anywhere.
/// Of each entry only what `shape` makes of it is kept.
async fn pages(
    service: &Service,
    path: &str,
    most: usize,
    shape: impl Fn(&Value) -> Value,
) -> Result<(Vec<Value>, bool), Outcome> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    let and = if path.ends_with('?') { "" } else { "&" };
    for page in 1..=most {
        let answer = service.get(&format!("{path}{and}per_page={PER_PAGE}&page={page}"), &HEADERS).await?;
        if !answer.status.is_success() {
            return Err(said(&answer));
        }
        let Value::Array(list) = answer.body else {
            return Err(Outcome::NotDone(Failure::new("service_error", "its answer is no list")));
        };
        // Servers give fewer than asked for, and say by the link that there is more.
        let link = answer.headers.get("link").and_then(|link| link.to_str().ok()).unwrap_or_default();
        let last = list.is_empty() || (list.len() < PER_PAGE && !link.contains("rel=\"next\""));
        all.extend(list.iter().map(&shape));
        if last {
            return Ok((all, true));
        }
        bytes += answer.bytes;
        if bytes >= MOST_BYTES {
            break;
        }
    }
    Ok((all, false))
}

fn listed(name: &str, all: Vec<Value>, whole: bool) -> Value {
    json!({name: all, "truncated": !whole})
}

/// `keys` of an object, those that are there.
fn some(found: &Value, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), found.get(key)?.clone()))).collect()
}

fn pull(found: &Value) -> Value {
    let keys = [
        "number",
        "title",
        "state",
        "draft",
        "body",
        "created_at",
        "updated_at",
        "html_url",
        "mergeable",
        "additions",
        "deletions",
        "changed_files",
    ];
    let mut pull = some(found, &keys);
    pull.insert("user".into(), found["user"]["login"].clone());
    for side in ["head", "base"] {
        let end =
            json!({"ref": found[side]["ref"], "sha": found[side]["sha"], "repo": found[side]["repo"]["full_name"]});
        pull.insert(side.into(), end);
    }
    Value::Object(pull)
}

/// A pull request in a list: without the end of a text that is long.
fn brief(found: &Value) -> Value {
    let mut brief = pull(found);
    for key in ["title", "body"] {
        let Some(text) = brief[key].as_str() else { continue };
        if let Some((end, _)) = text.char_indices().nth(LONGEST_LISTED) {
            brief[key] = format!("{}…", &text[..end]).into();
            brief["truncated"] = true.into();
        }
    }
    brief
}

fn file(found: &Value) -> Value {
    let keys = ["filename", "previous_filename", "status", "additions", "deletions", "changes", "patch"];
    Value::Object(some(found, &keys))
}

fn repository(found: &Value) -> Value {
    let keys = ["full_name", "description", "default_branch", "private", "archived", "language", "topics", "html_url"];
    Value::Object(some(found, &keys))
}

fn written(found: &Value) -> Value {
    Value::Object(some(found, &["id", "html_url", "state", "submitted_at", "created_at", "commit_id"]))
}
