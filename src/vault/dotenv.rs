//! `.env` files, read strictly and as data: nothing is expanded, executed or guessed. A line is blank, a comment, or
//! `NAME=VALUE`, with or without `export` before it. A value stands bare (without white space, quotes, `$`, backticks,
//! backslashes and `#`), in single quotes (all of it as it stands), or in double quotes (where `\n`, `\r`, `\t`, `\"`, `\\` and
//! `\$` are known and a bare `$` or backtick is an error, since other readers would expand it). What does not parse is refused
//! with its line, and nothing of the file is taken.

use zeroize::Zeroizing;

use super::error::VaultError;

/// The largest file that is read, in bytes.
pub const LARGEST: u64 = 1 << 20;
/// The most settings of a file.
const MOST: usize = 1000;

/// The settings of a file, in order, each name once.
///
/// # Errors
/// [`VaultError::Dotenv`] names the line and the rule; nothing of a value is in it.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, VaultError> {
    let wrong = |line: usize, reason| VaultError::Dotenv { line, reason };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(line, "it is not UTF-8")
    })?;
    let mut found: Vec<(String, Zeroizing<String>)> = Vec::new();
    for (at, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let setting = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = setting.split_once('=').ok_or_else(|| wrong(at + 1, "it has no `=`"))?;
        if !is_name(name) {
            return Err(wrong(
                at + 1,
                "its name is no variable's: letters, digits and `_`, not beginning with a digit",
            ));
        }
        let value = value_of(value).map_err(|reason| wrong(at + 1, reason))?;
        if found.iter().any(|(other, _)| other == name) {
            return Err(wrong(at + 1, "its name stands above already"));
        }
        if found.len() == MOST {
            return Err(wrong(at + 1, "there are more than a thousand settings"));
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

fn is_name(name: &str) -> bool {
    let inner = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    inner && !name.is_empty() && name.len() <= 64 && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn value_of(text: &str) -> Result<Zeroizing<String>, &'static str> {
    const AFTER: &str = "something other than a comment stands behind the quotes";
    let Some(first) = text.chars().next() else { return Ok(Zeroizing::new(String::new())) };
    let ends = |rest: &str| {
        let rest = rest.trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with('#')
    };
    match first {
        '\'' => {
            let (value, rest) = text[1..].split_once('\'').ok_or("its quote is not closed on the line")?;
            if ends(rest) { checked(value) } else { Err(AFTER) }
        }
        '"' => {
            let mut value = Zeroizing::new(String::with_capacity(text.len()));
            let mut rest = text[1..].chars();
            loop {
                match rest.next().ok_or("its quote is not closed on the line")? {
                    '"' => break,
                    '$' | '`' => {
                        return Err("`$` and backticks in double quotes mean different things to different readers");
                    }
                    '\\' => value.push(match rest.next() {
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some(same @ ('"' | '\\' | '$')) => same,
                        _ => return Err("it holds an escape that is not known"),
                    }),
                    other => value.push(other),
                }
            }
            if !ends(rest.as_str()) {
                return Err(AFTER);
            }
            checked(&value)
        }
        _ => {
            // A comment needs a blank before it.
            let bare = text.find([' ', '\t']).map_or(text, |at| &text[..at]);
            if !ends(&text[bare.len()..]) {
                return Err("a value with blanks needs quotes");
            }
            if bare.contains(['$', '`', '\\', '\'', '"', '#']) {
                return Err("a value with `$`, backticks, backslashes, quotes or `#` needs single quotes");
            }
            checked(bare)
        }
    }
}

fn checked(value: &str) -> Result<Zeroizing<String>, &'static str> {
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if value.chars().any(control) { Err("it holds a control character") } else { Ok(Zeroizing::new(value.to_owned())) }
}

/// The secret that a variable's name stands for: `GITHUB_TOKEN` is `github-token`.
#[must_use]
pub fn secret_name(variable: &str) -> String {
    variable.trim_matches('_').to_ascii_lowercase().replace('_', "-")
}
