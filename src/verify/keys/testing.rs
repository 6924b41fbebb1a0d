//! What the tests of key sources share: tools that reach nothing but loopback, and a clock that stands.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use parking_lot::Mutex;

use crate::domain::{Event, Observer, Random};
use crate::net::client::{Client, ClientSettings};
use crate::verify::keys::contract::KeyTools;

/// "Random" bytes that are always zero: no jitter.
pub(crate) struct Still;

impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// Keeps what it hears, as text.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) Mutex<Vec<String>>);

impl Observer for Notes {
    fn note(&self, event: Event<'_>) {
        self.0.lock().push(format!("{event:?}"));
    }
}

/// Tools with a clock that stands at zero.
pub(crate) fn tools() -> KeyTools {
    tools_with(ClientSettings::default(), Arc::new(AtomicI64::new(0)), Arc::new(Notes::default()))
}

/// Tools with these parts.
pub(crate) fn tools_with(client: ClientSettings, clock: Arc<AtomicI64>, notes: Arc<Notes>) -> KeyTools {
    KeyTools { client: Arc::new(Client::new(client).expect("a client")), clock, random: Arc::new(Still), observer: notes }
}
