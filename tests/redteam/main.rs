//! The red team: what an agent can try from inside its container, each mechanism judged by its effect at the target (bytes
//! that arrived, a file that changed, a process of the kernel's that is another), never by what the attack itself says.
//!
//! Every mechanism runs twice: in a container without our protections, where most have to succeed or they would prove
//! nothing, and in one with the settings that the product gave an agent of a real run, where none may. Then the
//! rows of that container's table are taken away one by one, and each time something has to get through.
//!
//! All targets are the test's own, in network namespaces that have no other interface; that is asserted before each attack.
//! Needs root, for those namespaces. `TASKFORGE_REDTEAM=NAME` runs the mechanisms whose names contain that, and fails if
//! none does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod body;
mod cage;
mod mechanisms;
mod product;
mod rows;
mod scene;
mod table;
mod victim;

use mechanisms::Mechanism;
use scene::Stage;
use table::Line;

/// At least so many mechanisms, and so many that succeed where nothing protects.
const MECHANISMS: usize = 60;
const SUCCEED: usize = 40;

/// The mechanisms whose names contain `wanted`.
///
/// # Errors
/// All the names there are, where none contains it: a run of nothing would pass.
fn chosen(wanted: &str) -> Result<Vec<Mechanism>, String> {
    let (chosen, others): (Vec<_>, Vec<_>) =
        mechanisms::all().into_iter().partition(|mechanism| mechanism.name.contains(wanted));
    if chosen.is_empty() {
        let names: Vec<&str> = others.iter().map(|mechanism| mechanism.name).collect();
        return Err(format!("no mechanism's name contains {wanted:?}; there are:\n  {}", names.join("\n  ")));
    }
    Ok(chosen)
}

/// One test, so that nothing else of it runs beside what exhausts and floods.
#[test]
fn nothing_gets_out_of_the_box_and_every_row_of_it_is_needed() {
    let wanted = std::env::var("TASKFORGE_REDTEAM").unwrap_or_default();
    let chosen = chosen(&wanted).unwrap_or_else(|names| panic!("TASKFORGE_REDTEAM: {names}"));
    let stage = Stage::new();
    let mut lines = Vec::new();
    for mechanism in &chosen {
        let without = stage.run(mechanism, &stage.control(mechanism));
        let with = stage.run(mechanism, &stage.ours());
        lines.push(Line { name: mechanism.name, without, with });
        println!("{}", lines[lines.len() - 1]);
    }
    let attacks = table::of_attacks(&lines);
    println!("\n{attacks}");
    let through: Vec<&str> = lines.iter().filter(|line| line.with.succeeded).map(|line| line.name).collect();
    assert!(through.is_empty(), "out of the box by {through:?}");
    let unrecorded: Vec<&str> =
        lines.iter().filter(|line| line.with.recorded == Some(false)).map(|line| line.name).collect();
    assert!(unrecorded.is_empty(), "not on record: {unrecorded:?}");
    stage.must_be_sound();
    let rows = rows::all();
    let mut opened = Vec::new();
    for row in &rows {
        let Some(mechanism) = chosen.iter().find(|mechanism| mechanism.name == row.attack) else { continue };
        // With the backing row alone gone it holds: it is this row that the attack now gets through.
        let held = row.backed_by.map(|backing| stage.run(mechanism, &stage.without(&[backing])));
        let taken: Vec<rows::Row> = row.backed_by.into_iter().chain([row.row]).collect();
        let green = stage.run(mechanism, &stage.without(&taken));
        println!("without {:<28} {:<44} {}", row.name(), row.attack, green);
        opened.push((row, held, green));
    }
    let needed = table::of_rows(&opened);
    println!("\n{needed}");
    for (row, held, green) in &opened {
        assert!(green.succeeded, "without {} `{}` still fails: {}", row.name(), row.attack, green.said);
        assert!(held.as_ref().is_none_or(|held| !held.succeeded), "`{}` does not need {}", row.attack, row.name());
    }
    if chosen.len() == mechanisms::all().len() {
        let real = lines.iter().filter(|line| line.without.succeeded).count();
        assert!(lines.len() >= MECHANISMS, "{} mechanisms", lines.len());
        assert!(real >= SUCCEED, "{real} of {} succeed where nothing protects", lines.len());
        if std::env::var_os("TASKFORGE_WRITE_REDTEAM").is_some() {
            table::write(&attacks, &needed);
        }
    }
}

#[test]
fn a_name_that_no_mechanism_has_is_told_with_those_that_there_are() {
    let told = chosen("typo").err().unwrap();
    assert!(told.contains("\"typo\"") && told.contains("\n  fork without end"), "{told}");
    assert_eq!(chosen("fork without").unwrap().len(), 1);
}

#[test]
fn no_mechanism_has_another_ones_name() {
    let mut names: Vec<&str> = mechanisms::all().iter().map(|mechanism| mechanism.name).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
    for row in rows::all() {
        assert!(names.contains(&row.attack), "{}", row.attack);
    }
}
