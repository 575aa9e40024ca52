#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn call(arguments: &[&str]) -> Call {
    match read(&words(arguments)) {
        Reading::Call(call) => call,
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_keep_their_order_and_places() {
    let call = call(&["result", "r", "--artifact", "a", "n", "--artifact=b", "--summ", "s", "--summary", "t"]);
    assert_eq!((call.positional("run_id"), call.positional("node_id")), ("r", "n"));
    assert_eq!(call.all("--artifact").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((call.get("--summary"), call.get("--status")), (Some("t"), None));
}

#[test]
fn nothing_and_empty_are_told_apart() {
    let call = call(&["bind", "r", "cron", "--value", ""]);
    assert_eq!((call.get("--value"), call.some("--value")), (Some(""), None));
}

#[test]
fn the_root_is_a_verb_s_option_only_where_no_other_fits() {
    // `--r` is `--run-id` or `--root-session-key` of `scaffold`, as it always was.
    let Reading::Wrong(text) = read(&words(&["scaffold", "--r", "x"])) else { panic!() };
    assert!(text.ends_with("ambiguous option: --r could match --run-id, --root-session-key\n"), "{text}");
    let root = |arguments: &[&str]| call(arguments).registry_root;
    assert_eq!(root(&["validate", "r", "--r", "x"]).as_deref(), Some("x"));
    assert_eq!(root(&["--registry-root", "x", "validate", "r", "--reg=y"]).as_deref(), Some("y"));
}

#[test]
fn negative_numbers_are_those_of_argparse() {
    for number in ["-5", "-.5", "-1.5", "-007"] {
        assert!(is_negative_number(number), "{number}");
    }
    for other in ["-", "-5x", "-1e5", "-1.", "--5", "-1.5.2", "5"] {
        assert!(!is_negative_number(other), "{other}");
    }
}

#[test]
fn what_repr_would_escape_is_escaped() {
    for (text, shown) in [
        ("a", "'a'"),
        ("it's", "\"it's\""),
        ("'\"", "'\\'\"'"),
        ("a\\b\n\t\u{1b}", "'a\\\\b\\n\\t\\x1b'"),
        ("ü😀", "'ü😀'"),
        ("\u{202e}\u{85}", "'\\u202e\\x85'"),
    ] {
        assert_eq!(repr(text), shown);
    }
}

#[test]
fn every_verb_has_a_usage_and_a_help_of_lines_that_fit() {
    for verb in VERBS {
        for text in [usage::verb_help(verb), usage::wrong(Some(verb), "x")] {
            assert!(text.starts_with(&format!("usage: taskforge helper {} [-h]", verb.name)), "{text}");
            // What cannot be broken may be longer, as with `argparse`.
            let whole = |line: &str| line.trim().starts_with(['[', '{']) && !line.contains("] ");
            let fits = |line: &&str| line.chars().count() <= 78 || whole(line) || line.contains("error:");
            let long = text.lines().find(|line| !fits(line));
            assert_eq!(long, None);
        }
        for flag in verb.flags {
            assert!(usage::verb_help(verb).contains(flag.name));
        }
    }
}

fn some_word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "scaffold",
        "bind",
        "transition-node",
        "result",
        "add-node",
        "r",
        "n",
        "cron",
        "ready",
        "--",
        "-",
        "-h",
        "--help",
        "--value",
        "--v",
        "--payload-json",
        "--artifact=x",
        "--reg",
        "--registry-root",
        "-5",
        "- x",
        "--bogus",
        "--=x",
        "",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => "-{1,3}\\PC{0,4}"]
}

proptest! {
    #[test]
    fn any_arguments_are_read(arguments in prop::collection::vec(some_word(), 0..9)) {
        match read(&arguments) {
            Reading::Call(call) => prop_assert_eq!(call.positionals.len(), call.verb.positionals.len()),
            Reading::Help(text) => prop_assert!(text.starts_with("usage: taskforge helper")),
            Reading::Wrong(text) => prop_assert!(text.starts_with("usage: taskforge helper") && text.contains(": error: ")),
        }
    }

    #[test]
    fn what_is_given_arrives(value in "\\PC{0,12}") {
        let option = format!("--value={value}");
        let given = call(&["bind", "r", "cron", &option]);
        prop_assert_eq!(given.get("--value"), Some(value.as_str()));
        let given = call(&["progress", "--", "r", &value]);
        prop_assert_eq!(given.positional("message"), value.as_str());
    }
}
