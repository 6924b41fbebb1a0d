//! `countersign revoke`: takes credentials back that are still good, through the admin listener of a running instance.
//!
//! One request over plain TCP, with a deadline. The token of the admin listener comes from where the conf says it is, or from
//! where the command says; never from the arguments themselves.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::ambient;
use crate::cli::health::admin_address;
use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure, print_json};
use crate::config::document::{Document, MAX_BYTES};
use crate::domain::RevocationId;
use crate::settings::Node;

/// Takes credentials back that are still good: by key, subject, token, session or family.
///
/// In force at once on the instance that is asked, and within a second on every node that shares its state store. What is open in
/// the name of whoever is revoked is cut. Asks the admin listener, which must have a token.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "  countersign revoke subject anna --issuer https://id.example --issued-before now -c countersign.yaml\n  \
        countersign revoke key acme --for 3650d --reason 'key leaked' -c countersign.yaml\n  \
        countersign revoke --list -c countersign.yaml\n\n\
        A key or token that outlives its revocation is good again: let it last longer, or take the key out of its store.\n\
        Exit codes: 0 in force on all nodes, 1 refused, unanswered, or in force on this node only, 2 usage."
)]
pub struct Revoke {
    /// What it goes by.
    #[arg(value_enum, required_unless_present_any = ["list", "withdraw"], requires = "value")]
    by: Option<Kind>,
    /// The key id, subject, token id (`jti`), session (`sid`) or family (`fam`).
    value: Option<String>,
    /// Only what this issuer vouches for: `iss` of a token, the name of the key store of a key.
    #[arg(long, value_name = "ISSUER", requires = "by")]
    issuer: Option<String>,
    /// Only what was issued before: `now`, seconds since the epoch, or 2026-01-31T00:00:00Z. A new login then works again.
    #[arg(long, value_name = "MOMENT", requires = "by")]
    issued_before: Option<String>,
    /// How long it counts: `1h`, `30d`. As the conf of the instance says unless written.
    #[arg(long = "for", value_name = "LENGTH", requires = "by")]
    length: Option<String>,
    /// Why, for other operators; no client sees it.
    #[arg(long, value_name = "TEXT", requires = "by")]
    reason: Option<String>,
    /// List what is in force, newest first, instead.
    #[arg(long, conflicts_with_all = ["by", "withdraw"])]
    list: bool,
    /// Withdraw a revocation instead, by its id: whoever it covers may come in again.
    #[arg(long, value_name = "ID", conflicts_with = "by", value_parser = id)]
    withdraw: Option<RevocationId>,
    /// The conf that the instance serves; admin address and token are taken from it, and nothing else is read or checked.
    #[arg(short, long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// The admin address of the instance, instead of the conf's.
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present = "conf")]
    address: Option<SocketAddr>,
    /// Where the token of the admin listener is, instead of where the conf says.
    #[arg(long, value_name = FORM, required_unless_present = "conf")]
    token: Option<SecretSource>,
    /// Give up after this many milliseconds.
    #[arg(long, default_value_t = 10_000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a revocation goes by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// The id of a server key or instance key.
    Key,
    /// The subject, whatever it comes in with.
    Subject,
    /// One token or ticket, by its `jti`.
    Token,
    /// One session.
    Session,
    /// One family of refresh tokens.
    Family,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Subject => "subject",
            Self::Token => "token",
            Self::Session => "session",
            Self::Family => "family",
        }
    }
}

impl Revoke {
    /// Asks the instance, and fails unless it did what it was asked.
    pub(super) fn run(&self) -> Done {
        let desk = self.desk()?;
        match (&self.withdraw, self.by, &self.value) {
            (Some(id), ..) => self.tell(desk.ask("DELETE", &format!("/revocations/{id}"), None)?),
            (None, Some(by), Some(value)) => self.tell(desk.ask("POST", "/revocations", Some(&self.written(by, value)))?),
            _ => self.list(&desk),
        }
    }

