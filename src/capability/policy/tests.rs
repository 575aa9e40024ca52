#![allow(clippy::unwrap_used)]
//! What the rules say.

use proptest::prelude::*;

use super::*;

fn policies(files: &[(&str, &str)]) -> Policies {
    Policies::parse(files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect())
}

fn one(rules: &str) -> Policies {
    let policies = policies(&[("p.yaml", &format!("format: 1\nrules:\n{rules}"))]);
    assert_eq!(policies.problems(), [], "{rules}");
    policies
}

fn cap(text: &str) -> Capability {
    Capability::parse(text).unwrap()
}

fn says(policies: &Policies, capability: &str) -> String {
    policies.rule_on(&Asked::alone(&cap(capability), "nightly", None)).to_string()
}

#[test]
fn without_a_rule_a_person_is_asked() {
    assert_eq!(says(&Policies::parse(Vec::new()), "pip:pandas"), "ask (no rule)");
    assert_eq!(says(&one("- {effect: allow, kind: apt, name: jq}"), "pip:jq"), "ask (no rule)");
}

#[test]
fn the_strictest_rule_that_fits_decides_wherever_it_stands() {
    let policies = policies(&[
        ("b.yaml", "format: 1\nrules:\n- {effect: allow, kind: '*', name: '*', because: trusting}\n"),
        (
            "a.yaml",
            "format: 1\nrules:\n- {effect: deny, kind: pip, name: evil-*, because: known to be bad}\n- {effect: ask, kind: pip, name: '*z'}\n",
        ),
    ]);
    assert_eq!(says(&policies, "pip:evil-twin"), "deny by a.yaml:3: known to be bad");
    assert_eq!(says(&policies, "pip:abcz"), "ask by a.yaml:4");
    assert_eq!(says(&policies, "pip:evil-z"), "deny by a.yaml:3: known to be bad");
    assert_eq!(says(&policies, "net:example.com:443"), "allow by b.yaml:3: trusting");
}

#[test]
fn a_folder_that_is_kept_back_is_not_had_by_the_one_around_it_or_one_in_it() {
    let policies = one("- {effect: allow, kind: mount, name: '/data*:ro'}\n\
         - {effect: deny, kind: mount, name: '/data/secret:*'}\n\
         - {effect: ask, kind: mount, name: ['/data/*/keys:ro', '*/.ssh:*', '/data/old*']}\n");
    for (mount, effect) in [
        ("/data:ro", "deny"),
        ("/data/secret:ro", "deny"),
        ("/data/secret/sub/deeper:ro", "deny"),
        ("/data/secrets/one:ro", "allow"),
        ("/data/sets:ro", "ask"),
        ("/data/sets/keys/of:ro", "ask"),
        ("/data/sets/other:ro", "allow"),
        ("/data/me/.ssh/sub:ro", "ask"),
        ("/data/x/y/z:ro", "allow"),
        ("/data/older/set:ro", "ask"),
        ("/database:ro", "allow"),
    ] {
        let said = says(&policies, &format!("mount:{mount}"));
        assert!(said.starts_with(effect), "{mount}: {said}");
    }
    // What allows a folder allows nothing around it.
    let allowing = one("- {effect: allow, kind: mount, name: '/data/sets:ro'}");
    for mount in ["mount:/data:ro", "mount:/data/sets/one:ro", "mount:/data/sets:rw"] {
        assert_eq!(says(&allowing, mount), "ask (no rule)");
    }
    // To be written is another thing than to be read.
    let writing = one("- {effect: deny, kind: mount, name: '/data/sets:rw'}");
    assert_eq!(says(&writing, "mount:/data:ro"), "ask (no rule)");
    assert!(says(&writing, "mount:/data:rw").starts_with("deny"));
}

