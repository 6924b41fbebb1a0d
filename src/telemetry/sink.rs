//! Where lines go: the two standard streams, and how much of a text they took.
//!
//! No buffer of its own, so that a failed write tells how far it got. Only for threads that may wait.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// Writes `bytes` and says how many the sink took before it failed.
pub(super) fn push_out(sink: &mut impl Write, bytes: &[u8]) -> usize {
    /// A pipe whose other end is set not to block is full; there is nothing to wait on but time.
    const PAUSE: Duration = Duration::from_millis(1);
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match sink.write(rest) {
            Ok(0) => return done,
            Ok(some) => done = done.saturating_add(some).min(bytes.len()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => return done,
        }
    }
    done
}

/// Standard output.
///
/// # Errors
///
/// It is closed.
pub fn standard_output() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Standard error. Whoever waits in a write to it holds no lock that others need.
///
/// # Errors
///
/// It is closed.
pub fn standard_error() -> io::Result<File> {
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}
