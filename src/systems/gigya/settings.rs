//! What a rule may say about Gigya, and its proof.

use std::sync::Arc;

use crate::domain::Secret;
use crate::jose::hmac_sha1::{SecretFault, Sha1Key, Strictness, decode_secret};
use crate::jose::login_expiry::{is_api_key, is_user_key};
use crate::jose::signed_call::PublicBase;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::systems::contract::{System, SystemPlan};
use crate::systems::gigya::envelope::{Dialect, Statuses};
use crate::systems::gigya::errors::Proof;
use crate::systems::gigya::rules::SiteProof;
use crate::systems::gigya::signing::{RequestSigner, Signing, UidSigner, Whose};
use crate::systems::gigya::sliding::Sliding;
use crate::systems::gigya::{Gigya, NAME};

/// The keys under `system: { gigya: … }`.
pub static SETTINGS: SectionSpec = SectionSpec {
    title: "the system `gigya`",
    doc: "Gigya's dialect, its endpoints' rules, and what is signed on behalf of the app.",
    keys: &[
        KeySpec::default(
            "proof",
            Shape::OneOf(Proof::WORDS),
            "request",
            "What the clients of this rule prove themselves with, which decides the codes of refusals: `request` a signed request (403002, \
             403003, 403004), `uid` a signed user id (400128, 403003), `session` a login (403001, 403011, 403012), `token` an id token \
             (403025, 403011).",
        ),
        KeySpec::default(
            "http_status",
            Shape::OneOf(Statuses::WORDS),
            "asked",
            "When the HTTP status tells a refusal too: `asked` when query or form say `httpStatusCodes=true`, `always`, `never`. JSONP has 200.",
        ),
        KeySpec::default("api_version", Shape::Count { min: 1, max: 99 }, "2", "`apiVersion` in the envelope."),
        KeySpec::optional(
            "api_keys",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Sites that calls may name in `apiKey`; 400093 for any other.",
        ),
        KeySpec::optional(
            "site",
            Shape::Section(&SITE),
            "Judges `UIDSig` of the setUID family here, as soon as a `siteUID` stands there. Without it the caller must be known otherwise.",
        ),
        KeySpec::optional("sign", Shape::Section(&SIGN), "What is signed on behalf of the app."),
        KeySpec::optional("slide", Shape::Section(&SLIDE), "Moves the signed end of a login (`gltexp`) with each reply."),
        KeySpec::default(
            "lenient_trailing_bits",
            Shape::Bool,
            "false",
            "Accept secrets without their padding, or whose last character has bits to spare, as the vendor's own decoders do.",
        ),
    ],
};

static SITE: SectionSpec = SectionSpec {
    title: "`site`",
    doc: "How `UIDSig` is judged.",
    keys: &[
        KeySpec::required(
            "secrets",
            Shape::List { of: &Shape::Secret, lone: true, min: 1 },
            "The partner secret as the console shows it, or a list of them, the current one first.",
        ),
        KeySpec::default(
            "window",
            Shape::Duration { min: 30, max: 300 },
            "300s",
            "How far the signed time may lie in the past or the future.",
        ),
    ],
};

static SIGN: SectionSpec = SectionSpec {
    title: "`sign`",
    doc: "What is signed on behalf of the app. Signed calls are forms of POST; parameters of the query move into the body.",
    keys: &[
        KeySpec::optional("uid", Shape::Section(&SIGN_UID), "Signs the user id in calls of the setUID family."),
        KeySpec::optional("request", Shape::Section(&SIGN_REQUEST), "Signs each request as the vendor's server libraries do."),
    ],
};

static SIGN_UID: SectionSpec = SectionSpec {
    title: "`uid`",
    doc: "Sets `siteUID`, `UIDTimestamp` and `UIDSig`.",
    keys: &[
        KeySpec::required("secret", Shape::Secret, "The partner secret as the console shows it."),
        KeySpec::default(
            "whose",
            Shape::OneOf(Whose::WORDS),
            "subject",
            "Whose id: `subject` the proven caller's own, and no other; `parameter` the one in the call, for servers of the site alone: who \
             may call then is whoever this rule lets in.",
        ),
    ],
};

