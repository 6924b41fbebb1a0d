//! Process logs: one line an event on standard error, as text or JSON.
//!
//! Our own events come in at the level the operator asked for. Of the libraries only the proxy framework is heard, at
//! `warn` and above, and its words are passed on only from the parts that never see a request: its parsers put up to
//! 2 KiB of the head into their errors, credentials included. From everywhere else it is told where it spoke, not what.
//! A panic is told by its place; its message only when it is a fixed text of the code. Nobody who logs waits for who reads:
//! a queue stands between (`queue`).
//!
//! Never here: a request's bytes; a line break within an event; `debug` or `trace` of any library, at any setting.

use std::any::Any;
use std::fmt;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

pub use tracing::level_filters::LevelFilter;

use crate::domain::Clock;
use crate::telemetry::json::{head, push_inner, push_string};
use crate::telemetry::logs::bridge::Bridge;
pub use crate::telemetry::logs::queue::Outlet;

mod bridge;
mod queue;

/// What our own events come under; everything else is not heard.
const OURS: &str = "countersign";

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For people: time, level, place, message, fields.
    #[default]
    Text,
    /// For collectors: one JSON object.
    Json,
}

/// A library whose log is heard, and which of its words are passed on.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// What the names of its modules begin with.
    pub name: &'static str,
    /// Modules, with all below them, that never see a request's bytes.
    pub told: &'static [&'static str],
}

impl Library {
    /// Whether `module` is one whose words are told, or stands below one.
    fn is_told(&self, module: &str) -> bool {
        self.told.iter().any(|told| module.strip_prefix(told).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The process already has a logger.
    #[error("logging was already set up in this process")]
    AlreadySet,
    /// There is no thread to write it.
    #[error("cannot start the log's writer: {0}")]
    Thread(#[from] std::io::Error),
}

/// Sets up logging for the whole process, once: our events, the framework's, and panics.
///
/// `level` is for our own events; of `framework` warnings and errors are heard at every level but `off`; `sink` is standard error outside tests.
/// What is still to be written is written when the [`Outlet`] is dropped.
///
/// # Errors
///
/// [`LogFault`] when the process has a logger already, or no thread.
pub fn install(
    level: LevelFilter,
    form: Form,
    framework: Library,
    clock: Arc<dyn Clock>,
    sink: impl Write + Send + 'static,
) -> Result<Outlet, LogFault> {
    let (inlet, outlet) = queue::start(sink, queue::CAPACITY, tell_lost)?;
    let subscriber = subscriber(level, form, Arc::clone(&clock), inlet);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogFault::AlreadySet)?;
    log::set_boxed_logger(Box::new(Bridge::new(framework, clock))).map_err(|_| LogFault::AlreadySet)?;
    // What is not heard is not even put together.
    log::set_max_level(if level == LevelFilter::OFF { log::LevelFilter::Off } else { bridge::LOUDEST });
    std::panic::set_hook(Box::new(tell_panic));
    Ok(outlet)
}

/// What [`install`] sets up, for one thread or one test, without the queue.
pub fn subscriber(
    level: LevelFilter,
    form: Form,
    clock: Arc<dyn Clock>,
    sink: impl Write + Send + 'static,
) -> impl Subscriber + Send + Sync + 'static {
    Registry::default().with(Lines { level, form, clock, sink: Mutex::new(sink) })
}

/// The listener for framework events, for tests that do not install it for the whole process.
#[must_use]
pub fn framework_listener(framework: Library, clock: Arc<dyn Clock>) -> impl log::Log {
    Bridge::new(framework, clock)
}

/// Writes each event as one line.
struct Lines<W> {
    level: LevelFilter,
    form: Form,
    clock: Arc<dyn Clock>,
    /// Held for one line at a time, so that lines do not mix; no longer than a push into a queue takes.
    sink: Mutex<W>,
}

impl<W: Write + Send + 'static, S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Lines<W> {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        let target = metadata.target();
        let ours = target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        ours && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut told = Told { form: self.form, message: String::new(), fields: String::new() };
        event.record(&mut told);
        let line = self.line(event.metadata(), &told);
        // There is nowhere left to complain to.
        let _ = self.sink.lock().write_all(line.as_bytes());
    }
}

impl<W> Lines<W> {
    fn line(&self, metadata: &Metadata<'_>, told: &Told) -> String {
        let time = DateTime::from_timestamp_millis(self.clock.millis()).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (level, target) = (metadata.level(), metadata.target());
        let Told { message, fields, .. } = told;
        match self.form {
            Form::Text => format!("{time} {level:>5} {target}: {message}{fields}\n"),
            Form::Json => {
                let level = match *level {
                    Level::ERROR => "error",
                    Level::WARN => "warn",
                    Level::INFO => "info",
                    Level::DEBUG => "debug",
                    Level::TRACE => "trace",
                };
                format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"target\":\"{target}\",\"message\":\"{message}\"{fields}}}\n")
            }
        }
    }
}

/// An event's message and fields, escaped as they come in.
struct Told {
    form: Form,
    message: String,
    fields: String,
}

impl Told {
    /// The longest that is told of one value, in bytes.
    const LONGEST: usize = 4096;

    fn key(&mut self, field: &Field) {
        match self.form {
            Form::Text => {
                self.fields.push(' ');
                self.fields.push_str(field.name());
                self.fields.push('=');
            }
            Form::Json => {
                self.fields.push(',');
                push_string(&mut self.fields, field.name());
                self.fields.push(':');
            }
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        let value = head(value, Self::LONGEST);
        if field.name() == "message" {
            push_inner(&mut self.message, value);
        } else {
            self.key(field);
            push_string(&mut self.fields, value);
        }
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        self.fields.push_str(&value.to_string());
    }
}

impl Visit for Told {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// Tells that the log lacks lines.
fn tell_lost(lines: u64) {
    tracing::error!(target: "countersign::log", lines, "lines of this log were lost since the start; standard error was not read, or could not be written");
}

/// Tells of a panic without the text that a request may have had a part in (O4).
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("", 0), |place| (place.file(), place.line()));
    tracing::error!(target: "countersign::panic", file, line, "panicked: {}", fixed_text(panic.payload()));
}

/// The message of a panic where it stands in the code as it is; a formatted one may hold anything.
fn fixed_text(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(message withheld)")
}

#[cfg(test)]
mod tests;
