//! Stores that know callers by id and secret: whom they know in a conf under load.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::Secret;
use crate::loadtest::fresh::keyring::{CALLERS, Holder, Pairs};
use crate::loadtest::fresh::sections::{Grounds, put};
use crate::loadtest::fresh::vault::Vault;
use crate::verify::keys::digest::{Pepper, digest_text};

/// Ids and secrets: the good ones, and one more.
fn fresh_pairs(vault: &Vault) -> Pairs {
    let pair = |name: String| (name, vault.text().replace(['=', '+', '/'], "-"));
    Pairs { good: (0..CALLERS).map(|number| pair(format!("caller-{number}"))).collect(), expired: pair("gone".to_owned()) }
}

/// Callers with server keys: their pairs, and a record of each by its id.
fn keyholders(settings: &Value, scopes: &[String], grounds: &Grounds<'_>) -> Result<(Pairs, BTreeMap<String, String>), String> {
    let reference = settings.get("pepper").ok_or("a store of server keys has a pepper")?;
    let pepper = grounds.vault.content(reference).ok_or("the pepper was not made")?;
    let pepper = Pepper::new(&Secret::new(pepper.as_bytes().to_vec())).ok_or("the pepper is too short")?;
    let pairs = fresh_pairs(grounds.vault);
    let record = |(id, secret): &(String, String), expires: Option<i64>| {
        let mut record = json!({ "id": id, "secrets": [digest_text(&pepper.digest(id, secret.as_bytes()))], "scopes": scopes });
        if let (Some(expires), Some(members)) = (expires, record.as_object_mut()) {
            members.insert("expires".to_owned(), expires.into());
        }
        (id.clone(), record.to_string())
    };
    let gone = record(&pairs.expired, Some(grounds.now.0.saturating_sub(3_600)));
    let records = pairs.good.iter().map(|pair| record(pair, None)).chain([gone]).collect();
    Ok((pairs, records))
}

/// Puts fresh keys into a file of server keys.
///
/// # Errors
///
/// A secret or file could not be made.
pub(super) fn server_keys(settings: &mut Value, scopes: &[String], grounds: &mut Grounds<'_>) -> Result<Holder, String> {
    let (pairs, records) = keyholders(settings, scopes, grounds)?;
    let lines: String = records.into_values().map(|record| record + "\n").collect();
    let file = grounds.vault.file("server-keys.jsonl", &lines)?;
    put(settings, "file", file);
    Ok(Holder::Pairs(Arc::new(pairs)))
}

/// The same, with a service that is asked for each.
///
/// # Errors
///
/// A secret could not be made.
pub(super) fn lookup(settings: &mut Value, scopes: &[String], grounds: &mut Grounds<'_>) -> Result<Holder, String> {
    let (pairs, records) = keyholders(settings, scopes, grounds)?;
    put(settings, "url", grounds.inquiries.know(records));
    if let Some(members) = settings.as_object_mut() {
        members.remove("ca");
    }
    Ok(Holder::Pairs(Arc::new(pairs)))
}

/// Puts fresh clients into a file of Janrain's.
///
/// # Errors
///
/// A file could not be made.
pub(super) fn janrain_clients(settings: &mut Value, grounds: &mut Grounds<'_>) -> Result<Holder, String> {
    let pairs = fresh_pairs(grounds.vault);
    let record = |(id, secret): &(String, String), expires: Option<i64>| {
        let features = ["owner", "access_issuer", "direct_access", "direct_read_access", "login_client"];
        let mut record = json!({ "client_id": id, "secrets": [secret], "features": features });
        if let (Some(expires), Some(members)) = (expires, record.as_object_mut()) {
            members.insert("expires".to_owned(), expires.into());
        }
        record.to_string() + "\n"
    };
    let mut lines: String = pairs.good.iter().map(|pair| record(pair, None)).collect();
    lines += &record(&pairs.expired, Some(grounds.now.0.saturating_sub(3_600)));
    let file = grounds.vault.file("janrain-clients.jsonl", &lines)?;
    put(settings, "file", file);
    Ok(Holder::Pairs(Arc::new(pairs)))
}