#[test]
fn what_cannot_be_read_denies_everything_and_says_why() {
    for (text, expected) in [
        ("rules: []", "p.yaml:1: the first line says `format: 1`"),
        ("format: 2\nrules: []", "p.yaml:1: the only format that is known is 1"),
        ("format: 1", "p.yaml:1: `rules` is missing; without any it is `rules: []`"),
        ("format: 1\nrules: []\nrule: []", "p.yaml:3: `rule` is not known here; there are format, rules"),
        ("format: 1\nrules: {}", "p.yaml:2: `rules` is a list, not a map"),
        (
            "format: 1\nrules:\n- {effect: allow, kind: pip}",
            "p.yaml:3: `name` is missing; for all of a kind it is `name: \"*\"`",
        ),
        (
            "format: 1\nrules:\n- {effect: allow, name: x}",
            "p.yaml:3: `kind` is missing; for all of them it is `kind: \"*\"`",
        ),
        ("format: 1\nrules:\n- {kind: pip, name: x}", "p.yaml:3: `effect` is missing: allow, ask or deny"),
        ("format: 1\nrules:\n- {effect: permit, kind: pip, name: x}", "p.yaml:3: `effect` is allow, ask or deny"),
        ("format: 1\nrules:\n- {effect: deny, kind: gem, name: x}", "p.yaml:3: `gem` is no kind; there are apt, pip"),
        ("format: 1\nrules:\n- {effect: deny, kind: pip, name: x, unless: y}", "p.yaml:3: `unless` is not known here"),
        ("format: 1\nrules:\n- {effect: deny, kind: pip, name: x, name: y}", "p.yaml:3: `name` stands twice"),
        (
            "format: 1\nrules:\n- {effect: deny, kind: pip, name: []}",
            "p.yaml:3: this has to be a text, or a list of texts",
        ),
        (
            "format: 1\nrules:\n- {effect: deny, kind: pip, name: \"a b\"}",
            "p.yaml:3: this has to be a text, or a list of texts",
        ),
        ("format: 1\nrules:\n- {effect: allow, kind: pip, name: 'pandas==2'}", "p.yaml:3: `pandas==2` fits nothing"),
        ("format: 1\nrules:\n- {effect: deny, kind: net, name: example.com}", "p.yaml:3: `example.com` fits nothing"),
        (
            "format: 1\nrules:\n- {effect: deny, kind: net, name: '*.example.com'}",
            "p.yaml:3: `*.example.com` fits nothing: a `net` has a port",
        ),
        (
            "format: 1\nrules:\n- {effect: deny, kind: llm, name: 'gpt-4o,tokens=5'}",
            "p.yaml:3: `gpt-4o,tokens=5` fits nothing",
        ),
        (
            "format: 1\nrules:\n- {effect: deny, kind: [net, tcp], name: db.internal}",
            "p.yaml:3: `db.internal` fits nothing",
        ),
        (
            "format: 1\nrules:\n- {effect: deny, kind: [pip, npm], name: evil_pkg}",
            "p.yaml:3: `evil_pkg` is `evil-pkg` as a `pip` and `evil_pkg` as a `npm`: write a rule for each of them",
        ),
        (
            "format: 1\nrules:\n- {effect: allow, kind: net, name: '*', version: '1'}",
            "p.yaml:3: `version` is for `apt`, `pip` and `npm` alone",
        ),
        (
            "format: 1\nrules:\n- {effect: allow, kind: pip, name: '*', atMost: {tokens: 5}}",
            "p.yaml:3: `atMost` is for `llm` and `budget` alone",
        ),
        (
            "format: 1\nrules:\n- {effect: deny, kind: llm, name: '*', atMost: {tokens: 5}}",
            "p.yaml:3: `atMost` is for `allow`",
        ),
        (
            "format: 1\nrules:\n- {effect: allow, kind: llm, name: '*', atMost: {tokens: -5}}",
            "p.yaml:3: a ceiling is a number above zero",
        ),
        (
            "format: 1\nrules:\n- {effect: allow, kind: llm, name: '*', atMost: {minutes: 5}}",
            "p.yaml:3: `atMost` knows",
        ),
        (
            "format: 1\nrules:\n- {effect: allow, kind: llm, name: '*', atMost: {tokens: 5, tokens: 9}}",
            "p.yaml:3: `tokens` stands twice",
        ),
        (
            "format: 1\nrules:\n- {effect: deny, kind: pip, name: x, because: \"a\\nb\"}",
            "p.yaml:3: this has to be one line",
        ),
        ("format: 1\nrules:\n- effect: [", "p.yaml:"),
        ("\u{fffe}", "p.yaml:"),
    ] {
        let policies =
            policies(&[("p.yaml", text), ("q.yaml", "format: 1\nrules:\n- {effect: allow, kind: '*', name: '*'}\n")]);
        let ruling = policies.rule_on(&Asked::alone(&cap("pip:pandas"), "nightly", None));
        assert_eq!((ruling.effect, &ruling.rule), (Effect::Deny, &None), "{text}");
        let expected = format!("the policies cannot be read: {expected}");
        assert!(ruling.because.starts_with(&expected), "{text}\n{}\n{expected}", ruling.because);
    }
    let large = vec![b'#'; (1 << 20) + 1];
    assert_eq!(Policies::parse(vec![("p.yaml".to_owned(), large)]).problems().len(), 1);
    assert_eq!(Policies::parse(vec![("p.yaml".to_owned(), vec![0xff])]).problems().len(), 1);
}

