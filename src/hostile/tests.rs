#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::memory::peak;
use super::mutate::Dice;
use super::{ENTRIES, Entry};

/// What a reader may need whatever it is given, and how much more for each byte of it.
const BASE: usize = 4 << 20;
const EACH: usize = 400;
/// Aliases of YAML may repeat what stands before them, within a budget that goes by the file's length.
const ALIASES: (usize, usize) = (6 << 20, 2000);
/// Changed inputs a reader.
const CHANGED: usize = 600;

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 3, "too few seeds in {}", folder.display());
    seeds
}

/// Gives `bytes` to a reader. A failure names what they come from and shows them.
fn give((name, read): Entry, bytes: &[u8], from: &str) {
    let shown = || String::from_utf8_lossy(bytes).chars().take(2000).collect::<String>();
    let mut fine = true;
    let used = peak(|| fine = catch_unwind(AssertUnwindSafe(|| read(bytes))).is_ok());
    assert!(fine, "{name} panicked on {from}:\n{}", shown());
    let (base, each) = if matches!(name, "workflow" | "rules" | "role") { ALIASES } else { (BASE, EACH) };
    let most = base + each * bytes.len();
    assert!(used <= most, "{name} needed {used} bytes for {} of {from}:\n{}", bytes.len(), shown());
}

/// Seeds are real files, and what fuzzing found: both stay harmless.
#[test]
fn every_seed_is_harmless() {
    for entry in ENTRIES {
        for (path, bytes) in seeds(entry.0) {
            give(entry, &bytes, &path.display().to_string());
        }
    }
}

#[test]
fn thousands_of_changed_seeds_are_harmless() {
    for (number, entry) in ENTRIES.into_iter().enumerate() {
        let seeds = seeds(entry.0);
        let mut dice = Dice::new(0x7461_736b_666f_7267 + number as u64);
        for round in 0..CHANGED {
            let (path, seed) = &seeds[dice.below(seeds.len())];
            let (_, other) = &seeds[dice.below(seeds.len())];
            let changed = dice.change(seed, other);
            give(entry, &changed, &format!("{} changed in round {round}", path.display()));
        }
    }
}

/// Inputs that grow faster than they are long: nesting, aliases, references, repetition.
#[test]
fn what_is_made_to_explode_does_not() {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    let mut laughs = "---\nworkflowId: w\ntitle: t\nmetadata:\n  a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        laughs += &format!("  a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(","));
    }
    laughs += "nodes: *a11\n---\n";
    let template = format!(
        "---\nworkflowId: w\ntitle: t\nparams: {{}}\nnodes:\n  - id: a\n    title: a\n    kind: summary\n    prompt: \"{}\"\n---\n",
        "{{ '%99999999d' % 1 }}".repeat(50)
    );
    let texts = [
        nested("[", "]"),
        nested("{\"a\":", "}"),
        format!("---\n{}\n---\n", nested("[", "]")),
        format!("---\n{}\n---\n", "- ".repeat(20_000)),
        format!("a = {}", nested("[", "]")),
        format!("{}x = 1", "a.".repeat(20_000)),
        format!("\"{}\"", "\\u0000".repeat(10_000)),
        "{\"seq\": 1}\n".repeat(5_000),
        "\n".repeat(60_000),
        laughs,
        template,
    ];
    for entry in ENTRIES {
        for (number, text) in texts.iter().enumerate() {
            give(entry, text.as_bytes(), &format!("explosive {number}"));
        }
    }
}

/// A bound that nothing can break would prove nothing.
#[test]
fn the_measure_sees_what_is_allocated() {
    let used = peak(|| drop(std::hint::black_box(vec![0_u8; 3 << 20])));
    assert!((3 << 20..4 << 20).contains(&used), "{used}");
    let used = peak(|| drop(std::hint::black_box((0..100).map(|_| vec![1_u8; 1000]).collect::<Vec<_>>())));
    assert!((100_000..200_000).contains(&used), "{used}");
}
