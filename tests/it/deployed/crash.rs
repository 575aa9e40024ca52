//! Ended at each disk call in turn: no port is given twice, no container started twice, nothing left behind.

use std::time::{Duration, Instant};

use super::stage::{Ports, RUN, SITE, deployment, deployments, page, stage};
use crate::docker_api;
use crate::scene::text;

#[test]
fn a_tick_that_is_ended_at_any_disk_call_is_gone_on_with() {
    let _ports = Ports::take();
    // It asks once the tick that began it is over.
    let scene = stage(&format!("import time\nwhile not os.path.exists('/workspace/go'): time.sleep(0.05)\n{SITE}"));
    scene
        .write("policies/ports.yaml", "format: 1\nrules:\n- {effect: allow, kind: port, name: '8000', because: try}\n");
    scene.start("deployed", RUN);
    scene.write(&format!("runs/{RUN}/nodes/web/workspace/go"), "");
    // Once the agent has asked, all that happens is a tick's.
    let inbox = scene.path(&format!("runs/{RUN}/gate/inbox"));
    let begun = Instant::now();
    while std::fs::read_dir(&inbox).unwrap().all(|entry| entry.unwrap().path().extension().is_none_or(|e| e != "json"))
    {
        let shown = || format!("{:#} {:#?}", scene.show(RUN), docker_api::containers(&scene.id()));
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not ask: {}", shown());
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut ended = 0;
    for call in 1..200 {
        let output = scene.tf(&["tick", RUN]).env("TASKFORGE_FAULT", &format!("exit:{call}")).any();
        let running = deployments(&scene).iter().any(|row| row["status"] == "running");
        match output {
            Some(0) if running => break,
            Some(0) => {}
            _ => ended += 1,
        }
        assert!(call < 199, "it is never there: {:#}", scene.show(RUN));
    }
    assert!(ended > 10, "only {ended} ticks were ended");
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    let row = deployment(&scene);
    assert!(page(&row, "/").unwrap().contains("it works"));
    assert_eq!(scene.events(RUN, "deployment.placed").len(), 1);
    let starting: Vec<_> =
        scene.events(RUN, "deployment.starting").iter().map(|line| line["data"]["launch"]["number"].clone()).collect();
    assert_eq!(starting, (1..=starting.len()).map(serde_json::Value::from).collect::<Vec<_>>());
    let left: Vec<String> =
        docker_api::containers(&scene.id()).iter().map(|found| text(&found["Labels"]["io.taskforge.role"])).collect();
    assert_eq!(left.iter().filter(|role| *role == "agent").count(), 1, "{left:?}");
    assert_eq!(left.iter().filter(|role| *role == "gate").count(), 1, "{left:?}");
    let folder = scene.path(&format!("runs/{RUN}/deployments/{}", text(&row["id"])));
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "files, gate and starts, and nothing half made: {names:?}");
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
}
