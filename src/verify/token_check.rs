//! The `token_check` scheme: opaque tokens of a system that has nothing to introspect them with.
//!
//! Each token is proven by a cheap call that needs it, which the conf describes: what is asked, which answers say that the token is
//! good, that it has ended, or that it is not good, and where a good one says whose it is. The answer is kept for a moment. One
//! that cannot be fully read, or none, leaves the request undecided (503): an outage neither admits nor convicts.
//!
//! What has ended counts as ended (and may be renewed) only where its holder was known before. What looks like a JWT is another
//! scheme's unless the conf says otherwise.
//!
//! # Security
//!
//! The endpoint says that it takes a token, not for whom the token was made. Where one system serves many houses, `require` binds
//! its tokens to this one.
//!
//! Rules: RFC 6750 section 2.1, RFC 6901, and the vendor's own pages; where a system has RFC 7662, `introspection` is the scheme.

pub mod desk;
pub mod place;
pub mod reading;

use std::sync::Arc;

use crate::domain::{Credential, DeskId, Doubt, Facts, Found, Identity, Need, Place, Question, RequestView, Step, Timestamp, Verified};
use crate::net::authorities::{Authorities, CA_KEY};
use crate::net::described::answer::{EXACT, MATCHER, MATCHERS, Matcher, Pointer, exact, no_pointer};
use crate::net::described::end::{End, NUMBER};
use crate::net::described::template::{Names, SECRETS_KEY};
use crate::net::described::{Described, FORM_KEY, HEADERS_KEY, URL_KEY};
use crate::settings::{Checking, Entry, KeySpec, Node, NodeValue, Section, SectionSpec, Shape};
use crate::verify::contract::{KeyUse, Renewability, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::presented::{Presented, is_cookie_octet};
use crate::verify::token_check::desk::{CheckDesk, CheckPlan, Checked, Token, desk};
use crate::verify::token_check::place::{SPOTS, Spot, find_one, plan_spots};
use crate::verify::token_check::reading::Reading;

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "token_check",
    doc: "An opaque token that is proven by a cheap call with it, which the conf describes.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

static CACHE: SectionSpec = SectionSpec {
    title: "`cache`",
    doc: "How long answers hold.",
    keys: &[
        KeySpec::default(
            "max_age",
            Shape::Duration { min: 0, max: 3_600 },
            "60s",
            "How long a good token is believed without asking again; one that was taken back lives that much longer. `0s` asks every time.",
        ),
        KeySpec::default("negative", Shape::Duration { min: 0, max: 600 }, "10s", "How long a token that is not good stays so."),
    ],
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `token_check` scheme",
    doc: "Uses each token once for a cheap call, and remembers for a moment what came of it. Texts of `headers`, `json` and `form` may \
          hold {token} and {secrets.NAME}; what is put there is encoded for where it stands. `{{` and `}}` are the braces themselves.",
    keys: &[
        KeySpec::optional(
            "from",
            SPOTS,
            "Where the token stands: `bearer` (the default), { header: NAME }, { cookie: NAME }, { query: NAME }, \
             { form: NAME }; with a `prefix` beside it, such as { header: Authorization, prefix: \"OAuth \" }, where the token has one.",
        ),
        KeySpec::default("method", Shape::OneOf(&["GET", "POST", "PUT", "PATCH"]), "GET", "The method."),
        URL_KEY,
        HEADERS_KEY,
        KeySpec::optional(
            "json",
            Shape::Free("a mapping that is sent as JSON; its texts may hold {token} and {secrets.NAME}"),
            "A JSON body. Either this or `form`, or neither.",
        ),
        FORM_KEY,
        SECRETS_KEY,
        KeySpec::optional(
            "expired",
            MATCHERS,
            "Which answers say that the token has ended. Asked first; none unless written. Where a system answers alike for what has ended and \
             what was taken back, that answer may stand here if whatever renews refuses what was taken back.",
        ),
        KeySpec::optional(
            "refused",
            MATCHERS,
            "Which answers say that the token is not good: those of status 401 unless written. Asked before `success`. A page (HTML) is never \
             one. Every answer that is none of the three decides nothing: 503.",
        ),
        KeySpec::optional(
            "success",
            Shape::Section(&MATCHER),
            "Which answers say that the token is good: those of status 200 unless written. Never one of a status other than 2xx.",
        ),
        KeySpec::optional(
            "require",
            Shape::Map(&EXACT),
            "What a success must say besides: a JSON Pointer, and the exact value or a list of which one must be the value. Binds tokens to \
             this house where the system serves others too.",
        ),
        KeySpec::optional(
            "subject",
            Shape::Text,
            "Where a success names the caller, as a JSON Pointer; text or a whole number. Without it a digest of the token stands for whoever \
             holds it: `success` must then say by `when` what a good answer holds, and nothing can be renewed.",
        ),
        KeySpec::required("issuer", Shape::Text, "What the issuer of the identities is called."),
        KeySpec::optional(
            "scopes",
            Shape::Text,
            "Where a success says what the caller may do, as a JSON Pointer; a list, or one text with spaces.",
        ),
        KeySpec::optional(
            "claims",
            Shape::Map(&Shape::Text),
            "What else is kept of a success: names of claims, and where each stands, as a JSON Pointer. What is not there is left out.",
        ),
        KeySpec::optional("expires_in", Shape::Section(&NUMBER), "How much longer the token lives, where a success says so."),
        KeySpec::optional("expires_at", Shape::Section(&NUMBER), "When it ends, since the Unix epoch. Either this or `expires_in`."),
        KeySpec::default(
            "accept_jwt",
            Shape::Bool,
            "false",
            "Also use tokens that look like a JWT. Without it they are left to a `jwt` authenticator, and shown to nobody.",
        ),
        KeySpec::optional("cache", Shape::Section(&CACHE), "How long answers hold."),
        KeySpec::default("deadline", Shape::Duration { min: 0, max: 30 }, "3s", "For one answer, connecting included."),
        CA_KEY,
    ],
};

/// The longest token that is used, in bytes.
const MAX_TOKEN: usize = 4_096;

const PLACES: &[(&str, Token)] = &[("token", Token)];

#[derive(Debug)]
struct TokenCheckPlan {
    from: Box<[Spot]>,
    accept_jwt: bool,
    check: CheckPlan,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let from = plan_spots(&section.items("from"), checking);
    let mut names = Names::new("authenticator", PLACES);
    names.define_secrets(&section, checking);
    let exchange = Described::read(&section, &mut names, checking);
    if section.text(URL_KEY.name).is_some_and(|url| url.contains('{')) {
        let says = "nothing is put into the `url`, which ends up in logs; write {token} into `headers`, `json` or `form`";
        checking.faults.error(section.span_of(URL_KEY.name), says);
    }
    // After a fault, what is not named here may be named in what could not be read.
    if before == checking.faults.errors() {
        if !names.says(Token) {
            let says =
                "{token} stands neither in `headers`, `json` nor `form`, so every token would be as good as any; write where it goes";
            checking.faults.error(section.span(), says);
        }
        names.warn_of_unused(&section, checking);
    }
    let reading = plan_reading(&section, checking);
    let authorities = Authorities::read(&section, checking);
    let deadline = section.duration("deadline")?;
    if deadline.is_zero() {
        checking.faults.error(section.span_of("deadline"), "a `deadline` of nothing is never met");
    }
    let empty = Node { span: section.span().clone(), value: NodeValue::Map(Vec::new()) };
    let cache = Section::open(&CACHE, section.node("cache").unwrap_or(&empty), checking.faults)?;
    if before != checking.faults.errors() {
        return None;
    }
    let check = CheckPlan {
        exchange: exchange?,
        fingerprint: names.fingerprint(),
        reading: Arc::new(reading?),
        deadline,
        max_age: cache.seconds("max_age")?,
        negative: cache.seconds("negative")?,
        authorities: authorities?,
    };
    Some(Box::new(TokenCheckPlan { from: from?, accept_jwt: section.flag("accept_jwt"), check }))
}

fn plan_reading(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Reading> {
    let before = checking.faults.errors();
    let success = section.node("success").map_or_else(|| Some(Matcher::of(&[200])), |node| Matcher::read(node, checking));
    if success.iter().flat_map(|success| &success.statuses).any(|status| !(200..300).contains(status)) {
        checking.faults.error(section.span_of("success"), "a `success` has a status of 2xx; any other is no word for a token");
    }
    let expired = Matcher::failures("expired", &[], section, checking);
    let refused = Matcher::failures("refused", &[401], section, checking);
    let subject = Pointer::under("subject", section, checking);
    // A subject is something that no answer holds by chance; a status of 200 alone is what many systems answer whatever happened.
    if section.node("subject").is_none() && success.as_ref().is_some_and(|success| success.when.is_none()) {
        let says =
            "without a `subject`, any answer with that status would do; write a `success` with `when`, which says what a good one holds";
        checking.faults.error(section.span_of("success"), says);
    }
    let scopes = Pointer::under("scopes", section, checking);
    let end = End::under(section, checking);
    let mut require = Vec::new();
    for entry in entries("require", section) {
        let Some(pointer) = pointer(&entry.key, entry, checking) else { continue };
        let values: Vec<&Node> = entry.node.as_list().map_or_else(|| vec![&entry.node], |items| items.iter().collect());
        require.push((pointer, exact(&values)));
    }
    let mut claims: Vec<(Box<str>, Pointer)> = Vec::new();
    for entry in entries("claims", section) {
        if entry.key.is_empty() || entry.key.contains('.') {
            let says = format!("`{}` cannot be the name of a claim: a dot would read as a path into one", entry.key);
            checking.faults.error(&entry.span, says);
        }
        if let Some(pointer) = pointer(entry.node.as_text().unwrap_or_default(), entry, checking) {
            claims.push((entry.key.as_str().into(), pointer));
        }
    }
    if before != checking.faults.errors() {
        return None;
    }
    Some(Reading {
        expired,
        refused,
        success: success?,
        require: require.into(),
        subject,
        issuer: section.text("issuer")?.into(),
        scopes,
        claims: claims.into(),
        end,
    })
}

fn entries<'n>(key: &str, section: &Section<'n>) -> &'n [Entry] {
    section.node(key).and_then(Node::as_map).unwrap_or_default()
}