static SIGN_REQUEST: SectionSpec = SectionSpec {
    title: "`request`",
    doc: "Sets `apiKey`, `userKey`, `timestamp`, `nonce` and `sig`, in place of whatever the client says there.",
    keys: &[
        KeySpec::required("base", Shape::Url, "Where the upstream believes to be asked, such as `https://accounts.us1.gigya.com`."),
        KeySpec::required("api_key", Shape::Text, "The site's API key."),
        KeySpec::optional("user_key", Shape::Text, "The user key whose secret it is; without it, it is the partner secret."),
        KeySpec::required("secret", Shape::Secret, "The secret as the console shows it."),
    ],
};

static SLIDE: SectionSpec = SectionSpec {
    title: "`slide`",
    doc: "Moves the signed end of a login with each reply, for logins that `gigya_session` has proven.",
    keys: &[
        KeySpec::required("api_key", Shape::Text, "The site's API key: the end of both cookies' names."),
        KeySpec::required("secret", Shape::Secret, "The secret as the console shows it."),
        KeySpec::optional("user_key", Shape::Text, "The user key whose secret it is; without it, it is the partner secret."),
        KeySpec::default("life", Shape::Duration { min: 60, max: 86_400 }, "30m", "How long a login lasts unused."),
        KeySpec::default(
            "opens",
            Shape::Bool,
            "false",
            "Also write the first end, for callers that have proven to be a user in another way than by this cookie: at the post-back after a \
             login.",
        ),
        KeySpec::optional("domain", Shape::Text, "`Domain` of the cookie: that of the cookie with the login token."),
        KeySpec::default("path", Shape::Text, "/", "`Path` of the cookie."),
        KeySpec::default(
            "http_only",
            Shape::Bool,
            "false",
            "Whether scripts may not read it. The vendor's own script reads it; set to true where you do not use that.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug, Clone)]
pub struct GigyaPlan {
    /// How refusals are written.
    pub dialect: Dialect,
    /// Sites that may be named; empty for any.
    pub api_keys: Box<[Box<str>]>,
    /// How `UIDSig` is judged here, if it is.
    pub site: Option<SiteProof>,
    /// What is signed, if anything is.
    pub signing: Option<Signing>,
    /// How a login goes on, if it does.
    pub sliding: Option<Sliding>,
}

impl Default for GigyaPlan {
    fn default() -> Self {
        Self {
            dialect: Dialect { proof: Proof::Request, statuses: Statuses::Asked, api_version: 2 },
            api_keys: Box::default(),
            site: None,
            signing: None,
            sliding: None,
        }
    }
}

/// Proves the settings (`None` for the bare name), or notes every fault and returns `None`. Pure.
pub fn plan(node: Option<&Node>, _at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn SystemPlan>> {
    let plan = match node {
        None => GigyaPlan::default(),
        Some(node) => prove(node, checking)?,
    };
    Some(Box::new(plan))
}

fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<GigyaPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let reader = Reader { strictness: if section.flag("lenient_trailing_bits") { Strictness::LenientEnd } else { Strictness::Canonical } };
    let dialect = Dialect {
        proof: Proof::named(section.text("proof")?)?,
        statuses: Statuses::named(section.text("http_status")?)?,
        api_version: section.count("api_version").and_then(|count| u32::try_from(count).ok())?,
    };
    let api_keys: Box<[Box<str>]> = section.texts("api_keys").into_iter().map(Into::into).collect();
    if !api_keys.iter().all(|api_key| is_api_key(api_key)) {
        checking.faults.error(section.span_of("api_keys"), BAD_API_KEY);
    }
    let site = section.node("site").map(|node| reader.site(node, checking));
    let signing = section.node("sign").map(|node| reader.signing(node, checking));
    let sliding = section.node("slide").map(|node| reader.sliding(node, checking));
    if checking.faults.errors() != before {
        return None;
    }
    // What is written and came to nothing has been told of as a fault.
    Some(GigyaPlan { dialect, api_keys, site: written(site)?, signing: written(signing)?, sliding: written(sliding)? })
}

/// What came of a section: `None` when it is at fault, `Some(None)` when it is not written.
#[allow(clippy::option_option, reason = "not written and at fault are two things")]
fn written<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    match section {
        None => Some(None),
        Some(None) => None,
        Some(proven) => Some(proven),
    }
}

const BAD_API_KEY: &str = "an API key has letters, digits, `_` and `-`";

/// Reads sections that hold secrets.
#[derive(Clone, Copy)]
struct Reader {
    strictness: Strictness,
}

impl Reader {
    fn key(self, node: &Node, checking: &mut Checking<'_>) -> Option<Sha1Key> {
        let text: Secret = checking.secret(node)?;
        let key = decode_secret(text.expose(), self.strictness).map(|secret| Sha1Key::new(&secret));
        match key {
            Ok(Some(key)) => Some(key),
            Ok(None) | Err(SecretFault::NotBase64) => {
                checking
                    .faults
                    .error(&node.span, "this secret is not base64 as the console shows it; copy it again, whole and without quotes");
                None
            }
            Err(SecretFault::LenientOnly) => {
                checking.faults.error(
                    &node.span,
                    "this secret lacks its padding or has bits to spare at its end, so a character may be missing; if the console shows it like \
                     this, write `lenient_trailing_bits: true` for this system",
                );
                None
            }
        }
    }

    fn site(self, node: &Node, checking: &mut Checking<'_>) -> Option<SiteProof> {
        let section = Section::open(&SITE, node, checking.faults)?;
        let secrets = section.items("secrets");
        let keys: Vec<Option<Sha1Key>> = secrets.into_iter().map(|node| self.key(node, checking)).collect();
        Some(SiteProof { keys: keys.into_iter().collect::<Option<_>>()?, window: section.seconds("window")? })
    }

    fn signing(self, node: &Node, checking: &mut Checking<'_>) -> Option<Signing> {
        let section = Section::open(&SIGN, node, checking.faults)?;
        let uid = section.node("uid").map(|node| self.uid(node, checking));
        let request = section.node("request").map(|node| self.request(node, checking));
        if uid.is_none() && request.is_none() {
            checking.faults.error(section.span(), "nothing would be signed: write `uid` or `request`");
            return None;
        }
        Some(Signing { uid: written(uid)?, request: written(request)? })
    }

    fn uid(self, node: &Node, checking: &mut Checking<'_>) -> Option<UidSigner> {
        let section = Section::open(&SIGN_UID, node, checking.faults)?;
        let key = self.key(section.node("secret")?, checking);
        Some(UidSigner { key: key?, whose: Whose::named(section.text("whose")?)? })
    }

    fn request(self, node: &Node, checking: &mut Checking<'_>) -> Option<RequestSigner> {
        let section = Section::open(&SIGN_REQUEST, node, checking.faults)?;
        let base = PublicBase::new(&section.url("base")?).map_err(|says| checking.faults.error(section.span_of("base"), says));
        let (api_key, user_key) = keys_named(&section, checking)?;
        let key = self.key(section.node("secret")?, checking);
        Some(RequestSigner { key: key?, api_key, user_key, base: base.ok()? })
    }

    fn sliding(self, node: &Node, checking: &mut Checking<'_>) -> Option<Sliding> {
        let section = Section::open(&SLIDE, node, checking.faults)?;
        let key = self.key(section.node("secret")?, checking);
        let (api_key, user_key) = keys_named(&section, checking)?;
        let path = section.text("path")?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'\\'));
        if !path.starts_with('/') || !plain(path) {
            checking.faults.error(section.span_of("path"), "a cookie's path starts with `/` and separates nothing");
            return None;
        }
        let mut attributes = format!("; Path={path}");
        if let Some(domain) = section.text("domain") {
            if !domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
                checking.faults.error(section.span_of("domain"), "a cookie's domain is a host name");
                return None;
            }
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        attributes.push_str("; Secure; SameSite=Lax");
        if section.flag("http_only") {
            attributes.push_str("; HttpOnly");
        }
        let (life, opens) = (section.seconds("life")?, section.flag("opens"));
        Some(Sliding { api_key, key: key?, user_key, life, opens, attributes: attributes.into() })
    }
}

/// `api_key` and `user_key` of a section that has both.
fn keys_named(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
    let (api_key, user_key) = (section.text("api_key")?, section.text("user_key"));
    if !is_api_key(api_key) {
        checking.faults.error(section.span_of("api_key"), BAD_API_KEY);
        return None;
    }
    if !user_key.is_none_or(is_user_key) {
        checking.faults.error(section.span_of("user_key"), "a user key is visible ASCII, and not digits alone");
        return None;
    }
    Some((api_key.into(), user_key.map(Into::into)))
}

impl SystemPlan for GigyaPlan {
    fn system(&self) -> &'static str {
        NAME
    }

    fn build(&self) -> Result<Arc<dyn System>, String> {
        Ok(Arc::new(Gigya::new(self.clone())))
    }
}
