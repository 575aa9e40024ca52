//! The texts of a systemd service and of the timer that starts it.

use super::error::{Error, Result};
use super::job::{Command, Job, mark};

/// The name of both units, without the suffix.
pub(super) fn name(id: &str) -> String {
    format!("taskforge-tick-{}", id.to_ascii_lowercase())
}

/// The service: one tick, and nothing else is ended when it has ended. A tick leaves builds of images behind on purpose.
pub(super) fn service(job: &Job) -> String {
    let environment: String =
        job.environment().map(|(name, value)| format!("Environment={}\n", quote(&format!("{name}={value}")))).collect();
    let argv: Vec<String> = job.command.argv().iter().map(|word| quote(word)).collect();
    format!(
        "# {}\n[Unit]\nDescription=One step of the taskforge runs in {}\n\n[Service]\nType=oneshot\nKillMode=process\n\
         {environment}ExecStart=:{}\n",
        mark(&job.id),
        job.command.registry.to_string_lossy().replace('%', "%%").replace('\\', "\\\\"),
        argv.join(" "),
    )
}

/// The timer.
///
/// # Errors
/// [`Error::Unfit`] for a pattern that means something else to systemd.
pub(super) fn timer(job: &Job) -> Result<String> {
    let calendar = job.cadence.calendar().map_err(Error::Unfit)?;
    let mark = mark(&job.id);
    // Unless it is told, systemd lets a timer be late by up to a minute.
    Ok(format!(
        "# {mark}\n[Unit]\nDescription=When taskforge ticks\n\n[Timer]\nOnCalendar={calendar}\nAccuracySec=1s\n\n\
         [Install]\nWantedBy=timers.target\n"
    ))
}

/// When a timer's text says, and what a service's text runs.
pub(super) fn read(service: &str, timer: &str) -> (String, Option<Command>) {
    let value = |text: &str, key: &str| text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
    let when = value(timer, "OnCalendar=").unwrap_or_default();
    let command = value(service, "ExecStart=").map(|line| unquote(line.trim_start_matches(':')));
    (when, command.and_then(|argv| Command::from_argv(&argv)))
}

/// In double quotes, with the escapes of C, and no specifier left to be expanded. That a dollar means nothing is what the
/// colon before the program is for.
fn quote(word: &str) -> String {
    let mut text = String::from("\"");
    for character in word.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '%' => text.push_str("%%"),
            _ => text.push(character),
        }
    }
    text + "\""
}

fn unquote(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '"' {
            continue;
        }
        let mut word = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => word.extend(characters.next()),
                '%' if characters.peek() == Some(&'%') => word.extend(characters.next()),
                _ => word.push(character),
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Cadence;

    fn job(binary: &str, registry: &str) -> Job {
        Job::new(Path::new(binary), Path::new(registry), "01ABC", Cadence::default()).unwrap()
    }

    #[test]
    fn the_units() {
        let job = job("/opt/my tools/taskforge", "/srv/100% \"x\"\\y $HOME").variable("DOCKER_HOST", "unix:///d");
        assert_eq!(
            service(&job),
            "# taskforge:tick:01ABC\n[Unit]\nDescription=One step of the taskforge runs in /srv/100%% \"x\"\\\\y $HOME\n\n\
             [Service]\nType=oneshot\nKillMode=process\n\
             Environment=\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
             Environment=\"DOCKER_HOST=unix:///d\"\n\
             ExecStart=:\"/opt/my tools/taskforge\" \"tick\" \"--all\" \"--record\" \"--registry\" \
             \"/srv/100%% \\\"x\\\"\\\\y $HOME\"\n"
        );
        assert_eq!(
            timer(&job).unwrap(),
            "# taskforge:tick:01ABC\n[Unit]\nDescription=When taskforge ticks\n\n[Timer]\nOnCalendar=*-*-* *:*:00\n\
             AccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
        );
        assert_eq!(name("01ABC"), "taskforge-tick-01abc");
    }

    proptest! {
        #[test]
        fn what_stands_in_a_service_is_read_back(path in "/[a-z %'\"\\\\$;:é-]{1,40}", other in "/[!-~ ]{1,40}") {
            let job = job(&path, &other);
            let (when, command) = read(&service(&job), &timer(&job).unwrap());
            prop_assert_eq!(when, "*-*-* *:*:00");
            prop_assert_eq!(command, Some(job.command));
        }
    }
}
