//! The three kinds of token that a HAT gives, and what binds each of them to whoever takes it.
//!
//! They have one form and one signature. A token of an application says `application` and `applicationVersion`; one of the owner says
//! `accessScope` and `resource`, and never `application`; one for a single service says `accessScope: validate` and that service as
//! `resource`. What a token says beyond its kind makes it none.

use crate::domain::{Claim, Claims, Doubt};

/// The kind of token that is taken, and what it must say.
#[derive(Debug)]
pub enum Kind {
    /// The owner's own.
    Owner {
        /// What `accessScope` may be.
        scopes: Box<[Box<str>]>,
        /// What `resource` may be; `None` for the HAT itself.
        resources: Option<Box<[Box<str>]>>,
    },
    /// An application's.
    Application {
        /// What `application` may be. At least one.
        ids: Box<[Box<str>]>,
        /// The oldest `applicationVersion`.
        minimum: Option<Version>,
    },
    /// One with which the owner shows a service who they are.
    Validate {
        /// What `resource` may be. At least one.
        resources: Box<[Box<str>]>,
    },
}

impl Kind {
    /// Checks that `claims` of the HAT `issuer` are those of a token of this kind, meant for us.
    ///
    /// Asked twice: of claims that nobody has proven, to tell whether a token is for this authenticator at all, and of the proven ones.
    ///
    /// # Errors
    ///
    /// - [`Doubt::ClaimsMalformed`] when a claim that tells the kind is no text, or a version is none.
    /// - [`Doubt::ClaimMissing`] for a token of another kind, or of too old a version.
    /// - [`Doubt::AudienceMismatch`] for one of this kind that is meant for another application or service.
    pub fn check(&self, claims: &Claims, issuer: &str) -> Result<(), Doubt> {
        let said = Said::read(claims)?;
        match self {
            Self::Owner { scopes, resources } => {
                let scope = said.owner_scope()?;
                if !scopes.iter().any(|known| **known == *scope) {
                    return Err(Doubt::ClaimMissing);
                }
                let resource = said.resource.ok_or(Doubt::ClaimMissing)?;
                let ours = resources.as_ref().map_or(resource == issuer, |known| known.iter().any(|known| **known == *resource));
                if ours { Ok(()) } else { Err(Doubt::AudienceMismatch) }
            }
            Self::Application { ids, minimum } => {
                // With an `accessScope` it would be an owner's, to whoever looks at that alone.
                let (Some(application), Some(version), None) = (said.application, said.version, said.scope) else {
                    return Err(Doubt::ClaimMissing);
                };
                if !ids.iter().any(|id| **id == *application) {
                    return Err(Doubt::AudienceMismatch);
                }
                match minimum {
                    None => Ok(()),
                    Some(minimum) if *minimum <= Version::read(version).ok_or(Doubt::ClaimsMalformed)? => Ok(()),
                    Some(_) => Err(Doubt::ClaimMissing),
                }
            }
            Self::Validate { resources } => {
                if said.owner_scope()? != VALIDATE {
                    return Err(Doubt::ClaimMissing);
                }
                let resource = said.resource.ok_or(Doubt::ClaimMissing)?;
                if resources.iter().any(|known| **known == *resource) { Ok(()) } else { Err(Doubt::AudienceMismatch) }
            }
        }
    }

    /// What a caller with `claims` of this kind may do, as the one scope that such a token has.
    #[must_use]
    pub fn scope<'c>(&self, claims: &'c Claims) -> &'c str {
        match self {
            Self::Application { .. } => "application",
            Self::Validate { .. } => VALIDATE,
            Self::Owner { .. } => claims.member("accessScope").and_then(Claim::as_text).unwrap_or_default(),
        }
    }
}

const VALIDATE: &str = "validate";

/// What a token says of its kind.
struct Said<'c> {
    application: Option<&'c str>,
    version: Option<&'c str>,
    scope: Option<&'c str>,
    resource: Option<&'c str>,
}

impl<'c> Said<'c> {
    fn read(claims: &'c Claims) -> Result<Self, Doubt> {
        let text = |name: &str| match claims.member(name) {
            None => Ok(None),
            Some(Claim::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(Doubt::ClaimsMalformed),
        };
        Ok(Self {
            application: text("application")?,
            version: text("applicationVersion")?,
            scope: text("accessScope")?,
            resource: text("resource")?,
        })
    }

    /// `accessScope` of a token that no application has.
    fn owner_scope(&self) -> Result<&'c str, Doubt> {
        match (self.application, self.version, self.scope) {
            (None, None, Some(scope)) => Ok(scope),
            _ => Err(Doubt::ClaimMissing),
        }
    }
}

/// A version: up to four numbers, the missing ones zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 4]);

impl Version {
    /// The version that `text` writes; `None` when it is anything but numbers with dots between.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = [0; 4];
        let mut written = text.split('.');
        for slot in &mut parts {
            let Some(part) = written.next() else { break };
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *slot = part.parse().ok()?;
        }
        written.next().is_none().then_some(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Kind, Version};
    use crate::domain::Doubt;
    use crate::jose::json::parse_claims;

