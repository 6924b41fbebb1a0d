//! What the demo asks of the proxy: for every scheme a request that succeeds and the ones that are refused.
//!
//! Each line says what must come of it, down to the reason in the audit record and the identity that the upstream sees.
//! The same lines are printed as curl commands and run by `countersign demo --once`.
//!
//! Rows build on one another in two places only: a ticket for one use is presented twice, and so is a refresh token.

use std::fmt::Write;

use http::Method;
use serde_json::Value;

use crate::demo::credentials::{ANNA, CredentialFault, Credentials, INSTANCE, READER, SHOP, claims, with};
use crate::demo::issuer::DemoIssuer;
use crate::domain::{Random, Reason, Seconds, Timestamp};
use crate::jose::algorithm::Algorithm;

/// One request, and what must come of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is about: a scheme, or what stands in front of all of them.
    pub about: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// The method.
    pub method: Method,
    /// The request target.
    pub target: String,
    /// Fields to send.
    pub headers: Vec<(&'static str, String)>,
    /// The credential as sent, of which nothing may reach the upstream.
    pub credential: Option<String>,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It reaches the upstream, which sees this caller, or nobody.
    Passes(Option<&'static str>),
    /// The proxy answers it itself, with this status; the upstream sees nothing.
    Serves(u16),
    /// It is refused for this reason, and the upstream sees nothing.
    Refused(Reason),
}

impl Expected {
    /// The status the client gets.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Passes(_) => 200,
            Self::Serves(status) => *status,
            Self::Refused(reason) => reason.status(),
        }
    }
}

impl Line {
    /// The same as a command, for a proxy at `origin`.
    #[must_use]
    pub fn curl(&self, origin: &str) -> String {
        command(&self.method, &self.headers, None, &format!("{origin}{}", self.target))
    }
}