#[test]
fn a_package_is_known_by_its_name_however_it_is_written() {
    let policies =
        one("- {effect: allow, kind: pip, name: Typing_Extensions}\n- {effect: deny, kind: npm, name: '@evil/*'}");
    assert_eq!(says(&policies, "pip:typing.extensions==4.1"), "allow by p.yaml:3");
    assert_eq!(says(&policies, "npm:@evil/left-pad"), "deny by p.yaml:4");
    assert_eq!(says(&policies, "npm:left-pad"), "ask (no rule)");
}

#[test]
fn a_version_that_is_not_known_yet_is_allowed_by_no_rule_and_denied_by_each() {
    let policies = one(
        "- {effect: allow, kind: pip, name: a, version: 2.*}\n- {effect: deny, kind: pip, name: b, version: '1.*'}",
    );
    assert_eq!(says(&policies, "pip:a==2.1"), "allow by p.yaml:3");
    assert_eq!(says(&policies, "pip:a==3.1"), "ask (no rule)");
    assert_eq!(says(&policies, "pip:a"), "ask (no rule)");
    assert_eq!(says(&policies, "pip:b"), "deny by p.yaml:4");
    assert_eq!(says(&policies, "pip:b==2.0"), "ask (no rule)");
}

#[test]
fn what_comes_along_can_be_denied_and_is_never_what_is_allowed() {
    let policies = one("- {effect: allow, kind: pip, name: [a, c]}\n- {effect: deny, kind: pip, name: b}");
    let (a, b, c, d) = (cap("pip:a"), cap("pip:b"), cap("pip:c"), cap("pip:d"));
    let with = |capability: &Capability, brings: Vec<Capability>| {
        policies.rule_on(&Asked { capability, brings: &brings, workflow: "w", role: None }).to_string()
    };
    assert_eq!(with(&a, vec![d.clone()]), "allow by p.yaml:3");
    assert_eq!(with(&a, vec![d.clone(), b]), "deny by p.yaml:4");
    assert_eq!(with(&d, vec![c]), "ask (no rule)");
}

#[test]
fn models_are_allowed_if_all_that_the_glob_may_mean_is_and_denied_if_any_is() {
    let policies = one(
        "- {effect: allow, kind: llm, name: 'gemini-*', atMost: {tokens: 1000}}\n- {effect: deny, kind: llm, name: 'gemini-2-pro*'}",
    );
    assert_eq!(says(&policies, "llm:gemini-1,tokens=1000"), "allow by p.yaml:3");
    assert_eq!(says(&policies, "llm:gemini-1,tokens=1001"), "ask (no rule)");
    assert_eq!(says(&policies, "llm:gemini-1"), "ask (no rule)");
    assert_eq!(says(&policies, "llm:gemini-*,tokens=10"), "deny by p.yaml:4");
    assert_eq!(says(&policies, "llm:*"), "deny by p.yaml:4");
    assert_eq!(says(&policies, "llm:gpt-*"), "ask (no rule)");
    let budget = one("- {effect: allow, kind: budget, name: [tokens, money], atMost: {tokens: 1000, money: 2.5}}");
    assert_eq!(says(&budget, "budget:tokens=1000"), "allow by p.yaml:3");
    assert_eq!(says(&budget, "budget:money=2.5"), "allow by p.yaml:3");
    assert_eq!(says(&budget, "budget:money=2.500001"), "ask (no rule)");
    assert_eq!(says(&budget, "budget:requests=1"), "ask (no rule)");
}

