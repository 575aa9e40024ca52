//! Cron patterns: five fields, minutes first.

use croner::parser::{CronParser, Seconds, Year};

use super::check::Check;
use super::text::shown;
use super::tree::Yaml;

/// Reads a cron pattern, which stays text: who acts on it parses it with the same rules.
pub(super) fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<String> {
    let pattern = check.line(yaml, what)?;
    match parse(&pattern) {
        Ok(_) => Some(pattern),
        Err(why) => {
            let message = format!("{what}: {} is no cron pattern: {why}", shown(&pattern));
            check.problem_with(yaml.spot, message, "five fields: minute hour day month weekday, as in `*/15 * * * *`");
            None
        }
    }
}

/// A pattern of five fields, or why it is none.
pub(crate) fn parse(pattern: &str) -> Result<croner::Cron, String> {
    // An alias such as `@daily` is five fields too, in words that OpenClaw knows as well.
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(pattern).map_err(|why| {
        let why: String = why.to_string().chars().filter(|c| !super::text::is_unsafe(*c)).take(200).collect();
        why.trim_end_matches('.').to_owned()
    })
}