    fn written(&self, by: Kind, value: &str) -> Value {
        let mut written = Map::new();
        written.insert(by.as_str().to_owned(), json!(value));
        let texts = [("issuer", &self.issuer), ("for", &self.length), ("reason", &self.reason)];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
            written.insert(name.to_owned(), json!(text));
        }
        if let Some(moment) = &self.issued_before {
            let seconds = moment.parse::<i64>().map(Value::from);
            written.insert("issued_before".to_owned(), seconds.unwrap_or_else(|_| json!(moment)));
        }
        Value::Object(written)
    }

    /// Prints what became of it; anything but success is a failure.
    fn tell(&self, Told { status, body }: Told) -> Done {
        let says = body.get("says").and_then(Value::as_str).unwrap_or("it does not say why").to_owned();
        let id = body.get("id").and_then(Value::as_str).map(|id| format!("{id}: ")).unwrap_or_default();
        let well = matches!(status, 200 | 201);
        if self.json {
            print_json(&body);
        } else if well {
            say!("{id}{says}");
        }
        if well { Ok(()) } else { Err(Failure::new(format!("the instance answered {status}: {id}{says}"))) }
    }

    fn list(&self, desk: &Desk) -> Done {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = after.as_ref().map_or_else(String::new, |after| format!("&after={after}"));
            let told = desk.ask("GET", &format!("/revocations?limit=1000{page}"), None)?;
            if told.status != 200 {
                return self.tell(told);
            }
            let entries = told.body.get("revocations").and_then(Value::as_array).cloned().unwrap_or_default();
            after = told.body.get("next").and_then(Value::as_str).map(str::to_owned);
            // A cursor behind an empty page would lead back here for ever.
            let ended = entries.is_empty() || after.is_none();
            all.extend(entries);
            if ended {
                break;
            }
        }
        if self.json {
            print_json(&json!({ "revocations": all }));
        } else {
            all.iter().for_each(|entry| say!("{}", line(entry)));
        }
        Ok(())
    }

    fn desk(&self) -> Result<Desk, Failure> {
        let address = match (self.address, &self.conf) {
            (Some(address), _) => address,
            (None, Some(conf)) => admin_address(conf)?,
            (None, None) => return Err(Failure::new("neither conf nor address say whom to ask")),
        };
        let source = match (&self.token, &self.conf) {
            (Some(source), _) => source.clone(),
            (None, Some(conf)) => admin_token(conf)?,
            (None, None) => return Err(Failure::new("neither conf nor `--token` say where the token is")),
        };
        Ok(Desk { address, token: source.read_text()?, patience: Duration::from_millis(self.timeout) })
    }
}

fn id(text: &str) -> Result<RevocationId, &'static str> {
    RevocationId::read(text).ok_or("an id has 32 hexadecimal digits, lower case")
}

/// One entry for a person: what, whose, until when, and what else narrows it.
fn line(entry: &Value) -> String {
    let text = |name: &str| match entry.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let name = text("id").or_else(|| text("line").map(|line| format!("{:<32}", format!("line {line}")))).unwrap_or_default();
    let mut line = name;
    for by in <Kind as ValueEnum>::value_variants() {
        if let Some(value) = text(by.as_str()) {
            line.push_str(&format!("  {} {value}", by.as_str()));
        }
    }
    let moment = |name: &str| entry.get(name).and_then(Value::as_i64).map(when);
    let further = [
        text("issuer").map(|issuer| format!("issuer {issuer}")),
        moment("issued_before").map(|bound| format!("issued before {bound}")),
        moment("until").map(|until| format!("until {until}")),
        (entry.get("everywhere") == Some(&Value::Bool(false))).then(|| "on this node only".to_owned()),
        text("reason").map(|reason| format!("({reason})")),
    ];
    further.into_iter().flatten().for_each(|part| line.push_str(&format!("  {part}")));
    line
}

