//! Graded containers as a person reads them.

use crate::container::Graded;

use super::table::Table;

/// Each setting: what it has to be, what it is, and what a plain container of the image would have.
pub(crate) fn settings(container: &Graded, plain: Option<&Graded>) -> String {
    let mut table = Table::new(["", "SETTING", "EXPECTED", "IN FORCE", "PLAIN"]);
    for row in &container.rows {
        let mark = if row.ok { "ok" } else { "!!" };
        let beside = plain.and_then(|plain| plain.rows.iter().find(|other| other.setting == row.setting));
        let beside = beside.map_or(String::new(), |other| other.actual.clone());
        table.row([mark.to_owned(), row.setting.to_owned(), row.expected.clone(), row.actual.clone(), beside]);
    }
    table.or("No settings.")
}

/// The grade, and what it lacks to 100.
pub(crate) fn grade(container: &Graded) -> String {
    let mut text = format!("Grade: {} of 100.\n", container.grade);
    for lost in &container.deductions {
        text.push_str(&format!(
            "  -{:<3} {}: {} instead of {}\n",
            lost.points,
            lost.setting,
            named(&lost.actual),
            named(&lost.expected)
        ));
    }
    text
}

fn named(value: &str) -> String {
    if value.is_empty() { "none".to_owned() } else { super::terminal::plain(value).replace('\n', " ") }
}

/// One line a container.
pub(crate) fn list(containers: &[Graded]) -> String {
    let mut table = Table::new(["GRADE", "ROLE", "CONTAINER", "LACKS"]);
    for container in containers {
        let lacks: Vec<String> =
            container.deductions.iter().map(|lost| format!("{} (-{})", lost.setting, lost.points)).collect();
        let role = container.role.map_or_else(|| "none".to_owned(), |role| role.to_string());
        table.row([container.grade.to_string(), role, container.container.clone(), lacks.join(", ")]);
    }
    table.or("No containers.")
}
