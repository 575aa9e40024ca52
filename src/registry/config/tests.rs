#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

const ID: &str = "id = \"01JD2Z3V5Q8M4K7N9P1R2S3T4V\"\n";

fn parse(rest: &str) -> Result<Config> {
    Config::parse(&Layout::new("/r"), &format!("format = 1\n{ID}{rest}"))
}

#[test]
fn every_documented_key() {
    let config = parse(
        r#"
approvals = "operator"
[llm]
model = "recorded"
[llm.providers.recorded]
kind = "replay"
transcript = "workflows/sales-report.replay.jsonl"
[llm.providers.ollama]
kind = "openai"
baseUrl = "http://127.0.0.1:11434/v1"
keyEnv = "KEY"
timeout = "10s"
[[llm.models]]
match = "recorded"
provider = "recorded"
[llm.providers.claude]
kind = "anthropic"
baseUrl = "https://models.example/v1"
[[llm.models]]
match = "*"
provider = "ollama"
model = "llama3.2"
timeout = "2m"
maxTokens = 4096
imageAddresses = true
retries = 1
fallback = [{ provider = "claude", model = "big" }, { provider = "recorded" }]
[[llm.prices]]
match = "llama*"
input = 0
output = 0.5
cached = 0.25
[containers]
image = "taskforge/base:default"
runtime = "runsc"
uidRange = [200000, 265535]
[containers.resources]
cpus = 2
memory = "1GiB"
pids = 64
disk = "2GiB"
wall = "1h"
[containers.images]
default = "taskforge/base:default"
[gate]
network = "bridge"
hosts = { "db.internal" = ["10.0.0.5", "fd00::5"] }
[packages]
extraCa = "/etc/ssl/extra.pem"
pipIndex = "https://index.example/simple"
buildTimeout = "15m"
buildMemory = "2GiB"
buildDisk = "8GiB"
[limits]
attempts = 5
suspensions = 20
iterations = 30
[notify]
command = ["notify-send", "taskforge"]
"#,
    )
    .unwrap();
    assert_eq!(config.llm.models.iter().map(|rule| rule.image_addresses).collect::<Vec<_>>(), [false, true]);
    assert_eq!(config.llm.providers["ollama"].timeout, Duration::from_secs(10));
    assert_eq!(config.containers.resources.memory, 1 << 30);
    assert_eq!(config.gate.network, GateNetwork::Bridge);
    assert_eq!(config.gate.hosts["db.internal"].len(), 2);
    assert_eq!(config.packages.extra_ca, ExtraCa::File("/etc/ssl/extra.pem".into()));
    assert_eq!(config.llm.models[1].glob, "*");
    assert_eq!((config.llm.models[0].retries, config.llm.models[1].retries), (2, 1));
    assert_eq!(config.llm.models[1].timeout, Some(Duration::from_secs(120)));
    assert_eq!((config.llm.prices[0].input, config.llm.prices[0].cached), (0.0, Some(0.25)));
    assert_eq!(config.llm.currency, "USD");
    assert_eq!(config.llm.models[1].fallback[0].model.as_deref(), Some("big"));
}

#[test]
fn the_template_is_the_default() {
    let text = include_str!("template.toml").replace("replaced by init", "01JD2Z3V5Q8M4K7N9P1R2S3T4V");
    let config = Config::parse(&Layout::new("/r"), &text).unwrap();
    let bare = Config::bare(&Layout::new("/r"));
    assert_eq!(config.containers, bare.containers);
    assert_eq!(config.packages, bare.packages);
    assert_eq!((config.limits, config.gate, config.notify), (bare.limits, bare.gate, bare.notify));
    assert_eq!(bare.approvals, Approvals::Unproven);
}

#[test]
fn an_unknown_key_has_its_place_and_its_neighbour() {
    let error = parse("[limits]\nattemps = 3\n").unwrap_err();
    let Error::ConfigSyntax { line, column, message, .. } = &error else { panic!("{error}") };
    assert_eq!((*line, *column), (4, 1));
    assert!(message.contains("`attemps`") && message.ends_with("did you mean `attempts`?"), "{message}");
}

#[test]
fn wrong_values_are_refused() {
    for (text, expected) in [
        ("approvals = \"unproven\"\n", "unknown variant `unproven`"),
        ("[containers.resources]\nmemory = \"512\"\n", "512MiB"),
        ("[containers.resources]\nmemory = \"1MiB\"\n", "containers.resources.memory"),
        ("[containers.resources]\ncpus = nan\n", "containers.resources.cpus"),
        ("[containers]\nuidRange = [0, 65535]\n", "containers.uidRange"),
        ("[containers]\nuidRange = [3000, 2000]\n", "containers.uidRange"),
        ("[containers]\nimage = \"--privileged\"\n", "image reference"),
        ("[[llm.models]]\nmatch = \"*\"\nprovider = \"ghost\"\n", "ghost"),
        ("[llm.providers.a]\nkind = \"replay\"\ntranscript = \"../x\"\n", "llm.providers.a.transcript"),
        ("[llm.providers.a]\nkind = \"openai\"\n", "llm.providers.a.baseUrl"),
        ("[llm.providers.a]\nkind = \"openai\"\nbaseUrl = \"file:///x\"\n", "llm.providers.a.baseUrl"),
        ("[llm.providers.a]\nkind = \"openai\"\nbaseUrl = \"http://me:pw@m/v1\"\n", "llm.providers.a.baseUrl"),
        ("[llm.providers.a]\nkind = \"openai\"\nbaseUrl = \"http://m/v1?key=k\"\n", "llm.providers.a.baseUrl"),
        ("[llm.providers.a]\nkind = \"ollama\"\nbaseUrl = \"http://m#f\"\n", "llm.providers.a.baseUrl"),
        (
            "[llm.providers.a]\nkind = \"gemini\"\nbaseUrl = \"http://m\"\n[[llm.models]]\nmatch = \"*\"\nprovider = \"a\"\nfallback = [{ provider = \"ghost\" }]\n",
            "falls back",
        ),
        ("[[llm.prices]]\nmatch = \"*\"\ninput = -1\noutput = 1\n", "llm.prices"),
        ("[packages]\nextraCa = \"relative.pem\"\n", "absolute"),
        ("[gate]\nnetwork = \"none\"\n", "unknown variant `none`"),
        ("[gate]\nhosts = { \"Db.internal\" = [\"10.0.0.5\"] }\n", "gate.hosts"),
        ("[gate]\nhosts = { \"10.0.0.5\" = [\"10.0.0.5\"] }\n", "gate.hosts"),
        ("[gate]\nhosts = { \"db.internal\" = [] }\n", "gate.hosts"),
        ("[gate]\nhosts = { \"db.internal\" = [\"10.0.0\"] }\n", "invalid IP address syntax"),
        ("[limits]\nattempts = 0\n", "limits.attempts"),
        ("[notify]\ncommand = []\n", "notify.command"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let newer = Config::parse(&Layout::new("/r"), &format!("format = 2\n{ID}")).unwrap_err().to_string();
    assert!(newer.contains("newer"), "{newer}");
    let id = Config::parse(&Layout::new("/r"), "format = 1\nid = \"x\"\n").unwrap_err().to_string();
    assert!(id.contains("ULID"), "{id}");
}

#[test]
fn the_id_is_found_where_the_rest_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    assert!(read_id(&layout).unwrap().starts_with("bare-"));
    std::fs::write(layout.config(), format!("{ID}nonsense [[[\n")).unwrap();
    assert_eq!(read_id(&layout).unwrap(), "01JD2Z3V5Q8M4K7N9P1R2S3T4V");
}
