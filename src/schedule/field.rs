//! One field of a cron pattern, as the set of values that it stands for: what every cron agrees on, and nothing else.

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What may stand in a field.
pub(super) struct Kind {
    pub(super) name: &'static str,
    first: u8,
    last: u8,
    names: &'static [&'static str],
}

/// The five fields, in their order.
pub(super) const KINDS: [Kind; 5] = [
    Kind { name: "minute", first: 0, last: 59, names: &[] },
    Kind { name: "hour", first: 0, last: 23, names: &[] },
    Kind { name: "day of the month", first: 1, last: 31, names: &[] },
    Kind { name: "month", first: 1, last: 12, names: &MONTHS },
    // Seven is Sunday again.
    Kind { name: "day of the week", first: 0, last: 7, names: &DAYS },
];

/// The values of `text`, ascending; `None` for a plain `*`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn values(kind: &Kind, text: &str) -> Result<Option<Vec<u8>>, String> {
    if text == "*" {
        return Ok(None);
    }
    let wrong = || format!("{text:.40?} is no {} of a cron pattern", kind.name);
    let mut found = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (kind.first, kind.last - u8::from(kind.last == 7)),
            Some((from, to)) => (value(kind, from).ok_or_else(wrong)?, value(kind, to).ok_or_else(wrong)?),
            None => {
                let only = value(kind, range).ok_or_else(wrong)?;
                // `5/10` means different things to different crons.
                if step != 1 {
                    return Err(wrong());
                }
                (only, only)
            }
        };
        if from > to {
            return Err(wrong());
        }
        found
            .extend((from..=to).step_by(usize::from(step)).map(|value| if kind.last == 7 { value % 7 } else { value }));
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

fn value(kind: &Kind, text: &str) -> Option<u8> {
    if let Some(at) = kind.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return u8::try_from(at).ok().map(|at| at + kind.first);
    }
    let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse::<u8>().ok()).flatten()?;
    (kind.first..=kind.last).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_every_cron_agrees_on() {
        let read = |kind: usize, text: &str| values(&KINDS[kind], text);
        assert_eq!(read(0, "*"), Ok(None));
        assert_eq!(read(0, "*/20"), Ok(Some(vec![0, 20, 40])));
        assert_eq!(read(0, "5,1-3,10-20/5"), Ok(Some(vec![1, 2, 3, 5, 10, 15, 20])));
        assert_eq!(read(2, "*/15"), Ok(Some(vec![1, 16, 31])));
        assert_eq!(read(3, "Jan,mar-MAY"), Ok(Some(vec![1, 3, 4, 5])));
        assert_eq!(read(4, "0,7,Mon"), Ok(Some(vec![0, 1])));
        assert_eq!(read(4, "5-7"), Ok(Some(vec![0, 5, 6])));
        assert_eq!(read(4, "*/2"), Ok(Some(vec![0, 2, 4, 6])));
        for (kind, text) in [
            (0, "60"),
            (0, ""),
            (0, "1-"),
            (0, "-1"),
            (0, "5-1"),
            (0, "*/0"),
            (0, "1,,2"),
            (0, "5/10"),
            (0, "+5"),
            (1, "24"),
            (2, "0"),
            (2, "L"),
            (3, "13"),
            (3, "mon"),
            (4, "8"),
            (4, "MON#2"),
            (0, "*\n"),
            (0, "0x1"),
            (0, "001"),
            (0, "1 2"),
            (0, "%"),
        ] {
            assert!(read(kind, text).is_err(), "{text:?}");
        }
    }
}
