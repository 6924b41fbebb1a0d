//! A real Redis server of a test's own, on a loopback port and in a folder of its own, that can be stopped, killed, and started
//! again with or without what it had written.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::domain::Random;
use tempfile::TempDir;

/// A running `redis-server`; killed when dropped.
pub struct RedisServer {
    child: Option<Child>,
    folder: TempDir,
    /// Holds certificates where it speaks TLS only.
    tls: Option<TempDir>,
    port: u16,
    options: Vec<String>,
}

/// Options of a server that loses nothing it has acknowledged.
pub const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// How long a server may take for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl RedisServer {
    /// A server that keeps nothing.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with these options as well: `--maxmemory 4mb`.
    pub fn start_with(options: &[&str]) -> Self {
        let mut server = Self::not_started(options);
        server.find_port();
        server
    }

    fn not_started(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { child: None, folder: tempfile::tempdir().unwrap(), tls: None, port: 0, options }
    }

    fn find_port(&mut self) {
        for _ in 0..20 {
            self.port = free_port();
            if self.launch() {
                return;
            }
        }
        panic!("redis-server does not start:\n{}", self.log());
    }

    /// A server that speaks TLS only, to clients whose certificate `authority` has signed. All are PEM texts.
    pub fn start_tls(authority: &str, certificate: &str, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = [("authority.pem", authority), ("certificate.pem", certificate), ("certificate.key", key)];
        let [authority, certificate, key] = files.map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        });
        let options = ["--tls-ca-cert-file", &authority, "--tls-cert-file", &certificate, "--tls-key-file", &key];
        let mut server = Self::not_started(&options);
        server.tls = Some(folder);
        server.find_port();
        server
    }

    /// The same server again, with the files it left.
    pub fn restart(&mut self) {
        self.kill();
        let begun = Instant::now();
        while !self.launch() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not start again:\n{}", self.log());
        }
    }

    /// Kills it (SIGKILL), so that it can write nothing more.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it where it stands (SIGSTOP): connections stay open, nothing is answered.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where a conf finds it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Asks something of it on a connection of its own, as text; an error's code is its answer.
    pub fn ask(&self, command: &[&str]) -> String {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection_with_timeout(PATIENCE).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let (name, arguments) = command.split_first().unwrap();
        let answer: redis::RedisResult<redis::Value> = redis::cmd(name).arg(arguments).query(&mut connection);
        match answer {
            Ok(redis::Value::Int(number)) => number.to_string(),
            Ok(redis::Value::Okay) => "OK".to_owned(),
            Ok(redis::Value::Nil) => String::new(),
            Ok(value) => redis::from_redis_value::<String>(value.clone()).unwrap_or_else(|_| format!("{value:?}")),
            Err(error) => error.code().unwrap_or("no code").to_owned(),
        }
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> String {
        self.folder.path().to_string_lossy().into_owned()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts it, and waits until it answers; `false` when it has ended.
    fn launch(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        command.args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", ""]);
        if self.tls.is_some() {
            command.args(["--port", "0", "--tls-port", &port, "--dir"]);
        } else {
            command.args(["--port", &port, "--dir"]);
        }
        command.arg(self.folder.path()).args(&self.options);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("redis-server is missing ({error}): run `scripts/setup test`"));
        let begun = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.greets() {
                self.child = Some(child);
                return true;
            }
            if PATIENCE < begun.elapsed() {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether what listens there is a Redis that has its data; any answer but `LOADING` will do, that it wants a password too.
    fn greets(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 64];
        if stream.write_all(b"PING\r\n").is_err() {
            return false;
        }
        match stream.read(&mut answer) {
            Ok(length @ 1..) => !answer[..length].starts_with(b"-LOADING"),
            // Words without TLS are no handshake: it closes, or says so.
            _ => self.tls.is_some(),
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap().success(), "kill -{name}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on, below those that outgoing connections take, so that it is still free after a restart.
fn free_port() -> u16 {
    loop {
        let mut chance = [0; 2];
        countersign::ambient::SystemRandom.fill(&mut chance);
        let port = 10_000 + u16::from_be_bytes(chance) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
