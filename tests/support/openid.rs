//! A real OpenID provider as a process: `oidc-provider` from npm, started from `tests/oidc`.
//!
//! `npm ci --prefix tests/oidc` installs it. What it can do beside the protocol is written in `tests/oidc/provider.mjs`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::raw::PATIENCE;

/// The secret of its clients that have one.
pub const SECRET: &str = "only-for-tests-0123456789abcdef";

/// What its access tokens are for.
pub const AUDIENCE: &str = "urn:countersign:test";

/// The provider; ends when dropped.
pub struct Provider {
    child: Child,
    /// Its issuer name, and where it listens.
    pub origin: String,
}

/// A pair that a client holds for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub access: String,
    pub refresh: String,
}

/// What the provider has done for refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Refreshes that brought a pair.
    pub refreshed: u64,
    /// Refreshes that it refused.
    pub refused: u64,
    /// Grants that it revoked because a refresh token came twice.
    pub revoked: u64,
}

impl Provider {
    pub fn start() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        assert!(
            Path::new(&folder.join("node_modules/oidc-provider")).is_dir(),
            "the OpenID provider that this test asks is not installed; run `npm ci --prefix tests/oidc` (Node.js 20 or later)"
        );
        let mut child = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("`node` starts; install Node.js 20 or later");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let port = lines.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix("listening ").map(str::to_owned));
            let _ = sender.send(port);
            lines.for_each(drop);
        });
        let mut begun = Self { child, origin: String::new() };
        let port = said.recv_timeout(PATIENCE).expect("the provider says in time where it listens").expect("it says so before it ends");
        begun.origin = format!("http://127.0.0.1:{port}");
        begun
    }

    /// A fresh access token of the machine client.
    pub async fn token(&self) -> String {
        let request = reqwest::Client::new().post(format!("{}/token", self.origin)).timeout(PATIENCE);
        let request = request.basic_auth("machine", Some(SECRET));
        let answer = request.form(&[("grant_type", "client_credentials"), ("scope", "read")]).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// Makes a fresh signing key the first one.
    pub async fn rotate(&self) {
        self.control("rotate").await;
    }

    /// The pair that `client` gets when `subject` has logged in.
    pub async fn session(&self, client: &str, subject: &str) -> Pair {
        let answer = self.control(&format!("session?client={client}&subject={subject}")).await;
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned();
        Pair { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// Gives access tokens this many seconds from now on.
    pub async fn live(&self, seconds: u64) {
        self.control(&format!("life?seconds={seconds}")).await;
    }

    /// Loses the next `answers` of the token endpoint after it has done what was asked.
    pub async fn lose(&self, answers: usize) {
        self.control(&format!("lose?answers={answers}")).await;
    }

    /// What it has done so far.
    pub async fn count(&self) -> Count {
        let answer = self.control("count").await;
        let number = |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("no {name}: {answer}"));
        Count { refreshed: number("refreshed"), refused: number("refused"), revoked: number("revoked") }
    }

    async fn control(&self, what: &str) -> Value {
        let answer = reqwest::Client::new().post(format!("{}/control/{what}", self.origin)).timeout(PATIENCE).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}
