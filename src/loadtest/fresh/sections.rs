//! What stands in each section of a conf under load: key stores of the same kinds with keys made a moment ago, services on
//! loopback, and nothing that would hide what is to be measured.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::demo::issuer::DemoIssuer;
use crate::domain::{Secret, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::loadtest::fresh::checks::Checks;
use crate::loadtest::fresh::door::Door;
use crate::loadtest::fresh::farm::Farm;
use crate::loadtest::fresh::inquiries::Inquiries;
use crate::loadtest::fresh::keyring::{Holder, Keyring, Signer};
use crate::loadtest::fresh::records;
use crate::loadtest::fresh::vault::Vault;

/// Where requests without a credential go; nothing of anybody's begins like this.
pub const BARE: &str = "/.countersign-bench/bare";

/// What a conf under load is put together from.
pub struct Grounds<'g> {
    /// The origin of the service behind it.
    pub upstream: &'g str,
    /// Who answers for every issuer.
    pub issuer: &'g Arc<DemoIssuer>,
    /// Who is asked about ids and tokens.
    pub inquiries: &'g Inquiries,
    /// Issuers under names of their own, where the conf believes any.
    pub farm: Option<&'g Farm>,
    /// Secrets and files.
    pub vault: &'g mut Vault,
    /// Now.
    pub now: Timestamp,
    /// Whether state is kept on disk, and not in memory.
    pub disk: bool,
    /// Worker threads, unless the conf's own number.
    pub threads: Option<usize>,
}

/// A conf that is ready to be put under load.
pub struct Fresh {
    /// The conf.
    pub conf: Value,
    /// How clients come in.
    pub door: Door,
    /// The other half of its keys.
    pub keyring: Keyring,
    /// Every scope that a rule asks for.
    pub scopes: Vec<String>,
    /// What differs from what was written, and is not a key: a sentence each.
    pub notes: Vec<String>,
}

/// Puts fresh keys and services on loopback into `conf`, as `rewrite` left it.
///
/// # Errors
///
/// A key or file could not be made.
pub fn freshened(mut conf: Value, grounds: &mut Grounds<'_>) -> Result<Fresh, String> {
    let mut notes = Vec::new();
    let scopes = scopes_of(&conf);
    let root = conf.as_object_mut().ok_or("the conf is no mapping")?;
    let door = surroundings(root, grounds, &mut notes)?;
    let mut keyring = Keyring::default();
    let issuers = root.get("issuers").cloned().unwrap_or_default();
    let wanted = Wanted { algorithms: algorithms_wanted(root), scopes };
    if let Some(stores) = root.get_mut("keys").and_then(Value::as_object_mut) {
        for (name, store) in stores {
            if let Some(holder) = key_store(store, &issuers, &wanted, grounds)? {
                keyring.hold(name, holder);
            }
        }
    }
    authenticators(root, grounds, &mut keyring, &mut notes)?;
    renewers(root, grounds)?;
    Ok(Fresh { conf, door, keyring, scopes: wanted.scopes, notes })
}

