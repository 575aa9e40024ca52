#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn canonical(text: &str) -> String {
    Capability::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

#[test]
fn every_example_is_canonical() {
    for kind in CapabilityKind::ALL {
        assert_eq!(canonical(kind.example()), kind.example());
        assert_eq!(Capability::parse(kind.example()).unwrap().kind(), kind);
    }
}

#[test]
fn python_names_and_versions_are_normalised() {
    for (text, expected) in [
        ("pip:Zope.Interface", "pip:zope-interface"),
        ("pip:py__.--gal", "pip:py-gal"),
        ("pip:requests[Socks,security,socks]==2.31.0", "pip:requests[security,socks]==2.31.0"),
        ("pip:x==v1.0.ALPHA-1", "pip:x==1.0a1"),
        ("pip:x==1.0c3", "pip:x==1.0rc3"),
        ("pip:x==1.0-1", "pip:x==1.0.post1"),
        ("pip:x==1.0.rev4.dev", "pip:x==1.0.post4.dev0"),
        ("pip:x==1!2024.01", "pip:x==1!2024.1"),
        ("pip:x==1.0a2.post3.dev4", "pip:x==1.0a2.post3.dev4"),
    ] {
        assert_eq!(canonical(text), expected);
    }
}

#[test]
fn versions_match_without_trailing_zeros() {
    let version = |text| PythonVersion::parse(text).unwrap();
    assert!(version("1.0").matches(&version("1.0.0")));
    assert!(version("0").matches(&version("0.0")));
    assert!(!version("1.0").matches(&version("1.0.post1")));
    assert!(!version("1!1.0").matches(&version("1.0")));
}

#[test]
fn budgets_of_models_have_one_order() {
    assert_eq!(canonical("llm:gemini-*,tokens=200000,requests=50"), "llm:gemini-*,requests=50,tokens=200000");
    assert_eq!(canonical("llm:a/b:c,tokens=1"), "llm:a/b:c,tokens=1");
    assert_eq!(canonical("llm:big-*,money=2.5,requests=50"), "llm:big-*,requests=50,money=2.5");
}

#[test]
fn debian_packages() {
    for good in ["apt:g++", "apt:libstdc++6=12.2.0-14", "apt:0ad=1:0.0.26-3+b1", "apt:x.y-z=2.0~rc1-1~deb12u1"] {
        assert_eq!(canonical(good), good);
    }
}

