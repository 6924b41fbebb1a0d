//! The endpoints of Janrain Capture: what kind each is, what it cannot do without, and which features of a client open it.
//!
//! Paths are compared exactly. One that differs from a guarded endpoint only in ways that a server might overlook (case, a slash
//! at the end) is none of them and no other either.

use crate::systems::janrain::rules::Rules;

/// What kind of endpoint a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/oauth/auth_native` and its like: form bodies by POST, for clients without a secret.
    Native(Native),
    /// `/oauth/token`.
    Token,
    /// `/oauth/refresh_access_token`: signed by a mobile app.
    MobileRefresh,
    /// Any other.
    Other,
    /// One that might be read as a guarded endpoint, and is not spelled as one.
    Misspelled,
}

/// A `*_native` call, or one that follows its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Native {
    /// What it is for, as far as rules depend on that.
    pub(super) act: Act,
    /// Arguments beside [`BASE`] that it cannot do without.
    pub(super) needs: &'static [&'static str],
    /// Whether it needs those of [`BASE`].
    pub(super) flows: bool,
    /// Whether it acts for a user who is logged in.
    pub(super) user: bool,
}

/// What a native call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A social token is brought for the first time.
    Authenticate,
    /// A social token is brought again, with a form.
    Register,
    /// Everything else.
    Plain,
}

/// What every call with a flow needs.
pub(super) const BASE: [&str; 5] = ["client_id", "flow", "flow_version", "locale", "redirect_uri"];

/// What a mobile refresh needs.
pub(super) const REFRESH: [&str; 7] = ["access_token", "date", "signature", "client_id", "locale", "flow", "flow_version"];

/// Paths whose rules are known.
const NATIVE: &[(&str, Native)] = &[
    ("/oauth/auth_native", Native { act: Act::Authenticate, needs: &["token"], flows: true, user: false }),
    ("/oauth/register_native", Native { act: Act::Register, needs: &["form", "token"], flows: true, user: false }),
    ("/oauth/auth_native_traditional", FORM),
    ("/oauth/register_native_traditional", FORM),
    ("/oauth/forgot_password_native", FORM),
    ("/oauth/verify_email_native", FORM),
    ("/oauth/update_profile_native", Native { user: true, ..FORM }),
    ("/oauth/link_account_native", Native { act: Act::Plain, needs: &["token"], flows: true, user: true }),
    ("/oauth/unlink_account_native", Native { act: Act::Plain, needs: &["identifier_to_remove"], flows: true, user: true }),
    ("/access/useVerificationCode", Native { act: Act::Plain, needs: &["verification_code"], flows: false, user: false }),
];

const FORM: Native = Native { act: Act::Plain, needs: &["form"], flows: true, user: false };

/// A native call that is not in the table.
const UNKNOWN: Native = Native { act: Act::Plain, needs: &[], flows: true, user: false };

/// The endpoint that `path` is, counted from Capture's own root.
pub(super) fn endpoint(path: &str) -> Endpoint {
    match exactly(path) {
        Some(known) => known,
        None if exactly_folded(path.trim_end_matches('/')) => Endpoint::Misspelled,
        None if is_native(path) => Endpoint::Native(UNKNOWN),
        None if is_native(&path.trim_end_matches('/').to_ascii_lowercase()) => Endpoint::Misspelled,
        None => Endpoint::Other,
    }
}

fn exactly(path: &str) -> Option<Endpoint> {
    match path {
        TOKEN => Some(Endpoint::Token),
        MOBILE_REFRESH => Some(Endpoint::MobileRefresh),
        _ => NATIVE.iter().find(|(name, _)| *name == path).map(|(_, native)| Endpoint::Native(*native)),
    }
}

fn exactly_folded(path: &str) -> bool {
    let known = NATIVE.iter().map(|(name, _)| *name).chain([TOKEN, MOBILE_REFRESH]);
    known.into_iter().any(|name| name.eq_ignore_ascii_case(path))
}

/// Whether a path that is not in the table follows the rules of those that are.
fn is_native(path: &str) -> bool {
    path.starts_with("/oauth/") && (path.ends_with("_native") || path.ends_with("_native_traditional"))
}

const TOKEN: &str = "/oauth/token";
const MOBILE_REFRESH: &str = "/oauth/refresh_access_token";

/// The feature of clients whose users log in.
pub(super) const LOGIN_CLIENT: &str = "login_client";

const OWNER: &[&str] = &["owner"];
const ISSUER: &[&str] = &["owner", "access_issuer"];
const WRITER: &[&str] = &["owner", "direct_access"];
const READER: &[&str] = &["owner", "direct_access", "direct_read_access"];
const REDEEMER: &[&str] = &["owner", "access_issuer", "direct_access"];
const LOGIN: &[&str] = &[LOGIN_CLIENT];

