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