/// A request as a curl command.
#[must_use]
pub fn command(method: &Method, headers: &[(&'static str, String)], body: Option<&str>, url: &str) -> String {
    let mut command = String::from("curl -si");
    // A body makes it a POST.
    if *method != Method::GET && !(body.is_some() && *method == Method::POST) {
        let _ = write!(command, " -X {method}");
    }
    for (name, value) in headers {
        let _ = write!(command, " -H {}", quoted(&format!("{name}: {value}")));
    }
    if let Some(body) = body {
        let _ = write!(command, " --data-raw {}", quoted(body));
    }
    let _ = write!(command, " {}", quoted(url));
    command
}

/// `text` for a shell: in single quotes, since nothing in them is looked at.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Every line of the demo, with credentials that are good from `now`; `session` is the cookie of Anna's, as a browser sends it.
///
/// # Errors
///
/// A credential could not be made.
pub fn script(
    credentials: &Credentials,
    issuer: &DemoIssuer,
    session: &str,
    now: Timestamp,
    random: &dyn Random,
) -> Result<Vec<Line>, CredentialFault> {
    let mut lines = vec![
        get("public", "no credential is asked for", "/health").passes(None),
        get("public", "a caller names itself: the name is taken off", "/health").header("X-Auth-Subject", "admin").passes(None),
        get("public", "in another spelling, too", "/health").header("X_Auth.Subject", "admin").passes(None),
    ];
    lines.extend(pairs(credentials));
    lines.extend(tokens(credentials, issuer, now)?);
    lines.extend(opaque(issuer, now, random));
    lines.extend(tickets(credentials, now, random)?);
    lines.extend(sessions(issuer, session, now)?);
    lines.extend(renewals(issuer, now, random)?);
    lines.extend(signatures(credentials, now)?);
    lines.extend([
        get("route", "nothing is served here", "/elsewhere").refused(Reason::NoRule),
        get("route", "another method than the rule's", "/download/a").method(Method::POST).refused(Reason::MethodRefused),
        get("route", "a path with two readings", "/server/..%2fhealth").refused(Reason::TargetAmbiguous),
    ]);
    Ok(lines)
}

/// `server_key` and `key_pair`.
fn pairs(credentials: &Credentials) -> Vec<Line> {
    let post = |shows, key: String| get("server_key", shows, "/server/messages").method(Method::POST).credential("Server-Key", key);
    let instance = |shows| get("key_pair", shows, "/telematics/position").header("InstanceID", INSTANCE);
    vec![
        post("a partner", credentials.shop()).passes(Some(SHOP)),
        get("server_key", "the same key as Basic", "/server/messages").authorization("Basic", &credentials.shop()).passes(Some(SHOP)),
        post("the right id, a wrong secret", credentials.shop_with_wrong_secret()).refused(Reason::SecretWrong),
        post("not base64", "shop:secret".to_owned()).refused(Reason::CredentialMalformed),
        post("two keys that disagree", credentials.shop())
            .authorization("Basic", &credentials.reader())
            .refused(Reason::CredentialConflict),
        get("server_key", "a partner who may read, reading", "/server/messages")
            .credential("Server-Key", credentials.reader())
            .passes(Some(READER)),
        post("a partner who may read, writing", credentials.reader()).refused(Reason::PolicyDenied),
        get("server_key", "no credential", "/server/messages").refused(Reason::CredentialMissing),
        instance("an instance").credential("InstanceKey", credentials.instance().to_owned()).passes(Some(INSTANCE)),
        instance("another key").credential("InstanceKey", "guess".to_owned()).refused(Reason::SecretWrong),
        instance("half a pair").refused(Reason::CredentialMalformed),
    ]
}

/// `jwt`.
fn tokens(credentials: &Credentials, issuer: &DemoIssuer, now: Timestamp) -> Result<Vec<Line>, CredentialFault> {
    let good = claims(&issuer.issuer(), now);
    let kid = issuer.key(Algorithm::Rs256).and_then(|key| key.kid().map(str::to_owned));
    let line = |shows, token: &str| get("jwt", shows, "/api/orders").authorization("Bearer", token);
    let rs256 = |claims| issuer.sign(Algorithm::Rs256, &claims);

    let user = rs256(good.clone())?;
    let unsigned = user.rsplit_once('.').map_or_else(String::new, |(signed, _)| format!("{signed}."));
    Ok(vec![
        line("RS256", &user).passes(Some(ANNA)),
        line("ES256", &issuer.sign(Algorithm::Es256, &good)?).passes(Some(ANNA)),
        line("EdDSA", &issuer.sign(Algorithm::EdDsa, &good)?).passes(Some(ANNA)),
        line("run out an hour ago", &rs256(claims(&issuer.issuer(), now.minus(Seconds(7_200))))?).refused(Reason::Expired),
        line("good in an hour", &rs256(with(good.clone(), "nbf", now.0.saturating_add(3_600)))?).refused(Reason::NotYetValid),
        line("signed by a stranger", &credentials.forged(kid.as_deref(), &good)?).refused(Reason::SignatureInvalid),
        line("by a key nobody published", &credentials.forged(None, &good)?).refused(Reason::KeyUnknown),
        line("its signature cut off", &unsigned).refused(Reason::CredentialMalformed),
        line("meant for another service", &rs256(with(good.clone(), "aud", "other"))?).refused(Reason::AudienceMismatch),
        line("from another issuer", &rs256(with(good.clone(), "iss", "https://elsewhere.example"))?).refused(Reason::IssuerMismatch),
        line("an end that is text", &rs256(with(good.clone(), "exp", "tomorrow"))?).refused(Reason::ClaimsMalformed),
        line("without the scope", &rs256(with(good, "scope", "orders:write"))?).refused(Reason::ScopeMissing),
        get("all", "a user brought by a partner", "/brought/along")
            .authorization("Bearer", &user)
            .credential("Server-Key", credentials.shop())
            .passes(Some(ANNA)),
        get("all", "a user alone", "/brought/along").authorization("Bearer", &user).refused(Reason::CredentialMissing),
    ])
}

/// `introspection` and `token_check`.
fn opaque(issuer: &DemoIssuer, now: Timestamp, random: &dyn Random) -> Vec<Line> {
    let good = claims(&issuer.issuer(), now);
    let token = |claims: Option<Value>| {
        let token = Credentials::opaque(random);
        if let Some(claims) = claims {
            issuer.remember(&token, claims);
        }
        token
    };
    let line = |shows, claims| get("introspection", shows, "/apps/report").authorization("Bearer", &token(claims));
    let called = |shows, claims| get("token_check", shows, "/holders/report").authorization("Bearer", &token(claims));
    vec![
        line("a token that its issuer knows", Some(good.clone())).passes(Some(ANNA)),
        line("one that nobody issued", None).refused(Reason::Revoked),
        line("one that was withdrawn", Some(with(good.clone(), "active", false))).refused(Reason::Revoked),
        line("one for another service", Some(with(good.clone(), "aud", "other"))).refused(Reason::AudienceMismatch),
        called("a token that a cheap call takes", Some(good.clone())).passes(Some(ANNA)),
        called("one that it does not take", None).refused(Reason::Revoked),
        called("one that was made for another service", Some(with(good, "aud", "other"))).refused(Reason::ClaimMissing),
    ]
}

/// `ticket`.
fn tickets(credentials: &Credentials, now: Timestamp, random: &dyn Random) -> Result<Vec<Line>, CredentialFault> {
    let line = |shows, ticket: &str| get("ticket", shows, "/download/report").credential("Ticket", ticket.to_owned());
    let ticket = credentials.ticket(now, random)?;
    let old = credentials.ticket(now.minus(Seconds(7_200)), random)?;
    Ok(vec![
        line("a ticket for one use", &ticket).passes(Some(ANNA)),
        line("the same ticket again", &ticket).refused(Reason::Replayed),
        line("run out an hour ago", &old).refused(Reason::Expired),
        line("sealed with a key that is not ours", &credentials.forged_ticket(now, random)?).refused(Reason::KeyUnknown),
        get("ticket", "a partner has one made", "/tickets").method(Method::POST).credential("Server-Key", credentials.shop()).serves(201),
        get("ticket", "anybody has one made", "/tickets").method(Method::POST).refused(Reason::CredentialMissing),
    ])
}

/// `session`.
fn sessions(issuer: &DemoIssuer, session: &str, now: Timestamp) -> Result<Vec<Line>, CredentialFault> {
    let line = |shows, cookie: &str| get("session", shows, "/site/home").credential("Cookie", cookie.to_owned());
    let user = issuer.sign(Algorithm::Es256, &claims(&issuer.issuer(), now))?;
    let (name, id) = session.split_once('=').unwrap_or_default();
    let other = if id.starts_with('A') { "B" } else { "A" };
    let unknown = format!("{name}={other}{}", id.get(1..).unwrap_or_default());
    Ok(vec![
        get("session", "a token opens one: the cookie comes with the answer", "/login")
            .method(Method::POST)
            .authorization("Bearer", &user)
            .serves(204),
        line("a session that a token has opened", session).passes(Some(ANNA)),
        line("posting from another site", session)
            .method(Method::POST)
            .header("Sec-Fetch-Site", "cross-site")
            .refused(Reason::PolicyDenied),
        line("one that nobody opened", &unknown).refused(Reason::Expired),
        line("not the id of any session", &format!("{name}=guess")).refused(Reason::CredentialMalformed),
    ])
}

/// Renewal at the issuer's token endpoint.
fn renewals(issuer: &DemoIssuer, now: Timestamp, random: &dyn Random) -> Result<Vec<Line>, CredentialFault> {
    let (refresh, unknown) = (Credentials::opaque(random), Credentials::opaque(random));
    issuer.renews(&refresh, claims(&issuer.issuer(), now));
    let old = issuer.sign(Algorithm::Es256, &claims(&issuer.issuer(), now.minus(Seconds(7_200))))?;
    let line = |shows| get("renewal", shows, "/renewing/orders").authorization("Bearer", &old);
    Ok(vec![
        line("run out, with what renews it: the new pair comes with the answer").header("X-Refresh-Token", &refresh).passes(Some(ANNA)),
        line("the same again, a moment later: the same new pair").header("X-Refresh-Token", &refresh).passes(Some(ANNA)),
        line("with what the issuer does not know").header("X-Refresh-Token", &unknown).refused(Reason::RenewalRefused),
        line("with nothing that renews it").refused(Reason::Expired),
    ])
}

/// `gigya`.
fn signatures(credentials: &Credentials, now: Timestamp) -> Result<Vec<Line>, CredentialFault> {
    let line = |shows, uid: &str, at: Timestamp, signature: String| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("UID", uid).append_pair("UIDSignature", &signature).append_pair("signatureTimestamp", &at.to_string());
        let mut line = get("gigya", shows, &format!("/profile/me?{}", query.finish()));
        line.credential = Some(signature);
        line
    };
    let old = now.minus(Seconds(600));
    Ok(vec![
        line("a user id signed a moment ago", ANNA, now, credentials.gigya(now)?).passes(Some(ANNA)),
        line("another id under the same signature", "mallory", now, credentials.gigya(now)?).refused(Reason::SignatureInvalid),
        line("signed ten minutes ago", ANNA, old, credentials.gigya(old)?).refused(Reason::WindowExceeded),
    ])
}

fn get(about: &'static str, shows: &'static str, target: &str) -> Line {
    Line {
        about,
        shows,
        method: Method::GET,
        target: target.to_owned(),
        headers: Vec::new(),
        credential: None,
        expected: Expected::Passes(None),
    }
}

impl Line {
    fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn credential(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value.clone()));
        self.credential = Some(value);
        self
    }

    fn authorization(self, scheme: &str, token: &str) -> Self {
        let mut line = self.header("Authorization", &format!("{scheme} {token}"));
        line.credential.get_or_insert(token.to_owned());
        line
    }

    fn passes(mut self, caller: Option<&'static str>) -> Self {
        self.expected = Expected::Passes(caller);
        self
    }

    fn serves(mut self, status: u16) -> Self {
        self.expected = Expected::Serves(status);
        self
    }

    fn refused(mut self, reason: Reason) -> Self {
        self.expected = Expected::Refused(reason);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, get, quoted};

    #[test]
    fn a_line_is_a_command_that_a_shell_reads_as_meant() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        let line = get("x", "y", "/a?b=c").method(http::Method::POST).credential("Server-Key", "k=".to_owned());
        assert_eq!(line.curl("http://127.0.0.1:1"), "curl -si -X POST -H 'Server-Key: k=' 'http://127.0.0.1:1/a?b=c'");
        assert_eq!(line.expected, Expected::Passes(None));
    }
}
