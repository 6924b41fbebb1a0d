//! The audit trail of a demo: records as they come, by request id.
//!
//! What a client is told about a refusal is coarse on purpose; the finer reason stands in the audit record. This is how
//! the demo shows both.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

/// Takes audit records as a sink, and gives them out by request id. Clones share one trail.
#[derive(Debug, Clone, Default)]
pub struct Trail(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<Taken>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    /// What has come of a line that has not ended yet.
    rest: Vec<u8>,
    records: HashMap<String, Value>,
}

impl Trail {
    /// The record of request `id`, waited for at most `patience`.
    pub async fn record(&self, id: &str, patience: Duration) -> Option<Value> {
        let wait = async {
            loop {
                // Asked for before looking, so that no record slips in between.
                let more = self.0.more.notified();
                if let Some(record) = self.0.taken.lock().records.remove(id) {
                    return record;
                }
                more.await;
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }
}

impl Write for Trail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.0.taken.lock();
        taken.rest.extend_from_slice(bytes);
        while let Some(end) = taken.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = taken.rest.drain(..=end).collect();
            let record: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
            if let Some(id) = record.get("request_id").and_then(Value::as_str) {
                let id = id.to_owned();
                taken.records.insert(id, record);
            }
        }
        drop(taken);
        self.0.more.notify_waiters();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::Trail;

    #[tokio::test]
    async fn a_record_is_found_by_its_request_even_when_it_comes_late_and_in_pieces() {
        let trail = Trail::default();
        let waiting = tokio::spawn({
            let trail = trail.clone();
            async move { trail.record("b", Duration::from_secs(5)).await }
        });
        let mut sink = trail.clone();
        for piece in ["{\"request_id\":\"a\",\"reason\":\"expired\"}\n{\"reque", "st_id\":\"b\",\"reason\":\"replayed\"}", "\n"] {
            tokio::task::yield_now().await;
            sink.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(waiting.await.unwrap().unwrap()["reason"], "replayed", "in two pieces");
        assert_eq!(trail.record("a", Duration::from_secs(5)).await.unwrap()["reason"], "expired", "already there");
        assert!(trail.record("c", Duration::from_millis(1)).await.is_none(), "nobody asked that");
        assert!(sink.write_all(b"not a record\n").is_err(), "what is no record is not passed over in silence");
    }
}
