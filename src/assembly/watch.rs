//! The watch on files: keys, certificates and, where wanted, the conf itself.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::ambient::{self, Stamp};
use crate::assembly::machine::MAX_FILE;
use crate::settings::material::{Files, mark};

/// Between two readings that must agree.
const SETTLE: Duration = Duration::from_millis(250);
/// After this long without an event the files are looked at all the same: what another machine writes, what lies behind a bind
/// mount or a link, and a folder that was replaced as a whole, are changes that nobody may have told.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Tells when keys, certificates or (where wanted) the conf itself have changed on disk.
///
/// Folders are watched, not files: editors and volume mounts replace files by renaming. What counts is the content, and that
/// it differs from what the conf in force was read from: also what changed while that was read, or before anybody watched, is
/// told. A change is told once two readings in a row agree, so that a half-written file is not taken for a whole one.
pub(super) struct FileWatch {
    conf: PathBuf,
    watcher: Option<notify::RecommendedWatcher>,
    /// What the files that count are called, and what those are called that they lead to.
    names: Arc<Mutex<HashSet<OsString>>>,
    /// Folders that could not be watched the last time.
    unwatched: BTreeSet<PathBuf>,
    stir: mpsc::Sender<()>,
    events: mpsc::Receiver<()>,
    seen: Files,
    /// Of the same files, from just before they were read last and had settled.
    stamps: Vec<Option<Stamp>>,
}

impl FileWatch {
    pub(super) fn new(conf: &Path) -> Self {
        let (stir, events) = mpsc::channel(1);
        let names = Arc::new(Mutex::new(HashSet::new()));
        let (sender, known) = (stir.clone(), Arc::clone(&names));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // What went wrong may be that an event was lost.
            if event.as_ref().map_or(true, |event| may_change(event, &known.lock())) {
                // One waiting event is as good as many.
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher.map_err(|error| tracing::warn!(%error, every = ?LOOK_ANYWAY, "files are not watched but looked at")).ok();
        let conf = conf.to_path_buf();
        Self { conf, watcher, names, unwatched: BTreeSet::new(), stir, events, seen: Files::new(), stamps: Vec::new() }
    }

    /// From now on these files are the ones that count, the conf itself only where its changes are wanted too, and this is what
    /// was in them.
    pub(super) fn look_at(&mut self, mut files: Files, with_conf: bool) {
        if !with_conf {
            files.remove(&self.conf);
        }
        self.seen = files;
        self.watch();
        // What changed since it was read, nobody may have told: one look from here on.
        let _ = self.stir.try_send(());
    }

    /// Watches the folders that count as they are now: a link may lead elsewhere than before, and a watch ends with its folder.
    fn watch(&mut self) {
        let leads_to: Vec<PathBuf> = self.seen.keys().filter_map(|file| ambient::resolved(file)).collect();
        let files = || self.seen.keys().chain(&leads_to);
        *self.names.lock() = files().filter_map(|file| file.file_name().map(OsStr::to_owned)).collect();
        let folders: BTreeSet<&Path> = files()
            .filter_map(|file| file.parent())
            .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
            .collect();
        let Some(watcher) = &mut self.watcher else { return };
        let mut unwatched = BTreeSet::new();
        for folder in folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                if !self.unwatched.contains(folder) {
                    tracing::warn!(folder = %folder.display(), %error, every = ?LOOK_ANYWAY, "folder is not watched but looked at");
                }
                unwatched.insert(folder.to_path_buf());
            }
        }
        self.unwatched = unwatched;
    }

    /// Waits until the content of a file that counts has changed and settled.
    pub(super) async fn changed(&mut self) {
        loop {
            let told = tokio::time::timeout(LOOK_ANYWAY, self.events.recv()).await.is_ok();
            // Before the look: what changes after it is told.
            self.watch();
            let mut stamps = self.stamps_now();
            if !told && stamps == self.stamps {
                continue;
            }
            let mut last = self.read();
            loop {
                tokio::time::sleep(SETTLE).await;
                stamps = self.stamps_now();
                let next = self.read();
                if next == last {
                    break;
                }
                last = next;
            }
            // Only now: whoever stops waiting before has seen nothing, and what there was to see is found by the next look.
            self.stamps = stamps;
            if last != self.seen {
                self.seen = last;
                return;
            }
        }
    }

    fn stamps_now(&self) -> Vec<Option<Stamp>> {
        self.seen.keys().map(|path| ambient::stamp(path)).collect()
    }

    fn read(&self) -> Files {
        let read = |path: &PathBuf| ambient::read_file(path, MAX_FILE).ok().and_then(|content| mark(&content));
        self.seen.keys().map(|path| (path.clone(), read(path))).collect()
    }
}

