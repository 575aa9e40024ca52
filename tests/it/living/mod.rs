//! One registry for OpenTask's programs and for ours: theirs is opened and taken on, ours is read by readers as strict as
//! theirs, and neither loses what the other acknowledged.

mod made;
mod read;
mod together;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::model_server::repository;
use crate::python::environment;
use crate::scene::Scene;

/// The Python that has what OpenTask's models are made with.
fn python() -> Command {
    Command::new(environment("taskforge-pydantic", "PYDANTIC_VERSION", "ensure_pydantic").join("bin/python"))
}

fn script(name: &str) -> std::path::PathBuf {
    repository("tests/it/living").join(name)
}

/// A registry of OpenTask's own kind with this run of theirs in it.
fn theirs(run: &str) -> Scene {
    let scene = Scene::empty();
    scene.write("workflows/.keep", "");
    copy(&repository("tests/it/living/fixtures").join(run), &scene.path(&format!("runs/{run}")));
    scene
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)
        } else {
            let _ = fs::copy(entry.path(), to).unwrap();
        }
    }
}
