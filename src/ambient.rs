//! The one door to the machine: wall clock, randomness, environment, secret files.
//!
//! Everything else is handed what it needs. `clippy.toml` and `tests/architecture.rs` keep it so.
#![allow(clippy::disallowed_methods, reason = "this is the one file that may")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::{Clock, Random, Secret, Stopwatch, Timestamp};

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as 0: everything is then "not yet valid", nothing unexpired.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    fn millis(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The machine's monotonic clock, for measuring how long something took. Never for verdicts.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// Starts counting.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Stopwatch for Monotonic {
    fn micros(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // The library aborts the process when the system has no randomness to give; it never returns less.
        if aws_lc_rs::rand::fill(buffer).is_err() {
            std::process::abort();
        }
    }

    /// From what was drawn for many ids at once: a draw costs about the same whatever its length.
    fn fill_id(&self, buffer: &mut [u8]) {
        let filled = AHEAD.with_borrow_mut(|ahead| ahead.give(buffer));
        if !filled {
            self.fill(buffer);
        }
    }
}

/// Random bytes drawn at once, for some thirty requests.
const DRAWN_AT_ONCE: usize = 1_024;

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; DRAWN_AT_ONCE], used: DRAWN_AT_ONCE }) };
}

/// Random bytes, of which the first `used` have been given away.
struct Ahead {
    bytes: [u8; DRAWN_AT_ONCE],
    used: usize,
}

impl Ahead {
    /// Gives the next bytes away; false for more than were ever drawn at once.
    fn give(&mut self, buffer: &mut [u8]) -> bool {
        if DRAWN_AT_ONCE < buffer.len() {
            return false;
        }
        if DRAWN_AT_ONCE - self.used < buffer.len() {
            SystemRandom.fill(&mut self.bytes);
            self.used = 0;
        }
        let end = self.used + buffer.len();
        let Some(next) = self.bytes.get(self.used..end) else { return false };
        buffer.copy_from_slice(next);
        self.used = end;
        true
    }
}

/// The environment variable `name`, as bytes of a secret.
#[must_use]
pub fn variable(name: &str) -> Option<Secret> {
    std::env::var(name).ok().map(|value| Secret::new(value.into_bytes()))
}

/// The content of `path`, at most `limit` bytes.
///
/// # Errors
///
/// A short reason for the operator: not found, not permitted, too large.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !size.is_file() {
        return Err("not a regular file".to_owned());
    }
    if limit < size.len() {
        return Err(format!("larger than the {limit} bytes we read"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// What differs whenever the content of a file does, but for writers that take pains: which file it is, how long, and when it was
/// changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The stamp of what `path` leads to; `None` where there is nothing.
#[must_use]
pub fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| Stamp {
        device: file.dev(),
        inode: file.ino(),
        length: file.len(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

/// What `path` leads to, without a link in it; `None` where there is nothing.
#[must_use]
pub fn resolved(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// Whether users other than its owner and group may read `path`. `false` where that cannot be told.
#[must_use]
pub fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS_READ: u32 = 0o004;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0)
}

/// How many file descriptors this process may have open at once; `None` without bound, or where the machine does not tell.
#[must_use]
pub fn descriptors() -> Option<u64> {
    // Name, soft limit, hard limit, unit, in columns (proc_pid_limits(5)).
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether this user may make files in `folder`, or make `folder` itself where it is not there yet.
///
/// # Errors
///
/// A short reason for the operator, with the folder that stands in the way.
pub fn may_fill(folder: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    // What is not there yet is made in the next folder above that is.
    let there = folder.ancestors().find(|above| std::fs::symlink_metadata(above).is_ok());
    let there = there.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_the_way = |why: &dyn std::fmt::Display| format!("`{}`: {why}", there.display());
    if !std::fs::metadata(there).map_err(|error| in_the_way(&error))?.is_dir() {
        return Err(in_the_way(&"not a folder"));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| in_the_way(&std::io::Error::from(error)))
}

/// A fresh folder among the machine's temporary files that only its owner may enter, named after `prefix`.
///
/// # Errors
///
/// It cannot be made.
pub fn fresh_folder(prefix: &str) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    let folder = std::env::temp_dir().join(format!("{prefix}-{:016x}", u64::from_be_bytes(bytes)));
    // Fails when it is there already: what somebody else has prepared is not ours.
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{DRAWN_AT_ONCE, SystemRandom};
    use crate::domain::Random;

    #[test]
    fn no_id_comes_twice_wherever_a_draw_ends() {
        let mut seen = HashSet::new();
        for round in 0..1_000 {
            // Lengths that do not divide what is drawn at once, one that is all of it, and one that is more.
            let length = [16, 24, 17, DRAWN_AT_ONCE, DRAWN_AT_ONCE + 1][round % 5];
            let mut id = vec![0; length];
            SystemRandom.fill_id(&mut id);
            assert!(seen.insert(id[..16].to_vec()), "the draw of {length} bytes in round {round} has been seen");
            // Eight zeros in a row are drawn by nobody.
            let is_filled = id.chunks_exact(8).all(|piece| piece.iter().any(|byte| *byte != 0));
            assert!(is_filled, "all of {length} bytes is filled");
        }
    }
}
