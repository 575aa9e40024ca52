//! A crontab's text: one line of ours for each registry, known by its mark at the end. Every other byte stays as it is.

use super::error::{Error, Result};
use super::job::{Command, Job, mark};

/// Cron reads no longer command than this.
const COMMAND: usize = 998;

/// The line of `job`. A percent sign ends a crontab's command unless it is escaped; the rest is the shell's.
///
/// # Errors
/// [`Error::Unfit`] if it is longer than cron reads.
pub(super) fn line(job: &Job) -> Result<String> {
    let variables: Vec<String> = job.environment().map(|(name, value)| format!("{name}={}", quote(value))).collect();
    let words: Vec<String> = job.command.argv().iter().map(|word| quote(word)).collect();
    // Cron would mail what a tick prints. What it complains of is kept: that of the last tick only, so it does not grow.
    let complaints = job.command.registry.join(".taskforge/tick.err");
    let command = format!(
        "{} {} >/dev/null 2>{} # {}",
        variables.join(" "),
        words.join(" "),
        quote(&complaints.to_string_lossy()),
        mark(&job.id)
    );
    let command = command.replace('%', "\\%");
    if command.len() > COMMAND {
        let length = command.len();
        return Err(Error::Unfit(format!(
            "the command has {length} bytes and cron reads {COMMAND}: shorter paths, or `--backend systemd`"
        )));
    }
    Ok(format!("{} {command}", job.cadence))
}

/// `crontab` with `line` in the place of the line of `id`, or at its end.
pub(super) fn with(crontab: &str, id: &str, line: &str) -> String {
    let mut text = String::new();
    let mut placed = false;
    for old in crontab.split_inclusive('\n') {
        if !is_of(old, id) {
            text.push_str(old);
        } else if !placed {
            text.push_str(line);
            text.push('\n');
            placed = true;
        }
    }
    if !placed {
        // A last line without its newline is one that cron ignores or refuses.
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// `crontab` without the line of `id`.
pub(super) fn without(crontab: &str, id: &str) -> String {
    crontab.split_inclusive('\n').filter(|line| !is_of(line, id)).collect()
}

/// The line of `id`.
pub(super) fn find<'a>(crontab: &'a str, id: &str) -> Option<&'a str> {
    crontab.lines().find(|line| is_of(line, id))
}

/// The five fields of a line, and what it runs.
pub(super) fn read(line: &str) -> (String, Option<Command>) {
    let mut rest = line.trim_start();
    let mut fields = Vec::new();
    for _ in 0..5 {
        let (field, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        fields.push(field);
        rest = after.trim_start();
    }
    let mut words = unquote(&rest.replace("\\%", "%"));
    words.retain(|word| !is_assignment(word));
    (fields.join(" "), Command::from_argv(&words))
}

/// A line of ours: no comment, and our mark is its end.
fn is_of(line: &str, id: &str) -> bool {
    let line = line.trim();
    !line.starts_with('#') && line.ends_with(&format!(" # {}", mark(id)))
}

fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:=@".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The words before the first redirection, as far as [`quote`] makes them.
fn unquote(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => (quoted, begun) = (!quoted, true),
            _ if quoted => word.push(character),
            '\\' => word.extend(characters.next()),
            ' ' | '\t' if begun => {
                words.push(std::mem::take(&mut word));
                begun = false;
            }
            ' ' | '\t' => {}
            '>' | '#' | ';' | '&' | '|' => break,
            _ => {
                word.push(character);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
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
    fn a_line() {
        assert_eq!(
            line(&job("/usr/local/bin/taskforge", "/srv/work")).unwrap(),
            "* * * * * PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /usr/local/bin/taskforge tick \
             --all --record --registry /srv/work >/dev/null 2>/srv/work/.taskforge/tick.err # taskforge:tick:01ABC"
        );
        let hostile = line(&job("/b", "/100% it's; $(id) \"x\"")).unwrap();
        assert!(hostile.contains(r#"--registry '/100\% it'\''s; $(id) "x"' >/dev/null"#), "{hostile}");
        let with_host = line(&job("/b", "/r").variable("DOCKER_HOST", "unix:///run/user/1/d k")).unwrap();
        assert!(with_host.contains("/bin DOCKER_HOST='unix:///run/user/1/d k' /b tick"), "{with_host}");
        assert!(line(&job("/b", &format!("/{}", "r".repeat(600)))).is_err());
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let theirs = "# mine\nSHELL=/bin/bash\n\n5 4 * * *\tbackup # taskforge:tick:01ABCD\n@daily x % taskforge:tick:01ABC\n\
                      #* * * * * old # taskforge:tick:01ABC\n* * * * * echo # taskforge:tick:01ABC again";
        let line = line(&job("/b", "/r")).unwrap();
        let once = with(theirs, "01ABC", &line);
        assert_eq!(once, format!("{theirs}\n{line}\n"));
        assert_eq!(with(&once, "01ABC", &line), once);
        assert_eq!(without(&once, "01ABC"), format!("{theirs}\n"));
        assert_eq!(find(&once, "01ABC"), Some(line.as_str()));
        assert_eq!(find(theirs, "01ABC"), None);
        let other = with(&once, "01ABC", "1 * * * * new # taskforge:tick:01ABC");
        assert_eq!(other, format!("{theirs}\n1 * * * * new # taskforge:tick:01ABC\n"));
        // Two of ours, of which somebody copied one: one stays, in the first's place.
        assert_eq!(with(&format!("{line}\nx\n{line}\n"), "01ABC", &line), format!("{line}\nx\n"));
    }

    proptest! {
        #[test]
        fn what_stands_in_a_line_is_read_back(
            binary in "/[a-z %'\"\\\\$;#>&|éA-Z=-]{1,40}",
            registry in "/[a-z %'\"\\\\$;#>&|é`!~*?()-]{1,40}",
        ) {
            let job = job(&binary, &registry);
            let (when, command) = read(&line(&job).unwrap());
            prop_assert_eq!(when, "* * * * *");
            prop_assert_eq!(command, Some(job.command));
        }

        #[test]
        fn no_text_of_a_crontab_is_lost(crontab in "([ -~]{0,20}\n){0,6}[ -~]{0,9}") {
            let line = line(&job("/b", "/r")).unwrap();
            let text = with(&crontab, "01ABC", &line);
            let newline = if crontab.is_empty() || crontab.ends_with('\n') { "" } else { "\n" };
            prop_assert_eq!(&text, &format!("{crontab}{newline}{line}\n"));
            prop_assert_eq!(without(&text, "01ABC"), format!("{crontab}{newline}"));
        }

        #[test]
        fn any_line_can_be_read(line in "\\PC{0,80}") {
            let _ = read(&line);
        }
    }
}