#[test]
fn refuses_what_does_not_fit() {
    for bad in [
        "",
        ":",
        "pip",
        "pandas",
        "PIP:pandas",
        "gem:rails",
        "pip:",
        "pip:pan das",
        "pip:pandas\n",
        "pip:pandas\u{202e}",
        "pip:--index-url",
        "pip:-r",
        "pip:pandas>=2",
        "pip:pandas~=2.0",
        "pip:pandas===2.0",
        "pip:pandas==2.*",
        "pip:pandas==1.0+local",
        "pip:pandas==",
        "pip:pandas==1.0;python_version<'3'",
        "pip:pandas@https://example.com/x.whl",
        "pip:./x.whl",
        "pip:x,y",
        "pip:x==1,y==2",
        "pip:x[]",
        "pip:x[a",
        "pip:x[a]b",
        "pip:x==99999999999999999999",
        "apt:j",
        "apt:JQ",
        "apt:jq-",
        "apt:jq=",
        "apt:jq=x1",
        "apt:jq=1.6-",
        "apt:jq=a:1",
        "apt:jq:amd64",
        "apt:jq/stable",
        "apt:jq$(id)",
        "apt:-y",
        "npm:@scope",
        "npm:@/x",
        "npm:Left",
        "npm:left@^1.0.0",
        "npm:left@latest",
        "npm:left@1.2",
        "npm:left@01.2.3",
        "npm:left@",
        "tool:",
        "tool:-x",
        "net:host",
        "net:host:0",
        "net:host:65536",
        "net:host:080",
        "net:host:+80",
        "net:Host:80",
        "net:host.:80",
        "net:-a.b:80",
        "net:*.b:80",
        "net:127.1:80",
        "net:0x7f.0.0.0x1:80",
        "net:2130706433:80",
        "net:127.0.0.01:80",
        "net:::1:80",
        "net:[fe80::1%eth0]:80",
        "net:a_b:80",
        "net:user@host:80",
        "net:user:pw@host:80",
        "net:host%2e:80",
        "net:host/path:80",
        "net:host?x:80",
        "net:http://host:80",
        "net:m\u{fc}nchen.de:80",
        "net:\u{ff47}oogle.com:80",
        "net:host\u{3002}com:80",
        "net:a..b:80",
        "net:.a:80",
        "net::80",
        "net:0.0.0.0:80",
        "net:0.1.2.3:80",
        "net:255.255.255.255:80",
        "net:224.0.0.1:80",
        "net:1.2.3:80",
        "net:1.2.3.4.5:80",
        "net:0177.0.0.1:80",
        "net:a.0x1:80",
        "net:a.1:80",
        "net:[::]:80",
        "net:[::ffff:127.0.0.1]:80",
        "net:[::ffff:7f00:1]:80",
        "net:[::127.0.0.1]:80",
        "net:[64:ff9b::7f00:1]:80",
        "net:[2002:7f00:1::]:80",
        "net:[2001:0:1::]:80",
        "net:[ff02::1]:80",
        "net:[127.0.0.1]:80",
        "net:[::1:80",
        "net:::1]:80",
        "tcp:host",
        "tcp:*:5432",
        "tcp:host:5432-5440",
        "tcp:host:5432,5433",
        "mount:/:ro",
        "mount:/data",
        "mount:data:ro",
        "mount:/data/../etc:ro",
        "mount:/data//x:ro",
        "mount:/data/:ro",
        "mount:/data:rx",
        "mount:/a:b:ro",
        "secret:github-token",
        "secret:@host",
        "secret:a@b:443,",
        "secret:a@b:0",
        "secret:a@b,header=Host",
        "secret:a@b,header=transfer-encoding",
        "secret:a@b,header=x,header=y",
        "secret:a@b,scheme=digest",
        "secret:a@b,prefix=x",
        "action:github.pr.comment,repo=a/..",
        "action:github.pr.comment,repo=a/b/c",
        "action:github.pr.comment,repo=a/b?x",
        "action:github.pr.comment,repo=a/b%2fc",
        "action:github.review.submit,verdict=MERGE",
        "action:slack.message.send,channel=general",
        "action:webhook.send,url=https://a/%2E./b",
        "action:email.send,to=a@b@c",
        "action:email.send,to=<a@b>",
        "action:webhook.send,url=ftp://a/b",
        "action:webhook.send,url=https://a/../b",
        "action:webhook.send,url=https://u@a/b",
        "action:email.send,limit=5",
        "action:email.send,limit=0/hour",
        "action:email.send,limit=5/hour,limit=6/hour",
        "action:",
        "action:a..b",
        "action:A.b",
        "llm:",
        "llm:-x",
        "llm:a b",
        "llm:a,",
        "llm:,requests=1",
        "llm:a,requests",
        "llm:a,requests=",
        "llm:a,requests=0",
        "llm:a,money=0",
        "llm:a,money=2.50",
        "llm:a,money=1,money=2",
        "llm:a,requests=01",
        "llm:a,requests=-1",
        "llm:a,requests=1e3",
        "llm:a,requests=1000000000000",
        "llm:a,requests=1,requests=2",
        "llm:a,b",
        "port:0",
        "port:70000",
        "port:",
        "port:080",
    ] {
        assert!(Capability::parse(bad).is_err(), "{bad:?} was accepted");
    }
    assert!(matches!(Capability::parse(&format!("pip:{}", "a".repeat(600))), Err(CapabilityError::TooLong { .. })));
}

#[test]
fn messages_name_the_rule_and_an_example() {
    let message = Capability::parse("pip:pandas>=2").unwrap_err().to_string();
    assert!(message.contains("no ranges") && message.contains("`pip:pandas==2.2.3`"), "{message}");
    let message = Capability::parse("pip:a\u{1b}[2J").unwrap_err().to_string();
    assert!(!message.contains('\u{1b}'), "{message:?}");
    let message = Capability::parse("pip:a\u{202e}b").unwrap_err().to_string();
    assert!(!message.contains('\u{202e}'), "{message:?}");
}

