//! Whether the devices that a request names are the caller's own.
//!
//! Which device is the caller's stands in what was proven of them: their subject, or a claim that the conf names. A caller of
//! whom nobody has proven anything has no device.
//!
//! Deliberately absent: a list of who may act for whom. A caller with a scope that the conf names may name any device.

use crate::domain::{Identity, Refusal};
use crate::systems::telematics::breach::forbidden;

/// Where an identity says which device is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Its subject.
    Subject,
    /// A claim, by its dotted path.
    Claim(Box<str>),
}

impl Owner {
    /// Reads `subject` or `claims.PATH`; `None` for anything else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.strip_prefix("claims.") {
            Some(path) if !path.is_empty() && path.split('.').all(|name| !name.is_empty()) => Some(Self::Claim(path.into())),
            Some(_) => None,
            None => (text == "subject").then_some(Self::Subject),
        }
    }
}

/// Which devices the callers of a rule may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Devices {
    /// Any.
    Any,
    /// Their own.
    Own {
        /// Where it stands.
        owner: Owner,
        /// A scope whose holders may name any.
        unless: Option<Box<str>>,
    },
}

impl Devices {
    /// The device that `identity` must keep to; `None` for whoever may name any. The empty text is nobody's device.
    pub(crate) fn bound<'i>(&self, identity: Option<&'i Identity>) -> Option<&'i str> {
        let Self::Own { owner, unless } = self else { return None };
        let Some(identity) = identity else { return Some("") };
        if unless.as_ref().is_some_and(|scope| identity.scopes.contains(scope)) {
            return None;
        }
        Some(match owner {
            Owner::Subject => &identity.subject,
            Owner::Claim(path) => identity.claims.at_path(path).and_then(|claim| claim.as_text()).unwrap_or_default(),
        })
    }
}

/// Refuses `named` unless all of it is `own`. UUIDs have no case.
pub(crate) fn keep_to(own: &str, named: impl IntoIterator<Item = impl AsRef<str>>) -> Result<(), Refusal> {
    let is_own = |name: &str| !own.is_empty() && name.eq_ignore_ascii_case(own);
    if named.into_iter().all(|name| is_own(name.as_ref())) {
        return Ok(());
    }
    Err(forbidden("DeviceToken", "The device is not the caller's."))
}

#[cfg(test)]
mod tests {
    use super::{Owner, keep_to};

    #[test]
    fn every_device_named_must_be_the_callers() {
        let rows: [(&str, &[&str], bool, &str); 8] = [
            ("a-1", &[], true, "none is named"),
            ("a-1", &["a-1"], true, "their own"),
            ("a-1", &["A-1", "a-1"], true, "their own twice, in another case"),
            ("a-1", &["a-1", "b-2"], false, "another one beside it"),
            ("a-1", &["a-1,b-2"], false, "another one behind a comma"),
            ("a-1", &[""], false, "one that cannot be read"),
            ("", &[""], false, "who has none owns none, not even the empty one"),
            ("", &["a-1"], false, "who has none owns none"),
        ];
        for (own, named, expected, shows) in rows {
            assert_eq!(keep_to(own, named).is_ok(), expected, "{shows}");
        }
    }

    #[test]
    fn an_owner_is_the_subject_or_a_claim() {
        let rows = [
            ("subject", Some(Owner::Subject)),
            ("claims.device", Some(Owner::Claim("device".into()))),
            ("claims.user.device", Some(Owner::Claim("user.device".into()))),
            ("claims.", None),
            ("claims.a..b", None),
            ("claims", None),
            ("issuer", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Owner::read(text), expected, "{text}");
        }
    }
}
