//! Twenty-one ports for twenty-two deployments, given by rules, with two ticks at work at once.

use std::collections::BTreeSet;
use std::net::TcpListener;

use super::stage::{PRELUDE, Ports, deployments, get};
use crate::scene::{Scene, text};

const RUNS: [&str; 2] = ["r1", "r2"];

#[test]
fn twenty_one_at_once_have_twenty_one_ports_and_the_next_is_told_whose_they_are() {
    let _ports = Ports::take();
    for port in 9100..=9120 {
        assert!(
            TcpListener::bind(("127.0.0.1", port)).is_ok(),
            "this machine uses port {port}: the test needs all of them"
        );
    }
    let scene = Scene::new();
    scene.write("policies/ports.yaml", "format: 1\nrules:\n- {effect: allow, kind: port, name: '80*', because: try}\n");
    scene.tf(&["policy", "explain", "port:8000"]).ok().says("allow").says("ports.yaml:3");
    let script = format!(
        "{PRELUDE}\nput('a', 'x')\nc = [deploy(8000 + n, ['python3', '-m', 'http.server', str(8000 + n)])[0] for n in range(11)]\n\
         print(sorted(set(c)), flush=True)\nsys.exit(75 if 75 in c else 0)"
    );
    let container = format!("command: {}\nresources: {{memory: 64MiB}}", serde_json::json!(["python3", "-c", script]));
    scene.commands("deployed", &[("web", &container, &[])]);
    RUNS.iter().for_each(|run| drop(scene.start("deployed", run)));
    let over = |run: &str| matches!(scene.show(run)["status"].as_str(), Some("completed" | "failed"));
    std::thread::scope(|scope| {
        for run in RUNS {
            let scene = &scene;
            scope.spawn(move || {
                scene.tick_until(run, |_| over(run) && deployments(scene).iter().all(|row| row["status"] == "running"));
            });
        }
    });
    let rows = deployments(&scene);
    let addresses: BTreeSet<String> = rows.iter().map(|row| text(&row["address"])).collect();
    let expected: BTreeSet<String> = (9100..=9120).map(|port| format!("127.0.0.1:{port}")).collect();
    assert_eq!((rows.len(), addresses), (21, expected));
    assert!(rows.iter().all(|row| row["status"] == "running"));

    let requests = RUNS.map(|run| scene.show(run)["requests"].as_array().unwrap().clone()).concat();
    let without: Vec<_> = requests.iter().filter(|request| request["status"] != "applied").collect();
    assert_eq!(without.len(), 1, "{without:#?}");
    let problem = text(&without[0]["problem"]);
    assert!(problem.starts_with("no port of 127.0.0.1:9100-9120 is free"), "{problem}");
    for row in &rows {
        let port = text(&row["address"]).replace("127.0.0.1:", "");
        let name = format!("{port} is {}/web ({})", text(&row["run"]), text(&row["id"]));
        assert!(problem.contains(&name), "{name}: {problem}");
    }
    assert!(get(&text(&rows[20]["address"]), "/a").unwrap().ends_with('x'));
    // The first that is given back is the next one's.
    let (third, address) = (text(&rows[2]["id"]), text(&rows[2]["address"]));
    scene.tf(&["capability", "revoke", &third, "--reason", "to make room"]).ok().says(&format!("{address} is free"));
    assert!(get(&address, "/a").is_none());
}
