//! Prompts as templates: `{{ params.region }}`, and nothing else that repeats, includes, assigns or calls.
//!
//! A prompt is a template only in a file that has `params`; in any other file it is literal text, whatever it holds, so
//! that OpenTask's files mean what they always meant. `{%` and `{#` are literal text everywhere.

use std::collections::BTreeMap;
use std::io::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use super::params::{Param, ParamType, ParamValue};
use super::text::{is_unsafe, shown};
use crate::run::nearest::nearest;

/// The largest prompt after its parameters are filled in, in bytes.
const RENDERED_LIMIT: usize = 1024 * 1024;

/// The longest expression between two braces, in bytes. The parser of templates recurses on operators and attributes
/// without a limit of its own; this much it takes.
const EXPRESSION_LIMIT: usize = 500;

/// Why a template cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a template writes for a NUL character.
const NUL: &str = "{{ \"\\u0000\" }}";

fn environment<'s>() -> Result<Environment<'s>, Fault> {
    let mut environment = Environment::empty();
    // A statement or a comment begins with a character that no template may hold: expressions are all there is, and
    // without loops and assignments rendering takes time and space in proportion to the text.
    let syntax = SyntaxConfig::builder()
        .block_delimiters("\0%", "%\0")
        .comment_delimiters("\0#", "#\0")
        .keep_trailing_newline(true)
        .build()
        .map_err(|e| Fault::new(format!("templates cannot be read: {}", e.kind())))?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // As JSON and YAML write them, and not as Python does.
    environment.set_formatter(|out, state, value| match bool::try_from(value.clone()) {
        Ok(boolean) if value.kind() == ValueKind::Bool => Ok(write!(out, "{boolean}")?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("upper", minijinja::filters::upper);
    environment.add_filter("lower", minijinja::filters::lower);
    environment.add_filter("trim", minijinja::filters::trim);
    environment.add_filter("default", minijinja::filters::default);
    Ok(environment)
}

/// Checks the prompt of a file with these `params`, or without any.
pub(super) fn check_prompt(prompt: &str, params: Option<&BTreeMap<String, Param>>) -> Result<(), Fault> {
    let Some(params) = params else {
        return if mentions_params(prompt) {
            Err(Fault::new("uses `{{ params… }}`, and the workflow has no `params`")
                .hint("declare `params:`, or write `params: {}` and `{{ '{{' }}` for two braces as they are"))
        } else {
            Ok(())
        };
    };
    if prompt.contains('\0') {
        return Err(Fault::new("holds a NUL character").hint(format!("write `{NUL}`")));
    }
    expressions(prompt)?;
    let environment = environment()?;
    let template = environment.template_from_str(prompt).map_err(|e| syntax_fault(&e))?;
    names(template.undeclared_variables(true), params, &[])?;
    // Filters and functions are looked up when a template is rendered, so it is, with values that stand for any.
    match write(&template, &samples(params)) {
        Err(e) if is_lookup(e.kind()) => Err(syntax_fault(&e)),
        _ => Ok(()),
    }
}

/// Bounds every expression of a template, before it is parsed. What this takes for the end of one is where the parser
/// sees it too, since outside of quotes there is no brace, and nothing in quotes is escaped.
fn expressions(template: &str) -> Result<(), Fault> {
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let inside = &rest[start + 2..];
        let end = inside
            .find("}}")
            .ok_or_else(|| Fault::new("has `{{` without `}}`").hint("for two braces as they are write `{{ '{{' }}`"))?;
        let expression = &inside[..end];
        if rest[start..].starts_with(NUL) {
            rest = &inside[end..];
            continue;
        }
        if expression.len() > EXPRESSION_LIMIT {
            return Err(Fault::new(format!("has an expression of more than {EXPRESSION_LIMIT} bytes")));
        }
        let mut quote = None;
        for c in expression.chars() {
            match (quote, c) {
                (_, '\\') => return Err(Fault::new("has a backslash in an expression")),
                (None, '{' | '}') => return Err(Fault::new("has a brace in an expression")),
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                _ => {}
            }
        }
        if quote.is_some() {
            return Err(Fault::new("has a quote that is not closed in an expression"));
        }
        rest = &inside[end..];
    }
    Ok(())
}

/// Checks the expression of a `when`: over `params.NAME` and `nodes`.
pub(super) fn check_condition(condition: &str, params: &BTreeMap<String, Param>) -> Result<(), Fault> {
    if condition.len() > EXPRESSION_LIMIT {
        return Err(Fault::new(format!("is longer than {EXPRESSION_LIMIT} bytes")));
    }
    let environment = environment()?;
    let expression = environment.compile_expression(condition).map_err(|e| syntax_fault(&e))?;
    names(expression.undeclared_variables(true), params, &["nodes"])
}

/// Fills in `values`, one for each parameter.
pub(super) fn render(prompt: &str, values: &BTreeMap<String, ParamValue>) -> Result<String, Fault> {
    let environment = environment()?;
    let template = environment.template_from_str(prompt).map_err(|e| syntax_fault(&e))?;
    let bytes = write(&template, values).map_err(|e| match e.kind() {
        ErrorKind::WriteFailure => Fault::new(format!("is larger than {RENDERED_LIMIT} bytes")),
        _ => syntax_fault(&e),
    })?;
    String::from_utf8(bytes).map_err(|_| Fault::new("is not UTF-8 when rendered"))
}

fn write(
    template: &minijinja::Template<'_, '_>,
    values: &BTreeMap<String, ParamValue>,
) -> Result<Vec<u8>, minijinja::Error> {
    let mut bytes = Vec::new();
    let bounded = Bounded { bytes: &mut bytes };
    let values: BTreeMap<&str, minijinja::Value> =
        values.iter().map(|(name, value)| (name.as_str(), plain(value))).collect();
    template.render_captured_to(minijinja::context! { params => values }, bounded)?;
    Ok(bytes)
}

fn plain(value: &ParamValue) -> minijinja::Value {
    match value {
        ParamValue::String(text) => text.as_str().into(),
        ParamValue::Integer(integer) => (*integer).into(),
        ParamValue::Number(number) => (*number).into(),
        ParamValue::Boolean(boolean) => (*boolean).into(),
    }
}

struct Bounded<'b> {
    bytes: &'b mut Vec<u8>,
}

impl Write for Bounded<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + buffer.len() > RENDERED_LIMIT {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn is_lookup(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::UnknownMethod
    )
}

fn samples(params: &BTreeMap<String, Param>) -> BTreeMap<String, ParamValue> {
    let sample = |param: &Param| match (&param.default, param.choices.first(), param.kind) {
        (Some(value), _, _) | (None, Some(value), _) => value.clone(),
        (None, None, ParamType::String) => ParamValue::String("text".to_owned()),
        (None, None, ParamType::Integer) => ParamValue::Integer(1),
        (None, None, ParamType::Number) => ParamValue::Number(1.5),
        (None, None, ParamType::Boolean) => ParamValue::Boolean(true),
    };
    params.iter().map(|(name, param)| (name.clone(), sample(param))).collect()
}

/// Refuses the first name that is neither a declared parameter nor one of `roots`.
fn names(
    found: impl IntoIterator<Item = String>,
    params: &BTreeMap<String, Param>,
    roots: &[&str],
) -> Result<(), Fault> {
    let mut found: Vec<String> = found.into_iter().collect();
    found.sort_unstable();
    for name in found {
        let (root, rest) = name.split_once('.').unwrap_or((&name, ""));
        if roots.contains(&root) {
            continue;
        }
        if root != "params" {
            let fault = Fault::new(format!("uses {}, which is not known there", shown(&name)));
            return Err(if params.contains_key(root) {
                fault.hint(format!("did you mean `params.{root}`?"))
            } else {
                fault.hint("a prompt knows `params.NAME`; for two braces as they are write `{{ '{{' }}`")
            });
        }
        let param = rest.split('.').next().unwrap_or_default();
        if param.is_empty() {
            return Err(Fault::new("uses `params` as a whole").hint("write `params.NAME`"));
        }
        if !params.contains_key(param) {
            let fault = Fault::new(format!("uses {}, and there is no such param", shown(&format!("params.{param}"))));
            return Err(match nearest(param, params.keys().map(String::as_str)) {
                Some(near) => fault.hint(format!("did you mean `params.{near}`?")),
                None => fault.hint(format!("declare `{param}` in `params`")),
            });
        }
    }
    Ok(())
}

fn syntax_fault(error: &minijinja::Error) -> Fault {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let line = error.line().map(|line| format!(" (line {line} of it)")).unwrap_or_default();
    let text = format!("{}{detail}{line}", error.kind());
    let text: String = text.chars().filter(|c| !is_unsafe(*c)).take(200).collect();
    Fault::new(format!("cannot be read as a template: {text}"))
}

/// Checks a template over `known` names, each a value or the root of one, that is no prompt: a watch's task.
pub(crate) fn check_over(template: &str, known: &[&str]) -> Result<(), String> {
    let told = |fault: Fault| match fault.hint {
        Some(hint) => format!("{} ({hint})", fault.message),
        None => fault.message,
    };
    expressions(template).map_err(told)?;
    let environment = environment().map_err(told)?;
    let compiled = environment.template_from_str(template).map_err(|e| told(syntax_fault(&e)))?;
    let mut found: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
    found.sort_unstable();
    let unknown = |name: &&String| !known.contains(&name.split('.').next().unwrap_or_default());
    match found.iter().find(unknown) {
        Some(name) => Err(format!("uses {}, which is not known there: {}", shown(name), known.join(", "))),
        // Filters are looked up when a template is rendered.
        None => match fill(template, &known.iter().map(|name| ((*name).to_owned(), "text".into())).collect()) {
            Err(Unfilled { lookup: true, message }) => Err(message),
            _ => Ok(()),
        },
    }
}

/// Why a template could not be filled in.
#[derive(Debug)]
pub(crate) struct Unfilled {
    /// A filter or test that does not exist: no value would help.
    lookup: bool,
    pub(crate) message: String,
}

/// Fills `values` in by their names.
pub(crate) fn fill(template: &str, values: &BTreeMap<String, serde_json::Value>) -> Result<String, Unfilled> {
    let plain = |fault: Fault| Unfilled { lookup: false, message: fault.message };
    let environment = environment().map_err(plain)?;
    let failed = |e: minijinja::Error| Unfilled { lookup: is_lookup(e.kind()), message: syntax_fault(&e).message };
    let compiled = environment.template_from_str(template).map_err(failed)?;
    let mut bytes = Vec::new();
    let result = compiled.render_captured_to(minijinja::value::Serde(values), Bounded { bytes: &mut bytes });
    match result {
        Ok(_) => String::from_utf8(bytes).map_err(|_| plain(Fault::new("is not UTF-8 when rendered"))),
        Err(e) if e.kind() == ErrorKind::WriteFailure => {
            Err(plain(Fault::new(format!("is larger than {RENDERED_LIMIT} bytes"))))
        }
        Err(e) => Err(failed(e)),
    }
}

/// Whether literal text looks as if `params` were meant.
fn mentions_params(prompt: &str) -> bool {
    prompt.split("{{").skip(1).any(|inner| {
        let inner = inner.trim_start_matches(['-', '+']).trim_start();
        inner.strip_prefix("params").is_some_and(|rest| rest.trim_start().starts_with(['.', '[', '}', '|']))
    })
}

/// The template that renders as `text`, whatever it holds.
pub(crate) fn literal(text: &str) -> String {
    let mut template = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // No brace may stand before another, nor before what is written for one.
            '{' if matches!(characters.peek(), Some('{' | '\0')) => template.push_str("{{ '{' }}"),
            '\0' => template.push_str(NUL),
            c => template.push(c),
        }
    }
    template
}

