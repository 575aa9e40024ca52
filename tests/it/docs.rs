//! Documents that state what the code states must state the same.

use std::fs;

use taskforge::failure::Kind;
use taskforge::run::capability::CapabilityKind;

use crate::model_server::repository;

fn document(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

#[test]
fn every_dependency_is_explained_and_nothing_else() {
    let manifest: toml::Table = document("Cargo.toml").parse().unwrap();
    let mut wanted: Vec<String> = ["dependencies", "dev-dependencies"]
        .iter()
        .flat_map(|section| manifest[*section].as_table().unwrap().keys().cloned())
        .collect();
    let text = document("docs/dependencies.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut explained: Vec<String> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    wanted.sort();
    explained.sort();
    assert_eq!(explained, wanted);
}

#[test]
fn every_exit_code_is_documented() {
    use Kind::{Conflict, Failed, Integrity, Killed, Locked, NotFound, Refused, Stale, Unavailable, Usage, Waiting};
    let text = document("docs/exit-codes.md");
    let table = text.split("## An agent's container").next().unwrap();
    let kinds = [Failed, Usage, NotFound, Refused, Locked, Stale, Conflict, Integrity, Unavailable, Killed, Waiting];
    for kind in kinds {
        let row = format!("| {} | `{}` |", kind.exit_code(), kind.code());
        assert!(table.contains(&row), "docs/exit-codes.md lacks a row {row}");
    }
    // `0` stands there as well; a kind that is new has to be added to both.
    assert_eq!(table.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).count(), 12);
}

#[test]
fn the_reference_is_that_of_the_command_line() {
    let made = assert_cmd::Command::cargo_bin("taskforge").unwrap().arg("reference").assert().success();
    let made = String::from_utf8(made.get_output().stdout.clone()).unwrap();
    assert!(made == document("docs/cli.md"), "run `taskforge reference > docs/cli.md`");
}

/// A threat whose test has been moved away is a threat without one.
#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let text = document("docs/threat-model.md");
    let rows = text.split("| threat | control | test |").nth(1).unwrap();
    let rows: Vec<&str> = rows.lines().skip(2).take_while(|line| line.starts_with("| ")).collect();
    assert!(rows.len() >= 20, "{}", rows.len());
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(tests.starts_with('`'), "{row}");
        for test in tests.split(", ") {
            let path = repository("tests").join(test.trim_matches('`'));
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let has = ["#[test]", "#[tokio::test(", "attack("].iter().any(|mark| text.contains(mark));
            assert!(has, "{test} tests nothing");
        }
    }
}

/// Every kind has a page, and tests for before, granted and taken back that are there by name.
#[test]
fn every_kind_of_capability_has_a_page_and_its_tests() {
    let text = document("docs/capabilities.md");
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| [`")?.split('`').next()).collect();
    for kind in CapabilityKind::ALL.map(CapabilityKind::as_str) {
        assert!(kinds.contains(&kind), "docs/capabilities.md has no row for {kind}");
    }
    let rows = text.split_once("| kind | before | granted | taken back |").unwrap().1;
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect();
    for kind in kinds {
        assert!(document(&format!("docs/capabilities/{kind}.md")).starts_with(&format!("# `{kind}`")));
        let row = rows.iter().find(|row| row[0] == format!("`{kind}`"));
        let row = row.unwrap_or_else(|| panic!("{kind} has no tests"));
        assert_eq!(row.len(), 4, "{row:?}");
        assert_ne!(row[1], "the same", "{row:?}");
        for test in row[1..].iter().filter(|test| **test != "the same") {
            let (file, name) = test.trim_matches('`').split_once("::").unwrap();
            let source = document(&format!("tests/it/{file}"));
            assert!(source.contains(&format!("#[test]\nfn {name}() {{")), "{test} is not there");
        }
    }
}

#[test]
fn the_version_is_one_whoever_answers() {
    let version = |arguments: &[&str]| {
        let done = assert_cmd::Command::cargo_bin("taskforge").unwrap().args(arguments).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    assert_eq!(version(&["--version"]), concat!("taskforge ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(version(&["--version"]), version(&["--json", "--version"]));
}

#[test]
fn man_pages_are_made_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::Command::cargo_bin("taskforge").unwrap();
    command.args(["reference", "--man"]).arg(folder.path()).assert().success();
    for page in ["taskforge.1", "taskforge-run-start.1", "taskforge-approve.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}

#[test]
fn every_event_is_documented_and_nothing_else() {
    let source = document("src/run/event.rs");
    let list = source.split_once("const NAMES: &[&str] = &[").unwrap().1.split_once("];").unwrap().0;
    let mut known: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    let text = document("docs/registry-format.md");
    let section = text.split_once("### Events\n").unwrap().1.split_once("\n## ").unwrap().0;
    let mut told: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    known.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, known);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let designs = fs::read_dir(repository("docs/design")).unwrap().map(|entry| entry.unwrap().path());
    let documents = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let kinds = fs::read_dir(repository("docs/capabilities")).unwrap().map(|entry| entry.unwrap().path());
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].iter().map(|page| repository(page));
    for page in pages.chain(documents).chain(designs).chain(kinds) {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if !target.starts_with("http") && !target.is_empty() {
                assert!(page.parent().unwrap().join(target).exists(), "{}: {target}", page.display());
            }
        }
    }
}