#[test]
fn what_is_kept_back_is_not_had_with_words_that_the_one_who_asks_adds() {
    let policies = one("- {effect: allow, kind: '*', name: '*'}\n\
         - {effect: deny, kind: action, name: github.pr.comment}\n\
         - {effect: deny, kind: secret, name: tok@api.github.com}\n\
         - {effect: ask, kind: budget, name: tokens}\n");
    for (capability, effect) in [
        ("action:github.pr.comment", "deny"),
        ("action:github.pr.comment,repo=o/d", "deny"),
        ("action:github.pr.comment,repo=o/d,limit=3/hour", "deny"),
        ("action:github.pr.list,repo=o/d", "allow"),
        ("secret:tok@api.github.com", "deny"),
        ("secret:tok@api.github.com,scheme=basic", "deny"),
        ("secret:tok@api.github.com,header=X-Key", "deny"),
        ("secret:other@api.github.com,scheme=basic", "allow"),
        ("budget:tokens=6", "ask"),
        ("budget:day,tokens=6", "ask"),
        ("budget:agent,tokens=5", "ask"),
        ("budget:day,requests=6", "allow"),
    ] {
        let said = says(&policies, capability);
        assert!(said.starts_with(effect), "{capability}: {said}");
    }
    // What allows one way allows no other.
    let allowing = one(
        "- {effect: allow, kind: secret, name: tok@api.github.com}\n- {effect: allow, kind: budget, name: tokens}\n",
    );
    for capability in ["secret:tok@api.github.com,scheme=basic", "budget:day,tokens=6"] {
        assert_eq!(says(&allowing, capability), "ask (no rule)", "{capability}");
    }
}

#[test]
fn a_rule_may_be_for_some_workflows_and_roles_alone() {
    let policies = one("- {effect: allow, kind: net, name: 'a.com:*', workflow: night*, role: [reviewer, \"sec*\"]}");
    let with = |workflow, role| policies.rule_on(&Asked::alone(&cap("net:a.com:443"), workflow, role)).effect;
    assert_eq!(with("nightly", Some("reviewer")), Effect::Allow);
    assert_eq!(with("nightly", Some("secretary")), Effect::Allow);
    assert_eq!(with("nightly", Some("support")), Effect::Ask);
    assert_eq!(with("nightly", None), Effect::Ask);
    assert_eq!(with("daily", Some("reviewer")), Effect::Ask);
}

#[test]
fn contradictions_repetitions_and_idle_rules_are_found() {
    let policies = one(
        "- {effect: allow, kind: pip, name: a}\n- {effect: deny, kind: pip, name: a}\n- {effect: allow, kind: pip, name: a}\n\
         - {effect: deny, kind: apt, name: '*'}\n- {effect: allow, kind: apt, name: jq, workflow: w}\n",
    );
    let doubts: Vec<String> = policies.doubts().iter().map(ToString::to_string).collect();
    assert_eq!(
        doubts,
        [
            "p.yaml:3: never decides: p.yaml:4 says deny to all of it",
            "p.yaml:4: says deny where p.yaml:3 says allow; deny decides",
            "p.yaml:5: says what p.yaml:3 says",
            "p.yaml:7: never decides: p.yaml:6 says deny to all of it",
        ]
    );
}

#[test]
fn expectations_are_met_or_named() {
    let policies = one("- {effect: allow, kind: pip, name: a, workflow: nightly}");
    let file = "format: 1\nexpect:\n- {capability: 'pip:a', workflow: nightly, effect: allow}\n- {capability: 'pip:a', effect: allow}\n";
    let expected = Expectations::parse("t.yaml", file.as_bytes()).unwrap();
    let missed = expected.missed(&policies);
    assert_eq!(missed.len(), 1);
    assert_eq!((missed[0].expected.line, missed[0].found.effect), (4, Effect::Ask));
    let wrong = Expectations::parse("t.yaml", b"format: 1\nexpect:\n- {capability: 'pip:-r', effect: allow}\n- {}\n");
    let wrong: Vec<String> = wrong.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(
        wrong[0].starts_with("t.yaml:3: ") && wrong[1].starts_with("t.yaml:4: `capability` is missing"),
        "{wrong:?}"
    );
}

#[test]
fn the_digest_is_of_names_and_contents_and_not_of_an_order() {
    let (a, b) = (("a.yaml", "format: 1\nrules: []\n"), ("b.yaml", "format: 1\nrules: []\n# x\n"));
    assert_eq!(policies(&[a, b]).digest(), policies(&[b, a]).digest());
    assert_ne!(policies(&[a, b]).digest(), policies(&[a]).digest());
    assert_ne!(policies(&[("a.yaml", b.1), ("b.yaml", a.1)]).digest(), policies(&[a, b]).digest());
}