    const HAT: &str = "ada.hubat.net";

    #[test]
    fn one_kind_of_token_is_never_another() {
        let owner = Kind::Owner { scopes: ["owner".into()].into(), resources: None };
        let platform =
            Kind::Owner { scopes: ["owner".into(), "platform".into()].into(), resources: Some([Box::from("https://us.example")].into()) };
        let application = Kind::Application { ids: ["app".into(), "app2".into()].into(), minimum: Version::read("1.2.7") };
        let validate = Kind::Validate { resources: ["https://us.example/hat".into()].into() };
        let of_owner = json!({ "accessScope": "owner", "resource": HAT });
        let of_app = json!({ "application": "app", "applicationVersion": "1.2.7" });
        let of_service = json!({ "accessScope": "validate", "resource": "https://us.example/hat" });
        let (missing, elsewhere, malformed) = (Err(Doubt::ClaimMissing), Err(Doubt::AudienceMismatch), Err(Doubt::ClaimsMalformed));
        let rows = [
            (&owner, of_owner.clone(), Ok(()), "the owner's own"),
            (&owner, of_app.clone(), missing.clone(), "an application's is not the owner's"),
            (&owner, of_service.clone(), missing.clone(), "nor one for a service"),
            (
                &owner,
                json!({ "accessScope": "owner", "resource": HAT, "application": "app" }),
                missing.clone(),
                "an owner's names no application",
            ),
            (&owner, json!({ "accessScope": "owner", "resource": HAT, "applicationVersion": "1" }), missing.clone(), "nor its version"),
            (&owner, json!({ "accessScope": "owner" }), missing.clone(), "one that is for nobody"),
            (&owner, json!({ "accessScope": "owner", "resource": "https://evil.example" }), elsewhere.clone(), "one for another service"),
            (&owner, json!({ "accessScope": "owner", "resource": "bob.hubat.net" }), elsewhere.clone(), "one for another HAT"),
            (&owner, json!({ "accessScope": "platform", "resource": HAT }), missing.clone(), "a scope that is not taken"),
            (&owner, json!({ "accessScope": ["owner"], "resource": HAT }), malformed.clone(), "a list is not its element"),
            (&owner, json!({ "accessScope": "owner", "resource": HAT, "application": null }), malformed.clone(), "null is not absent"),
            (&platform, json!({ "accessScope": "platform", "resource": "https://us.example" }), Ok(()), "a scope and a service that are"),
            (&platform, of_owner.clone(), elsewhere.clone(), "then the HAT itself is not"),
            (&application, of_app.clone(), Ok(()), "our application's, of the oldest version"),
            (&application, json!({ "application": "app2", "applicationVersion": "2" }), Ok(()), "another of ours"),
            (&application, json!({ "application": "app", "applicationVersion": "1.10" }), Ok(()), "numbers, not letters"),
            (&application, json!({ "application": "app", "applicationVersion": "1.2.6" }), missing.clone(), "too old"),
            (&application, json!({ "application": "app", "applicationVersion": "1.2.7-beta" }), malformed.clone(), "no version"),
            (&application, json!({ "application": "app" }), missing.clone(), "of no version"),
            (&application, json!({ "application": "App", "applicationVersion": "2" }), elsewhere.clone(), "another application"),
            (&application, of_owner.clone(), missing.clone(), "an owner's is not an application's"),
            (
                &application,
                json!({ "application": "app", "applicationVersion": "2", "accessScope": "owner" }),
                missing.clone(),
                "nor both at once",
            ),
            (&validate, of_service.clone(), Ok(()), "one for us"),
            (&validate, json!({ "accessScope": "validate", "resource": "https://us.example/hat/" }), elsewhere, "byte for byte"),
            (&validate, of_owner, missing.clone(), "an owner's shows more than a service should see"),
            (&validate, of_app, missing, "an application's shows nobody"),
        ];
        for (kind, claims, expected, shows) in rows {
            let claims = parse_claims(claims.to_string().as_bytes()).unwrap();
            assert_eq!(kind.check(&claims, HAT), expected, "{shows}: {kind:?} {claims:?}");
        }
    }

    #[test]
    fn versions_are_numbers() {
        let rows = [
            ("1", "1.0.0.0", Some(true), "missing ones are zero"),
            ("1.2.7", "1.2.10", Some(true), "as numbers"),
            ("1.3", "1.2.9", Some(false), "the first that differs decides"),
            ("1.2.3.4.5", "1", None, "too many"),
            ("", "1", None, "nothing"),
            ("1.", "1", None, "an end that is missing"),
            ("-1", "1", None, "a sign"),
            ("4294967296", "1", None, "more than a number"),
        ];
        for (one, other, expected, shows) in rows {
            let (one, other) = (Version::read(one), Version::read(other).unwrap());
            assert_eq!(one.map(|one| one <= other), expected, "{shows}");
        }
    }
}
