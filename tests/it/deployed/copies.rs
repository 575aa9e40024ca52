//! The copies of files that were proposed: how many of one node may wait, and that none stays that will never be run.

use super::stage::{RUN, stage};
use crate::scene::{Scene, text};

/// The requests whose copied files are there.
fn copies(scene: &Scene) -> Vec<String> {
    let entries = std::fs::read_dir(scene.path(&format!("runs/{RUN}/deployments"))).into_iter().flatten().flatten();
    let with_files = entries.filter(|entry| entry.path().join("files").exists());
    let mut ids: Vec<String> = with_files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    ids.sort();
    ids
}

fn waiting(scene: &Scene) -> Vec<String> {
    let mut ids: Vec<String> = scene.waiting(RUN).iter().map(|item| text(&item["id"])).collect();
    ids.sort();
    ids
}

#[test]
fn a_node_leaves_few_and_none_outlives_a_refusal() {
    let scene = stage(
        "for n in range(6):\n    put(f'd{n}/index.html', str(n))\n    deploy(8000 + n, SERVE, f'd{n}')\nsys.exit(75)",
    );
    scene.start("deployed", RUN);
    scene.drive(RUN, 11);
    let requests = scene.show(RUN)["requests"].as_array().unwrap().clone();
    let refused: Vec<_> = requests.iter().filter(|request| request["status"] == "unresolvable").collect();
    assert_eq!((requests.len(), refused.len()), (6, 2), "{requests:#?}");
    for request in refused {
        let problem = text(&request["problem"]);
        assert!(problem.starts_with("4 proposals of node web wait for a decision already: "), "{problem}");
    }
    let all = waiting(&scene);
    assert_eq!((all.len(), &copies(&scene)), (4, &all));

    let item = scene.waiting(RUN)[0].clone();
    let (id, digest) = (text(&item["id"]), text(&item["digest"]));
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "not this one"]).ok();
    let left = waiting(&scene);
    assert_eq!((left.len(), &copies(&scene)), (3, &left));
    let presented = scene.events(RUN, "capability.presented");
    let shown = presented.iter().find(|event| event["data"]["id"] == id.as_str()).unwrap();
    assert_eq!(shown["data"]["presented"]["deployment"]["files"][0]["path"], "index.html", "the list stays");

    scene.tf(&["run", "cancel", RUN]).ok();
    assert_eq!(copies(&scene), Vec::<String>::new());
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound(RUN);
}
