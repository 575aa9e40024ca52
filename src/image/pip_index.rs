//! The variables by which pip finds its index.

/// For `packages.pipIndex`. An operator's own index without TLS is asked, too, as the settings say, and no other host
/// without TLS; what is installed is held to the digests that were approved in any case.
pub(super) fn variables(index: Option<&str>) -> Vec<(String, String)> {
    let Some(index) = index else { return Vec::new() };
    let mut variables = vec![("PIP_INDEX_URL".to_owned(), index.to_owned())];
    if let Some(rest) = index.strip_prefix("http://") {
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        variables.push(("PIP_TRUSTED_HOST".to_owned(), host.to_owned()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_index_without_tls_is_trusted_by_name() {
        let names =
            |index| variables(index).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(names(None), Vec::<String>::new());
        assert_eq!(names(Some("https://host/simple")), ["PIP_INDEX_URL=https://host/simple"]);
        let own = "http://me:word@host:3141/simple";
        assert_eq!(names(Some(own)), [format!("PIP_INDEX_URL={own}"), "PIP_TRUSTED_HOST=host:3141".to_owned()]);
    }
}
