//! The one place where a workflow's capability names are checked.

/// Whether `text` names a capability: `kind:name`.
// Stands in for `run::capability::Capability::parse`; its body becomes
// `Capability::parse(text).map(drop).map_err(|e| e.to_string())` when that lands.
pub(super) fn check_capability(text: &str) -> Result<(), String> {
    const KINDS: [&str; 11] = ["apt", "pip", "npm", "tool", "net", "tcp", "mount", "secret", "action", "llm", "port"];
    let Some((kind, name)) = text.split_once(':') else {
        return Err("has no kind; write it like `pip:pandas==2.2.3`".to_owned());
    };
    if !KINDS.contains(&kind) {
        return Err(match super::nearest::nearest(kind, KINDS) {
            Some(near) => format!("has an unknown kind; did you mean `{near}:`?"),
            None => format!("has an unknown kind; there are {}", super::text::alternatives(&KINDS)),
        });
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-+:=/@*[],~<>!".contains(c);
    if name.is_empty()
        || name.len() > 300
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric() || "/@*".contains(c))
    {
        return Err("has no proper name after the colon".to_owned());
    }
    if !name.chars().all(fits) || name.split('/').any(|part| part == "..") {
        return Err("holds a character that no capability has".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in
            ["pip:pandas==2.2.3", "apt:curl", "net:api.github.com:443", "npm:@types/node@20.1.0", "llm:gemini-*"]
        {
            assert_eq!(check_capability(good), Ok(()), "{good}");
        }
        for bad in ["", "pandas", "pip:", "pipp:x", "pip:-r", "pip:a b", "pip:a;b", "pip:$(x)", "mount:/../x", "pip:é"]
        {
            assert!(check_capability(bad).is_err(), "{bad}");
        }
    }
}