/// Whether a client with these features may call `path`: one of those that the endpoint asks for is enough.
pub(super) fn opens(rules: &Rules, path: &str, has: &[Box<str>]) -> bool {
    let has = |feature: &str| has.iter().any(|held| **held == *feature);
    let written = rules.features.iter().filter(|(pattern, _)| covers(pattern, path)).max_by_key(|(pattern, _)| rank(pattern));
    match written {
        Some((_, features)) => features.iter().any(|feature| has(feature)),
        None => vendors(path).iter().any(|feature| has(feature)),
    }
}

/// An exact path comes before a pattern, a longer pattern before a shorter.
fn rank(pattern: &str) -> (bool, usize) {
    (!pattern.ends_with("/**"), pattern.len())
}

fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix("/**") {
        None => pattern == path,
        Some(above) => path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

/// The vendor's own table; what is not in it is for owners.
fn vendors(path: &str) -> &'static [&'static str] {
    match path {
        "/oauth/token" => REDEEMER,
        "/access/getAccessToken" | "/access/getAuthorizationCode" | "/access/getCreationToken" => ISSUER,
        "/entity" | "/entity.find" | "/entity.count" => READER,
        _ if path.starts_with("/entity.") => WRITER,
        _ => match endpoint(path) {
            Endpoint::Native(_) | Endpoint::MobileRefresh => LOGIN,
            Endpoint::Token | Endpoint::Other | Endpoint::Misspelled => OWNER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, endpoint, opens};
    use crate::systems::janrain::rules::Rules;

    fn kind(path: &str) -> &'static str {
        match endpoint(path) {
            Endpoint::Native(_) => "native",
            Endpoint::Token => "token",
            Endpoint::MobileRefresh => "refresh",
            Endpoint::Other => "other",
            Endpoint::Misspelled => "misspelled",
        }
    }

    #[test]
    fn endpoints_are_known_by_their_exact_path() {
        for (path, expected) in [
            ("/oauth/auth_native", "native"),
            ("/oauth/register_native_traditional", "native"),
            ("/oauth/brand_new_native", "native"),
            ("/access/useVerificationCode", "native"),
            ("/oauth/token", "token"),
            ("/oauth/refresh_access_token", "refresh"),
            ("/entity", "other"),
            ("/auth_native", "other"),
            ("/oauth/tokens", "other"),
            ("/oauth/Token", "misspelled"),
            ("/oauth/token/", "misspelled"),
            ("/OAuth/auth_native", "misspelled"),
            ("/oauth/Register_native", "misspelled"),
            ("/oauth/Brand_new_native", "native"),
            ("/oauth/brand_new_NATIVE", "misspelled"),
            ("/oauth/brand_new_native/", "misspelled"),
            ("/oauth/AUTH_NATIVE/", "misspelled"),
            ("/access/useverificationcode", "misspelled"),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }

    #[test]
    fn a_feature_opens_what_the_vendor_says_and_nothing_else() {
        let plain = Rules::default();
        let written = Rules {
            features: [("/oauth/token", "login_client"), ("/clients/**", "access_issuer"), ("/clients/list", "owner")]
                .map(|(path, feature)| (path.into(), [feature.into()].into()))
                .into(),
            ..Rules::default()
        };
        let rows = [
            (&plain, "/oauth/auth_native", "login_client", true, "a login client logs users in"),
            (&plain, "/oauth/auth_native", "owner", false, "others do not, not even the owner"),
            (&plain, "/oauth/token", "access_issuer", true, "codes are redeemed by clients that issue"),
            (&plain, "/oauth/token", "login_client", false, "and not by login clients"),
            (&plain, "/oauth/token", "direct_read_access", false, "nor by readers"),
            (&plain, "/entity.find", "direct_read_access", true, "a reader reads"),
            (&plain, "/entity.update", "direct_read_access", false, "and does not write"),
            (&plain, "/entity.update", "direct_access", true, "a writer writes"),
            (&plain, "/clients/list", "direct_access", false, "clients are the owner's"),
            (&plain, "/clients/list", "owner", true, "who may"),
            (&plain, "/brand/new", "access_issuer", false, "what nobody knows is the owner's too"),
            (&plain, "/access/getAccessToken", "login_client", false, "a login client may nothing privileged"),
            (&written, "/oauth/token", "login_client", true, "unless the conf says so"),
            (&written, "/oauth/token", "owner", false, "which then is the whole table"),
            (&written, "/clients/add", "access_issuer", true, "a pattern"),
            (&written, "/clients/list", "access_issuer", false, "an exact path before it"),
            (&written, "/clientsx", "access_issuer", false, "a path that only begins so"),
        ];
        for (rules, path, feature, expected, shows) in rows {
            assert_eq!(opens(rules, path, &[feature.into()]), expected, "{shows}: {feature} at {path}");
            assert!(!opens(rules, path, &[]), "without a feature nothing opens: {path}");
        }
    }
}
