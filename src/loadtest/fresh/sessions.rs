//! Sessions as the proxy under load keeps them, put into its store: ones that have ended, and good ones where no rule opens any.
//!
//! They are drawn and sealed by what draws and seals the proxy's own, under the key that was made for it. What has ended is
//! still in the store, so that its own end is what refuses it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use crate::domain::{Seconds, Secret, Timestamp, Value};
use crate::jose::session::{KeptPair, Session, SessionKey, SessionTerms};
use crate::loadtest::credentials::hat::HatPresenter;
use crate::loadtest::fresh::keyring::Cookies;
use crate::loadtest::fresh::lanes::{Means, host_at};
use crate::loadtest::mix::Kind;
use crate::settings::section::parse_duration;
use crate::state::contract::{Class, Expect, Key, StateStore, Written};
use crate::verify::keys::mac::key_of;

/// Whose sessions were put into the store, and what is worth telling of that.
#[derive(Default)]
pub struct Kept {
    /// Cookies by authenticator.
    pub cookies: Vec<(String, Cookies)>,
    /// A sentence each.
    pub notes: Vec<String>,
}

/// How long the store keeps what has ended: longer than any load.
const KEEPS: Seconds = Seconds(7_200);

/// How long ago that was, whose end has come.
const AGO: Seconds = Seconds(60);

/// Puts `count` sessions of each kind into `store`, of every `session` authenticator of `conf`. `opened` are those that rules have
/// opened already, by authenticator.
///
/// # Errors
///
/// A sentence: a key is none, or the store does not answer.
pub async fn kept(
    conf: &Json,
    means: &Means,
    opened: Vec<(String, Vec<(String, String)>)>,
    store: &dyn StateStore,
    (count, now): (u64, Timestamp),
) -> Result<Kept, String> {
    let mut kept = Kept::default();
    let mut opened = opened;
    for (name, written) in conf.get("authenticators").and_then(Json::as_object).into_iter().flatten() {
        let Some(settings) = written.get("session") else { continue };
        let Some(key) = settings.get("keys").and_then(Json::as_str).and_then(|store| means.keyring.text(store)) else { continue };
        let Some(host) = host_at(conf, means, name) else { continue };
        let archive = Archive { terms: terms(name, settings, &key)?, host, store, means };
        let at = opened.iter().position(|(known, _)| known == name);
        let mut good = at.map(|at| opened.swap_remove(at).1).unwrap_or_default();
        if good.is_empty()
            && let Some(holders) = Holders::of(conf, settings, means)?
        {
            for number in 0..count {
                let session = archive.lasting(&holders, number, now)?;
                good.push(archive.put(&session, now).await?);
            }
            kept.notes.push(format!("sessions of `{name}` are opened by no rule, so they were put into the store"));
        }
        let mut expired = Vec::new();
        for number in 0..count {
            expired.push(archive.put(&archive.ended(number, now), now).await?);
        }
        kept.cookies.push((name.clone(), Cookies { good, expired }));
    }
    Ok(kept)
}

/// The terms of the `session` authenticator `name`, which seals with `key`.
fn terms(name: &str, settings: &Json, key: &str) -> Result<SessionTerms, String> {
    let seconds = |member: &str, default: u32| {
        let written = settings.get(member).and_then(Json::as_str).and_then(parse_duration);
        Seconds(written.and_then(|length| u32::try_from(length.as_secs()).ok()).unwrap_or(default))
    };
    let key = key_of(Secret::new(key.as_bytes().to_vec()))?;
    Ok(SessionTerms {
        name: name.into(),
        cookie: settings.get("cookie").and_then(Json::as_str).unwrap_or("__Host-session").into(),
        life: seconds("life", 43_200),
        idle: seconds("idle", 1_800),
        keys: [SessionKey::new(key.id, &key.secret)].into(),
        epochs: Arc::default(),
    })
}

/// Who holds sessions that no rule opens.
enum Holders {
    /// Callers of ours.
    Callers,
    /// Owners of HATs, whose tokens sessions keep.
    Hats(Box<HatPresenter>),
}

