//! Connects to the server, and says in our words what went wrong.
//!
//! Never here: a second attempt; the text of a server's answer, of which only the code is told.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, PushInfo, RedisError, ServerErrorKind};

use crate::state::redis::server::Trouble;

/// How the server is reached, and how long it may take.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) client: Client,
    /// For any answer.
    pub(super) timeout: Duration,
    /// For a connection, TLS and credentials included.
    pub(super) connect_timeout: Duration,
}

impl Dialer {
    /// A new connection. `pushed` hears of its end, and of what is told on channels that it subscribes to.
    pub(super) async fn dial(&self, pushed: impl Fn(PushInfo) + Send + Sync + 'static) -> Result<MultiplexedConnection, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(QUEUED)
            .set_push_sender(move |info| {
                pushed(info);
                Ok::<(), std::convert::Infallible>(())
            });
        let dialing = Box::pin(self.client.get_multiplexed_async_connection_with_config(&config));
        match tokio::time::timeout(self.connect_timeout, dialing).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(trouble(&error, self.connect_timeout)),
            Err(_elapsed) => Err(Trouble::Silent(self.connect_timeout)),
        }
    }
}

/// Requests that wait to be written at once, at most; beyond that they wait for room.
const QUEUED: usize = 1024;

/// The code that an error begins with, where it is a word such as servers use (`READONLY`); whatever else answers at this port may have
/// repeated what it was sent.
pub(super) fn word(code: &str) -> &str {
    const LONGEST: usize = 16;
    let is_word = code.len() <= LONGEST && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_word { code } else { "an error of no known code" }
}

/// What `error` means for us; `within` is how long the server had.
pub(super) fn trouble(error: &RedisError, within: Duration) -> Trouble {
    if error.is_timeout() {
        return Trouble::Silent(within);
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => Trouble::Credentials,
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => Trouble::Loading,
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Trouble::Replica,
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Trouble::Forbidden,
        (ErrorKind::RESP3NotSupported, _) => Trouble::Old("5 or older".to_owned()),
        (_, Some(code)) => Trouble::Answered(word(code).to_owned()),
        // What the machine or the TLS library says; nothing of the server's.
        (ErrorKind::Io, None) => Trouble::Unreachable(error.to_string()),
        (_, None) => Trouble::Unreachable(error.category().to_owned()),
    }
}