/// Everything around rules and keys.
fn surroundings(root: &mut Map<String, Value>, grounds: &mut Grounds<'_>, notes: &mut Vec<String>) -> Result<Door, String> {
    let door = Door::in_place_of(root.get("listeners"), grounds.vault)?;
    root.insert("listeners".to_owned(), json!([door.listener.clone()]));
    root.remove("admin");
    let mut first = None;
    for (name, upstream) in root.get_mut("upstreams").and_then(Value::as_object_mut).into_iter().flatten() {
        first.get_or_insert_with(|| name.clone());
        match upstream.as_object_mut() {
            Some(written) => {
                written.insert("servers".to_owned(), grounds.upstream.into());
                written.remove("tls");
                written.remove("h2");
            }
            None => *upstream = grounds.upstream.into(),
        }
    }
    if root.get("governor").and_then(Value::as_str) != Some("off") {
        notes.push("the governor is off: all load comes from one address, and some of it is meant to fail".to_owned());
    }
    root.insert("governor".to_owned(), "off".into());
    match root.get("state").and_then(|state| state.as_object()).and_then(|state| state.keys().next()).map(String::as_str) {
        Some("memory") if !grounds.disk => {}
        kind if grounds.disk => {
            let written = root.get("state").and_then(|state| state.get("embedded")).cloned();
            let mut settings = written.filter(Value::is_object).unwrap_or_else(|| json!({}));
            put(&mut settings, "path", "state/countersign.redb");
            let instead = kind.filter(|kind| *kind != "embedded").map(|kind| format!(" instead of in `{kind}`")).unwrap_or_default();
            notes.push(format!("state is kept on disk{instead}, in a folder for temporary files: that disk is in the figures"));
            root.insert("state".to_owned(), json!({ "embedded": settings }));
        }
        kind => {
            notes.push(format!("state is kept in memory instead of `{}`, so that nothing is left behind", kind.unwrap_or("embedded")));
            root.insert("state".to_owned(), json!({ "memory": {} }));
        }
    }
    // Fixed addresses lead to others than the stand-ins, and their authorities are none of ours.
    root.remove("outbound");
    if let Some(farm) = grounds.farm {
        let ca = grounds.vault.file("farm.pem", farm.pem())?;
        root.insert("outbound".to_owned(), json!({ "ca": ca, "resolve": farm.addresses() }));
        notes.push("issuers with keys under their own names are stand-ins on loopback, asked over TLS".to_owned());
    }
    root.insert("watch".to_owned(), false.into());
    root.insert("drain_delay".to_owned(), "0s".into());
    root.insert("grace".to_owned(), "1s".into());
    if let Some(threads) = grounds.threads {
        root.insert("threads".to_owned(), threads.into());
    }
    if let Some(rules) = root.get_mut("rules").and_then(Value::as_array_mut) {
        let forward = first.unwrap_or_default();
        rules.push(json!({ "name": "countersign-bench", "match": { "paths": [BARE] }, "authenticate": "none", "forward": forward }));
    }
    Ok(door)
}

/// Every algorithm that an authenticator asks for by name.
fn algorithms_wanted(root: &Map<String, Value>) -> Vec<Algorithm> {
    let authenticators = root.get("authenticators").and_then(Value::as_object).into_iter().flatten();
    authenticators.filter_map(|(_, written)| written.get("jwt")?.get("algorithms")).flat_map(listed).filter_map(Algorithm::named).collect()
}

