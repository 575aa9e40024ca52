//! Each byte of a real journal flipped in turn.

use std::fs;

use taskforge::engine;
use taskforge::registry::Registry;
use taskforge::run::id::RunId;

use super::{Dice, World, copy};

#[test]
fn each_flipped_byte_of_a_journal_is_found() {
    let world = World::new();
    world.start("desk", "r");
    world.settle("r");
    let arguments = world.approval("approve", "r");
    world.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    world.settle("r");
    world.start("quick", "q");
    world.settle("q");
    world.assert_sound("q", &[]);
    let mut dice = Dice::new("flips");
    let mut flipped = 0;
    for run in ["r", "q"] {
        let journal = fs::read(world.layout(run).journal()).unwrap();
        flipped += journal.len();
        let masks: Vec<u8> = journal.iter().map(|_| 1 << dice.below(8)).collect();
        std::thread::scope(|scope| {
            for half in 0..2 {
                let root = world.beside(&format!("{run}-{half}"));
                copy(world.root(), &root);
                let (journal, masks) = (&journal, &masks);
                scope.spawn(move || {
                    let registry = Registry::at(&root);
                    let id = RunId::parse(run).unwrap();
                    let path = registry.layout().run(&id).journal();
                    assert!(engine::verify(&registry, &id).unwrap().is_proven());
                    for at in (half..journal.len()).step_by(2) {
                        let mut bytes = journal.clone();
                        bytes[at] ^= masks[at];
                        fs::write(&path, &bytes).unwrap();
                        // That the bytes cannot even be read is an answer, too.
                        let found = engine::verify(&registry, &id).map_or(true, |report| !report.is_proven());
                        assert!(found, "bit {:#x} of byte {at} of {run}'s journal", masks[at]);
                    }
                });
            }
        });
        // The binary says the same, with the exit code for it.
        for _ in 0..5 {
            let mut bytes = journal.clone();
            let at = usize::try_from(dice.below(journal.len() as u64)).unwrap();
            bytes[at] ^= masks[at];
            fs::write(world.layout(run).journal(), &bytes).unwrap();
            assert_eq!(world.run(&["audit", "verify", run]).status.code(), Some(8), "byte {at}");
        }
        fs::write(world.layout(run).journal(), &journal).unwrap();
        world.ok(&["audit", "verify", run]);
    }
    println!("flips: {flipped} bytes");
}
