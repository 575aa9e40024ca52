#![allow(clippy::unwrap_used)]
//! What the bills hold; that tools accept them is for the validators to say.

use std::collections::{BTreeMap, BTreeSet};

use super::super::lock::tests::{apt, pip};
use super::*;
use crate::container::ImageRef;
use crate::image::Lock;

fn recipe() -> Recipe {
    let lock = Lock::new(vec![pip("pygal", "3.1.0+cpu")], vec![apt("jq", "1:1.6-2~deb12u1")]).unwrap();
    Recipe::new(ImageRef::parse("taskforge/base:default").unwrap(), vec![Digest::of(b"layer")], lock)
}

fn installed(recipe: &Recipe) -> Installed {
    let apt =
        BTreeMap::from([("libc6:amd64".to_owned(), "2.36".to_owned()), ("jq:amd64".to_owned(), "1.6".to_owned())]);
    let pip = BTreeMap::from([("pip".to_owned(), "23.0".to_owned()), ("pygal".to_owned(), "3.1.0+cpu".to_owned())]);
    Installed::new(recipe.identity(), "2026-11-02T03:04:05.678+00:00".to_owned(), apt, pip, BTreeMap::new())
}

#[test]
fn a_bill_holds_the_lock_with_digests_and_the_base_beside_it() {
    let recipe = recipe();
    let installed = installed(&recipe);
    let bill = Sbom::new(&recipe, Some(&installed));
    let purls: Vec<&str> = bill.packages.iter().map(|package| package.purl.as_str()).collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/jq@1%3A1.6-2~deb12u1?arch=amd64",
            "pkg:pypi/pygal@3.1.0%2Bcpu",
            "pkg:deb/debian/libc6@2.36?arch=amd64",
            "pkg:pypi/pip@23.0",
        ]
    );
    let digests: Vec<bool> = bill.packages.iter().map(|package| package.sum.is_some()).collect();
    assert_eq!(digests, [true, true, false, false]);
}

#[test]
fn the_same_files_give_the_same_bill_and_others_another() {
    let recipe = recipe();
    let with = installed(&recipe);
    assert_eq!(Sbom::new(&recipe, Some(&with)).cyclonedx(), Sbom::new(&recipe, Some(&with)).cyclonedx());
    let other = Recipe::new(recipe.from().clone(), vec![Digest::of(b"other")], recipe.lock().clone());
    assert_ne!(Sbom::new(&recipe, None).uuid(), Sbom::new(&other, None).uuid());
    let uuid = Sbom::new(&recipe, None).uuid();
    assert!(uuid.len() == 36 && &uuid[14..15] == "8" && &uuid[19..20] == "8", "{uuid}");
}

#[test]
fn every_name_in_a_bill_leads_somewhere_and_to_one_thing() {
    let recipe = recipe();
    let installed = installed(&recipe);
    let bill = Sbom::new(&recipe, Some(&installed));
    let cyclonedx = bill.cyclonedx();
    let known: BTreeSet<&str> =
        cyclonedx["components"].as_array().unwrap().iter().map(|c| c["bom-ref"].as_str().unwrap()).collect();
    let needs = cyclonedx["dependencies"][0]["dependsOn"].as_array().unwrap();
    assert_eq!((known.len(), needs.len()), (4, 4));
    assert!(needs.iter().all(|need| known.contains(need.as_str().unwrap())));
    let spdx = bill.spdx();
    let known: BTreeSet<&str> =
        spdx["packages"].as_array().unwrap().iter().map(|p| p["SPDXID"].as_str().unwrap()).collect();
    let relations = spdx["relationships"].as_array().unwrap();
    assert_eq!((known.len(), relations.len()), (5, 5));
    assert!(relations.iter().all(|r| known.contains(r["relatedSpdxElement"].as_str().unwrap())));
    assert_eq!(spdx["creationInfo"]["created"], "2026-11-02T03:04:05Z");
}

