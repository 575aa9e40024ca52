//! `schedule`: when the workflow starts by itself.

use serde::Serialize;

use super::check::Check;
use super::cron;
use super::fields::Fields;
use super::text::shown;
use super::tree::Yaml;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Five fields, minutes first.
    pub cron: String,
    /// A name of the IANA time zone database; only its form is checked here. `None` is UTC.
    pub timezone: Option<String>,
    /// What happens when a run of this workflow is still going at the next time.
    pub overlap: Overlap,
    /// Whether a time that was missed is made up for, once.
    pub catchup: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    #[default]
    Skip,
    Queue,
    Replace,
}

impl Schedule {
    pub(super) fn read(check: &mut Check, yaml: &Yaml) -> Option<Self> {
        const OVERLAPS: [(&str, Overlap); 3] =
            [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)];
        let fields = Fields::read(check, yaml, "`schedule`", &["cron", "timezone", "overlap", "catchup"])?;
        let pattern = fields.required(check, "cron").and_then(|yaml| cron::read(check, yaml, &fields.name("cron")));
        let timezone = fields.optional(check, "timezone", zone);
        let overlap = fields.optional(check, "overlap", |check, yaml, what| check.word(yaml, what, &OVERLAPS));
        let catchup = fields.optional(check, "catchup", Check::boolean);
        Some(Self {
            cron: pattern?,
            timezone,
            overlap: overlap.unwrap_or_default(),
            catchup: catchup.unwrap_or_default(),
        })
    }
}

/// `UTC`, `Europe/Berlin`, `America/Argentina/Ushuaia`, `Etc/GMT+5`: a name that cannot leave the zone database's folder.
fn zone(check: &mut Check, yaml: &Yaml, what: &str) -> Option<String> {
    let name = check.line(yaml, what)?;
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    if name.len() <= 64 && name.split('/').count() <= 3 && name.split('/').all(part) {
        return Some(name);
    }
    check.problem_with(yaml.spot, format!("{what}: {} is no time zone", shown(&name)), "write it like `Europe/Berlin`");
    None
}
