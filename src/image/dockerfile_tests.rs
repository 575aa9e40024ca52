#![allow(clippy::unwrap_used)]

use super::super::lock::tests::{apt, pip};
use super::*;
use crate::container::ImageRef;
use crate::run::id::Digest;

fn recipe(lock: Lock) -> Recipe {
    Recipe::new(ImageRef::parse("taskforge/base:default").unwrap(), vec![Digest::of(b"layer")], lock)
}

fn both() -> Recipe {
    recipe(Lock::new(vec![pip("pygal", "3.1.3")], vec![apt("jq", "1:1.6-2")]).unwrap())
}

#[test]
fn one_command_an_ecosystem_in_exec_form() {
    let recipe = both();
    let text = recipe.dockerfile();
    let runs: Vec<_> = text.lines().filter(|l| l.starts_with("RUN ")).collect();
    assert_eq!(runs.len(), recipe.steps().len());
    for (run, step) in runs.iter().zip(recipe.steps()) {
        let (_, argv) = run.split_once(" [").unwrap();
        let argv: Vec<String> = serde_json::from_str(&format!("[{argv}")).unwrap();
        assert_eq!(argv, step.argv);
    }
    assert!(text.ends_with("USER 65534:65534\n"));
    assert!(text.contains("jq 1:1.6-2 amd64 sha256:") && text.contains("pygal==3.1.3 --hash=sha256:"));
    assert!(runs[0].contains("\"/mnt/apt/jq_1%3a1.6-2_amd64.deb\""));
}

#[test]
fn no_lock_no_steps() {
    let recipe = recipe(Lock::default());
    assert!(recipe.steps().is_empty());
    assert!(!recipe.dockerfile().contains("RUN"));
}

#[test]
fn the_identity_covers_base_and_lock_but_not_the_name() {
    let one = both();
    let lock = one.lock().clone();
    let name = ImageRef::parse("other/name:1").unwrap();
    let renamed = Recipe::new(name, one.base().to_vec(), lock.clone());
    assert_eq!(one.identity(), renamed.identity());
    let other_base = Recipe::new(one.from().clone(), vec![Digest::of(b"other")], lock);
    assert_ne!(one.identity(), other_base.identity());
    assert_ne!(one.identity(), recipe(Lock::default()).identity());
}

#[test]
fn a_recipe_reads_back() {
    let one = both();
    assert_eq!(Recipe::parse(&one.to_bytes()).unwrap(), one);
    let text = String::from_utf8(one.to_bytes()).unwrap();
    assert!(Recipe::parse(text.replace("\"template\": 1", "\"template\": 99").as_bytes()).is_err());
    assert!(Recipe::parse(text.replace("taskforge/base:default", "a b").as_bytes()).is_err());
    assert!(Recipe::parse(text.replace("taskforge/base:default", "-v").as_bytes()).is_err());
}