impl Holders {
    /// Those of a `session` authenticator with these settings; `None` where sessions keep tokens that cannot be made here.
    fn of(conf: &Json, settings: &Json, means: &Means) -> Result<Option<Self>, String> {
        let Some(tokens) = settings.get("tokens").and_then(Json::as_str) else { return Ok(Some(Self::Callers)) };
        let hat = conf.get("authenticators").and_then(|all| all.get(tokens)).and_then(|written| written.get("hat"));
        let Some((hat, hats)) = hat.zip(means.keyring.hats(tokens)) else { return Ok(None) };
        HatPresenter::new(hat, hats, Arc::clone(&means.random)).map(|presenter| Some(Self::Hats(Box::new(presenter))))
    }
}

/// Where sessions of one authenticator are kept.
struct Archive<'a> {
    terms: SessionTerms,
    host: String,
    store: &'a dyn StateStore,
    means: &'a Means,
}

impl Archive<'_> {
    /// A session that has just been opened.
    fn lasting(&self, holders: &Holders, number: u64, now: Timestamp) -> Result<Session, String> {
        let (subject, issuer, pair) = match holders {
            Holders::Callers => (format!("caller-{number}"), "bench".to_owned(), None),
            Holders::Hats(hats) => {
                let hat = hats.hat(number).ok_or("there is no HAT")?.to_owned();
                let token = hats.token(Kind::Good, number, now)?;
                let secret = || Secret::new(token.as_bytes().to_vec());
                let ends = Some(now.plus(hats.life()));
                // A HAT's token is slid on with itself.
                (hat.clone(), hat, Some(KeptPair { access: secret(), refresh: secret(), access_until: ends, refresh_until: ends }))
            }
        };
        Ok(Session { pair, ..self.session(subject, issuer, now) })
    }

    /// One that has ended: by its age and, where it may, by not being used, in turn.
    fn ended(&self, number: u64, now: Timestamp) -> Session {
        let by_age = self.terms.idle == Seconds(0) || number.is_multiple_of(2);
        let since = now.minus(if by_age { self.terms.life } else { self.terms.idle }).minus(AGO);
        let session = self.session(format!("caller-{number}"), "bench".to_owned(), since);
        // What is over by its age was used a moment ago.
        if by_age { Session { seen: now, ..session } } else { Session { ends: now.plus(self.terms.life), ..session } }
    }

    fn session(&self, subject: String, issuer: String, opened: Timestamp) -> Session {
        Session {
            subject: subject.into(),
            issuer: issuer.into(),
            scopes: self.means.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            claims: Value::empty(),
            opened,
            ends: opened.plus(self.terms.life),
            seen: opened,
            pair: None,
        }
    }

    /// Puts `session` into the store; its cookie's name and value.
    async fn put(&self, session: &Session, now: Timestamp) -> Result<(String, String), String> {
        let random = &*self.means.random;
        let reference = self.terms.draw(&self.host, random).ok_or("no session can be drawn")?;
        let record = self.terms.seal(&reference, session, random).map_err(|fault| fault.to_string())?;
        let key = Key { class: Class::Session, digest: self.terms.record_of(&reference) };
        let until = session.ends.max(now.plus(KEEPS));
        let written = self.store.write(&key, Expect::Absent, Bytes::from(record), until, now).await;
        match written {
            Ok(Written::Done { .. }) => Ok((self.terms.cookie.to_string(), reference.id().text().to_string())),
            Ok(Written::Conflict(_)) | Err(_) => Err("the store does not keep sessions".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::terms;
    use crate::domain::Seconds;

    #[test]
    fn sessions_are_kept_on_the_terms_of_the_conf() {
        let key = "k".repeat(16) + &"0123456789abcdef".repeat(3);
        let cases = [
            // settings, cookie, life, idle, what the row shows
            (json!({ "keys": "k" }), ("__Host-session", 43_200, 1_800), "what holds unless written"),
            (
                json!({ "keys": "k", "cookie": "__Host-a", "life": "30d", "idle": "0s" }),
                ("__Host-a", 2_592_000, 0),
                "all that may be written",
            ),
        ];
        for (settings, (cookie, life, idle), shows) in cases {
            let terms = terms("member", &settings, &key).unwrap();
            assert_eq!((&*terms.cookie, terms.life, terms.idle), (cookie, Seconds(life), Seconds(idle)), "{shows}");
        }
        assert!(terms("member", &json!({}), "short").is_err(), "a key that is none");
    }
}