fn any_rule() -> impl Strategy<Value = String> {
    let effect = prop::sample::select(vec!["allow", "ask", "deny"]);
    let kind = prop::sample::select(vec!["pip", "apt", "llm", "'*'"]);
    let name = prop::sample::select(vec!["a", "b", "'a*'", "'*'", "[a, b]"]);
    let workflow = prop::sample::select(vec!["", ", workflow: w", ", workflow: 'n*'"]);
    (effect, kind, name, workflow).prop_map(|(effect, kind, name, workflow)| {
        format!("- {{effect: {effect}, kind: {kind}, name: {name}{workflow}}}\n")
    })
}

proptest! {
    #[test]
    fn a_further_rule_makes_nothing_laxer_but_what_had_none(
        rules in prop::collection::vec(any_rule(), 0..6), more in any_rule(),
        asked in prop::sample::select(vec!["pip:a", "pip:b", "apt:abc", "llm:a*"]),
    ) {
        let (before, all) = (rules.concat(), rules.concat() + &more);
        let (before, after) = (format!("format: 1\nrules:\n{before}  []"), format!("format: 1\nrules:\n{all}"));
        let before = if rules.is_empty() { "format: 1\nrules: []\n".to_owned() } else { before.trim_end_matches("  []").to_owned() };
        let (before, after) = (policies(&[("p.yaml", &before)]), policies(&[("p.yaml", &after)]));
        let capability = cap(asked);
        let asked = Asked::alone(&capability, "nightly", None);
        let (was, is) = (before.rule_on(&asked), after.rule_on(&asked));
        prop_assert!(is.effect >= was.effect || was.rule.is_none(), "{was} {is}");
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let policies = Policies::parse(vec![("p.yaml".to_owned(), bytes)]);
        let ruling = policies.rule_on(&Asked::alone(&cap("pip:a"), "w", None));
        prop_assert!(ruling.effect != Effect::Allow);
    }
}

/// A rule that denies what nothing is called would look as if it denied something.
#[test]
fn a_name_that_nothing_can_have_is_a_problem_also_as_a_glob_and_for_several_kinds() {
    let problem = |kind: &str, name: &str| {
        let text = format!("format: 1\nrules:\n- {{effect: deny, kind: {kind}, name: '{name}'}}");
        Policies::parse(vec![("p.yaml".to_owned(), text.into_bytes())]).problems().first().map(ToString::to_string)
    };
    let dead = [
        ("net", "*.INTERNAL:*", "fits nothing"),
        ("net", "A.internal:*", "fits nothing"),
        ("net", "10.0.0.0/8:*", "fits nothing"),
        ("net", "*.corp.:*", "fits nothing"),
        ("net", "*.internal:https", "fits nothing"),
        ("net", "*.internal:99999", "fits nothing"),
        ("net", "http://*", "fits nothing"),
        ("tcp", "[fd00:0:0:0:0:0:0:2]:*", "fits nothing"),
        ("apt", "LibSSL*", "fits nothing"),
        ("npm", "@Types/*", "fits nothing"),
        ("pip", "six==1.*", "written `six`"),
        ("pip", "evil__*", "written `evil-a`"),
        ("mount", "/data/*/", "fits nothing"),
        ("mount", "data*", "fits nothing"),
        ("mount", "/data/*:RO", "fits nothing"),
        ("port", "99999*", "fits nothing"),
        ("[net, tcp]", "DB.internal:443", "fits nothing"),
        ("[net, tcp]", "*.internal", "fits nothing"),
        ("[pip, apt]", "pyyaml==6.0", "fits nothing"),
        ("'*'", "db.internal", "write a rule for each"),
    ];
    for (kind, name, why) in dead {
        let said = problem(kind, name).unwrap_or_else(|| panic!("{kind} {name} passes for a rule"));
        assert!(said.contains(why), "{kind} {name}: {said}");
    }
    let alive = [
        ("net", "*.internal:*"),
        ("net", "*:443"),
        ("net", "10.*:*"),
        ("net", "[fd00:*"),
        ("net", "api.*.example:44*"),
        ("[net, tcp]", "*"),
        ("[net, tcp]", "db.internal:*"),
        ("'*'", "*"),
        ("pip", "Django_*"),
        ("npm", "@types/*"),
        ("npm", "*/*"),
        ("apt", "lib*-dev"),
        ("mount", "/data/*"),
        ("mount", "*:rw"),
        ("mount", "*data*"),
        ("port", "80*"),
        ("llm", "gpt-*"),
        ("tool", "*"),
    ];
    for (kind, name) in alive {
        assert_eq!(problem(kind, name), None, "{kind} {name}");
    }
}
