//! What happens to the store in a file when its ground gives way: a full disk, a file cut short, changed bytes, an older copy.
//!
//! One verdict is never allowed: that something is unspent which has been spent. Attack F18: a full disk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use countersign::domain::Outage;
use countersign::state::contract::{Burned, Expect, StateStore};

use crate::stage::NOW;
use crate::state::contract::{at, burn, session};
use crate::state::embedded::{open_at, place, witness};
use crate::support::figures::{figure, proving, tell};
use crate::support::upstream::eventually;

const MARKS: u64 = 150;

/// Spends [`MARKS`] keys in commits of different sizes, and writes and removes records between them.
async fn fill(store: &Arc<dyn StateStore>) {
    for number in 0..MARKS {
        if number % 10 == 0 {
            let batch: Vec<_> = (number..number + 10)
                .map(|number| {
                    let store = Arc::clone(store);
                    tokio::spawn(async move { store.burn(&burn(number, 0, 900), at(1)).await })
                })
                .collect();
            for burned in batch {
                assert_eq!(burned.await.unwrap(), Ok(Burned::First));
            }
            let value = Bytes::from(vec![1; 3_000]);
            store.write(&session(number), Expect::Absent, value, at(900), at(1)).await.unwrap();
            store.remove(&session(number / 2), at(1)).await.unwrap();
        }
    }
    // The last commit of all holds one mark and nothing else: what a step back would lose first.
    assert_eq!(store.burn(&burn(MARKS, 0, 900), at(1)).await, Ok(Burned::First));
}

/// Whether every mark that [`fill`] made is there.
async fn forgotten(store: &dyn StateStore) -> Vec<u64> {
    let mut forgotten = Vec::new();
    for number in 0..=MARKS {
        if store.burn(&burn(number, 0, 900), at(2)).await != Ok(Burned::Again) {
            forgotten.push(number);
        }
    }
    forgotten
}

/// The bytes of a database and of its witness.
#[derive(Clone)]
struct Copy {
    database: Vec<u8>,
    witness: Vec<u8>,
}

impl Copy {
    fn of(path: &Path) -> Self {
        Self { database: fs::read(path).unwrap(), witness: fs::read(witness(path)).unwrap() }
    }

    fn put(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &self.database).unwrap();
        fs::write(witness(path), &self.witness).unwrap();
    }
}

