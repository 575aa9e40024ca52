//! JSON Schemas of the files of a registry, made from the types that read and write them. Only tests build this: the
//! binary carries none of it, and `docs/schemas/` is compared with what it makes.
#![allow(clippy::unwrap_used)]

/// What a parser that reads a tree takes, as types that only their schema reads.
macro_rules! read {
    ($(struct $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {
        $(#[derive(JsonSchema)]
        #[schemars(rename_all = "camelCase")]
        #[allow(dead_code)] // read by its schema only
        struct $name { $($(#[$attribute])* $field: $type,)* })*
    };
}

mod files;
mod frontmatter;
mod journal;
mod names;
mod projections;
mod role;
mod shape;
mod tests;
mod traffic;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

pub(crate) use names::{Size, Span};

/// A file's schema: the name that it has under `docs/schemas/` before `.schema.json`, and the schema.
type Named = (&'static str, Value);

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// The schema of a file that is one `T`.
fn of<T: JsonSchema>() -> Value {
    generator().into_root_schema_for::<T>().to_value()
}

/// Every schema that is committed.
fn all() -> Vec<Named> {
    let mut all = files::all();
    all.extend(projections::all());
    all.push(("events.jsonl", journal::line()));
    all.push(("agent-events.jsonl", journal::agent_line()));
    all.push(("role.md", role::schema()));
    all.push(("traffic.jsonl", traffic::line()));
    all.push(("task.md", frontmatter::schema()));
    for (name, schema) in &mut all {
        shape::close(schema);
        shape::order(schema);
        let object = schema.as_object_mut().unwrap();
        object.insert("$id".to_owned(), json!(format!("urn:taskforge:registry-format:1:{name}")));
        object.insert("title".to_owned(), json!(title(name)));
    }
    all.sort_by_key(|(name, _)| *name);
    all
}

fn title(name: &str) -> String {
    match name {
        "task.md" => "the frontmatter of workflows/*.task.md, as data".to_owned(),
        "role.md" => "the frontmatter of roles/*.role.md, as data".to_owned(),
        "agent-events.jsonl" => "one line of agents/*/events.jsonl".to_owned(),
        "taskforge.toml" => "taskforge.toml, as data".to_owned(),
        name if name.ends_with(".jsonl") => format!("one line of {name}"),
        name => name.to_owned(),
    }
}
