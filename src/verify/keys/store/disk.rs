//! A copy of the last good set on disk, so that a cold start survives an outage of its source.
//!
//! The copy is as trusted as the set itself: whoever may write it may sign. It is written whole or not at all, readable by
//! its owner only, and it names its origin and the moment it was fetched: a copy of another origin, from the future or
//! older than a set may be is not taken.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::domain::{Seconds, Timestamp, Value};
use crate::jose::json;
use crate::verify::keys::store::MAX_BYTES;

/// The form of the copy; one of another form is not read.
const FORM: i64 = 1;

/// The largest copy that is read: a set as JSON text takes up to six times its bytes, and most take little more.
const MAX_COPY: usize = 6 * MAX_BYTES + 4096;

/// Where the copy is.
#[derive(Debug)]
pub struct DiskCopy {
    path: PathBuf,
    origin: String,
}

impl DiskCopy {
    /// A copy at `path` of the set from `origin`.
    #[must_use]
    pub fn new(path: PathBuf, origin: &str) -> Self {
        Self { path, origin: origin.to_owned() }
    }

    /// The set and when it was fetched; `None` when there is no copy that may be used at `now`.
    pub async fn load(&self, now: Timestamp, max_stale: Seconds) -> Option<(Bytes, Timestamp)> {
        let file = fs::File::open(&self.path).await.ok()?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_COPY).ok()?;
        file.take(limit + 1).read_to_end(&mut bytes).await.ok()?;
        if MAX_COPY < bytes.len() {
            return None;
        }
        let copy = json::parse(&bytes).ok()?;
        let fetched = Timestamp(copy.member("fetched")?.as_int()?);
        let fits = copy.member("form").and_then(Value::as_int) == Some(FORM)
            && copy.member("origin").and_then(Value::as_text) == Some(&*self.origin)
            && fetched <= now
            && now < fetched.plus(max_stale);
        let set = copy.member("set")?.as_text()?;
        fits.then(|| (Bytes::copy_from_slice(set.as_bytes()), fetched))
    }

    /// Puts `set`, fetched at `fetched`, in place of an older copy.
    ///
    /// # Errors
    ///
    /// What the system says; the older copy is then still there.
    pub async fn save(&self, set: &[u8], fetched: Timestamp) -> std::io::Result<()> {
        let set = std::str::from_utf8(set).map_err(|_| std::io::ErrorKind::InvalidData)?;
        let copy = serde_json::json!({ "form": FORM, "origin": self.origin, "fetched": fetched.0, "set": set });
        let fresh = with_suffix(&self.path, ".new");
        // What a crash left behind may have another owner's rights; it is made anew.
        match fs::remove_file(&fresh).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).await?;
        file.write_all(copy.to_string().as_bytes()).await?;
        file.sync_all().await?;
        drop(file);
        fs::rename(&fresh, &self.path).await
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{DiskCopy, MAX_COPY};
    use crate::domain::{Seconds, Timestamp};

    const SET: &[u8] = br#"{"keys":[]}"#;
    const DAY: Seconds = Seconds(86_400);

    #[tokio::test]
    async fn a_copy_serves_only_its_own_origin_and_only_while_the_set_may_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.json");
        let copy = DiskCopy::new(path.clone(), "https://id.example/jwks");
        assert!(copy.load(Timestamp(0), DAY).await.is_none(), "no copy yet");
        copy.save(b"{}", Timestamp(500)).await.unwrap();
        copy.save(SET, Timestamp(1_000)).await.unwrap();

        let at = |now| copy.load(Timestamp(now), DAY);
        assert_eq!(at(1_000).await.unwrap(), (SET.into(), Timestamp(1_000)), "at once, and the newer one");
        assert!(at(1_000 + 86_399).await.is_some(), "the last second");
        assert!(at(1_000 + 86_400).await.is_none(), "outlived");
        assert!(at(999).await.is_none(), "from the future");
        let other = DiskCopy::new(path.clone(), "https://other.example/jwks");
        assert!(other.load(Timestamp(1_000), DAY).await.is_none(), "another origin's copy");

        let rights = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(rights & 0o777, 0o600, "for its owner only");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left lying about");
    }

    #[tokio::test]
    async fn what_is_no_copy_is_no_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.json");
        let copy = DiskCopy::new(path.clone(), "o");
        let good = r#"{"form":1,"origin":"o","fetched":1,"set":"{}"}"#;
        for (content, taken, shows) in [
            (good.to_owned(), true, "a copy"),
            (good.replace("1,\"o", "2,\"o"), false, "another form"),
            (good.replace("\"fetched\":1", "\"fetched\":\"1\""), false, "a moment that is text"),
            (good.replace("\"set\":\"{}\"", "\"set\":{}"), false, "a set that is not text"),
            (good.replace('}', ""), false, "cut short"),
            (String::new(), false, "empty, as after a crash of others"),
            (format!("{good}{}", " ".repeat(MAX_COPY)), false, "too large"),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(copy.load(Timestamp(1), DAY).await.is_some(), taken, "{shows}");
        }
        assert!(DiskCopy::new(folder.path().join("no/such/folder"), "o").save(SET, Timestamp(1)).await.is_err(), "no folder is told");
        std::fs::write(&path, good).unwrap();
        assert!(copy.save(b"\xff", Timestamp(1)).await.is_err(), "what is no text is not written");
        assert!(copy.load(Timestamp(1), DAY).await.is_some(), "and the older copy is still there");
    }
}
