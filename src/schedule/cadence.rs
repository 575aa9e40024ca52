//! How often: in a form that a crontab, a systemd timer and OpenClaw can all keep.

use std::fmt;
use std::str::FromStr;

use super::field;

/// A cron pattern of five plain fields, in local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    fields: [String; 5],
    /// Set where it is so many minutes between two ticks, whatever the hour is.
    minutes: Option<u16>,
}

impl Cadence {
    /// Every `N` minutes, hours or days: `1m`, `2h`, `1d`. Minutes have to divide an hour and hours a day, since a crontab
    /// starts each hour and each day anew.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn every(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:.40?} is no interval: minutes that divide an hour (1m, 5m, 30m …), hours that divide a day \
                 (1h, 6h …) or 1d"
            )
        };
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let digits = number.len() <= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u16 = if digits { number.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        let minutes = match unit {
            "m" => number,
            "h" => number.checked_mul(60).ok_or_else(wrong)?,
            "d" => number.checked_mul(24 * 60).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let [minute, hour] = match minutes {
            1 => ["*".to_owned(), "*".to_owned()],
            2..60 if 60 % minutes == 0 => [format!("*/{minutes}"), "*".to_owned()],
            60 => ["0".to_owned(), "*".to_owned()],
            120..1440 if minutes % 60 == 0 && 1440 % minutes == 0 => ["0".to_owned(), format!("*/{}", minutes / 60)],
            1440 => ["0".to_owned(), "0".to_owned()],
            _ => return Err(wrong()),
        };
        let any = || "*".to_owned();
        Ok(Self { fields: [minute, hour, any(), any(), any()], minutes: Some(minutes) })
    }

    /// A cron pattern of five fields.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn cron(text: &str) -> Result<Self, String> {
        let fields: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
        let fields = <[String; 5]>::try_from(fields).map_err(|_| {
            format!("{text:.80?} is no cron pattern: minute hour day month weekday, as in `*/5 * * * *`")
        })?;
        for (kind, field) in field::KINDS.iter().zip(&fields) {
            field::values(kind, field)?;
        }
        Ok(Self { fields, minutes: None })
    }

    /// As a systemd calendar event.
    ///
    /// # Errors
    /// Where both kinds of day are restricted: cron means either, systemd means both.
    pub(super) fn calendar(&self) -> Result<String, String> {
        let mut sets = Vec::new();
        for (kind, text) in field::KINDS.iter().zip(&self.fields) {
            sets.push(field::values(kind, text)?);
        }
        let [minute, hour, day, month, weekday] = &sets[..] else { return Ok(String::new()) };
        if day.is_some() && weekday.is_some() {
            return Err(format!(
                "`{self}` means one or the other of its days to cron and both to systemd: `--backend cron`, or two patterns"
            ));
        }
        let numbers = |set: &Option<Vec<u8>>| match set {
            None => "*".to_owned(),
            Some(values) => values.iter().map(|value| format!("{value:02}")).collect::<Vec<_>>().join(","),
        };
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        let weekday = weekday.as_ref().map_or_else(String::new, |values| {
            let names: Vec<&str> = values.iter().filter_map(|value| days.get(usize::from(*value)).copied()).collect();
            format!("{} ", names.join(","))
        });
        let [minute, hour, day, month] = [minute, hour, day, month].map(numbers);
        Ok(format!("{weekday}*-{month}-{day} {hour}:{minute}:00"))
    }

    /// As the options of `openclaw cron add`.
    pub(super) fn options(&self) -> [String; 2] {
        match self.minutes {
            Some(minutes) => ["--every".to_owned(), format!("{minutes}m")],
            None => ["--cron".to_owned(), self.to_string()],
        }
    }
}

impl Default for Cadence {
    /// Every minute.
    fn default() -> Self {
        Self { fields: std::array::from_fn(|_| "*".to_owned()), minutes: Some(1) }
    }
}

/// The five fields of a crontab.
impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fields.join(" "))
    }
}

/// As [`Cadence::cron`].
impl FromStr for Cadence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::cron(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_interval_is_kept_by_all_three() {
        for (text, cron, calendar, option) in [
            ("1m", "* * * * *", "*-*-* *:*:00", "1m"),
            ("5m", "*/5 * * * *", "*-*-* *:00,05,10,15,20,25,30,35,40,45,50,55:00", "5m"),
            ("60m", "0 * * * *", "*-*-* *:00:00", "60m"),
            ("1h", "0 * * * *", "*-*-* *:00:00", "60m"),
            ("12h", "0 */12 * * *", "*-*-* 00,12:00:00", "720m"),
            ("1d", "0 0 * * *", "*-*-* 00:00:00", "1440m"),
        ] {
            let cadence = Cadence::every(text).unwrap();
            assert_eq!(cadence.to_string(), cron);
            assert_eq!(cadence.calendar().unwrap(), calendar);
            assert_eq!(cadence.options(), ["--every", option]);
        }
        assert_eq!(Cadence::every("1m").unwrap(), Cadence::default());
        for wrong in ["", "m", "0m", "7m", "90m", "5h", "2d", "1w", "-1m", "1.5h", "1m ", "９m", "99999m", "é", "10"]
        {
            assert!(Cadence::every(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_pattern_is_kept_by_all_three() {
        for (text, calendar) in [
            ("*/30 8-10 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 08,09,10:00,30:00"),
            ("5  4 1,15 jan,7 *", "*-01,07-01,15 04:05:00"),
            ("0 0 * * 7", "Sun *-*-* 00:00:00"),
        ] {
            let cadence = Cadence::cron(text).unwrap();
            assert_eq!(cadence.calendar().unwrap(), calendar);
            assert_eq!(cadence.options()[1], text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        assert!(Cadence::cron("0 0 1 * 1").unwrap().calendar().unwrap_err().contains("--backend cron"));
        for wrong in ["", "* * * *", "* * * * * *", "@daily", "@reboot", "60 * * * *", "* * * * *; id", "% * * * *"] {
            assert!(Cadence::cron(wrong).is_err(), "{wrong:?}");
        }
    }
}