fn pointer(text: &str, entry: &Entry, checking: &mut Checking<'_>) -> Option<Pointer> {
    let pointer = Pointer::read(text);
    if pointer.is_none() {
        checking.faults.error(&entry.span, no_pointer(text));
    }
    pointer
}

impl SchemePlan for TokenCheckPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        Vec::new()
    }

    fn renewability(&self) -> Renewability {
        match self.check.reading.subject {
            Some(_) => Renewability::Brought,
            None => Renewability::Never("nobody knows whose they are without a `subject`"),
        }
    }

    fn looks_at(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for place in self.from.iter().map(Spot::place) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        let (client, clock, observer) = (tools.client, tools.clock, tools.observer);
        let build = || desk(name, &self.check, client, clock, observer);
        let desk = tools.desks.lasting().or_build(name, &self.check.continuity(), build)?;
        let id = tools.desks.register(Arc::clone(&desk) as Arc<dyn crate::verify::contract::Desk>);
        Ok(Arc::new(Checker { from: self.from.clone(), accept_jwt: self.accept_jwt, desk, id }))
    }
}

struct Checker {
    from: Box<[Spot]>,
    accept_jwt: bool,
    desk: Arc<CheckDesk>,
    id: DeskId,
}

impl Checker {
    fn judge(&self, checked: &Checked, token: &str, now: Timestamp) -> Result<Verified<Arc<Identity>>, Doubt> {
        let lapsed = || match self.desk.ended(token) {
            Some(Checked::Good(identity)) => Some(Box::new(identity)),
            _ => None,
        };
        match checked {
            Checked::Good(identity) if identity.get().expires.is_some_and(|end| end <= now) => {
                Err(Doubt::Expired(Some(Box::new(identity.clone()))))
            }
            Checked::Good(identity) => Ok(identity.clone()),
            Checked::Unfit => Err(Doubt::ClaimMissing),
            // Of one that nobody saw while it was good, nobody knows whose it was.
            Checked::Expired => Err(Doubt::Expired(lapsed())),
            Checked::Refused => Err(lapsed().map_or(Doubt::Revoked, |last| Doubt::Expired(Some(last)))),
        }
    }
}

