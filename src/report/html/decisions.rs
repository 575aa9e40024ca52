//! What was asked for, by whom, and who decided it on what.

use crate::report::markup::Html;
use crate::report::model::{Report, Standing};
use crate::report::words::{count, cut, moment};
use crate::run::event::DecisionRecord;
use crate::run::id::{Digest, RequestId};
use crate::run::state::{Request, RequestStatus, State};
use crate::run::time::parse_time;

use super::{LINE, digest, left_out, part as section};

/// The most requests that are shown.
const MOST: usize = 200;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let requests = &report.state().requests;
    if requests.is_empty() && report.approvals.is_empty() {
        return;
    }
    section(html, "decisions", "Requests and decisions", |html| {
        for request in requests.iter().take(MOST) {
            html.tag("article", &[("class", &"card")], |html| one(html, report.state(), request));
        }
        if requests.len() > MOST {
            left_out(html, &format!("{} more requests are left out.", count((requests.len() - MOST) as u64)));
        }
        for approval in report.approvals.iter().take(MOST) {
            let definition = &report.state().created.nodes[approval.node];
            html.tag("article", &[("class", &"card")], |html| {
                html.tag("h3", &[], |html| {
                    html.leaf("span", &[("class", &"title")], cut(&definition.title, LINE));
                    let class = format!("badge r-{}", approval.standing.word());
                    let word = match approval.standing {
                        Standing::Waits(_) => said(RequestStatus::Pending),
                        _ => approval.standing.word(),
                    };
                    html.leaf("span", &[("class", &class)], word);
                });
                html.tag("dl", &[], |html| {
                    fact(html, "Node", |html| html.leaf("code", &[], &definition.id));
                    fact(html, "Id", |html| html.leaf("code", &[], &approval.id));
                    match &approval.standing {
                        Standing::Waits(shown) => waits(html, &approval.id, shown.as_ref()),
                        Standing::Approved(record) => decision(html, record, "approved"),
                        Standing::Denied(why) => {
                            fact(html, "Decision", |html| html.leaf("span", &[("class", &"remark")], cut(why, LINE)));
                        }
                    }
                });
            });
        }
    });
}

fn fact(html: &mut Html, name: &str, value: impl FnOnce(&mut Html)) {
    html.tag("div", &[], |html| {
        html.leaf("dt", &[], name);
        html.tag("dd", &[], value);
    });
}

/// What decides it, and the digest that this has to name.
fn waits(html: &mut Html, id: &RequestId, shown: Option<&Digest>) {
    fact(html, "Decided with", |html| {
        html.leaf("code", &[("class", &"command")], format!("taskforge approve {id}"));
    });
    if let Some(shown) = shown {
        fact(html, "On what is shown", |html| digest(html, shown));
    }
}

fn one(html: &mut Html, state: &State, request: &Request) {
    html.tag("h3", &[], |html| {
        html.leaf("code", &[], &request.capability);
        html.text(" ");
        let class = format!("badge r-{}", request.status.as_str());
        html.leaf("span", &[("class", &class)], said(request.status));
    });
    if !request.reason.is_empty() {
        html.leaf("blockquote", &[], cut(&request.reason, LINE));
    }
    html.tag("dl", &[], |html| {
        fact(html, "Asked by", |html| match request.attempt {
            0 => html.text(format!("the workflow, for node {}", request.node)),
            attempt => {
                html.leaf("code", &[], &request.node);
                html.text(format!(" attempt {attempt}"));
                if request.askers.len() > 1 {
                    html.text(format!(" and {} more", request.askers.len() - 1));
                }
            }
        });
        fact(html, "Asked at", |html| html.text(moment(request.at)));
        fact(html, "Id", |html| html.leaf("code", &[], &request.id));
        if !request.problem.is_empty() {
            fact(html, "Problem", |html| html.leaf("span", &[("class", &"remark")], cut(&request.problem, LINE)));
        }
        if let Some(resolution) = &request.resolution {
            fact(html, "Lock", |html| digest(html, &resolution.lock_digest));
        }
        if let Some(review) = request.review() {
            if request.status == RequestStatus::Pending {
                waits(html, &request.id, Some(review));
            } else {
                fact(html, "Review", |html| digest(html, review));
            }
        }
        if let Some(record) = &request.decision {
            let word = match request.status {
                RequestStatus::Denied => "denied",
                RequestStatus::Superseded => "superseded",
                _ => "approved",
            };
            decision(html, record, word);
        }
        if let Some(proposed) = request.presented.as_ref().and_then(|presented| presented.deployment.as_ref()) {
            fact(html, "Command", |html| html.leaf("code", &[], cut(&proposed.command.join(" "), LINE)));
            fact(html, "Files", |html| {
                html.text(format!("{} of {}, ", proposed.files.len(), cut(&proposed.folder, 200)));
                digest(html, &proposed.set);
            });
        }
        if let Some(deployment) = state.deployment(&request.id) {
            let word = state.standing(deployment).as_str();
            fact(html, "Deployed", |html| html.text(format!("at 127.0.0.1:{}, {word}", deployment.port)));
        }
        if let Some(image) = &request.image {
            fact(html, "Image", |html| html.leaf("code", &[("class", &"digest")], image));
        }
    });
}

const fn said(status: RequestStatus) -> &'static str {
    match status {
        RequestStatus::Applied => "approved and in force",
        RequestStatus::Pending => "waits for a decision",
        RequestStatus::Requested => "being resolved",
        RequestStatus::Approved => "approved, not in force yet",
        RequestStatus::Revoked => "approved, and revoked",
        RequestStatus::Expired => "expired",
        other => other.as_str(),
    }
}

fn decision(html: &mut Html, record: &DecisionRecord, verdict: &str) {
    fact(html, "Decision", |html| {
        html.text(format!("{verdict} by "));
        html.leaf("strong", &[], cut(&record.by, 200));
        let at = parse_time(&record.at).map_or_else(|| cut(&record.at, 60), moment);
        if !at.is_empty() {
            html.text(format!(", {at}"));
        }
        html.text(if record.proven { ", proven by a signature" } else { ", not signed" });
    });
    if !record.comment.is_empty() {
        fact(html, "Comment", |html| html.leaf("span", &[("class", &"remark")], cut(&record.comment, LINE)));
    }
    fact(html, "What was shown", |html| digest(html, &record.digest));
    fact(html, "Decision's file", |html| digest(html, &record.file));
}