/// Whether the content of a file may be another since `event`, where `names` are the names of files that count.
///
/// To read a file is an event as well: were that a reason to look, each look would be one for the next. And what is added to a
/// file of another name, such as a log in the same folder, changes none of ours.
fn may_change(event: &Event, names: &HashSet<OsString>) -> bool {
    match event.kind {
        EventKind::Access(how) => how == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Data(_)) => {
            event.paths.is_empty() || event.paths.iter().any(|path| path.file_name().is_some_and(|name| names.contains(name)))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::time::Duration;

    use notify::event::{AccessKind, AccessMode, CreateKind, DataChange, MetadataKind, ModifyKind, RemoveKind, RenameMode};
    use notify::{Event, EventKind};

    use super::{FileWatch, may_change};
    use crate::settings::material::{Files, mark};

    /// Whether a change of what is in `folder` is told, when `a` was read as `read_a` and `conf` as `read_conf`.
    async fn tells(folder: &Path, with_conf: bool, read_a: &[u8], read_conf: &[u8]) -> bool {
        let files: Files = [(folder.join("a"), mark(read_a)), (folder.join("conf"), mark(read_conf))].into();
        let mut watch = FileWatch::new(&folder.join("conf"));
        watch.look_at(files, with_conf);
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_before_anybody_watched_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "conf"] {
            std::fs::write(folder.path().join(name), "new").unwrap();
        }
        let rows: [(bool, &[u8], &[u8], bool, &str); 5] = [
            (true, b"new", b"new", false, "nothing has changed"),
            (true, b"old", b"new", true, "a key file has, since it was read"),
            (true, b"new", b"old", true, "the conf has"),
            (false, b"new", b"old", false, "the conf has, which is not watched"),
            (false, b"old", b"old", true, "both have"),
        ];
        for (with_conf, read_a, read_conf, told, shows) in rows {
            assert_eq!(tells(folder.path(), with_conf, read_a, read_conf).await, told, "{shows}");
        }
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert!(tells(folder.path(), true, b"new", b"new").await, "a file that is gone has changed");
    }

    #[tokio::test]
    async fn a_change_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let mut watch = FileWatch::new(&folder.path().join("conf"));
        watch.look_at([(file.clone(), mark(b"one"))].into(), false);
        std::fs::write(&file, "two").unwrap();
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, watch.changed()).await.expect("told");
        watch.look_at([(file.clone(), mark(b"two"))].into(), false);
        std::fs::write(&file, "two").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(700), watch.changed()).await.is_err(), "written again, the same");
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_stopped_waiting_for_is_found_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "two").unwrap();
        let mut watch = FileWatch::new(&folder.path().join("conf"));
        watch.look_at([(file, mark(b"one"))].into(), false);
        assert!(tokio::time::timeout(super::SETTLE / 2, watch.changed()).await.is_err(), "it has not settled yet");
        tokio::time::timeout(super::LOOK_ANYWAY * 2, watch.changed()).await.expect("found, though nobody tells of it again");
    }

    /// A file that is reached over a link, which is exchanged for another in a folder that nobody watches.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_tells_is_seen_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for release in ["one", "two"] {
            std::fs::create_dir_all(folder.path().join(release).join("keys")).unwrap();
            std::fs::write(folder.path().join(release).join("keys/a"), release).unwrap();
        }
        let current = folder.path().join("current");
        std::os::unix::fs::symlink("one", &current).unwrap();
        let mut watch = FileWatch::new(&folder.path().join("conf"));
        let file = current.join("keys/a");
        watch.look_at([(file.clone(), mark(b"one"))].into(), false);
        assert!(tokio::time::timeout(super::LOOK_ANYWAY * 3, watch.changed()).await.is_err(), "nothing has changed");
        std::fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink("two", &current).unwrap();
        tokio::time::timeout(super::LOOK_ANYWAY * 2, watch.changed()).await.expect("seen by looking");
        // What is in the other folder now is watched there.
        watch.look_at([(file, mark(b"two"))].into(), false);
        watch.events.recv().await.expect("the look that is owed");
        std::fs::write(folder.path().join("two/keys/a"), "three").unwrap();
        tokio::time::resume();
        tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.expect("told");
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_was_replaced_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("keys");
        let fill = |content: &str| {
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("a"), content).unwrap();
        };
        fill("one");
        let mut watch = FileWatch::new(&folder.join("conf"));
        watch.look_at([(folder.join("a"), mark(b"one"))].into(), false);
        std::fs::remove_dir_all(&folder).unwrap();
        watch.changed().await;
        // Nobody looks at other files: what is gone cannot be loaded. It comes back as it was, then changes.
        fill("two");
        tokio::time::timeout(super::LOOK_ANYWAY * 2, watch.changed()).await.expect("it is there again");
        tokio::time::resume();
        std::fs::write(folder.join("a"), "three").unwrap();
        tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.expect("and told when it changes");
    }

    #[test]
    fn what_may_change_a_file_is_told_from_what_cannot() {
        let written = AccessKind::Close(AccessMode::Write);
        let rows = [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), "a", false, "somebody opened it, which reading it does too"),
            (EventKind::Access(AccessKind::Read), "a", false, "somebody read it"),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), "a", false, "and is done"),
            (EventKind::Access(written), "a", true, "whoever wrote it is done"),
            (EventKind::Access(written), "other", true, "a link may lead to it by now"),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), "a", true, "it is written to"),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), "target", true, "and so is what it leads to"),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), "log", false, "a log that lies beside it is"),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), "..data", true, "a volume's link is exchanged"),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "a", true, "it may be readable now"),
            (EventKind::Create(CreateKind::File), "a", true, "it is there"),
            (EventKind::Remove(RemoveKind::File), "a", true, "it is gone"),
            (EventKind::Other, "", true, "events were lost"),
        ];
        let names = ["a".into(), "target".into()].into();
        for (kind, name, may, shows) in rows {
            let event = Event::new(kind).add_path(Path::new("/keys").join(name));
            assert_eq!(may_change(&event, &names), may, "{shows}");
        }
        assert!(may_change(&Event::new(EventKind::Modify(ModifyKind::Data(DataChange::Any))), &names), "of whatever it is");
    }

    #[tokio::test]
    async fn a_look_at_the_files_is_no_reason_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("a"), folder.path().join("log"));
        std::fs::write(&file, "one").unwrap();
        let mut log = std::fs::File::create(log).unwrap();
        let mut watch = FileWatch::new(&folder.path().join("conf"));
        watch.look_at([(file.clone(), mark(b"one"))].into(), false);
        watch.events.recv().await.expect("the look that is owed");
        for _ in 0..3 {
            watch.read();
            log.write_all(b"a line\n").unwrap();
        }
        let patience = Duration::from_millis(300);
        assert!(tokio::time::timeout(patience, watch.events.recv()).await.is_err(), "reading, or a log beside it, stirs nobody");
        std::fs::write(&file, "two").unwrap();
        tokio::time::timeout(Duration::from_secs(30), watch.events.recv()).await.expect("a change does");
    }
}