impl Verifier for Checker {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        find_one(&self.from, request, facts).map(|presented| match presented {
            Presented::One { text, .. } if MAX_TOKEN < text.len() => Found::Foreign(Doubt::Malformed),
            Presented::One { text, .. } if !self.accept_jwt && looks_like_jwt(&text) => Found::Foreign(Doubt::Malformed),
            Presented::One { text, .. } if !is_token(&text) => Found::Unreadable(Doubt::Malformed),
            presented => presented.into(),
        })
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        _request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let token = credential.part(0);
        // What a renewal brought was not looked for by `find`.
        if !is_token(token) {
            return Step::Refuse(Doubt::Malformed.into());
        }
        let verdict = if let Some(checked) = self.desk.recall(token, now) {
            self.judge(&checked, token, now)
        } else {
            let question = Question { desk: self.id, about: token.into() };
            match facts.answer::<Checked>(&question) {
                Some(checked) => self.judge(checked, token, now),
                None => return Step::Need(Need::Ask(question)),
            }
        };
        verdict.map_or_else(|doubt| Step::Refuse(doubt.into()), Step::Done)
    }

    fn challenge(&self) -> Option<&'static str> {
        self.from.iter().find_map(Spot::scheme)
    }

    fn cache_generation(&self) -> Option<u64> {
        // The desk remembers, for as long as `cache` says and no longer.
        None
    }
}

/// Whether `text` can be a token: nothing that would end a cookie, a quoted string or a list in the call that it is put into.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(is_cookie_octet)
}

/// Three parts between two dots: the compact form of a signed token (RFC 7515 section 7.1).
fn looks_like_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests;
