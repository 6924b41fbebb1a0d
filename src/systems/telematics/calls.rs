//! Which call of the vendor's API a path means, however it is spelled.
//!
//! Its own clients write `create` and `Create`, and servers of this family do not mind case, a slash at the end, or where the API
//! is mounted. So everything that could be read as a call of the API is taken for that call: a spelling that such a server would
//! understand and we would not is a way past the rules. Deliberately absent: the query, which is [`crate::systems::telematics::named`]'s.

use percent_encoding::percent_decode_str;

/// A call of the API, as far as rules of its own hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `POST /v1/Registration/create`: a new user.
    Create,
    /// `POST /v1/Registration/CreateMany`: many.
    CreateMany,
    /// `POST /v1/Auth/Login`: a pair for a user of the instance, or for an operator of it.
    Login,
    /// `POST /v1/Auth/RefreshToken`, also without `Auth`: the next pair for a pair.
    Refresh,
    /// `/v1/Management/…`: what is known of users.
    Management,
    /// Anything else: data, or an app of your own.
    Other,
}

impl Call {
    /// Each by the name that a conf gives it.
    pub(crate) const NAMED: [(&'static str, Self); 6] = [
        ("create", Self::Create),
        ("create_many", Self::CreateMany),
        ("login", Self::Login),
        ("refresh", Self::Refresh),
        ("management", Self::Management),
        ("other", Self::Other),
    ];

    /// The call that `path` means: a path as judged, or a target as sent.
    pub(crate) fn of(path: &str) -> Self {
        let segments = segments(path);
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        match names.as_slice() {
            [.., version, "registration", "create"] if is_version(version) => Self::Create,
            [.., version, "registration", "createmany"] if is_version(version) => Self::CreateMany,
            [.., version, "auth", "login"] if is_version(version) => Self::Login,
            [.., version, "auth", "refreshtoken"] | [.., version, "refreshtoken"] if is_version(version) => Self::Refresh,
            names if below_management(names).is_some() => Self::Management,
            _ => Self::Other,
        }
    }

    /// Whether it is good for whoever holds the key of the instance.
    pub(crate) fn takes_instance(self) -> bool {
        match self {
            Self::Create | Self::CreateMany | Self::Login => true,
            Self::Refresh | Self::Management | Self::Other => false,
        }
    }

    /// Whether its replies may bring a pair.
    pub(crate) fn brings_pair(self) -> bool {
        match self {
            Self::Create | Self::Login | Self::Refresh => true,
            // How many pairs a reply to many registrations holds is not documented; no session can keep more than one.
            Self::CreateMany | Self::Management | Self::Other => false,
        }
    }
}

/// What follows `Management` in `path`, folded; `None` for other calls.
pub(crate) fn management(path: &str) -> Option<Vec<String>> {
    let segments = segments(path);
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    below_management(&names).map(|below| below.iter().map(|&name| name.to_owned()).collect())
}

fn below_management<'n, 's>(names: &'n [&'s str]) -> Option<&'n [&'s str]> {
    let at = names.windows(2).position(|pair| matches!(pair, [version, "management"] if is_version(version)))?;
    names.get(at.saturating_add(2)..)
}

/// The segments of `path`, folded, without what some servers overlook at the end of one.
fn segments(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded.split(['/', '\\']).filter(|segment| !segment.is_empty());
    segments.map(|segment| fold(segment.trim().trim_end_matches('.'))).collect()
}

/// Whether `segment`, folded, is a version of the API: `v1`, `v1.0`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// `text` without case, so that whatever any server may take for the same is the same here: letters outside ASCII that become
/// ASCII when their case changes are those letters (`ſ` is `s`, the Kelvin sign is `k`).
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{Call, fold, management};

    #[test]
    fn a_call_is_found_in_every_spelling_that_a_server_may_understand() {
        let rows = [
            ("/v1/Registration/create", Call::Create, "as the vendor's page has it"),
            ("/v1/Registration/Create", Call::Create, "as its other page has it"),
            ("/V1/REGISTRATION/CREATE", Call::Create, "in capitals"),
            ("/v1/registration/create/", Call::Create, "with a slash at the end"),
            ("/telematics/v1/Registration/create", Call::Create, "mounted elsewhere"),
            ("/v1/Registration/create?x=1", Call::Create, "a target as sent"),
            ("/v1/Registration/%63reate", Call::Create, "escaped"),
            ("/v1//Registration/create", Call::Create, "an empty segment"),
            ("/v1/Registration/create.", Call::Create, "a dot that some servers overlook"),
            ("/v1/Registration/create%20", Call::Create, "a space that some servers overlook"),
            ("/v1/Regi%C5%BFtration/create", Call::Create, "a long s, whose capital is an S"),
            ("/v1.0/Registration/create", Call::Create, "another spelling of the version"),
            ("/v12/Registration/create", Call::Create, "another version"),
            ("/v1/Registration/CreateMany", Call::CreateMany, "many"),
            ("/v1/registration/createmany", Call::CreateMany, "many, without case"),
            ("/v1/Auth/Login", Call::Login, "login"),
            ("/v1/auth/LOGIN", Call::Login, "login, without case"),
            ("/v1/Auth/RefreshToken", Call::Refresh, "refresh"),
            ("/v1/RefreshToken", Call::Refresh, "refresh on its older path"),
            ("/v1/Management/users", Call::Management, "management"),
            ("/v1/management/Users/instances/change", Call::Management, "management, deeper"),
            ("/v1/Management", Call::Management, "management itself"),
            ("/v1/Registration", Call::Other, "no call"),
            ("/Registration/create", Call::Other, "without a version"),
            ("/v/Registration/create", Call::Other, "a version without a number"),
            ("/v1/Registration/create/more", Call::Other, "below it there is nothing"),
            ("/v1/Registration/created", Call::Other, "another word"),
            ("/v1/Auth/Login/x", Call::Other, "below login there is nothing"),
            ("/trips", Call::Other, "data"),
            ("/", Call::Other, "nothing"),
            ("", Call::Other, "less than nothing"),
        ];
        for (path, call, shows) in rows {
            assert_eq!(Call::of(path), call, "{shows}: {path}");
        }
    }

    #[test]
    fn what_stands_below_management_is_told() {
        let rows: [(&str, Option<&[&str]>); 4] = [
            ("/v1/Management/users/find", Some(&["users", "find"])),
            ("/a/v1/Management/Users/ABC", Some(&["users", "abc"])),
            ("/v1/Management", Some(&[])),
            ("/v1/Auth/Login", None),
        ];
        for (path, below) in rows {
            let below = below.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            assert_eq!(management(path), below, "{path}");
        }
    }

    #[test]
    fn letters_that_lose_their_case_into_ascii_are_those_letters() {
        for (text, folded) in [("DeviceToken", "devicetoken"), ("Device\u{17f}", "devices"), ("To\u{212a}en", "token"), ("Ä", "ä")] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn every_call_has_one_name() {
        for (name, call) in Call::NAMED {
            assert_eq!(Call::NAMED.iter().filter(|(other, of)| *other == name || *of == call).count(), 1, "{name}");
        }
    }
}
