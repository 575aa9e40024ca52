//! Usage lines, help and complaints in the form in which `argparse` writes them, so that whoever reads those of OpenTask's
//! helper reads ours.

use std::fmt::Write as _;

use super::grammar::{Verb, set};
use super::verbs::{REGISTRY_ROOT, VERBS};

const PROGRAM: &str = "taskforge helper";
/// Columns of a line: a terminal's 80 less the two that `argparse` leaves.
const WIDTH: usize = 78;
const ABOUT: &str = "What an OpenClaw session does with a run: plain arguments in, JSON out. A verb exits with 0 when it is \
                     done, with 1 and a sentence when not, and with 2 for arguments it does not understand.";
/// Where explanations begin.
const COLUMN: usize = 24;

/// What is wrong, below the usage.
pub(super) fn wrong(verb: Option<&Verb>, message: &str) -> String {
    match verb {
        None => format!("{}{PROGRAM}: error: {message}\n", usage(None)),
        Some(verb) => format!("{}{PROGRAM} {}: error: {message}\n", usage(Some(verb)), verb.name),
    }
}

/// `taskforge helper --help`.
pub(super) fn help() -> String {
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let mut text = usage(None);
    let _ = write!(text, "\n{}", wrap(ABOUT.split_whitespace(), 0, WIDTH));
    let _ = write!(text, "\npositional arguments:\n  {}\n", set(&names));
    for verb in VERBS {
        entry(&mut text, 4, verb.name, verb.about);
    }
    text.push_str("\noptions:\n");
    entry(&mut text, 2, "-h, --help", "show this help message and exit");
    entry(&mut text, 2, &REGISTRY_ROOT.shown(), REGISTRY_ROOT.help);
    text
}

/// `taskforge helper VERB --help`.
pub(super) fn verb_help(verb: &Verb) -> String {
    let mut text = usage(Some(verb));
    let _ = write!(text, "\n{}", wrap(verb.about.split_whitespace(), 0, WIDTH));
    if !verb.positionals.is_empty() {
        text.push_str("\npositional arguments:\n");
        for positional in verb.positionals {
            entry(&mut text, 2, &positional.shown(), positional.help);
        }
    }
    text.push_str("\noptions:\n");
    entry(&mut text, 2, "-h, --help", "show this help message and exit");
    for flag in verb.flags.iter().chain([&REGISTRY_ROOT]) {
        entry(&mut text, 2, &flag.shown(), flag.help);
    }
    text
}

fn usage(verb: Option<&Verb>) -> String {
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let Some(verb) = verb else {
        let options = ["[-h]".to_owned(), format!("[{}]", REGISTRY_ROOT.shown())];
        return lines(PROGRAM, &options, &[set(&names), "...".to_owned()]);
    };
    let mut options = vec!["[-h]".to_owned()];
    for flag in verb.flags {
        match flag.shown() {
            // Two words that a line may end between, as `argparse` has it.
            shown if flag.required => options.extend(shown.split(' ').map(str::to_owned)),
            shown => options.push(format!("[{shown}]")),
        }
    }
    let positionals: Vec<String> = verb.positionals.iter().map(super::grammar::Positional::shown).collect();
    lines(&format!("{PROGRAM} {}", verb.name), &options, &positionals)
}

/// The usage on one line, or the options and then the positionals on lines of their own, below each other.
fn lines(program: &str, options: &[String], positionals: &[String]) -> String {
    let whole = format!("usage: {program} {}", [options, positionals].concat().join(" "));
    if whole.trim_end().chars().count() <= WIDTH {
        return whole.trim_end().to_owned() + "\n";
    }
    let indent = "usage: ".len() + program.len() + 1;
    let mut text = format!("usage: {program} ");
    text.push_str(wrap(options.iter().map(String::as_str), indent, WIDTH).trim_start());
    text.push_str(&wrap(positionals.iter().map(String::as_str), indent, WIDTH));
    text
}

/// Words on lines of at most `width` columns that begin at `indent`.
fn wrap<'a>(words: impl Iterator<Item = &'a str>, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in words {
        let length = word.chars().count();
        if column > 0 && column + 1 + length <= width {
            text.push(' ');
            column += 1 + length;
        } else {
            if column > 0 {
                text.push('\n');
            }
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent + length;
        }
        text.push_str(word);
    }
    if column > 0 {
        text.push('\n');
    }
    text
}

fn entry(text: &mut String, indent: usize, name: &str, help: &str) {
    let _ = write!(text, "{:indent$}{name}", "");
    let end = indent + name.chars().count();
    let help = wrap(help.split_whitespace(), COLUMN, WIDTH);
    if help.is_empty() {
        text.push('\n');
    } else if end + 2 <= COLUMN {
        text.push_str(&help[end..]);
    } else {
        text.push('\n');
        text.push_str(&help);
    }
}

/// A text in quotes, as Python's `repr` writes it.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c < ' ' || ('\u{7f}'..='\u{a0}').contains(&c) || c == '\u{ad}' => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            // Marks that reorder text, separators and the like, which Python does not print either.
            c if c.escape_debug().len() > 1 && !matches!(c, '\'' | '"') => {
                let _ = match u32::from(c) {
                    code @ 0..=0xffff => write!(quoted, "\\u{code:04x}"),
                    code => write!(quoted, "\\U{code:08x}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}
