//! `[actions]`: where the services are that a gate acts upon for agents, and the secrets of the vault it does so with. What
//! an agent may do there is no setting: that is granted.

use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::run::capability::{Endpoint, SecretName, is_address};

/// The services. One that is not set cannot be acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Actions {
    pub github: Option<Service>,
    pub slack: Option<Service>,
    pub email: Option<Email>,
    pub webhook: Option<Webhook>,
}

/// A service with an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Service {
    /// What stands before the API's own paths, such as `https://api.github.com`.
    pub base_url: String,
    /// `vault:NAME`.
    pub token: VaultKey,
}

/// A mail server that takes what agents send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Email {
    /// `host:port`.
    pub server: String,
    #[serde(default)]
    pub tls: MailTls,
    /// Whom to log in as; nobody if unset.
    pub user: Option<String>,
    /// `vault:NAME` of the password.
    pub password: Option<VaultKey>,
    /// The sender of all of it.
    pub from: String,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// In the clear until `STARTTLS`, which has to be offered.
    #[default]
    Starttls,
    /// By TLS from the first byte.
    Implicit,
    /// In the clear: to this machine's own loopback only.
    None,
}

/// How calls to the outside are signed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Webhook {
    /// `vault:NAME` of what signs the body, by HMAC with SHA-256.
    pub secret: VaultKey,
}

/// `vault:NAME`: a secret of the vault, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey(SecretName);

impl VaultKey {
    #[must_use]
    pub const fn name(&self) -> &SecretName {
        &self.0
    }
}

/// As it stands in the settings and in the gate's file.
impl fmt::Display for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vault:{}", self.0)
    }
}

impl<'de> Deserialize<'de> for VaultKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The text itself is not shown: it may be the secret that somebody put here.
        let text = String::deserialize(deserializer)?;
        let name = text.strip_prefix("vault:").ok_or("it does not begin with `vault:`").and_then(SecretName::parse);
        name.map(Self).map_err(|_| serde::de::Error::custom("is no secret of the vault: vault:NAME"))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for VaultKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VaultKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^vault:[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"})
    }
}

impl Actions {
    /// Every secret that it names.
    pub fn keys(&self) -> impl Iterator<Item = &VaultKey> {
        let services = [&self.github, &self.slack].into_iter().flatten().map(|service| &service.token);
        let mail = self.email.iter().filter_map(|email| email.password.as_ref());
        services.chain(mail).chain(self.webhook.iter().map(|webhook| &webhook.secret))
    }

    /// The first thing that is wrong: key and reason.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, reason: &str| Err((key.to_owned(), reason.to_owned()));
        for (name, service) in [("github", &self.github), ("slack", &self.slack)] {
            let fits = service.as_ref().is_none_or(|service| is_base(&service.base_url));
            if !fits {
                let reason = "is not https:// (or http:// to a loopback address), a host and a path, without credentials and query";
                return wrong(&format!("actions.{name}.baseUrl"), reason);
            }
        }
        let Some(email) = &self.email else { return Ok(()) };
        let Ok(server) = Endpoint::parse(&email.server) else {
            return wrong("actions.email.server", "is not host:port");
        };
        if email.tls == MailTls::None && !is_loopback(&server) {
            return wrong("actions.email.tls", "can be `none` only where the server is a loopback address");
        }
        if email.user.is_some() != email.password.is_some() {
            return wrong("actions.email.user", "and password belong together");
        }
        let plain = |text: &str| !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
        if !email.user.as_deref().is_none_or(plain) {
            return wrong("actions.email.user", "is empty, too long, or holds control characters");
        }
        if is_address(&email.from) { Ok(()) } else { wrong("actions.email.from", "is no mail address") }
    }
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    endpoint.host().address().is_some_and(|address| address.is_loopback())
}

/// A credential goes over it: by TLS, unless it does not leave the machine.
fn is_base(url: &str) -> bool {
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return false,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let endpoint = Endpoint::parse(authority)
        .or_else(|_| Endpoint::parse(&format!("{authority}:{}", if secure { 443 } else { 80 })));
    let inner = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b));
    endpoint.is_ok_and(|endpoint| secure || is_loopback(&endpoint)) && inner && !path.contains("..")
}
