//! Opens the database: makes folder and file, keeps others out, and refuses what is damaged or has come less far than it should.
//!
//! A store that is opened here has every mark that was ever acknowledged: all of it is read once and its checksums are compared,
//! and the witness says how far it must have come. Nothing is repaired by leaving out, and nothing damaged is replaced by something
//! empty: who wants that moves the files away.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, StorageError, WriteTransaction};

use crate::domain::Timestamp;
use crate::state::embedded::ledger::{self, Broken, Facts, Ledger};
use crate::state::embedded::witness::{Progress, Statement, Witness};

/// Pages held in memory, in bytes. The marks of a busy hour fit; the rest is the operating system's to cache.
const CACHE: usize = 32 << 20;

/// What helps when the place is not ours to write to.
const ELSEWHERE: &str = "`state: { embedded: { path: ... } }` names another place";

/// The files of a store, locked against other processes for as long as this lives.
pub(super) struct Files {
    database: PathBuf,
    witness: Witness,
}

/// A database that has been proven whole.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) facts: Facts,
}

impl Files {
    /// Takes hold of the files at `database`, which need not exist.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub(super) fn take(database: &Path) -> Result<Self, String> {
        let path = Witness::path_for(database);
        if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| format!("cannot make the folder `{}`: {error}; {ELSEWHERE}", folder.display()))?;
        }
        let witness = Witness::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                format!("another process has `{}` open; one store serves one process, several share a `redis`", database.display())
            }
            _ => format!("cannot write to `{}`: {error}; {ELSEWHERE}", path.display()),
        })?;
        Ok(Self { database: database.to_path_buf(), witness })
    }

    /// Opens the store, or makes it when nothing has ever been remembered here. A new one has `life` and begins at `born`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: it cannot be opened, or must not be.
    pub(super) fn open(&self, life: u64, born: Timestamp) -> Result<Opened, String> {
        let statement = self.witness.read().map_err(|error| format!("cannot read `{}`: {error}", self.witness_path().display()))?;
        let there = fs::metadata(&self.database).is_ok_and(|file| 0 < file.len());
        match statement {
            // While a store was being made, nothing was acknowledged yet.
            Statement::Progress(Progress { commits: 0, .. }) => self.make(life, born),
            Statement::Progress(said) if there => self.prove(said),
            Statement::Progress(_) => Err(self.lost("is gone, but its witness remembers it")),
            Statement::Nothing | Statement::Garbled if !there => self.make(life, born),
            Statement::Nothing => Err(self.lost("has no witness: how far it has come cannot be told")),
            Statement::Garbled => Err(self.lost("has a damaged witness: how far it has come cannot be told")),
        }
    }

    /// Opens the store again after a failure.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened now.
    pub(super) fn reopen(&self) -> Result<Opened, String> {
        match self.witness.read() {
            Ok(Statement::Progress(said)) => self.prove(said),
            Ok(_) => Err(self.lost("has lost its witness")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Makes the commit of `facts` one that counts. Nothing may be acknowledged before.
    pub(super) fn acknowledge(&self, facts: &Facts) -> Result<(), Broken> {
        let progress = Progress { life: facts.life, commits: facts.commits };
        self.witness.write(progress).map_err(|error| Broken(format!("the witness cannot be written: {error}")))
    }

    fn make(&self, life: u64, born: Timestamp) -> Result<Opened, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("cannot make `{}`: {error}", self.database.display());
        match fs::remove_file(&self.database) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&error)),
            _ => {}
        }
        let unmade = Progress { life, commits: 0 };
        self.witness.write(unmade).and_then(|()| self.witness.sync()).map_err(|error| cannot(&error))?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&self.database).map_err(|e| cannot(&e))?;
        let database = builder().create_file(file).map_err(|error| cannot(&error))?;
        let transaction = begin(&database).map_err(|error| cannot(&error))?;
        let facts = Ledger::make(&transaction, life, born).map_err(|error| cannot(&error))?;
        transaction.commit().map_err(|error| cannot(&error))?;
        self.acknowledge(&facts).map_err(|error| cannot(&error))?;
        self.witness.sync().and_then(|()| sync_folder(&self.database)).map_err(|error| cannot(&error))?;
        tracing::info!(path = %self.database.display(), %born, "state store made");
        Ok(Opened { database, facts })
    }

    /// Opens a database that must have come at least as far as `said`, and proves all of it.
    fn prove(&self, said: Progress) -> Result<Opened, String> {
        self.warn_if_exposed();
        // There is damage that the library does not foresee and gives up over.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.prove_all(said)));
        outcome.unwrap_or_else(|_panic| Err(self.damaged("the database gave up over it")))
    }

    fn prove_all(&self, said: Progress) -> Result<Opened, String> {
        let mut database = builder().open(&self.database).map_err(|error| self.unopened(&error))?;
        // Its answer only tells whether counters beside the trees had to be made anew, as they must after a crash.
        let _clean = database.check_integrity().map_err(|error| self.unopened(&error))?;
        let facts = read_facts(&database).map_err(|error| self.damaged(&error.to_string()))?;
        let facts = facts.ok_or_else(|| self.damaged("it holds no store"))?;
        if facts.life != said.life {
            return Err(self.lost("and its witness are not of the same store"));
        }
        if facts.commits < said.commits {
            let missing = said.commits - facts.commits;
            return Err(self.lost(&format!("is older than what was acknowledged: the last {missing} commits are missing")));
        }
        self.acknowledge(&facts).map_err(|error| error.to_string())?;
        Ok(Opened { database, facts })
    }

    fn unopened(&self, error: &DatabaseError) -> String {
        let path = self.database.display();
        match error {
            DatabaseError::DatabaseAlreadyOpen => format!("another process has `{path}` open"),
            DatabaseError::Storage(StorageError::Io(error)) if !is_damage(error.kind()) => format!("cannot open `{path}`: {error}"),
            error => self.damaged(&error.to_string()),
        }
    }

    /// What is said of a database that cannot be believed.
    pub(super) fn damaged(&self, why: &str) -> String {
        self.lost(&format!("is damaged ({why})"))
    }

    fn lost(&self, what: &str) -> String {
        let (database, witness) = (self.database.display(), self.witness_path());
        format!(
            "`{database}` {what}. It is not used: a mark that is missing would let a spent credential be used again. To begin anew, move \
             `{database}` and `{}` away: sessions, refresh families and revocations made here are lost then, and single-use credentials \
             made before that moment are refused",
            witness.display()
        )
    }

    fn witness_path(&self) -> PathBuf {
        Witness::path_for(&self.database)
    }

    fn warn_if_exposed(&self) {
        const GROUP_AND_OTHERS: u32 = 0o077;
        let open = |metadata: fs::Metadata| metadata.permissions().mode() & GROUP_AND_OTHERS != 0;
        if fs::metadata(&self.database).is_ok_and(open) {
            tracing::warn!(path = %self.database.display(), "other users may reach the state store; `chmod 600` it");
        }
    }
}

/// Begins a transaction that is on disk, whole, before it counts.
///
/// In two phases: with one, a last commit whose pages do not verify is taken for one that was not finished and is left out,
/// silently, also when it had been acknowledged and was damaged since.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, Broken> {
    let mut transaction = database.begin_write().map_err(Broken::because)?;
    transaction.set_durability(redb::Durability::Immediate).map_err(Broken::because)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

fn read_facts(database: &Database) -> Result<Option<Facts>, Broken> {
    ledger::facts(&database.begin_read().map_err(Broken::because)?)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Whether an I/O error of this kind tells of the file's content, and not of the machine.
fn is_damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput)
}

/// Makes sure that the names in the folder of `path` survive a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
