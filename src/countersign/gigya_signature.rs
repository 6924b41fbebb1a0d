//! Gigya's proofs in header fields, made for the upstream so that no secret has to lie there.
//!
//! `uid` signs the proven caller's id as a site does: your app gets `siteUID`, `UIDTimestamp` and `UIDSig` ready to hand to the
//! vendor's script, for `setUID`, `notifyLogin` and `notifyRegistration`. `bearer` makes the token by which a server of yours calls the
//! vendor's API with the private key of a user key. What stands in a body or query is signed by the system `gigya` (`sign`), since a
//! countersigner sees neither.
//!
//! Never here: the id of anybody but the proven caller; a signature for a caller whose id cannot be one.
//!
//! Source: the vendor's pages "Constructing a Signature" and "Authenticating with a bearer token".

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::json;

use crate::countersign::contract::{CountersignTools, Countersigner, CountersignerEntry, CountersignerPlan};
use crate::countersign::firewall::{reserved, same_folded};
use crate::domain::{Identity, Random, Refusal, RequestView, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::hmac_sha1::{SecretFault, Sha1Key, Strictness, decode_secret};
use crate::jose::login_expiry::is_user_key;
use crate::jose::mint::{MintFault, SigningKey};
use crate::jose::signed_uid;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The line on the roll-call.
pub const ENTRY: CountersignerEntry = CountersignerEntry {
    name: "gigya_signature",
    doc: "Gigya's proofs, made here so that the upstream needs no secret.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "a `gigya_signature`",
    doc: "Gigya's proofs, made here so that the upstream needs no secret.",
    keys: &[
        KeySpec::optional("uid", Shape::Section(&UID), "The caller's id, signed as a site does."),
        KeySpec::optional("bearer", Shape::Section(&BEARER), "A bearer token for the vendor's API, signed by a user key."),
    ],
};

static UID: SectionSpec = SectionSpec {
    title: "`uid`",
    doc: "The caller's id with time and signature, in three fields. A caller without identity has none of them.",
    keys: &[
        KeySpec::required("secret", Shape::Secret, "The partner secret as the console shows it."),
        KeySpec::default("lenient_trailing_bits", Shape::Bool, "false", "Accept a secret that only the vendor's own decoders take."),
        KeySpec::default("uid_header", Shape::HeaderName, "X-Gigya-Site-Uid", "The field with the id."),
        KeySpec::default("timestamp_header", Shape::HeaderName, "X-Gigya-Uid-Timestamp", "The field with the time."),
        KeySpec::default("signature_header", Shape::HeaderName, "X-Gigya-Uid-Sig", "The field with the signature."),
    ],
};

static BEARER: SectionSpec = SectionSpec {
    title: "`bearer`",
    doc: "`Authorization: Bearer` with a token of this moment, under a user key.",
    keys: &[
        KeySpec::required("user_key", Shape::Text, "The user key; it names the key."),
        KeySpec::required("key", Shape::Secret, "Its private key, as PEM: RSA from 2048 bits."),
    ],
};

/// The settings, proven.
#[derive(Debug, Clone)]
struct GigyaSignature {
    uid: Option<UidFields>,
    bearer: Option<Bearer>,
}

/// The id of the caller in three fields.
#[derive(Debug, Clone)]
struct UidFields {
    key: Sha1Key,
    /// Id, time, signature.
    names: [HeaderName; 3],
}

/// Tokens under a user key.
#[derive(Clone)]
struct Bearer {
    key: Arc<SigningKey>,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer({:?})", self.key.kid())
    }
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn CountersignerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let uid = section.node("uid").and_then(|node| plan_uid(node, checking));
    let bearer = section.node("bearer").and_then(|node| plan_bearer(node, checking));
    if checking.faults.errors() == before && uid.is_none() && bearer.is_none() {
        checking.faults.error(section.span(), "nothing would be signed: write `uid` or `bearer`");
    }
    (checking.faults.errors() == before).then(|| Box::new(GigyaSignature { uid, bearer }) as Box<dyn CountersignerPlan>)
}

