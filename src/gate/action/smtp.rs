//! A client of SMTP (RFC 5321) for one message: greeted, by TLS (RFC 3207) before anything is said that is nobody's business,
//! logged in (RFC 4954), sent. Up to the final dot nothing has been sent; behind it, only the server's answer says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{Failure, Outcome};
use crate::gate::policy::{MailServer, MailTls};
use crate::gate::shared::Gate;
use crate::provider::Mask;
use crate::run::capability::{Endpoint, Host};
use crate::vault::traces::traces;

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest line of an answer, in bytes, and the most lines of one.
const LONGEST: u64 = 2048;
const MOST_LINES: usize = 100;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

struct Talk {
    wire: BufReader<Box<dyn Wire>>,
    /// What the server said it can, in capitals.
    can: Vec<String>,
    /// Hides the password in what the server says: some give back the line that they refuse.
    mask: Mask,
}

/// A code and its words.
struct Said {
    code: u16,
    text: String,
}

/// Sends `message` to `recipients`; what the server said when it took it.
///
/// # Errors
/// Why it was not sent, or why that is not known.
pub(super) async fn send(
    gate: &Gate,
    server: &MailServer,
    recipients: &[&str],
    message: &str,
) -> Result<String, Outcome> {
    let not = |code, message: String| Outcome::NotDone(Failure::new(code, message));
    let password = match (&server.user, &server.key) {
        (Some(user), Some(key)) => {
            let rules = gate.rules();
            let found = rules.key(key).cloned();
            let missing =
                || not("service_missing", format!("the secret `{key}` of `actions.email` is not in the vault"));
            Some((user.clone(), found.ok_or_else(missing)?))
        }
        _ => None,
    };
    let mut talk = begin(gate, server).await.map_err(|reason| not("service_unreachable", reason))?;
    if let Some((user, key)) = &password {
        talk.log_in(user, key.expose()).await.map_err(|reason| not("service_refused", reason))?;
    }
    let envelope = async {
        talk.expect(&format!("MAIL FROM:<{}>", server.from), 250).await?;
        for recipient in recipients {
            // All of them or none: a message that some got is done in part.
            talk.expect(&format!("RCPT TO:<{recipient}>"), 250).await?;
        }
        talk.expect("DATA", 354).await
    };
    envelope.await.map_err(|reason| not("service_refused", reason))?;
    // From the last byte on it may be on its way.
    let lost = |reason: String| Outcome::Unclear(Failure::new("service_error", reason));
    talk.write(&dotted(message)).await.map_err(lost)?;
    let said = talk.answer().await.map_err(lost)?;
    let _ = talk.write("QUIT\r\n").await;
    match said.code {
        250 => Ok(said.text),
        400..=599 => {
            let mut failure =
                Failure::new("service_refused", format!("the mail server says {} {}", said.code, said.text));
            failure.status = Some(said.code);
            Err(Outcome::NotDone(failure))
        }
        code => Err(lost(format!("the mail server says {code} {}", said.text))),
    }
}

/// Connected, by TLS where that is wanted, and greeted.
async fn begin(gate: &Gate, server: &MailServer) -> Result<Talk, String> {
    let endpoint = Endpoint::parse(&server.server).map_err(str::to_owned)?;
    let (host, port) = match endpoint.host() {
        Host::Name(name) => (name.clone(), endpoint.port()),
        Host::V4(address) => (address.to_string(), endpoint.port()),
        Host::V6(address) => (address.to_string(), endpoint.port()),
    };
    let fixed = match endpoint.host() {
        Host::Name(name) => gate.rules().policy.hosts.get(name).and_then(|all| all.first()).copied(),
        _ => None,
    };
    let connecting = async {
        match fixed {
            Some(address) => TcpStream::connect((address, port)).await,
            None => TcpStream::connect((host.as_str(), port)).await,
        }
    };
    let stream = timed(connecting).await?.map_err(|error| format!("{endpoint} cannot be reached: {error}"))?;
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(gate.tls.clone());
    let mut talk = match server.tls {
        MailTls::Implicit => Talk::over(secured(&tls, name.clone(), Box::new(stream)).await?),
        MailTls::Starttls | MailTls::None => Talk::over(Box::new(stream)),
    };
    let greeting = talk.answer().await?;
    if greeting.code != 220 {
        return Err(format!("the mail server greets with {} {}", greeting.code, greeting.text));
    }
    if server.tls == MailTls::Starttls {
        let mut talk = talk.hello().await?;
        if !talk.can.iter().any(|word| word == "STARTTLS") {
            return Err("the mail server offers no STARTTLS, and nothing is sent in the clear".to_owned());
        }
        talk.expect("STARTTLS", 220).await?;
        // What came behind the answer was said in the clear, by anybody.
        if !talk.wire.buffer().is_empty() {
            return Err("the mail server went on in the clear after STARTTLS".to_owned());
        }
        return Talk::over(secured(&tls, name, talk.wire.into_inner()).await?).hello().await;
    }
    talk.hello().await
}

async fn secured(tls: &TlsConnector, name: ServerName<'static>, wire: Box<dyn Wire>) -> Result<Box<dyn Wire>, String> {
    let secured = timed(tls.connect(name, wire)).await?;
    secured.map(|wire| Box::new(wire) as Box<dyn Wire>).map_err(|error| format!("TLS fails: {error}"))
}

async fn timed<T>(waiting: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| "the mail server is silent".to_owned())
}

impl Talk {
    fn over(wire: Box<dyn Wire>) -> Self {
        Self { wire: BufReader::new(wire), can: Vec::new(), mask: Mask::none() }
    }

