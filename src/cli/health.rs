//! `countersign health`: asks a running instance how it is.
//!
//! One small request over plain TCP, with a deadline; no TLS stack is loaded for a check that runs every few seconds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::ambient;
use crate::cli::{Done, Failure, print_json};
use crate::config::document::{Document, MAX_BYTES};
use crate::settings::Node;

/// Asks a running instance how it is; for container health checks.
///
/// Exit code 0 when it is ready (or, with --live, alive), 1 when it is not or does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "In a container: HEALTHCHECK CMD [\"countersign\", \"health\"]")]
pub struct Health {
    /// The conf that the instance serves; its admin address is asked. Nothing else of it is read or checked.
    #[arg(short, long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// The admin address of the instance.
    #[arg(long, default_value = "127.0.0.1:9901", value_name = "ADDRESS:PORT", conflicts_with = "conf")]
    address: SocketAddr,
    /// Ask whether it is alive rather than whether it is ready.
    #[arg(long)]
    live: bool,
    /// Give up after this many milliseconds.
    #[arg(long, default_value_t = 2000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Health {
    /// Asks, and fails when the answer is anything but 200.
    pub(super) fn run(&self) -> Done {
        let path = if self.live { "/livez" } else { "/readyz" };
        let address = match &self.conf {
            None => self.address,
            Some(conf) => admin_address(conf)?,
        };
        let answer = ask(address, path, Duration::from_millis(self.timeout));
        let well = answer.as_ref().is_ok_and(|status| *status == 200);
        let says = match &answer {
            Ok(200) if self.live => "alive".to_owned(),
            Ok(200) => "ready".to_owned(),
            Ok(status) => format!("{path} answered {status}"),
            Err(error) => format!("no answer: {error}"),
        };
        if self.json {
            print_json(&json!({ "address": address.to_string(), "well": well, "says": says }));
        } else if well {
            say!("{says}");
        }
        if well { Ok(()) } else { Err(Failure::new(format!("{address}: {says}"))) }
    }
}

/// Where the conf at `path` lets operators look in.
pub(super) fn admin_address(path: &Path) -> Result<SocketAddr, Failure> {
    let shown = path.display();
    let bytes = ambient::read_file(path, MAX_BYTES as u64).map_err(|why| Failure::new(format!("cannot read `{shown}`: {why}")))?;
    let document = Document::read(&shown.to_string(), &bytes)
        .map_err(|_| Failure::new(format!("`{shown}` is not a conf; see `countersign check`")))?;
    let address = document.root.get("admin").and_then(|admin| admin.get("address")).and_then(Node::as_text);
    let address = address.ok_or_else(|| Failure::new(format!("`{shown}` names no `admin` address, so there is nobody to ask")))?;
    let mut address: SocketAddr = address.parse().map_err(|_| Failure::new(format!("`{address}` is no address with a port")))?;
    if address.ip().is_unspecified() {
        // Every address of the machine: this one is the nearest.
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(address)
}

/// The status of `GET path` at `address`; each wait is at most `patience`.
fn ask(address: SocketAddr, path: &str, patience: Duration) -> std::io::Result<u16> {
    /// Enough for any status line.
    const HEAD: u64 = 1024;

    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    // What matters is the status line; a connection cut after it is no failure.
    let mut buffer = [0; 256];
    let mut stream = stream.take(HEAD);
    while !head.contains(&b'\n') {
        match stream.read(&mut buffer)? {
            0 => break,
            length => head.extend(buffer.iter().take(length)),
        }
    }
    let line = String::from_utf8_lossy(&head);
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| std::io::Error::other("what answers there is not HTTP"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::{admin_address, ask};

    /// Answers one connection with `text`.
    fn answering(text: &'static str) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The whole head: closing on unread bytes would reset the connection under the answer.
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.extend(byte);
            }
            let _ = stream.write_all(text.as_bytes());
        });
        address
    }

    #[test]
    fn only_an_http_answer_counts() {
        let cases = [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200), "ready"),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(503), "not yet"),
            ("HTTP/1.1 20\r\n", None, "not a status"),
            ("SSH-2.0-x\r\n", None, "something else listens there"),
            ("", None, "nothing is said"),
        ];
        for (text, expected, shows) in cases {
            assert_eq!(ask(answering(text), "/readyz", Duration::from_secs(5)).ok(), expected, "{shows}");
        }
    }

    #[test]
    fn the_conf_says_whom_to_ask() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            ("admin: { address: 127.0.0.1:9901 }", Some("127.0.0.1:9901"), "as written"),
            (
                "admin: { address: 0.0.0.0:9901, token: { env: ABSENT } }",
                Some("127.0.0.1:9901"),
                "any address is also this one; no secret is needed",
            ),
            ("admin: { address: '[::]:9901' }", Some("[::1]:9901"), "in either family"),
            ("listeners: []", None, "nobody to ask"),
            ("admin: { address: here }", None, "no address"),
            ("{", None, "no conf"),
        ];
        for (text, expected, shows) in cases {
            let path = folder.path().join("conf.yaml");
            std::fs::write(&path, text).unwrap();
            let address = admin_address(&path).ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{shows}");
        }
    }
}