#[test]
fn serde_uses_the_text() {
    let capability: Capability = serde_json::from_str("\"pip:Py_Gal\"").unwrap();
    assert_eq!(serde_json::to_string(&capability).unwrap(), "\"pip:py-gal\"");
    assert!(serde_json::from_str::<Capability>("\"pip:a b\"").is_err());
}

/// Texts that are near the grammars, so that many of them parse.
fn near() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(CapabilityKind::ALL.map(CapabilityKind::as_str).to_vec());
    (
        kind,
        "[A-Za-z0-9@/\\[.*-]{0,4}[A-Za-z0-9._:/=@!~+\\[\\],*-]{0,16}(==?[0-9v!.a-z~:-]{0,10})?(:(ro|rw|[0-9]{1,5}))?",
    )
        .prop_map(|(kind, rest)| format!("{kind}:{rest}"))
}

fn python_version() -> impl Strategy<Value = String> {
    let pre = "([._-]?(a|b|c|rc|alpha|beta|pre|preview)([._-]?[0-9]{1,3})?)?";
    let post = "(([._-]?(post|rev|r)([._-]?[0-9]{1,3})?)|-[0-9]{1,3})?";
    let pattern =
        format!("v?([0-9]{{1,2}}!)?[0-9]{{1,4}}(\\.[0-9]{{1,4}}){{0,3}}{pre}{post}([._-]?dev([._-]?[0-9]{{1,3}})?)?");
    proptest::string::string_regex(&pattern).unwrap()
}

fn check(text: &str) -> Result<bool, TestCaseError> {
    let Ok(capability) = Capability::parse(text) else {
        return Ok(false);
    };
    let shown = capability.to_string();
    let again = Capability::parse(&shown);
    prop_assert_eq!(again.as_ref(), Ok(&capability), "{} became {}", text, shown);
    let glob = capability.kind() == CapabilityKind::Llm;
    for value in [text, &shown] {
        prop_assert!(
            value.chars().all(|c| c.is_ascii_graphic() && !"\"'`$\\;|&<>(){}?#%^".contains(c) && (glob || c != '*')),
            "{}",
            value
        );
    }
    let (_, rest) = shown.split_once(':').unwrap();
    prop_assert!(!rest.starts_with('-') && !rest.is_empty());
    prop_assert!(glob || rest.split(['=', ',', '[', '@', ':']).all(|part| !part.starts_with('-')), "{}", shown);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn display_parses_back(text in near()) {
        check(&text)?;
    }

    #[test]
    fn anything_at_all(text in "(pip|apt|npm|net|mount|llm|secret):\\PC{0,30}") {
        check(&text)?;
    }

    /// What is granted is one host and one port, and an address only in its own one way of writing it.
    #[test]
    fn a_way_out_is_one_host_and_one_port(kind in "net|tcp", host in "[a-z0-9.:%@*\\[\\]x-]{1,24}", port in "[0-9+]{1,6}") {
        if let Ok(capability) = Capability::parse(&format!("{kind}:{host}:{port}")) {
            let (Capability::Net(endpoint) | Capability::Tcp(endpoint)) = &capability else { panic!() };
            prop_assert_eq!(endpoint.port().to_string(), port);
            match endpoint.host() {
                Host::Name(name) => {
                    prop_assert_eq!(name, &host);
                    prop_assert!(!name.contains(['*', '@', '%', ':', '[']) && !name.ends_with('.'));
                    // No resolver takes it for an address.
                    prop_assert!(name.parse::<std::net::IpAddr>().is_err());
                    prop_assert!(name.rsplit('.').next().unwrap().parse::<u64>().is_err());
                }
                Host::V4(address) => prop_assert_eq!(address.to_string(), host),
                Host::V6(address) => prop_assert!(crate::run::address::is_a_host((*address).into())),
            }
        }
    }

    #[test]
    fn every_spelling_of_a_python_version_parses(version in python_version()) {
        prop_assert!(check(&format!("pip:x=={version}"))?, "{}", version);
    }
}
