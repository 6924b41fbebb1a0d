//! The one connection over which everything is asked, kept by one task.
//!
//! The task connects, looks the server over, and puts the connection up; from then on it looks again every few seconds, and
//! whenever an operation went wrong. While no connection is up, every operation fails at once. There is never more than one
//! attempt to connect under way, and the waits between attempts are drawn by chance.
//!
//! Never here: an operation that is sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, PushKind, RedisError, ServerErrorKind};
use tokio::sync::{Notify, watch};

use crate::domain::{Clock, Event, Observer, Outage, Random};
use crate::state::beginning;
use crate::state::redis::backoff::Backoff;
use crate::state::redis::data::DataSet;
use crate::state::redis::dial::{Dialer, trouble, word};
use crate::state::redis::server::{Server, Trouble, prove_strict};

/// How often the server is looked over when nothing is wrong. Also keeps the connection from being closed as idle.
const LOOK: Duration = Duration::from_secs(5);
/// How long after a look the next one may begin.
const BREATH: Duration = Duration::from_millis(100);

/// How things stand.
#[derive(Clone)]
pub(super) enum Standing {
    /// The first attempt is under way.
    Trying,
    /// The server answers.
    Up(MultiplexedConnection),
    /// It does not, or cannot be used.
    Down(Trouble),
}

/// What operations see of the connection.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) standing: watch::Receiver<Standing>,
    signs: Arc<Signs>,
}

/// What operations tell the keeper.
#[derive(Default)]
struct Signs {
    /// Something went wrong: look now.
    doubt: Notify,
    /// Whether an operation's failure has been logged since the last look.
    told: AtomicBool,
}

impl Link {
    /// The connection, if one is up.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when none is.
    pub(super) fn connection(&self) -> Result<MultiplexedConnection, Outage> {
        match &*self.standing.borrow() {
            Standing::Up(connection) => Ok(connection.clone()),
            Standing::Trying | Standing::Down(_) => Err(Outage::State),
        }
    }

    /// An operation has failed with `error`, or has had no answer in time when there is none.
    pub(super) fn complain(&self, error: Option<&RedisError>) {
        let is_refusal = error.is_some_and(|error| match error.kind() {
            // The server answers, and will answer the next one; everything else asks for a look.
            ErrorKind::Server(kind) => !matches!(
                kind,
                ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::NoPerm
            ),
            ErrorKind::Extension => error.code() != Some("NOAUTH"),
            _ => false,
        });
        if !self.signs.told.swap(true, Ordering::Relaxed) {
            let code = error.map_or("no answer in time", |error| error.code().map_or_else(|| error.category(), word));
            tracing::warn!(answer = code, "state store failed an operation");
        }
        if !is_refusal {
            self.signs.doubt.notify_one();
        }
    }
}

/// Keeps the connection; one per store.
pub(super) struct Keeper {
    pub(super) dialer: Dialer,
    pub(super) strict: bool,
    /// Host and port, for messages.
    pub(super) address: Box<str>,
    pub(super) data: Arc<DataSet>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Hears of every attempt to come back.
    pub(super) observer: Arc<dyn Observer>,
}

impl Keeper {
    /// The link, and the task that keeps it.
    pub(super) fn start(self) -> (Link, impl Future<Output = ()> + Send + 'static) {
        let (sender, standing) = watch::channel(Standing::Trying);
        let signs = Arc::new(Signs::default());
        let link = Link { standing, signs: Arc::clone(&signs) };
        (link, self.keep(sender, signs))
    }

    async fn keep(self, standing: watch::Sender<Standing>, signs: Arc<Signs>) {
        let mut backoff = Backoff::default();
        let mut life = None;
        let mut known = None;
        loop {
            let attempt = self.connect(&signs, &mut life).await;
            if !matches!(*standing.borrow(), Standing::Trying) {
                self.observer.note(Event::State { operation: "reopen", ok: attempt.is_ok() });
            }
            let trouble = match attempt {
                Ok(connection) => {
                    backoff.reset();
                    tracing::info!(address = %self.address, "state store answers");
                    standing.send_replace(Standing::Up(connection.clone()));
                    self.watch(connection, &signs, &mut life).await
                }
                Err(trouble) => trouble,
            };
            // A trouble is told when it begins, not at every attempt.
            if known.as_ref() != Some(&trouble) || matches!(*standing.borrow(), Standing::Up(_)) {
                tracing::warn!(address = %self.address, %trouble, "state store cannot be used");
            }
            known = Some(trouble.clone());
            standing.send_replace(Standing::Down(trouble));
            tokio::time::sleep(backoff.next(self.random.as_ref())).await;
        }
    }

    /// One attempt.
    async fn connect(&self, signs: &Arc<Signs>, life: &mut Option<String>) -> Result<MultiplexedConnection, Trouble> {
        let ended = Arc::clone(signs);
        let mut connection = self
            .dialer
            .dial(move |info| {
                if info.kind == PushKind::Disconnection {
                    ended.doubt.notify_one();
                }
            })
            .await?;
        let server = self.look(&mut connection, life).await?;
        if !server.appends {
            tracing::warn!(
                address = %self.address,
                "state store keeps no append-only file: each restart of it makes all that was made before unspendable; set `appendonly yes`"
            );
        }
        Ok(connection)
    }

    /// Looks again and again, until something is wrong.
    async fn watch(&self, mut connection: MultiplexedConnection, signs: &Signs, life: &mut Option<String>) -> Trouble {
        loop {
            // Over when somebody is in doubt, or when it is time.
            let _woken = tokio::time::timeout(LOOK, signs.doubt.notified()).await;
            if let Err(trouble) = self.look(&mut connection, life).await {
                return trouble;
            }
            signs.told.store(false, Ordering::Relaxed);
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Whether the server can be used now, and whether our data set is still the one that it was.
    async fn look(&self, connection: &mut MultiplexedConnection, life: &mut Option<String>) -> Result<Server, Trouble> {
        let failed = |error: RedisError| trouble(&error, self.dialer.timeout);
        let info: String = redis::cmd("INFO").query_async(connection).await.map_err(failed)?;
        let server = Server::read(&info)?;
        if self.strict {
            let mut asked = redis::cmd("CONFIG");
            asked.arg("GET").arg("appendonly").arg("appendfsync").arg("maxmemory-policy");
            let settings: Vec<(String, String)> = asked.query_async(connection).await.map_err(|error| match failed(error) {
                Trouble::Answered(_) | Trouble::Forbidden => Trouble::Unprovable,
                other => other,
            })?;
            prove_strict(|wanted| settings.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str()))?;
        }
        let first = beginning::next(self.clock.as_ref());
        let greeting = self.data.greeting(&server.run, server.is_durable(), self.clock.now(), first);
        let (found, now_living): (String, String) = greeting.invoke_async(connection).await.map_err(failed)?;
        if found == "began" && !self.data.has_met() {
            beginning::reached(first, self.clock.as_ref()).await;
        }
        self.data.meet();
        let begun_anew = life.as_ref().is_some_and(|known| *known != now_living);
        if begun_anew || found == "lost" {
            tracing::error!(
                address = %self.address,
                "state store has lost data: what was made before now cannot be spent any more, sessions may be gone"
            );
        }
        *life = Some(now_living);
        Ok(server)
    }
}