fn plan_uid(node: &Node, checking: &mut Checking<'_>) -> Option<UidFields> {
    let section = Section::open(&UID, node, checking.faults)?;
    let strictness = if section.flag("lenient_trailing_bits") { Strictness::LenientEnd } else { Strictness::Canonical };
    let secret = section.node("secret")?;
    let key = read_secret(secret, strictness, checking);
    let mut name = |setting: &str| {
        let name = section.header(setting)?;
        if let Some(why) = reserved(&name) {
            checking.faults.error(section.span_of(setting), format!("`{name}` cannot carry a signature: {why}"));
            return None;
        }
        Some((name, section.span_of(setting)))
    };
    let names = [name("uid_header"), name("timestamp_header"), name("signature_header")];
    let [Some(uid), Some(time), Some(signature)] = names else { return None };
    for (one, other) in [(&uid, &time), (&uid, &signature), (&time, &signature)] {
        if same_folded(one.0.as_str(), other.0.as_str()) {
            checking.faults.error(other.1, format!("`{}` carries another part already; each needs a field of its own", other.0));
            return None;
        }
    }
    Some(UidFields { key: key?, names: [uid.0, time.0, signature.0] })
}

fn read_secret(node: &Node, strictness: Strictness, checking: &mut Checking<'_>) -> Option<Sha1Key> {
    let text = checking.secret(node)?;
    let says = match decode_secret(text.expose(), strictness) {
        Ok(secret) => return Sha1Key::new(&secret),
        Err(SecretFault::LenientOnly) => {
            "this secret lacks its padding or has bits to spare at its end; if the console shows it like this, write \
             `lenient_trailing_bits: true` beside it"
        }
        Err(SecretFault::NotBase64) => "this secret is not base64 as the console shows it; copy it again, whole and without quotes",
    };
    checking.faults.error(&node.span, says);
    None
}

fn plan_bearer(node: &Node, checking: &mut Checking<'_>) -> Option<Bearer> {
    let section = Section::open(&BEARER, node, checking.faults)?;
    let user_key = section.text("user_key")?;
    if !is_user_key(user_key) {
        checking.faults.error(section.span_of("user_key"), "a user key is visible ASCII, and not digits alone");
        return None;
    }
    let key = read_key(section.node("key")?, section.span_of("key"), checking)?;
    Some(Bearer { key: Arc::new(key.with_kid(Some(user_key))) })
}

fn read_key(node: &Node, span: &Span, checking: &mut Checking<'_>) -> Option<SigningKey> {
    let text = checking.secret(node)?;
    let key = std::str::from_utf8(text.expose())
        .map_err(|_| MintFault::Key("it is not text"))
        .and_then(|text| SigningKey::from_pem(text, Some(Algorithm::Rs256)));
    key.map_err(|fault| checking.faults.error(span, format!("{fault}; write a reference to a PEM file with the user key's RSA key"))).ok()
}

impl CountersignerPlan for GigyaSignature {
    /// `Authorization` is not named: clients of other routes may well present their own. Where a token is made, it replaces theirs.
    fn names(&self) -> Vec<HeaderName> {
        self.uid.iter().flat_map(|uid| uid.names.iter().cloned()).collect()
    }

    fn build(&self, tools: &CountersignTools) -> Result<Arc<dyn Countersigner>, String> {
        Ok(Arc::new(Signer { plan: self.clone(), random: Arc::clone(&tools.random) }))
    }
}

/// Makes the proofs of one forward.
struct Signer {
    plan: GigyaSignature,
    random: Arc<dyn Random>,
}

impl Countersigner for Signer {
    fn sign(
        &self,
        identity: Option<&Identity>,
        _request: &RequestView<'_>,
        now: Timestamp,
        out: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Refusal> {
        if let (Some(uid), Some(identity)) = (&self.plan.uid, identity) {
            let signature = signed_uid::sign(&uid.key, now, &identity.subject).ok_or(Refusal::PolicyDenied)?;
            let values = [identity.subject.to_string(), now.to_string(), signature];
            for (name, value) in uid.names.iter().zip(values) {
                out.push((name.clone(), HeaderValue::try_from(value).map_err(|_| Refusal::PolicyDenied)?));
            }
        }
        if let Some(Bearer { key }) = &self.plan.bearer {
            let mut id = [0_u8; 16];
            self.random.fill(&mut id);
            let claims = json!({ "iat": now.0, "jti": base64url::encode(&id) });
            let token = key.sign_compact(&[], &claims).map_err(|_| Refusal::Internal)?;
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Refusal::Internal)?;
            value.set_sensitive(true);
            out.push((AUTHORIZATION, value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
