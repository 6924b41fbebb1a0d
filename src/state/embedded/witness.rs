//! A second, tiny file beside the database that remembers how far it has come.
//!
//! The database keeps its last commit and the one before it, and which of the two counts is one bit. A flipped bit, or an older
//! copy put in the database's place, would bring back a state in which something is unspent that has been spent. The witness
//! says which commit was acknowledged last; a database that has come less far is refused. Written after each commit and before its
//! acknowledgement, without a sync of its own: after a loss of power it may be behind the database, never ahead of it.
//!
//! It also carries the lock that keeps a second process out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

/// How far a store has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Which life of the store; one that was lost and began anew has another.
    pub(super) life: u64,
    /// How many commits it has acknowledged. 0 while it is being made.
    pub(super) commits: u64,
}

/// What a witness says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    /// Nothing yet.
    Nothing,
    /// This.
    Progress(Progress),
    /// Something that no witness of ours has written.
    Garbled,
}

/// The witness of one store, locked.
pub(super) struct Witness {
    file: File,
}

const MAGIC: [u8; 8] = *b"cswitns1";
const LENGTH: usize = 32;

impl Witness {
    /// Where the witness of the database at `database` stands.
    pub(super) fn path_for(database: &Path) -> PathBuf {
        let mut name = database.as_os_str().to_owned();
        name.push(".witness");
        PathBuf::from(name)
    }

    /// Opens the witness at `path`, making it if need be, and locks it. Waits up to two seconds for a process that is about to end.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when another process holds it; otherwise it cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        const TRIES: u32 = 20;
        const PAUSE: Duration = Duration::from_millis(100);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        for _ in 1..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        file.try_lock()?;
        Ok(Self { file })
    }

    /// What it says.
    pub(super) fn read(&self) -> io::Result<Statement> {
        let length = self.file.metadata()?.len();
        if length == 0 {
            return Ok(Statement::Nothing);
        }
        if length != LENGTH as u64 {
            return Ok(Statement::Garbled);
        }
        let mut bytes = [0; LENGTH];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(decode(&bytes).map_or(Statement::Garbled, Statement::Progress))
    }

    /// Makes it say `progress`.
    pub(super) fn write(&self, progress: Progress) -> io::Result<()> {
        self.file.write_all_at(&encode(progress), 0)
    }

    /// Makes sure that what it says survives a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn encode(progress: Progress) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let (said, sum) = bytes.split_at_mut(24);
    let fields = MAGIC.into_iter().chain(progress.life.to_be_bytes()).chain(progress.commits.to_be_bytes());
    said.iter_mut().zip(fields).for_each(|(place, byte)| *place = byte);
    let digest = digest(&SHA256, said);
    sum.iter_mut().zip(digest.as_ref()).for_each(|(place, byte)| *place = *byte);
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> Option<Progress> {
    let (_magic, rest) = bytes.split_first_chunk::<8>()?;
    let (life, rest) = rest.split_first_chunk::<8>()?;
    let (commits, _sum) = rest.split_first_chunk::<8>()?;
    let progress = Progress { life: u64::from_be_bytes(*life), commits: u64::from_be_bytes(*commits) };
    (encode(progress) == *bytes).then_some(progress)
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, Progress, decode, encode};

    #[test]
    fn a_witness_is_believed_only_as_it_was_written() {
        let progress = Progress { life: 7, commits: 12 };
        let bytes = encode(progress);
        assert_eq!(decode(&bytes), Some(progress));
        for at in 0..LENGTH {
            for bit in 0..8 {
                let mut flipped = bytes;
                flipped[at] ^= 1 << bit;
                assert_eq!(decode(&flipped), None, "bit {bit} of byte {at} is flipped");
            }
        }
    }
}
