//! A small HTTP/1.1 server on loopback that answers by script, well or badly, with or without TLS.
//!
//! It counts and keeps what it was asked, and it can do what a good server never does: trickle, hang, break off, lie
//! about lengths. Threads and blocking sockets, so that no test depends on the runtime it tests.
#![allow(dead_code, reason = "each test target uses its own part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request line and fields, as sent.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// Which request of its connection it is, from 1.
    pub turn: usize,
}

impl Asked {
    /// The request target.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of field `name`, if it was sent.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub enum Told {
    /// A well-formed answer: status, fields, body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// These bytes and the end of the connection.
    Raw(Vec<u8>),
    /// The head of an answer, then its body byte by byte with a pause after each, until the other side has enough.
    Trickle(Vec<u8>),
    /// A body without end.
    Endless,
    /// Nothing, with the connection held open.
    Hang,
}

impl Told {
    /// Status 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, Vec::new(), body.into())
    }

    /// This status with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }
}

type Script = Box<dyn Fn(&Asked) -> Told + Send>;

struct Stage {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
}

/// A running server; it goes on until the process ends.
#[derive(Clone)]
pub struct Loopback {
    /// Where it listens.
    pub address: SocketAddr,
    /// The PEM of the authority that signed its certificate; empty without TLS.
    pub ca: String,
    stage: Arc<Stage>,
}

impl Loopback {
    /// A plaintext server that follows `script`.
    pub fn start(script: impl Fn(&Asked) -> Told + Send + 'static) -> Self {
        Self::launch(script, None)
    }

    /// A TLS server with a certificate for `names`, signed by an authority of its own.
    pub fn start_tls(names: &[&str], script: impl Fn(&Asked) -> Told + Send + 'static) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate for tests");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key for tests");
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the library's own versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate and its key");
        let mut server = Self::launch(script, Some(Arc::new(config)));
        server.ca = made.cert.pem();
        server
    }

    fn launch(script: impl Fn(&Asked) -> Told + Send + 'static, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stage = Arc::new(Stage { script: Mutex::new(Box::new(script)), asked: Mutex::default() });
        let server = Self { address, ca: String::new(), stage: Arc::clone(&stage) };
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (stage, tls) = (Arc::clone(&stage), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(socket, &stage),
                    Some(config) => {
                        if let Ok(session) = rustls::ServerConnection::new(config) {
                            serve(rustls::StreamOwned::new(session, socket), &stage);
                        }
                    }
                });
            }
        });
        server
    }

    /// Follows another script from now on.
    pub fn follow(&self, script: impl Fn(&Asked) -> Told + Send + 'static) {
        *self.stage.script.lock().expect("no script panics") = Box::new(script);
    }

    /// Answers everything with `told` from now on.
    pub fn tell(&self, told: Told) {
        self.follow(move |_| told.clone());
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.stage.asked.lock().expect("no script panics").clone()
    }

    /// How often it was asked so far.
    pub fn count(&self) -> usize {
        self.asked().len()
    }

    /// A URL of this server; `path` starts with `/`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.ca.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}{path}", self.address)
    }
}

/// A loopback port on which nobody listens.
pub fn silent_port() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
    listener.local_addr().expect("a bound socket has an address")
}

fn serve(mut stream: impl Read + Write, stage: &Stage) {
    for turn in 1.. {
        let Some(asked) = read_request(&mut stream) else { return };
        let asked = Asked { turn, ..asked };
        let told = {
            stage.asked.lock().expect("no script panics").push(asked.clone());
            (stage.script.lock().expect("no script panics"))(&asked)
        };
        if !perform(&mut stream, told) {
            return;
        }
    }
}

/// Answers; whether the connection may be used again.
fn perform(stream: &mut impl Write, told: Told) -> bool {
    match told {
        Told::Answer(status, fields, body) => {
            let mut answer = format!("HTTP/1.1 {status} Told\r\n");
            for (name, value) in &fields {
                answer.push_str(&format!("{name}: {value}\r\n"));
            }
            if status != 304 {
                answer.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            answer.push_str("\r\n");
            let whole = [answer.into_bytes(), body].concat();
            stream.write_all(&whole).is_ok() && stream.flush().is_ok()
        }
        Told::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.flush();
            false
        }
        Told::Trickle(body) => {
            let head = format!("HTTP/1.1 200 Told\r\ncontent-length: {}\r\n\r\n", body.len());
            let mut open = stream.write_all(head.as_bytes()).is_ok();
            for byte in body {
                open = open && stream.write_all(&[byte]).is_ok() && stream.flush().is_ok();
                if !open {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            false
        }
        Told::Endless => {
            let mut open = stream.write_all(b"HTTP/1.1 200 Told\r\ntransfer-encoding: chunked\r\n\r\n").is_ok();
            let chunk = [b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat();
            while open {
                open = stream.write_all(&chunk).is_ok();
            }
            false
        }
        Told::Hang => {
            std::thread::sleep(Duration::from_secs(60));
            false
        }
    }
}

fn read_request(stream: &mut impl Read) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let mut part = [0; 4096];
        let read = stream.read(&mut part).ok().filter(|read| *read != 0)?;
        bytes.extend_from_slice(&part[..read]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut asked = Asked { head, body: bytes.split_off(end + 4), turn: 1 };
    let length: usize = asked.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while asked.body.len() < length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).ok().filter(|read| *read != 0)?;
        asked.body.extend_from_slice(&part[..read]);
    }
    Some(asked)
}
