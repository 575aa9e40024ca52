//! Arguments as Python's `argparse` reads them, since that is what OpenTask's helper is called with: unambiguous prefixes
//! of options, `--option=value`, options before and between positionals, the last of several, `-5` and `- a few words`
//! as values, `--`. Beyond it, `--registry-root` may also stand behind the verb.

use super::grammar::{Flag, Verb};
use super::usage::{self, repr};
use super::verbs::{REGISTRY_ROOT, VERBS};

/// What the arguments come down to.
#[derive(Debug)]
pub(super) enum Reading {
    Call(Call),
    /// For standard output.
    Help(String),
    /// For standard error: the usage, and what is wrong.
    Wrong(String),
}

/// A verb with what it was given.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) verb: &'static Verb,
    pub(super) registry_root: Option<String>,
    /// As many as the verb has.
    positionals: Vec<String>,
    flags: Vec<(&'static str, String)>,
}

impl Call {
    pub(super) fn positional(&self, name: &str) -> &str {
        let place = self.verb.positionals.iter().position(|positional| positional.name == name);
        place.and_then(|place| self.positionals.get(place)).map_or("", String::as_str)
    }

    /// The value of an option; the last if it was repeated.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// [`get`](Self::get) without empty values, which OpenTask's helper takes for absent ones.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Every value of an option that may be repeated.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }
}

/// What one argument is.
enum Token {
    Value,
    Dashes,
    Help { given: Option<String> },
    Flag { flag: &'static Flag, given: Option<String> },
    Unknown,
}

/// Reads the arguments behind `taskforge helper`.
pub(super) fn read(arguments: &[String]) -> Reading {
    // The one prefix that is ambiguous before any verb is known: no letters at all.
    let before_dashes = || arguments.iter().take_while(|argument| *argument != "--");
    if let Some(argument) = before_dashes().find(|argument| argument.starts_with("--=")) {
        return wrong(None, &format!("ambiguous option: {argument} could match --help, {}", REGISTRY_ROOT.name));
    }
    let mut registry_root = None;
    let mut unknown = Vec::new();
    let mut at = 0;
    let found = loop {
        let Some(argument) = arguments.get(at) else { break None };
        at += 1;
        match classify(argument, &[&REGISTRY_ROOT], None) {
            Ok(Token::Value) => break Some(argument),
            Ok(Token::Dashes) => {}
            Ok(Token::Help { given: None }) => return Reading::Help(usage::help()),
            Ok(Token::Help { given: Some(given) }) => return wrong(None, &ignored(&given)),
            Ok(Token::Flag { given: Some(given), .. }) => registry_root = Some(given),
            Ok(Token::Flag { flag, given: None }) => match arguments.get(at) {
                Some(value) if matches!(classify(value, &[&REGISTRY_ROOT], None), Ok(Token::Value)) => {
                    registry_root = Some(value.clone());
                    at += 1;
                }
                _ => return wrong(None, &format!("argument {}: expected one argument", flag.name)),
            },
            Ok(Token::Unknown) => unknown.push(argument.clone()),
            Err(message) => return wrong(None, &message),
        }
    };
    let Some(name) = found else {
        return wrong(None, "the following arguments are required: command");
    };
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
        return wrong(None, &format!("argument command: {}", no_choice(name, &names)));
    };
    let mut call = Call { verb, registry_root, positionals: Vec::new(), flags: Vec::new() };
    match behind_verb(&mut call, &arguments[at..], &mut unknown) {
        Err(Stop::Help) => return Reading::Help(usage::verb_help(verb)),
        Err(Stop::Wrong(message)) => return wrong(Some(verb), &message),
        Ok(()) => {}
    }
    if unknown.is_empty() {
        Reading::Call(call)
    } else {
        wrong(None, &format!("unrecognized arguments: {}", unknown.join(" ")))
    }
}

enum Stop {
    Help,
    Wrong(String),
}