/// A filled store as it lies there after a kill, and after an orderly end.
async fn filled() -> [(Copy, &'static str); 2] {
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    fill(&store).await;
    let killed = Copy::of(&path);
    drop(store);
    // It has ended when the next one can be opened.
    drop(open_at(&path, NOW).await.unwrap());
    drop(open_at(&path, NOW).await.unwrap());
    let store = open_at(&path, NOW).await.unwrap();
    assert_eq!(forgotten(&*store).await, [] as [u64; 0], "nothing is lost over an orderly end");
    drop(store);
    eventually_free(&path).await;
    [(killed, "killed"), (Copy::of(&path), "ended")]
}

/// Waits until nobody holds the store at `path`.
async fn eventually_free(path: &Path) {
    let file = fs::File::open(witness(path)).unwrap();
    eventually("the store is let go of", || file.try_lock().is_ok()).await;
}

/// Opens `copy` after it was spoilt. What the operator is told, or `None` when it is whole all the same.
async fn told(copy: &Copy, shows: &str) -> Option<String> {
    let (_folder, path) = place();
    copy.put(&path);
    match open_at(&path, NOW + 5).await {
        Ok(store) => {
            let forgotten = forgotten(&*store).await;
            assert!(forgotten.is_empty(), "{shows}: opened, and these spent marks are gone: {forgotten:?}");
            None
        }
        Err(told) => {
            assert!(told.contains(path.to_str().unwrap()), "{shows}: the operator is told which file: {told}");
            Some(told)
        }
    }
}

/// Numbers that look random and are the same each time.
fn scattered(seed: u64, below: usize) -> impl Iterator<Item = usize> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_found_or_does_no_harm() {
    /// The part that says which pages count.
    const HEAD: usize = 320;
    /// The byte of it that says which of two commits counts.
    const DECISIVE: usize = 9;
    for (copy, how) in filled().await {
        let scattered_count = figure(4_000, 150);
        let every_head_byte = (0..HEAD).map(|at| (at, 1_u8 << (at % 8)));
        let decisive = (0..8).map(|bit| (DECISIVE, 1_u8 << bit));
        let elsewhere = scattered(7, copy.database.len()).take(scattered_count).map(|at| (at, 1_u8 << (at % 8)));
        let (mut refused, mut whole) = (0, 0);
        for (place, flip) in every_head_byte.chain(decisive).chain(elsewhere) {
            let mut spoilt = copy.clone();
            spoilt.database[place] ^= flip;
            match told(&spoilt, &format!("{how}: byte {place} ^ {flip}")).await {
                Some(_) => refused += 1,
                None => whole += 1,
            }
        }
        println!("{how}: {refused} changed files were refused, {whole} were whole all the same");
        assert!(0 < refused && 0 < whole, "both are to be seen");

        for place in 0..copy.witness.len() {
            let mut spoilt = copy.clone();
            spoilt.witness[place] ^= 1;
            let told =
                told(&spoilt, how).await.unwrap_or_else(|| panic!("{how}: byte {place} of the witness is changed, and it is believed"));
            assert!(told.contains("damaged witness") && told.contains("move"), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_short_or_drawn_out_is_found_or_does_no_harm() {
    for (copy, how) in filled().await {
        let whole = copy.database.len();
        let mut lengths = vec![0, 1, 8, 9, 63, 64, 319, 320, 4_095, 4_096, 4_097, 8_192, whole / 2, whole - 4_096, whole - 1];
        lengths.extend(scattered(11, whole).take(figure(500, 20)));
        for length in lengths {
            let mut spoilt = copy.clone();
            spoilt.database.truncate(length);
            let told = told(&spoilt, &format!("{how}: cut to {length} of {whole}")).await;
            assert!(told.is_some() || whole / 2 < length, "{how}: {length} of {whole} bytes cannot be whole");
            assert!(
                told.is_none_or(|told| told.contains("It is not used") && told.contains("are refused")),
                "what to do, and what it costs"
            );
        }
        for more in [1, 4_096, 1 << 20] {
            let mut spoilt = copy.clone();
            spoilt.database.extend(vec![0xa5; more]);
            told(&spoilt, &format!("{how}: {more} bytes too many")).await;
        }
        for length in [0, 1, 31, 33] {
            let mut spoilt = copy.clone();
            spoilt.witness.resize(length, 0);
            let told = told(&spoilt, how).await;
            assert!(told.is_some_and(|told| told.contains("witness")), "{how}: a witness of {length} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_time_or_store_is_not_used() {
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    assert_eq!(store.burn(&burn(1_000, 0, 900), at(1)).await, Ok(Burned::First));
    let earlier = Copy::of(&path);
    fill(&store).await;
    let later = Copy::of(&path);
    let (_other_folder, other) = place();
    let _other = open_at(&other, NOW).await.unwrap();
    let other = Copy::of(&other);

    let mix = |database: &Copy, witness: &Copy| Copy { database: database.database.clone(), witness: witness.witness.clone() };
    let rows = [
        // files, what is told, what the row shows
        (mix(&earlier, &later), "commits are missing", "a copy from before in the place of the database"),
        (mix(&other, &later), "not of the same store", "another store's database"),
        (mix(&later, &other), "not of the same store", "another store's witness"),
        (Copy { witness: Vec::new(), ..later.clone() }, "has no witness", "no witness"),
        (Copy { database: Vec::new(), ..later.clone() }, "is gone", "no database"),
    ];
    for (copy, says, shows) in rows {
        let told = told(&copy, shows).await.unwrap_or_else(|| panic!("{shows}: opened"));
        assert!(told.contains(says), "{shows}: {told}");
    }
    assert_eq!(told(&mix(&later, &earlier), "").await, None, "a witness that is behind, as after a loss of power, knows less and no harm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_put_back_is_not_noticed_and_to_begin_anew_is_the_way_out() {
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    let snapshot = Copy::of(&path);
    assert_eq!(store.burn(&burn(7, 0, 900), at(1)).await, Ok(Burned::First));
    drop(store);
    eventually_free(&path).await;

    snapshot.put(&path);
    let store = open_at(&path, NOW + 10).await.unwrap();
    assert_eq!(
        store.burn(&burn(7, 0, 900), at(10)).await,
        Ok(Burned::First),
        "what docs/state.md warns of: nothing is left that could tell"
    );
    drop(store);
    eventually_free(&path).await;

    fs::remove_file(&path).unwrap();
    fs::remove_file(witness(&path)).unwrap();
    let store = open_at(&path, NOW + 20).await.unwrap();
    assert_eq!(store.burn(&burn(7, 0, 900), at(20)).await, Ok(Burned::Forgotten), "what was made before is believed no more");
    assert_eq!(store.burn(&burn(8, 19, 900), at(20)).await, Ok(Burned::Forgotten), "to its last second");
    assert_eq!(store.burn(&burn(9, 20, 900), at(20)).await, Ok(Burned::First), "and what is made from now on is");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_finished_is_begun_anew() {
    // A process may end at any point while it makes its store. Nothing has been acknowledged then.
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    let whole = Copy::of(&path);
    drop(store);
    let rows: [(Option<&[u8]>, Option<&[u8]>, &str); 4] = [
        (None, Some(b""), "a witness that says nothing yet"),
        (None, Some(&[0; 32]), "one that power was lost over"),
        (Some(b""), Some(b""), "an empty database"),
        (Some(b""), None, "only an empty database"),
    ];
    for (database, said, shows) in rows {
        let (_folder, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(bytes) = database {
            fs::write(&path, bytes).unwrap();
        }
        if let Some(bytes) = said {
            fs::write(witness(&path), bytes).unwrap();
        }
        let store = open_at(&path, NOW).await.unwrap_or_else(|told| panic!("{shows}: {told}"));
        assert_eq!(store.burn(&burn(1, 0, 900), at(1)).await, Ok(Burned::First), "{shows}");
        assert_eq!(store.burn(&burn(2, -1, 900), at(1)).await, Ok(Burned::Forgotten), "{shows}: it remembers from now on");
    }
    let (_folder, path) = place();
    Copy { witness: Vec::new(), ..whole }.put(&path);
    assert!(open_at(&path, NOW).await.is_err(), "but a database that was finished is not thrown away");
}

/// Names a folder on a disk of some megabytes, for machines on which a test may mount none.
const SMALL_DISK: &str = "COUNTERSIGN_SMALL_DISK";

/// A folder on a small disk: one in memory that is mounted for one test, or what [`SMALL_DISK`] names.
struct SmallDisk {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl SmallDisk {
    /// `None`, with the reason printed, where mounting is not permitted and none is named.
    ///
    /// # Panics
    ///
    /// With the same reason when the full figures are asked for: a proof that was not made must not look like one.
    fn find(size: &str) -> Option<Self> {
        if let Some(named) = std::env::var_os(SMALL_DISK) {
            let folder = tempfile::tempdir_in(&named).unwrap_or_else(|error| panic!("{SMALL_DISK}={}: {error}", named.display()));
            return Some(Self { folder, mounted: false });
        }
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        let why = match output {
            Ok(output) if output.status.success() => return Some(Self { folder, mounted: true }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let told = format!("no small disk can be mounted ({why}); name a folder on one by {SMALL_DISK}");
        assert!(!proving(), "{told}");
        tell(&told);
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_is_new_forgets_nothing_and_is_over_when_there_is_room() {
    let Some(disk) = SmallDisk::find("6m") else { return };
    let path = disk.folder.path().join("state/countersign.redb");
    let ballast = disk.folder.path().join("ballast");
    let store = open_at(&path, NOW).await.unwrap();
    let mut acknowledged = Vec::new();
    let mut number = 0;
    for round in 0..3 {
        // All the room there is, but for a little, in which something fits first.
        let mut bytes = 8 << 20;
        while 1 << 12 <= bytes {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
            if std::io::Write::write_all(&mut file, &vec![1; bytes]).is_err() {
                bytes /= 2;
            }
            assert!(file.metadata().unwrap().len() < 512 << 20, "this disk is not small: {}", disk.folder.path().display());
        }
        let file = fs::OpenOptions::new().write(true).open(&ballast).unwrap();
        file.set_len(file.metadata().unwrap().len() - (400 << 10)).unwrap();
        drop(file);
        let before = acknowledged.len();
        let mut refused = 0;
        while refused < 20 {
            number += 1;
            assert!(number < 100_000, "round {round}: the disk never fills");
            // Some of the orders come together, some with a record that takes room.
            let spent = burn(number, 0, 900);
            let value = Bytes::from(vec![7; 2_000]);
            let key = session(number);
            let (burned, written) = tokio::join!(store.burn(&spent, at(1)), store.write(&key, Expect::Absent, value, at(900), at(1)));
            match burned {
                Ok(Burned::First) => acknowledged.push(number),
                other => assert_eq!(other, Err(Outage::State), "round {round}"),
            }
            if burned.is_err() {
                refused += 1;
                // Only so that the store comes to try again in between, with the disk still full.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            assert!(written.is_ok() || burned.is_err() || written == Err(Outage::State));
        }
        assert!(before < acknowledged.len(), "round {round}: something fitted first");
        for number in &acknowledged {
            let burned = store.burn(&burn(*number, 0, 900), at(1)).await;
            assert!(matches!(burned, Ok(Burned::Again) | Err(Outage::State)), "round {round}: {number} was {burned:?} on a full disk");
        }

        fs::remove_file(&ballast).unwrap();
        let begun = std::time::Instant::now();
        while store.ping().await.is_err() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(30), "round {round}: there is room, and the store does not recover");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        for number in &acknowledged {
            assert_eq!(store.burn(&burn(*number, 0, 900), at(1)).await, Ok(Burned::Again), "round {round}: {number}");
        }
        number += 1;
        assert_eq!(store.burn(&burn(number, 0, 900), at(1)).await, Ok(Burned::First), "round {round}: it is as before, without a restart");
        acknowledged.push(number);
    }
    println!("{} marks were acknowledged over three full disks", acknowledged.len());
    drop(store);
    let store = open_at(&path, NOW + 5).await.unwrap();
    for number in &acknowledged {
        assert_eq!(store.burn(&burn(*number, 0, 900), at(5)).await, Ok(Burned::Again), "{number} after a restart");
    }
    drop(store);
    eventually_free(&path).await;
}