    async fn write(&mut self, text: &str) -> Result<(), String> {
        let written = timed(self.wire.get_mut().write_all(text.as_bytes())).await?;
        written.map_err(|error| format!("the mail server hung up: {error}"))?;
        timed(self.wire.get_mut().flush()).await?.map_err(|error| format!("the mail server hung up: {error}"))
    }

    async fn answer(&mut self) -> Result<Said, String> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = timed((&mut self.wire).take(LONGEST).read_until(b'\n', &mut line)).await?;
            read.map_err(|error| format!("the mail server hung up: {error}"))?;
            let whole = line.strip_suffix(b"\n").ok_or("the mail server hung up, or talks without end")?;
            let line = String::from_utf8_lossy(whole.strip_suffix(b"\r").unwrap_or(whole)).into_owned();
            let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or("the mail server speaks no SMTP")?;
            let goes_on = line.as_bytes().get(3) == Some(&b'-');
            let text: String = line.get(4..).unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
            let clear = self.mask.whole(text.as_bytes());
            lines.push(String::from_utf8_lossy(&clear).chars().take(300).collect::<String>());
            if !goes_on {
                self.can = lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
                return Ok(Said { code, text: lines.join(" ") });
            }
            if lines.len() == MOST_LINES {
                return Err("the mail server talks without end".to_owned());
            }
        }
    }

    async fn expect(&mut self, command: &str, code: u16) -> Result<(), String> {
        self.write(&format!("{command}\r\n")).await?;
        let said = self.answer().await?;
        if said.code == code || (code == 250 && said.code == 251) {
            return Ok(());
        }
        let command = command.split(' ').next().unwrap_or_default();
        Err(format!("the mail server says {} {} to {command}", said.code, said.text))
    }

    async fn hello(mut self) -> Result<Self, String> {
        // An address literal: what we are called is nobody's business.
        self.expect("EHLO [127.0.0.1]", 250).await?;
        Ok(self)
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), String> {
        self.mask = mask(user, password);
        let offers = self.can.iter().find_map(|line| line.strip_prefix("AUTH ").map(str::to_owned)).unwrap_or_default();
        if offers.split(' ').any(|way| way == "PLAIN") {
            let both = Zeroizing::new(format!("\0{user}\0{password}"));
            let line = Zeroizing::new(format!("AUTH PLAIN {}", STANDARD.encode(both.as_bytes())));
            return self.expect(&line, 235).await;
        }
        if offers.split(' ').any(|way| way == "LOGIN") {
            self.expect("AUTH LOGIN", 334).await?;
            self.expect(&STANDARD.encode(user), 334)
                .await
                .map_err(|_| "the mail server does not take the user".to_owned())?;
            let word = Zeroizing::new(STANDARD.encode(password));
            // Not the command: it is the password.
            return self.expect(&word, 235).await.map_err(|_| "the mail server does not take the password".to_owned());
        }
        Err("the mail server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned())
    }
}

/// Hides `password` in every form that it has itself, and that it is sent in.
fn mask(user: &str, password: &str) -> Mask {
    let plain = Zeroizing::new(format!("\0{user}\0{password}"));
    let sent = [plain.as_str(), password].map(|text| Zeroizing::new(STANDARD.encode(text).into_bytes()));
    let forms = [plain.as_str(), password].into_iter().flat_map(traces).map(|trace| trace.bytes);
    Mask::of_all(sent.into_iter().chain(forms))
}

/// A line that begins with a dot gets one more (RFC 5321, section 4.5.2); the final one ends it.
fn dotted(message: &str) -> String {
    let mut text = String::with_capacity(message.len() + 64);
    for line in message.split_inclusive("\r\n") {
        if line.starts_with('.') {
            text.push('.');
        }
        text.push_str(line);
    }
    text.push_str(".\r\n");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::DuplexStream;

    use super::*;

    const PASSWORD: &str = "hunter2-and-more";

    /// A server that offers `way` and gives back whatever line it refuses.
    async fn echoes(wire: DuplexStream, way: &str) {
        let mut wire = BufReader::new(wire);
        let mut line = String::new();
        while wire.read_line(&mut line).await.unwrap() > 0 {
            let said = line.trim_end();
            let answer = match said {
                said if said.starts_with("EHLO") => format!("250-echo\r\n250 AUTH {way}\r\n"),
                "AUTH LOGIN" => "334 VXNlcg==\r\n".to_owned(),
                "YWdlbnQ=" => "334 UGFzcw==\r\n".to_owned(),
                said => format!("535-5.7.8 no: {said}\r\n535 5.7.8 {PASSWORD} of \\0agent\\0{PASSWORD}\r\n"),
            };
            wire.get_mut().write_all(answer.as_bytes()).await.unwrap();
            line.clear();
        }
    }

    #[tokio::test]
    async fn a_server_that_gives_back_the_password_gives_it_to_nobody() {
        for way in ["PLAIN", "LOGIN"] {
            let (ours, theirs) = tokio::io::duplex(4096);
            let server = tokio::spawn(echoes(theirs, way));
            let mut talk = Talk::over(Box::new(ours)).hello().await.unwrap();
            let refused = talk.log_in("agent", PASSWORD).await.unwrap_err();
            // Whatever comes later is no place for it either.
            let later = talk.expect(&format!("NOOP {}", STANDARD.encode(PASSWORD)), 250).await.unwrap_err();
            for said in [refused, later] {
                for form in
                    [PASSWORD.to_owned(), STANDARD.encode(PASSWORD), STANDARD.encode(format!("\0agent\0{PASSWORD}"))]
                {
                    assert!(!said.contains(form.trim_end_matches('=')), "{way}: {said}");
                }
                assert!(way == "LOGIN" || said.contains("535 "), "{said}");
            }
            drop(talk);
            server.await.unwrap();
        }
    }
}
