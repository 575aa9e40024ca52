//! What the verbs of `taskforge helper` take, as data: the parser, the usage lines and the reference all read it.

/// A verb.
#[derive(Debug)]
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// What it does, in a sentence.
    pub(super) about: &'static str,
    pub(super) positionals: &'static [Positional],
    pub(super) flags: &'static [Flag],
}

/// An argument that is known by its place.
#[derive(Debug)]
pub(super) struct Positional {
    pub(super) name: &'static str,
    /// The words it may be; any if there are none.
    pub(super) choices: &'static [&'static str],
    pub(super) help: &'static str,
}

/// An option with a value.
#[derive(Debug)]
pub(super) struct Flag {
    /// With its two dashes.
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) choices: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Positional {
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, choices: &[], help }
    }

    pub(super) const fn one_of(name: &'static str, choices: &'static [&'static str]) -> Self {
        Self { name, choices, help: "" }
    }

    /// How usage lines show it.
    pub(super) fn shown(&self) -> String {
        if self.choices.is_empty() { self.name.to_owned() } else { set(self.choices) }
    }
}

impl Flag {
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, required: false, choices: &[], help }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn one_of(self, choices: &'static [&'static str]) -> Self {
        Self { choices, ..self }
    }

    /// The option with what stands for its value.
    pub(super) fn shown(&self) -> String {
        let value = if self.choices.is_empty() {
            self.name.trim_start_matches('-').replace('-', "_").to_uppercase()
        } else {
            set(self.choices)
        };
        format!("{} {value}", self.name)
    }
}

/// Words of which one is meant.
pub(super) fn set(words: &[&str]) -> String {
    format!("{{{}}}", words.join(","))
}
