//! `taskforge reference`: the command line as a document and as man pages, made from the definitions themselves. Hidden,
//! because it is for whoever packages or documents the program.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _};

use crate::failure::Failure;

use super::failure_from::io;
use super::root::{Context, Root};

/// How wide help texts are in the document, in columns.
const WIDTH: usize = 100;

/// Print the reference of the command line as Markdown, or write man pages
#[derive(Debug, Args)]
pub(crate) struct Reference {
    /// Write man pages into this folder instead
    #[arg(long, value_name = "DIR")]
    man: Option<PathBuf>,
}

impl Reference {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let root = Root::command().term_width(WIDTH);
        match self.man {
            Some(folder) => {
                std::fs::create_dir_all(&folder).map_err(|error| io("create", &folder, &error))?;
                // Makes the parts that man pages refer to each other by.
                clap_mangen::generate_to(root, &folder).map_err(|error| io("write to", &folder, &error))?;
            }
            None => {
                let text = markdown(root);
                context.output.result(&serde_json::json!({"markdown": text}), || text.clone())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn markdown(mut root: Command) -> String {
    root.build();
    let mut text = String::from(
        "# Command line\n\nMade by `taskforge reference > docs/cli.md`; a test compares. What the numbers mean that \
         commands exit with: [exit codes](exit-codes.md).\n",
    );
    section(&mut root, &mut text);
    text
}

fn section(command: &mut Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n"));
    // Its verbs are not clap's.
    if command.get_name() == "helper" {
        for (name, help) in super::helper::reference() {
            let _ = write!(text, "\n### `{name}`\n\n```text\n{}\n```\n", help.trim_end());
        }
    }
    let shown = command.get_subcommands_mut().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    for sub in shown {
        section(sub, text);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The words of a line as a shell takes them, as far as examples need it.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], None);
        for c in line.chars() {
            match c {
                '"' | '\'' if quoted.is_none() => quoted = Some(c),
                _ if quoted == Some(c) => quoted = None,
                ' ' if quoted.is_none() => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    fn check(above: &str, command: &Command, checked: &mut usize) {
        let path = format!("{above} {}", command.get_name());
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
            if sub.has_subcommands() {
                check(&path, sub, checked);
                continue;
            }
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            let verb = format!("{path} {}", sub.get_name());
            let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            assert!(help.starts_with("Example") && !examples.is_empty(), "{verb} has no example");
            for example in examples {
                assert!(example.starts_with(&verb), "{verb}: {example}");
                let parsed = Root::command().try_get_matches_from(words(example));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
                *checked += 1;
            }
        }
    }

    #[test]
    fn each_verb_of_hired_agents_shows_an_example_that_is_understood() {
        let (root, mut checked) = (Root::command(), 0);
        for family in ["role", "agent", "memory", "secret", "watch", "action"] {
            check("taskforge", root.find_subcommand(family).unwrap(), &mut checked);
        }
        assert!(checked > 30, "{checked}");
    }
}
