//! A review as text: what is asked, why, by whom, what the policies say, what would be granted, the lock with its
//! digests, how the Dockerfile changes, the digest of it all.

use std::fmt::Write as _;

use super::diff::{Line, diff};
use super::review::Review;
use crate::image::{Bundled, Lock, NpmPin};
use crate::run::deployment::Proposed;
use crate::run::timetable::Scheduled;
use crate::run::visible::{visible, visible_line};

/// Longest line of an agent's reason, and most lines of it; the rest is counted.
const WIDTH: usize = 160;
const LINES: usize = 40;
/// Unchanged lines shown around a change.
const CONTEXT: usize = 2;

pub(super) fn render(review: &Review) -> String {
    let mut text = String::new();
    let request = &review.request;
    let _ = writeln!(text, "Request   {}", request.id);
    let _ = writeln!(text, "Asked     {}", request.capability);
    if let Some(edited) = &review.edited {
        let list: Vec<String> = edited.list.iter().map(ToString::to_string).collect();
        let asked: Vec<String> = edited.asked.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "Edited    {}", list.join(", "));
        let _ = writeln!(text, "          by {}, from {}", visible_line(&edited.by, usize::MAX), asked.join(", "));
    }
    let _ = writeln!(text, "By        {}", visible_line(&review.requested_by, usize::MAX));
    let _ = writeln!(text, "For       run {}, node {}, attempt {}", request.run, request.node, request.attempt);
    let _ = writeln!(text, "Policy    {}", visible_line(&review.policy_view, usize::MAX));
    text.push_str("\nWhy, in the agent's words\n");
    quote(&mut text, &review.reason);
    if !review.effect.is_empty() {
        text.push_str("\nWhat a grant does\n");
        for sentence in &review.effect {
            // Whole: what it warns of stands at its end.
            let _ = writeln!(text, "  {}", visible_line(sentence, usize::MAX));
        }
    }
    if let Some(deployment) = &review.deployment {
        deployed(&mut text, deployment);
    }
    if let Some(schedule) = &review.schedule {
        scheduled(&mut text, schedule);
    }
    text.push_str("\nIn force afterwards\n");
    for grant in &review.grants {
        let _ = writeln!(text, "  {grant}");
    }
    if let Some(lock) = &review.lock {
        packages(&mut text, lock, review.lock_before.as_ref());
    }
    if !review.dockerfile.is_empty() {
        dockerfile(&mut text, review.dockerfile_before.as_deref().unwrap_or_default(), &review.dockerfile);
    }
    if let Some(recipe) = &review.recipe {
        let _ = writeln!(text, "\nImage     taskforge/agent:{}", recipe.short());
    }
    let _ = writeln!(text, "\nReview    {}", review.digest());
    text
}

/// All that would run. Words of the command stand a line each: none passes for another.
fn deployed(text: &mut String, deployment: &Proposed) {
    let folder = visible_line(&deployment.folder, usize::MAX);
    let bytes: u64 = deployment.files.iter().map(|file| file.bytes).sum();
    let _ = writeln!(text, "\nDeployment");
    let _ = writeln!(text, "  image   {}", visible_line(&deployment.image, usize::MAX));
    let _ = writeln!(text, "  port    {}", deployment.port);
    let _ = writeln!(text, "  folder  {folder}");
    for (place, word) in deployment.command.iter().enumerate() {
        // As long as it is: what is cut off would be run all the same.
        let _ = writeln!(
            text,
            "  {}  {:?}",
            if place == 0 { "command" } else { "       " },
            visible_line(word, usize::MAX)
        );
    }
    let _ = writeln!(text, "\nFiles: {} of {bytes} bytes, set {}", deployment.files.len(), deployment.set);
    for file in &deployment.files {
        let path = visible_line(&file.path, usize::MAX);
        let _ = writeln!(text, "  {:04o}  {:>10}  sha256:{}  {path}", file.mode(), file.bytes, file.sha256);
    }
}

/// All that would be said, and when: every line of it, as long as it is.
fn scheduled(text: &mut String, schedule: &Scheduled) {
    let _ = writeln!(text, "\nSchedule");
    let _ = writeln!(text, "  agent  {}", schedule.agent);
    let _ = writeln!(text, "  when   {}", visible_line(&schedule.when, usize::MAX));
    for (place, time) in schedule.next.iter().enumerate() {
        let label = if place == 0 { "next" } else { "" };
        let _ = writeln!(text, "  {label:4}   {}", time.format("%Y-%m-%d %H:%M UTC, %A"));
    }
    let _ = writeln!(text, "  task");
    for line in schedule.task.lines() {
        let _ = writeln!(text, "  | {}", visible_line(line, usize::MAX));
    }
}

/// Every line behind a bar, so that no text of an agent passes for a section of ours.
fn quote(text: &mut String, words: &str) {
    let words = visible(words);
    if words.trim().is_empty() {
        text.push_str("  (no reason given)\n");
        return;
    }
    for line in words.lines().take(LINES) {
        let _ = writeln!(text, "  | {}", visible_line(line, WIDTH));
    }
    let more = words.lines().count().saturating_sub(LINES);
    if more > 0 {
        let _ = writeln!(text, "  ({more} more lines)");
    }
}