/// A moment for a person.
fn when(seconds: i64) -> String {
    let moment = chrono::DateTime::from_timestamp(seconds, 0);
    moment.map_or_else(|| seconds.to_string(), |moment| moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// Where the conf at `path` says that the token of its admin listener is.
fn admin_token(path: &Path) -> Result<SecretSource, Failure> {
    let shown = path.display();
    let bytes = ambient::read_file(path, MAX_BYTES as u64).map_err(|why| Failure::new(format!("cannot read `{shown}`: {why}")))?;
    let document = Document::read(&shown.to_string(), &bytes)
        .map_err(|_| Failure::new(format!("`{shown}` is not a conf; see `countersign check`")))?;
    let reference = document.root.get("admin").and_then(|admin| admin.get("token")).and_then(Node::sole_entry);
    match reference.and_then(|entry| Some((entry.key.as_str(), entry.node.as_text()?))) {
        Some(("env", name)) => Ok(SecretSource::Variable(name.to_owned())),
        Some(("file", file)) => Ok(SecretSource::File(path.parent().unwrap_or(Path::new("")).join(file))),
        _ => Err(Failure::new(format!("`{shown}` sets no `admin.token` by `env` or `file`; revoking always needs it"))),
    }
}

/// The admin listener of an instance.
struct Desk {
    address: SocketAddr,
    token: String,
    patience: Duration,
}

/// An answer.
struct Told {
    status: u16,
    body: Value,
}

impl Desk {
    fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Told, Failure> {
        self.exchange(method, target, body).map_err(|error| Failure::new(format!("{}: no answer: {error}", self.address)))
    }

    fn exchange(&self, method: &str, target: &str, body: Option<&Value>) -> std::io::Result<Told> {
        /// A page of the largest entries, and some.
        const MOST: u64 = 16 * 1024 * 1024;
        // It goes into a header field: a line break in it would begin another.
        if !self.token.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            return Err(std::io::Error::other("the token is no bearer token: it has bytes that cannot be sent"));
        }
        let mut stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let (address, token, length) = (self.address, &self.token, body.len());
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{kind}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer)?;
        read(&answer).ok_or_else(|| std::io::Error::other("what answers there is not the admin listener of an instance"))
    }
}

/// Reads an answer. One that is no JSON says what it says as text.
fn read(answer: &[u8]) -> Option<Told> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(end + 4)?;
    let head = std::str::from_utf8(head).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length?.1.trim().parse().ok()?;
    if body.len() != length {
        return None;
    }
    let body = serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body).trim().to_owned();
        let hint = if status == 401 { "the token is not the one it was started with".to_owned() } else { text };
        json!({ "says": hint })
    });
    Some(Told { status, body })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{admin_token, line, read};
    use crate::cli::secret_source::SecretSource;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let rows = [
            ("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}", Some((201, json!({}))), "an answer"),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhint\n", Some((403, json!({ "says": "hint" }))), "one in plain text"),
            ("HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\n{}", None, "one that was cut off: nobody knows what became of it"),
            ("HTTP/1.1 201 Created\r\n\r\n{}", None, "one that does not say how long it is"),
            ("HTTP/1.1 20\r\ncontent-length: 0\r\n\r\n", None, "no status"),
            ("SSH-2.0-x\r\n\r\n", None, "something else"),
            ("", None, "nothing"),
        ];
        for (text, expected, shows) in rows {
            assert_eq!(read(text.as_bytes()).map(|told| (told.status, told.body)), expected, "{shows}");
        }
    }

    #[test]
    fn the_conf_says_where_the_token_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf.yaml");
        let rows = [
            ("admin: { token: { env: A } }", Some(SecretSource::Variable("A".into())), "a variable"),
            ("admin: { token: { file: keys/a } }", Some(SecretSource::File(folder.path().join("keys/a"))), "a file beside the conf"),
            ("admin: { token: { file: /keys/a } }", Some(SecretSource::File("/keys/a".into())), "a file elsewhere"),
            ("admin: { address: 127.0.0.1:1 }", None, "none: nobody may revoke"),
            ("admin: { token: inline }", None, "one in the conf itself is for tests"),
            ("{", None, "no conf"),
        ];
        for (text, expected, shows) in rows {
            std::fs::write(&path, text).unwrap();
            assert_eq!(admin_token(&path).ok(), expected, "{shows}");
        }
    }

    #[test]
    fn an_entry_is_one_line() {
        let told = json!({ "id": "07", "made": 5, "everywhere": false, "subject": "anna", "issuer": "i", "issued_before": 0, "until": 60, "reason": "left" });
        let expected =
            "07  subject anna  issuer i  issued before 1970-01-01T00:00:00Z  until 1970-01-01T00:01:00Z  on this node only  (left)";
        assert_eq!(line(&told), expected);
        assert_eq!(line(&json!({ "line": 3, "key": "acme" })), format!("{:<32}  key acme", "line 3"));
    }
}