fn behind_verb(call: &mut Call, arguments: &[String], unknown: &mut Vec<String>) -> Result<(), Stop> {
    let verb = call.verb;
    let flags: Vec<&'static Flag> = verb.flags.iter().collect();
    // All of them first: that one is ambiguous is said before anything that is wrong with the others.
    let mut tokens = Vec::with_capacity(arguments.len());
    let mut values_only = false;
    for argument in arguments {
        let token = if values_only {
            Token::Value
        } else {
            classify(argument, &flags, Some(&REGISTRY_ROOT)).map_err(Stop::Wrong)?
        };
        values_only |= matches!(token, Token::Dashes);
        tokens.push(token);
    }
    let mut at = 0;
    let mut behind_positional = false;
    while at < tokens.len() {
        let argument = &arguments[at];
        at += 1;
        let open = call.positionals.len() < verb.positionals.len();
        let beside_positional = std::mem::replace(&mut behind_positional, false) || open;
        match &tokens[at - 1] {
            Token::Dashes if beside_positional => {}
            Token::Dashes => unknown.push(argument.clone()),
            Token::Unknown => unknown.push(argument.clone()),
            Token::Help { given: None } => return Err(Stop::Help),
            Token::Help { given: Some(given) } => return Err(Stop::Wrong(ignored(given))),
            Token::Value => match verb.positionals.get(call.positionals.len()) {
                None => unknown.push(argument.clone()),
                Some(positional) => {
                    check(positional.name, positional.choices, argument)?;
                    call.positionals.push(argument.clone());
                    behind_positional = true;
                }
            },
            Token::Flag { flag, given } => {
                let value = match given {
                    Some(given) => given.clone(),
                    None if matches!(tokens.get(at), Some(Token::Value)) => {
                        at += 1;
                        arguments[at - 1].clone()
                    }
                    None => return Err(Stop::Wrong(format!("argument {}: expected one argument", flag.name))),
                };
                check(flag.name, flag.choices, &value)?;
                if flag.name == REGISTRY_ROOT.name {
                    call.registry_root = Some(value);
                } else {
                    call.flags.push((flag.name, value));
                }
            }
        }
    }
    let positionals = verb.positionals.iter().skip(call.positionals.len()).map(|positional| positional.name);
    let flags = verb.flags.iter().filter(|flag| flag.required && call.get(flag.name).is_none()).map(|flag| flag.name);
    let missing: Vec<&str> = positionals.chain(flags).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Stop::Wrong(format!("the following arguments are required: {}", missing.join(", "))))
}

/// What `argument` is among `flags`; `last` only counts where none of them fits.
fn classify(argument: &str, flags: &[&'static Flag], last: Option<&'static Flag>) -> Result<Token, String> {
    if argument == "--" {
        return Ok(Token::Dashes);
    }
    if !argument.starts_with('-') || argument.len() == 1 {
        return Ok(Token::Value);
    }
    let (name, given) = match argument.split_once('=') {
        Some((name, given)) => (name, Some(given)),
        None => (argument, None),
    };
    let exact = |wanted: &str| argument == wanted || name == wanted;
    if exact("-h") || exact("--help") {
        return Ok(Token::Help { given: given.map(str::to_owned) });
    }
    let given = given.map(str::to_owned);
    if let Some(flag) = flags.iter().find(|flag| exact(flag.name)) {
        return Ok(Token::Flag { flag, given });
    }
    if name.starts_with("--") {
        let mut found: Vec<&'static Flag> = flags.iter().copied().filter(|flag| flag.name.starts_with(name)).collect();
        let help = "--help".starts_with(name);
        if found.len() + usize::from(help) > 1 {
            let names = help.then_some("--help").into_iter().chain(found.iter().map(|flag| flag.name));
            let names: Vec<&str> = names.collect();
            return Err(format!("ambiguous option: {argument} could match {}", names.join(", ")));
        }
        if help {
            return Ok(Token::Help { given });
        }
        found.extend(last.filter(|flag| found.is_empty() && flag.name.starts_with(name)));
        if let Some(flag) = found.first() {
            return Ok(Token::Flag { flag, given });
        }
    } else if let Some(rest) = argument.strip_prefix("-h") {
        return Ok(Token::Help { given: Some(rest.to_owned()) });
    }
    if is_negative_number(argument) || argument.contains(' ') { Ok(Token::Value) } else { Ok(Token::Unknown) }
}

/// `-5`, `-.5`, `-1.5`.
fn is_negative_number(argument: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = argument.strip_prefix('-') else { return false };
    match number.split_once('.') {
        None => digits(number),
        Some((whole, fraction)) => (whole.is_empty() || digits(whole)) && digits(fraction),
    }
}

fn check(name: &str, choices: &[&str], value: &str) -> Result<(), Stop> {
    if choices.is_empty() || choices.contains(&value) {
        return Ok(());
    }
    Err(Stop::Wrong(format!("argument {name}: {}", no_choice(value, choices))))
}

fn no_choice(value: &str, choices: &[&str]) -> String {
    let choices: Vec<String> = choices.iter().map(|choice| repr(choice)).collect();
    format!("invalid choice: {} (choose from {})", repr(value), choices.join(", "))
}

fn ignored(given: &str) -> String {
    format!("argument -h/--help: ignored explicit argument {}", repr(given))
}

fn wrong(verb: Option<&Verb>, message: &str) -> Reading {
    Reading::Wrong(usage::wrong(verb, message))
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