/// Whether `text` means itself in a file without `params`.
pub(super) fn is_literal(text: &str) -> bool {
    !mentions_params(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn params() -> BTreeMap<String, Param> {
        let param = Param { kind: ParamType::String, default: None, description: None, choices: Vec::new() };
        BTreeMap::from([("region".to_owned(), param)])
    }

    #[test]
    fn declared_params_are_filled_in() {
        let prompt = "In {{ params.region }}, {{ params.region|upper }}. {% x %} {# y #} }}\n";
        check_prompt(prompt, Some(&params())).unwrap();
        let values = BTreeMap::from([("region".to_owned(), ParamValue::String("eu {{ x }}".into()))]);
        assert_eq!(render(prompt, &values).unwrap(), "In eu {{ x }}, EU {{ X }}. {% x %} {# y #} }}\n");
    }

    #[test]
    fn everything_else_is_refused() {
        for (prompt, message) in [
            ("{{ params.regoin }}", "uses `params.regoin`, and there is no such param"),
            ("{{ region }}", "uses `region`, which is not known there"),
            ("{{ params }}", "uses `params` as a whole"),
            ("{{ params['region'] }}", "uses `params` as a whole"),
            ("{{ params.region", "has `{{` without `}}`"),
            ("{{ params. }}", "cannot be read as a template: syntax error"),
            ("{{ {'a': 1} }}", "has a brace in an expression"),
            ("{{ '}}' }}", "has a quote that is not closed in an expression"),
            ("{{ 'a\\'}}' }}", "has a backslash in an expression"),
            ("{{ params.region|frob }}", "cannot be read as a template: unknown filter"),
            ("{{ range(3) }}", "uses `range`, which is not known there"),
            ("a\0b", "holds a NUL character"),
        ] {
            let fault = check_prompt(prompt, Some(&params())).unwrap_err();
            assert!(fault.message.starts_with(message), "{prompt}: {}", fault.message);
        }
    }

    #[test]
    fn without_params_a_prompt_is_literal() {
        assert_eq!(check_prompt("{{ secrets.X }} {{ paramsx }} {{", None), Ok(()));
        assert!(check_prompt("{{params.x}}", None).is_err());
        assert!(check_prompt("{{-  params }}", None).is_err());
    }

    #[test]
    fn conditions_know_params_and_nodes() {
        assert_eq!(check_condition("params.region == 'eu' and nodes['a-b'].status == 'completed'", &params()), Ok(()));
        assert!(check_condition("params.x", &params()).is_err());
        assert!(check_condition("foo == 1", &params()).is_err());
        assert!(check_condition("(", &params()).is_err());
    }

    /// Each of these overflowed the stack of the parser, which no `catch_unwind` survives.
    #[test]
    fn endless_expressions_are_refused() {
        for piece in [".x", "[0]", "()", "|upper", " ~ 1", " and 1", "+1", " is defined", "<1", " if 1 else 1"] {
            let long = format!("params.region{}", piece.repeat(100_000));
            for prompt in [
                format!("{{{{ {long} }}}}"),
                format!("{{{{ '}}}}' ~ {long} }}}}"),
                format!("{{{{ \"\\\"}}}}\" ~ {long} }}}}"),
                format!("{{{{ ( }}}}{long}) }}}}"),
                format!("{{{{ params.region }}}}{{{{ {long}"),
            ] {
                assert!(check_prompt(&prompt, Some(&params())).is_err(), "{piece}");
            }
            assert!(check_condition(&long, &params()).is_err());
            let short = format!("params.region{}", piece.repeat(480 / piece.len()));
            let _ = check_prompt(&format!("{{{{ {short} }}}}"), Some(&params()));
            let _ = check_condition(&short, &params());
        }
        for piece in ["(", "[", "not ", "-", "{1:"] {
            let _ = check_prompt(&format!("{{{{ {} }}}}", piece.repeat(490 / piece.len())), Some(&params()));
            assert!(check_prompt(&format!("{{{{ {} }}}}", piece.repeat(100_000)), Some(&params())).is_err());
        }
    }

    #[test]
    fn a_task_is_filled_in_by_names() {
        let values = BTreeMap::from([
            ("n".to_owned(), serde_json::json!(12)),
            ("body".to_owned(), serde_json::json!({"a": [{"b": "{{ n }}"}]})),
        ]);
        let text = "#{{ n }} {{ body.a[0].b }} {% if n %}";
        check_over(text, &["n", "body"]).unwrap();
        assert_eq!(fill(text, &values).unwrap(), "#12 {{ n }} {% if n %}");
        assert!(fill("{{ body.x }}", &values).is_err());
        for (bad, why) in [
            ("{{ m }}", "uses `m`, which is not known there: n, body"),
            ("{{ n", "has `{{` without `}}`"),
            ("{{ n|frob }}", "cannot be read as a template: unknown filter"),
        ] {
            let message = check_over(bad, &["n", "body"]).unwrap_err();
            assert!(message.starts_with(why), "{bad}: {message}");
        }
    }

    #[test]
    fn a_large_result_is_refused() {
        let prompt = "{{ params.region }}".repeat(100);
        let values = BTreeMap::from([("region".to_owned(), ParamValue::String("x".repeat(TEXT)))]);
        assert!(render(&prompt, &values).unwrap_err().message.starts_with("is larger than"));
    }
    const TEXT: usize = super::super::params::TEXT_LIMIT;

    proptest! {
        #[test]
        fn a_literal_renders_as_itself(text in "[{}%#'\"a \0\n\\\\-]{0,40}|\\PC{0,40}") {
            prop_assert_eq!(render(&literal(&text), &BTreeMap::new()).unwrap(), text);
        }

        #[test]
        fn no_template_panics(text in "[{}|.()\\[\\]'\"a-c0-9 *~%#-]{0,60}") {
            let _ = check_prompt(&format!("{{{{ {text} }}}}"), Some(&params()));
            let _ = check_condition(&text, &params());
        }
    }
}