/// The texts of a list, or the one that stands without brackets.
#[must_use]
pub fn listed(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// What rules and authenticators ask of credentials.
struct Wanted {
    algorithms: Vec<Algorithm>,
    scopes: Vec<String>,
}

/// Puts fresh keys into one store; the other half of them, unless it cannot be had.
fn key_store(store: &mut Value, issuers: &Value, wanted: &Wanted, grounds: &mut Grounds<'_>) -> Result<Option<Holder>, String> {
    let Some((kind, settings)) = store.as_object_mut().and_then(|store| store.iter_mut().next()) else { return Ok(None) };
    match kind.as_str() {
        "jwks_url" => {
            put(settings, "url", grounds.issuer.jwks_url());
            Ok(Some(remote(settings, grounds)))
        }
        "discovery" => {
            put(settings, "issuer", grounds.issuer.issuer());
            Ok(Some(remote(settings, grounds)))
        }
        "pinned" => pinned(settings, &wanted.algorithms, grounds).map(Some),
        "issued" => issued(settings, issuers, grounds),
        "server_keys" => records::server_keys(settings, &wanted.scopes, grounds).map(Some),
        "server_key_lookup" => records::lookup(settings, &wanted.scopes, grounds).map(Some),
        "mac" | "gigya_secret" => {
            let first = settings.get("secrets").unwrap_or(settings);
            let first = first.as_array().and_then(|several| several.first()).unwrap_or(first);
            Ok(grounds.vault.content(first).map(|text| Holder::Text(text.into())))
        }
        "janrain_clients" => records::janrain_clients(settings, grounds).map(Some),
        // Each issuer is asked under its own name, and led to a stand-in by `outbound`.
        "issuer_key" => {
            if let Some(members) = settings.as_object_mut() {
                members.remove("ca");
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

pub(super) fn put(settings: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(members) = settings.as_object_mut() {
        members.insert(key.to_owned(), value.into());
    }
}

fn remote(settings: &mut Value, grounds: &Grounds<'_>) -> Holder {
    // Its background fetches stay, at the pace that the conf says: they are part of what is measured.
    if let Some(members) = settings.as_object_mut() {
        members.remove("ca");
        members.remove("cache_file");
    }
    of_issuer(grounds.issuer)
}

fn of_issuer(issuer: &Arc<DemoIssuer>) -> Holder {
    Holder::Signers(DemoIssuer::ALGORITHMS.map(|algorithm| (algorithm, Signer::Issuer(Arc::clone(issuer), algorithm))).into())
}

fn pinned(settings: &mut Value, wanted: &[Algorithm], grounds: &mut Grounds<'_>) -> Result<Holder, String> {
    let mut signers = Vec::new();
    if let Some(secret) = settings.get("hmac") {
        let text = grounds.vault.content(secret).ok_or("the shared secret was not made")?.to_owned();
        let written = settings.get("hmac_algorithm").and_then(Value::as_str).and_then(Algorithm::named);
        let hmac = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
        let algorithm = written.or_else(|| hmac.into_iter().find(|each| wanted.contains(each))).unwrap_or(Algorithm::Hs256);
        let key = SigningKey::from_secret(algorithm, &Secret::new(text.into_bytes())).map_err(|fault| fault.to_string())?;
        let kid = settings.get("hmac_kid").and_then(Value::as_str);
        signers.push((algorithm, Signer::Key(Arc::new(key.with_kid(kid)))));
    }
    if settings.get("file").is_some() {
        let asymmetric = wanted.iter().copied().filter(|algorithm| !algorithm.name().starts_with("HS"));
        let mut algorithms: Vec<Algorithm> = DemoIssuer::ALGORITHMS.into_iter().chain(asymmetric).collect();
        algorithms.sort_by_key(|algorithm| algorithm.name());
        algorithms.dedup();
        // As an issuer would be asked first for what most issuers use.
        algorithms.sort_by_key(|algorithm| *algorithm != Algorithm::Rs256);
        let mut published = Vec::new();
        for algorithm in algorithms {
            let key = SigningKey::generate(algorithm).map_err(|fault| fault.to_string())?;
            published.extend(key.public_jwk());
            signers.push((algorithm, Signer::Key(Arc::new(key))));
        }
        let file = grounds.vault.file("keys.jwks.json", &json!({ "keys": published }).to_string())?;
        put(settings, "file", file);
    }
    Ok(Holder::Signers(signers))
}

fn issued(settings: &Value, issuers: &Value, grounds: &Grounds<'_>) -> Result<Option<Holder>, String> {
    let issuer = settings.get("issuer").and_then(Value::as_str).and_then(|name| issuers.get(name));
    let Some(keys) = issuer.and_then(|issuer| issuer.get("signing_key")) else { return Ok(None) };
    let first = keys.as_array().and_then(|several| several.first()).unwrap_or(keys);
    let Some(pem) = grounds.vault.content(first) else { return Ok(None) };
    let algorithm = issuer.and_then(|issuer| issuer.get("algorithm")).and_then(Value::as_str).and_then(Algorithm::named);
    let key = SigningKey::from_pem(pem, algorithm).map_err(|fault| fault.to_string())?;
    Ok(Some(Holder::Signers(vec![(key.algorithm(), Signer::Key(Arc::new(key)))])))
}

/// Every scope that a rule asks for: in `scopes`, or as `'NAME' in identity.scopes`. Good callers have them all.
#[must_use]
pub fn scopes_of(root: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    for rule in root.get("rules").and_then(Value::as_array).into_iter().flatten() {
        found.extend(rule.get("scopes").into_iter().flat_map(listed).map(str::to_owned));
        for condition in rule.get("authorize").into_iter().flat_map(listed) {
            let before = condition.match_indices("in identity.scopes").filter_map(|(at, _)| condition.get(..at));
            let quoted = before.filter_map(|before| before.trim_end().strip_suffix(['\'', '"'])?.rsplit(['\'', '"']).next());
            found.extend(quoted.map(str::to_owned));
        }
    }
    found.into_iter().collect()
}

/// Who is asked about credentials is a stand-in.
fn authenticators(
    root: &mut Map<String, Value>,
    grounds: &mut Grounds<'_>,
    keyring: &mut Keyring,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let issuer = grounds.issuer.issuer();
    for (name, authenticator) in root.get_mut("authenticators").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(jwt) = authenticator.get_mut("jwt")
            && jwt.get("keys").is_none()
        {
            notes.push(format!("`{name}` finds its keys by discovery, so its issuer is the stand-in"));
            put(jwt, "issuer", issuer.clone());
            keyring.hold(&format!("discovery:{issuer}"), of_issuer(grounds.issuer));
        }
        if let Some(introspection) = authenticator.get_mut("introspection") {
            put(introspection, "endpoint", grounds.issuer.introspection_url());
            put(introspection, "client_id", DemoIssuer::INTROSPECTION_CLIENT.0);
            put(introspection, "client_auth", "basic");
            let secret = grounds.vault.file("client-secret", DemoIssuer::INTROSPECTION_CLIENT.1)?;
            put(introspection, "client_secret", json!({ "file": secret }));
            if let Some(members) = introspection.as_object_mut() {
                members.remove("ca");
            }
        }
        if let Some(check) = authenticator.get_mut("token_check") {
            let checks = Arc::new(Checks::of(check));
            put(check, "url", grounds.inquiries.check(&checks));
            if let Some(members) = check.as_object_mut() {
                members.remove("ca");
            }
            keyring.hold(name, Holder::Checks(checks));
        }
        if let Some(farm) = grounds.farm {
            let hats = farm.hats(name);
            if !hats.is_empty() {
                keyring.hold(name, Holder::Hats(hats.into()));
            }
            if let Some(key) = farm.issuer(name) {
                keyring.hold(name, Holder::Signers(vec![(key.algorithm(), Signer::Key(key))]));
            }
        }
    }
    Ok(())
}

/// Token endpoints are the stand-in's; what else renews asks the service behind, which gives nothing.
fn renewers(root: &mut Map<String, Value>, grounds: &mut Grounds<'_>) -> Result<(), String> {
    for (_, renewer) in root.get_mut("renewers").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(hat) = renewer.get_mut("hat").and_then(Value::as_object_mut) {
            hat.remove("ca");
        }
        let Some(settings) = renewer.get_mut("oauth2").and_then(Value::as_object_mut) else { continue };
        settings.retain(|key, _| !matches!(key.as_str(), "issuer" | "client_auth" | "ca") && !key.starts_with("client_key"));
        settings.remove("client_assertion_audience");
        let secret = grounds.vault.file("client-secret", DemoIssuer::INTROSPECTION_CLIENT.1)?;
        settings.insert("token_url".to_owned(), format!("{}/token", grounds.issuer.issuer()).into());
        settings.insert("client_id".to_owned(), DemoIssuer::INTROSPECTION_CLIENT.0.into());
        settings.insert("client_secret".to_owned(), json!({ "file": secret }));
    }
    Ok(())
}
