//! `taskforge run tree`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use crate::cli::run_arg::RunArg;
use crate::cli::terminal::plain;
use crate::engine::Store;
use crate::failure::Failure;
use crate::registry::Registry;
use crate::run::id::RunId;
use crate::run::state::State;

/// Children nest no deeper than roles allow; this only bounds what is read.
const DEEPEST: usize = 16;

/// Show a run with the runs that its agents gave work to, and theirs
#[derive(Debug, Args)]
pub(crate) struct Tree {
    run: RunArg,
}

impl Tree {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let state = Store::open(&registry, &run)?.load()?;
        let tree = branch(&registry, &state, DEEPEST);
        context.output.result(&tree, || {
            let mut text = String::new();
            draw(&tree, 0, &mut text);
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn branch(registry: &Registry, state: &State, deepest: usize) -> Value {
    let child = |run: &RunId| match Store::open(registry, run).and_then(|store| store.load()) {
        Ok(state) if deepest > 0 => branch(registry, &state, deepest - 1),
        Ok(_) => json!({"run": run, "status": "too deep to be shown", "children": []}),
        Err(error) => json!({"run": run, "status": format!("unreadable: {error}"), "children": []}),
    };
    let children: Vec<Value> = state
        .children
        .iter()
        .map(|made| {
            let mut shown = child(&made.run);
            shown["of"] = json!(format!("{}/{}", made.node, made.attempt));
            shown["role"] = json!(made.role);
            shown["share"] = json!(made.share);
            shown
        })
        .collect();
    json!({"run": state.run, "status": state.status, "title": state.created.title, "children": children})
}

fn draw(tree: &Value, depth: usize, text: &mut String) {
    let word = |key: &str| tree[key].as_str().unwrap_or_default();
    let role = if depth == 0 { String::new() } else { format!(" · {} for {}", word("role"), word("of")) };
    let share =
        tree["share"]["requests"].as_u64().map_or_else(String::new, |requests| format!(" · {requests} requests"));
    let indent = "  ".repeat(depth);
    text.push_str(&format!("{indent}{} {}{role}{share}\n", word("run"), plain(word("status"))));
    tree["children"].as_array().into_iter().flatten().for_each(|child| draw(child, depth + 1, text));
}