#[test]
fn a_package_of_npm_is_in_the_bill_once_with_its_sha512() {
    let pin = crate::image::lock::tests::npm("@a/b", "1.0.0");
    let twice = crate::image::NpmPin { location: "node_modules/c/node_modules/@a/b".to_owned(), ..pin.clone() };
    let lock = Lock::default().with_npm(vec![pin.clone(), twice]).unwrap();
    let recipe = Recipe::new(recipe().from().clone(), vec![Digest::of(b"base")], lock);
    let bundled = [("node_modules/c/node_modules/d".to_owned(), "d@2.0.0".to_owned())];
    let installed = Installed::new(
        recipe.identity(),
        "2026-11-02T03:04:05.678+00:00".to_owned(),
        BTreeMap::new(),
        BTreeMap::new(),
        BTreeMap::from(bundled),
    );
    let bill = Sbom::new(&recipe, Some(&installed));
    let purls: Vec<&str> = bill.packages.iter().map(|package| package.purl.as_str()).collect();
    assert_eq!(purls, ["pkg:npm/%40a/b@1.0.0", "pkg:npm/d@2.0.0"]);
    let sums = &bill.cyclonedx()["components"][0]["hashes"];
    assert_eq!(sums, &serde_json::json!([{"alg": "SHA-512", "content": pin.sha512}]));
    assert!(bill.spdx().to_string().contains(&format!("\"checksumValue\":\"{}\"", pin.sha512.as_str())));
}

#[test]
fn what_came_within_another_package_is_billed_once_and_called_what_it_is() {
    use crate::image::lock::tests::npm;
    use crate::image::{Bundled, NpmPin};
    let inner = |name: &str| Bundled {
        location: format!("node_modules/big/node_modules/{name}"),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
    };
    let big = NpmPin { bundles: true, bundled: vec![inner("left-pad"), inner("same")], ..npm("big", "1.0.0") };
    let lock = Lock::new(vec![], vec![apt("python3-six", "1.16")]).unwrap();
    let lock = lock.with_npm(vec![big, npm("same", "1.0.0")]).unwrap();
    let recipe = Recipe::new(recipe().from().clone(), vec![Digest::of(b"base")], lock);
    let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let mut installed = Installed::new(
        recipe.identity(),
        "2026-11-02T03:04:05.678+00:00".to_owned(),
        of(&[("python3-six:amd64", "1.16")]),
        of(&[("six", "1.16"), ("pip", "23.0"), ("", "")]),
        of(&[
            ("node_modules/big", "big@1.0.0"),
            ("node_modules/big/node_modules/left-pad", "left-pad@1.0.0"),
            ("node_modules/big/node_modules/same", "same@1.0.0"),
            ("node_modules/big/node_modules/same/node_modules/deep", "deep@1.0.0"),
            ("node_modules/old", "old@1.0.0"),
            ("node_modules/old/node_modules/in-old", "in-old@1.0.0"),
            ("node_modules/old/node_modules/none", "@"),
            ("node_modules/same", "same@1.0.0"),
        ]),
    );
    installed.by_debian = BTreeSet::from(["pip:six".to_owned()]);
    let bill = Sbom::new(&recipe, Some(&installed));
    let (cyclonedx, spdx) = (bill.cyclonedx(), bill.spdx());
    let components = cyclonedx["components"].as_array().unwrap();
    let layers: BTreeMap<&str, &str> = components
        .iter()
        .map(|c| (c["purl"].as_str().unwrap(), c["properties"][0]["value"].as_str().unwrap()))
        .collect();
    let expected = [
        ("pkg:deb/debian/python3-six@1.16?arch=amd64", "approved"),
        ("pkg:npm/big@1.0.0", "approved"),
        ("pkg:npm/deep@1.0.0", "bundled"),
        ("pkg:npm/in-old@1.0.0", "base"),
        ("pkg:npm/left-pad@1.0.0", "bundled"),
        ("pkg:npm/old@1.0.0", "base"),
        ("pkg:npm/same@1.0.0", "approved"),
        ("pkg:pypi/pip@23.0", "base"),
        ("pkg:pypi/six@1.16", "bundled"),
    ];
    assert_eq!(layers, BTreeMap::from(expected));
    assert_eq!(components.len(), expected.len(), "no two of one name");
    let comment = |name: &str| {
        let packages = spdx["packages"].as_array().unwrap();
        packages.iter().find(|package| package["name"] == name).unwrap()["comment"].clone()
    };
    assert_eq!(comment("left-pad"), "came within a package approved for this image");
    // Of an image that was never read back here, the lock says as much as it knows.
    let purls: Vec<String> = Sbom::new(&recipe, None).packages.into_iter().map(|package| package.purl).collect();
    assert_eq!(purls[1..], ["pkg:npm/big@1.0.0", "pkg:npm/same@1.0.0", "pkg:npm/left-pad@1.0.0"]);
}