fn packages(text: &mut String, lock: &Lock, before: Option<&Lock>) {
    let within = match lock.bundled().count() {
        0 => String::new(),
        inner => format!(", and {inner} within others' archives"),
    };
    let _ = writeln!(text, "\nPackages of the image: {}{within} (+ new, ~ changed)", lock.len());
    let mut rows = Vec::new();
    let mut removed = Vec::new();
    for pin in lock.apt() {
        let old = before.and_then(|b| b.apt().iter().find(|o| o.name == pin.name && o.arch == pin.arch));
        let sum = format!("sha256:{}", pin.sha256);
        let host = host(pin.url.as_deref());
        rows.push((mark(old, pin), "apt", pin.name.clone(), &pin.version, sum, host, Vec::new()));
    }
    for pin in lock.pip() {
        let old = before.and_then(|b| b.pip().iter().find(|o| o.name == pin.name));
        let sum = format!("sha256:{}", pin.sha256);
        let host = host(pin.url.as_deref());
        rows.push((mark(old, pin), "pip", pin.name.clone(), &pin.version, sum, host, Vec::new()));
    }
    for pin in lock.npm() {
        let old = before.and_then(|b| b.npm().iter().find(|o| o.location == pin.location));
        let sum = format!("sha512:{}", pin.sha512.as_str());
        let (host, more) = (host(pin.url.as_deref()), brought(pin));
        rows.push((mark(old, pin), "npm", place(&pin.location, &pin.name), &pin.version, sum, host, more));
    }
    if let Some(before) = before {
        let gone = before.apt().iter().filter(|o| !lock.apt().iter().any(|n| n.name == o.name && n.arch == o.arch));
        removed.extend(gone.map(|o| ("apt", o.name.clone(), &o.version)));
        let gone = before.pip().iter().filter(|o| !lock.pip().iter().any(|n| n.name == o.name));
        removed.extend(gone.map(|o| ("pip", o.name.clone(), &o.version)));
        let gone = before.npm().iter().filter(|o| !lock.npm().iter().any(|n| n.location == o.location));
        removed.extend(gone.map(|o| ("npm", place(&o.location, &o.name), &o.version)));
    }
    let names = rows.iter().map(|r| r.2.len()).max().unwrap_or(0);
    let versions = rows.iter().map(|r| r.3.len()).max().unwrap_or(0);
    for (mark, kind, name, version, sum, host, more) in rows {
        let _ = writeln!(text, "{mark} {kind} {name:names$}  {version:versions$}  {sum}  {host}");
        for line in more {
            let _ = writeln!(text, "{mark}       {line}");
        }
    }
    for (kind, name, version) in removed {
        let _ = writeln!(text, "- {kind} {name}  {version}");
    }
}

/// `a/node_modules/b` where one package has its own `b`; what lies there, if its name is another.
fn place(location: &str, name: &str) -> String {
    let place = location.strip_prefix("node_modules/").unwrap_or(location);
    match place.rsplit("node_modules/").next() == Some(name) {
        true => place.to_owned(),
        false => format!("{place} = {name}"),
    }
}

/// What else a package of npm puts into the image: others within its archive, and commands.
fn brought(pin: &NpmPin) -> Vec<String> {
    let inner = |inner: &Bundled| format!("holds {} {}", place(&inner.location, &inner.name), inner.version);
    let unlisted = pin.bundles && pin.bundled.is_empty();
    let unlisted = unlisted.then(|| "holds packages of its own, which an earlier version did not list".to_owned());
    // `/usr/local/bin` comes first where programs are looked for.
    let command = |(name, file): (&String, &String)| {
        format!("command {name} ({file}), in /usr/local/bin: before another of that name")
    };
    pin.bundled.iter().map(inner).chain(unlisted).chain(pin.bin.iter().map(command)).collect()
}

fn mark<T: PartialEq>(old: Option<&T>, new: &T) -> char {
    match old {
        None => '+',
        Some(old) if old == new => ' ',
        Some(_) => '~',
    }
}

fn host(url: Option<&str>) -> &str {
    url.and_then(|u| u.split('/').nth(2)).unwrap_or("(no address)")
}

fn dockerfile(text: &mut String, before: &str, after: &str) {
    text.push_str("\nDockerfile\n");
    let lines = diff(before, after);
    let changed = |i: usize| lines.get(i).is_some_and(|l| !matches!(l, Line::Same(_)));
    let mut skipping = false;
    for (i, line) in lines.iter().enumerate() {
        let near = (i.saturating_sub(CONTEXT)..=i + CONTEXT).any(changed);
        if !near {
            if !skipping {
                text.push_str("  …\n");
            }
            skipping = true;
            continue;
        }
        skipping = false;
        let (mark, line) = match line {
            Line::Same(line) => (' ', line),
            Line::Added(line) => ('+', line),
            Line::Removed(line) => ('-', line),
        };
        let _ = writeln!(text, "{mark} {}", visible(line));
    }
}
