//! A container's settings as one number: 100 less what each setting weighs that is not as it has to be.

use serde::Serialize;

use super::effective::Row;
use super::role::Role;

/// What each setting weighs. They come to 100, so that a container without any of them has 0. What leads out of the box
/// by itself (the network, being root, privileges, files of the system) weighs most; what costs only time or disk least.
pub(crate) const WEIGHTS: [(&str, u8); 34] = [
    ("labels", 1),
    ("network", 9),
    ("published ports", 1),
    ("user", 7),
    ("other groups", 2),
    ("read-only root", 5),
    ("capabilities dropped", 5),
    ("capabilities added", 5),
    ("no new privileges", 5),
    ("seccomp profile", 5),
    ("privileged", 8),
    ("devices", 3),
    ("masked kernel files", 4),
    ("processes", 4),
    ("host name", 1),
    ("users", 2),
    ("shared memory", 2),
    ("control groups", 1),
    ("processors (billionths)", 2),
    ("memory (bytes)", 3),
    ("memory and swap (bytes)", 1),
    ("processes and threads", 3),
    ("open files", 1),
    ("file size (bytes)", 2),
    ("core dump (bytes)", 1),
    ("tmpfs", 1),
    ("volumes of the image", 1),
    ("writable mounts", 3),
    ("mounts of the system", 7),
    ("log rotation", 1),
    ("restarts by itself", 1),
    ("health check", 1),
    ("first process", 1),
    ("runtime", 1),
];

/// A setting that is not as it has to be, and what that costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deduction {
    pub setting: &'static str,
    /// Of 100.
    pub points: u8,
    pub expected: String,
    pub actual: String,
}

/// A container with its grade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graded {
    pub container: String,
    pub image: String,
    /// What it is graded as; `None` for one that carries no role of ours, which is graded as an agent's.
    pub role: Option<Role>,
    /// 0 to 100.
    pub grade: u8,
    /// Heaviest first.
    pub deductions: Vec<Deduction>,
    pub rows: Vec<Row>,
}

impl Graded {
    pub(crate) fn of(container: String, image: String, role: Option<Role>, rows: Vec<Row>) -> Self {
        let mut deductions: Vec<Deduction> = rows.iter().filter(|row| !row.ok).map(deduction).collect();
        deductions.sort_by_key(|deduction| std::cmp::Reverse(deduction.points));
        let lost: u32 = deductions.iter().map(|deduction| u32::from(deduction.points)).sum();
        let grade = u8::try_from(100u32.saturating_sub(lost)).unwrap_or(0);
        Self { container, image, role, grade, deductions, rows }
    }
}

fn deduction(row: &Row) -> Deduction {
    Deduction {
        setting: row.setting,
        points: weight(row.setting),
        expected: row.expected.clone(),
        actual: row.actual.clone(),
    }
}

/// A setting that nobody has weighed costs as much as the heaviest: forgetting one must not flatter a container.
fn weight(setting: &str) -> u8 {
    WEIGHTS.iter().find(|(name, _)| *name == setting).map_or(9, |(_, points)| *points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_come_to_a_hundred() {
        assert_eq!(WEIGHTS.iter().map(|(_, points)| u32::from(*points)).sum::<u32>(), 100);
        assert!(WEIGHTS.iter().all(|(_, points)| *points > 0));
    }

    #[test]
    fn each_setting_is_weighed_once_and_none_is_forgotten() {
        let rows = super::super::effective::effective(&Default::default(), &Default::default());
        let rows: Vec<&str> = rows.iter().map(|row| row.setting).collect();
        let weighed: Vec<&str> = WEIGHTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(rows, weighed);
    }

    #[test]
    fn a_deduction_is_named_and_counted() {
        let row = |setting, ok| Row { setting, expected: "a".into(), actual: "b".into(), ok };
        let rows = vec![row("labels", false), row("network", false), row("user", true)];
        let graded = Graded::of("c".into(), "i".into(), None, rows);
        assert_eq!(graded.grade, 90);
        let named: Vec<_> = graded.deductions.iter().map(|d| (d.setting, d.points)).collect();
        assert_eq!(named, [("network", 9), ("labels", 1)]);
        let worst = WEIGHTS.iter().map(|(name, _)| row(name, false)).collect();
        assert_eq!(Graded::of("c".into(), "i".into(), None, worst).grade, 0);
    }
}
