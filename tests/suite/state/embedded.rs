//! The store in a file as an operator meets it: where it lies, who may read it, who else may open it, when it is opened at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use countersign::domain::Outage;
use countersign::state::contract::{Burned, Class, Expect, Key, StateStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::scheme_ticket;
use crate::stage::{NOW, prove};
use crate::state::contract::{at, burn, clock, open, session};
use crate::support::figures::{figure, tell};
use crate::support::rows::row;
use crate::support::upstream::Upstream;
use crate::support::whole::Whole;

/// The store in the file at `path`, or what the operator is told.
pub async fn open_at(path: &Path, now: i64) -> Result<Arc<dyn StateStore>, String> {
    open("embedded", &json!({ "path": path.to_str().unwrap(), "timeout": "20s" }), clock(now)).await
}

/// A folder, and the place of a store in it.
pub fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/countersign.redb");
    (folder, path)
}

/// Where the witness of the store at `path` stands.
pub fn witness(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".witness");
    name.into()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_and_files_are_made_for_their_owner_alone() {
    let (_folder, path) = place();
    let _store = open_at(&path, NOW).await.unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700, "the folder");
    assert_eq!(mode(&path), 0o600, "the database");
    assert_eq!(mode(&witness(&path)), 0o600, "its witness");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_store_serves_one_process_at_a_time() {
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    assert_eq!(store.burn(&burn(1, 0, 100), at(0)).await, Ok(Burned::First));
    let told = open_at(&path, NOW).await.err().expect("a second one is refused");
    assert!(told.contains("another process has") && told.contains("countersign.redb"), "{told}");
    assert_eq!(store.burn(&burn(2, 0, 100), at(0)).await, Ok(Burned::First), "the first one is not disturbed");
    drop(store);
    let store = open_at(&path, NOW).await.expect("it is free as soon as the first one has gone");
    assert_eq!(store.burn(&burn(1, 0, 100), at(0)).await, Ok(Burned::Again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_to_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir_all(folder.path().join("taken/countersign.redb")).unwrap();
    fs::create_dir_all(folder.path().join("also/countersign.redb.witness")).unwrap();
    let rows = [
        // where, what is told, what the row shows
        ("file/state/countersign.redb", "cannot make the folder", "below something that is no folder"),
        ("taken/countersign.redb", "countersign.redb", "where a folder is"),
        ("also/countersign.redb", "cannot write to", "where the witness cannot be"),
    ];
    for (place, says, shows) in rows {
        let told = open_at(&folder.path().join(place), NOW).await.err().unwrap_or_else(|| panic!("{shows}: opened"));
        assert!(told.contains(says), "{shows}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_be_a_record_of_ours_is_refused() {
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    let value = |length: usize| Bytes::from(vec![7; length]);
    let rows = [((1 << 20) + 1, false, "one byte too many"), (1 << 20, true, "the largest")];
    for (number, (length, fits, shows)) in (0..).zip(rows) {
        let written = store.write(&session(number), Expect::Absent, value(length), at(100), at(0)).await;
        assert_eq!(written.is_ok(), fits, "{shows}");
        assert!(fits || written == Err(Outage::State), "{shows}");
        assert_eq!(store.append(value(length), at(100), at(0)).await.is_ok(), fits, "{shows}");
    }
}

#[test]
fn its_settings_are_proven() {
    let entry = &countersign::state::embedded::ENTRY;
    let rows = [
        // settings, what is said, what the row shows
        (json!({}), None, "all have defaults"),
        (json!({ "capacity": 0 }), Some("between 1 and"), "no room"),
        (json!({ "timeout": "0s" }), Some("longer than nothing"), "no time"),
        (json!({ "path": "state/.." }), Some("must name a file"), "a folder"),
        (json!({ "path": "" }), Some("must not be empty"), "nowhere"),
    ];
    for (settings, says, shows) in rows {
        match (prove(entry.plan, &settings), says) {
            (Ok(plan), None) => assert_eq!(plan.name(), "embedded", "{shows}"),
            (Err(told), Some(says)) => assert!(told.iter().any(|fault| fault.contains(says)), "{shows}: {told:?}"),
            (outcome, _) => panic!("{shows}: {outcome:?}"),
        }
    }
    let text = |settings| prove(entry.plan, &settings).unwrap().continuity();
    assert_eq!(text(json!({})), text(json!({ "path": "state/countersign.redb" })), "a reload may go on with the same file");
    assert_ne!(text(json!({})), text(json!({ "path": "state/other.redb" })), "and not with another");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_opened_by_the_first_conf_that_needs_one() {
    let upstream = Upstream::start().await;
    let with = scheme_ticket::conf(&upstream);
    let without = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\ngovernor: off\nupstreams: {{ app: http://{} }}\n\
         rules: [{{ name: open, match: {{ paths: [/open] }}, authenticate: none, forward: app }}]\n",
        upstream.address
    );
    let whole = Whole::start(&without, &[scheme_ticket::KEY_FILE]).await;
    let state = whole.folder.path().join("state");
    assert!(!state.exists(), "nothing needs it");
    whole.reload(&with).await.unwrap();
    assert!(state.join("countersign.redb").exists(), "tickets do, and this is where it lies unless the conf says otherwise");
    let spent = scheme_ticket::single_use();
    row("spent", "/once/x").bearer(&spent).passes("anna").run(&whole, &upstream).await;
    whole.reload(&without).await.unwrap();
    whole.reload(&with).await.unwrap();
    row("still spent", "/once/x").bearer(&spent).refused(401, "replayed").run(&whole, &upstream).await;
    let told = whole.reload(&format!("{with}\nstate: {{ embedded: {{ path: elsewhere.redb }} }}\n")).await.unwrap_err();
    assert!(told.contains("needs_restart: `state`"), "{told}");

    let refused = without.replace("rules:", "state: { embedded: { path: ticket.key/store.redb } }\nrules:");
    let whole = Whole::start(&refused, &[scheme_ticket::KEY_FILE]).await;
    let told = whole.reload(&format!("{with}\nstate: {{ embedded: {{ path: ticket.key/store.redb }} }}\n")).await.unwrap_err();
    assert!(told.contains("state `embedded`: cannot make the folder"), "{told}");
    assert_eq!(whole.ask("GET", "/open", &[]).await.status, 200, "the conf before stays in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_there_is_opened_for_what_it_holds_and_missed_when_it_is_taken_away() {
    let (_folder, path) = place();
    let plan = prove(countersign::state::embedded::ENTRY.plan, &json!({ "path": path.to_str().unwrap() })).unwrap();
    assert!(!plan.is_there(), "nothing was ever kept here");
    drop(open_at(&path, NOW).await.unwrap());
    assert!(plan.is_there());
    fs::remove_file(&path).unwrap();
    assert!(plan.is_there(), "its witness remembers it");
    let told = open_at(&path, NOW).await.err().expect("what it held must not be passed over");
    assert!(told.contains("is gone"), "{told}");
    fs::remove_file(witness(&path)).unwrap();
    assert!(!plan.is_there(), "whoever takes both away means it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_one_record_is_not_woken_by_others() {
    let (_folder, path) = place();
    let store = open_at(&path, NOW).await.unwrap();
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.changed(&session(1), 0, crate::state::contract::PATIENCE).await })
    };
    for number in 2..50 {
        let key = Key { class: Class::Renewal, digest: session(number).digest };
        store.write(&key, Expect::Absent, Bytes::new(), at(100), at(0)).await.unwrap();
    }
    assert!(!waiting.is_finished(), "48 other records were written");
    store.write(&session(1), Expect::Absent, Bytes::new(), at(100), at(0)).await.unwrap();
    crate::state::contract::soon("its own record", waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_grows_with_what_is_unspent_at_one_time_and_not_with_all_that_ever_was() {
    const ROUNDS: i64 = 5;
    /// What `docs/state.md` says of a million tickets, and a little.
    const BYTES_EACH: u64 = 250;
    let each = figure(200_000, 4_000);
    let (_folder, path) = place();
    let now = clock(NOW);
    let store = open("embedded", &json!({ "path": path.to_str().unwrap(), "timeout": "20s" }), now).await.unwrap();
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        // Each round begins when the marks of the one before have ended, and ends what it spends within itself.
        let begins = round * 1_000;
        for first in (0..each).step_by(500) {
            let batch: JoinSet<_> = (first..first + 500)
                .map(|number| {
                    let (store, spent) = (Arc::clone(&store), burn(u64::try_from(round).unwrap() * each + number, begins, begins + 900));
                    async move { store.burn(&spent, at(begins)).await }
                })
                .collect();
            assert!(batch.join_all().await.into_iter().all(|burned| burned == Ok(Burned::First)), "round {round}");
        }
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    tell(&format!("the file after each of {ROUNDS} rounds of {each} marks: {sizes:?} bytes, {} a mark", sizes[4] / each));
    assert!(sizes[4] * 5 <= sizes[1] * 6, "it does not stay at what one round needs: {sizes:?}");
    // The least that a file takes is more than a few marks need.
    assert!(sizes[4] <= BYTES_EACH * each.max(20_000), "more than {BYTES_EACH} bytes a mark: {sizes:?}");
}
