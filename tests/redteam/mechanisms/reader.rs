//! What is left for the host's reader, who comes for the outputs when a node has ended. Where nothing protects, a reader
//! takes what stands under the name; of ours a whole run of the product is made.

use std::fs;
use std::process::Command;

use super::{Mechanism, attack};
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("a link for the host's reader to follow", LINK, |s| taken(s, "out.md")).read_from("out.md"),
        attack("a folder that is a link", FOLDER, |s| taken(s, "out/secret")).read_from("out/secret"),
        attack("a hard link for the host's reader", HARD, |s| taken(s, "out.md")).read_from("out.md"),
        attack("swap the file under the reader", SWAP, |s| (0..20_000).any(|_| taken(s, "out.md"))).read_from("out.md"),
        attack("a pipe that the reader waits at", r#"os.mkfifo("/workspace/out.md")"#, |s| {
            let reader =
                Command::new("timeout").arg("0.5").arg("cat").arg(s.workspace.join("out.md")).output().unwrap();
            // That of `timeout` for what it had to end.
            reader.status.code() == Some(124)
        })
        .read_from("out.md"),
    ]
}

/// Whether a reader who follows where a name leads has the host's secret.
fn taken(scene: &Scene<'_>, name: &str) -> bool {
    fs::read_to_string(scene.workspace.join(name)).is_ok_and(|text| text.contains(&scene.victim.secret))
}

const LINK: &str = r#"
os.symlink("@HOST@/secret", "/workspace/out.md")
"#;
const HARD: &str = r#"
for here in ("/workspace", "/host/ws/" + os.environ.get("TOKEN", "")):
    for secret in ("/host/secret", "@HOST@/secret"):
        try:
            os.link(secret, here + "/out.md")
        except OSError:
            pass
"#;
const FOLDER: &str = r#"
os.symlink("@HOST@", "/workspace/out")
"#;
const SWAP: &str = r#"
import threading
over = threading.Event()
def swap():
    # It ends with the link, so that what the reader finds in the end is never a file to be had.
    while not over.is_set():
        open("/workspace/file", "w").write("harmless")
        os.rename("/workspace/file", "/workspace/out.md")
        os.symlink("@HOST@/secret", "/workspace/link")
        os.rename("/workspace/link", "/workspace/out.md")
swapping = threading.Thread(target=swap)
swapping.start()
time.sleep(0.3)
over.set()
swapping.join()
"#;
