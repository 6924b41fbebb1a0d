//! A renewer whose pairs must be of use to the clients they are for: one that cannot be put where they would find it is lost.
//!
//! Whether it can is known once it is there, and the old credential is spent then. So it counts as every other pair that came back
//! and cannot be used: nobody goes on with half of it, what is still good is used to its end, and the issuer is not asked again
//! with what was spent.
//!
//! Deliberately absent: an encoding. Whoever reads the cookie beside us would have to know of it, and so would we of every token
//! that happens to look encoded.
//!
//! Rules: RFC 6265 section 4.1.1 (what a cookie holds), RFC 6749 appendix A.17 (what a refresh token may consist of, which is more).

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Spent, Timestamp, TokenPair};
use crate::renew::contract::{RenewError, Renewer};

/// Whether a pair can be handed to a client that brought the one before.
pub type Fits = dyn Fn(&TokenPair) -> bool + Send + Sync;

/// A renewer whose pairs are looked at before anybody is given them.
pub struct Fitting {
    name: Arc<str>,
    inner: Arc<dyn Renewer>,
    fits: Box<Fits>,
}

impl Fitting {
    /// `inner`, called `name` in the conf, less the pairs that do not fit.
    #[must_use]
    pub fn over(name: Arc<str>, inner: Arc<dyn Renewer>, fits: Box<Fits>) -> Self {
        Self { name, inner, fits }
    }
}

#[async_trait]
impl Renewer for Fitting {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        let pair = self.inner.renew(spent, now).await?;
        if (self.fits)(&pair) {
            return Ok(pair);
        }
        tracing::error!(renewer = %self.name, "the issuer gave a credential that cannot stand where `hand_back` puts it (`\"`, `,`, `;` or `\\` in a cookie); whoever it was for must log in again. Hand it back in a header");
        Err(RenewError::Lost { why: "the new pair cannot stand where it is handed back" })
    }

    fn forgives_repeats(&self) -> bool {
        self.inner.forgives_repeats()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::Fitting;
    use crate::domain::{Claims, Identity, Secret, Spent, Timestamp, TokenPair, Value};
    use crate::renew::contract::{RenewError, Renewer};

    struct Told(Result<&'static str, RenewError>);

    fn pair(access: &str) -> TokenPair {
        TokenPair {
            access: Secret::new(access.as_bytes().to_vec()),
            refresh: None,
            access_until: None,
            refresh_until: None,
            beside: Value::empty(),
        }
    }

    #[async_trait]
    impl Renewer for Told {
        async fn renew(&self, _spent: &Spent, _now: Timestamp) -> Result<TokenPair, RenewError> {
            self.0.map(pair)
        }

        fn forgives_repeats(&self) -> bool {
            true
        }
    }

    fn spent() -> Spent {
        let identity = Identity {
            subject: "anna".into(),
            issuer: "i".into(),
            scopes: Box::default(),
            claims: Claims::empty(),
            expires: None,
            not_before: None,
            scheme: "jwt",
            authenticator: "user".into(),
            burn: None,
            also: Vec::new(),
        };
        Spent { refresh: Secret::new(vec![1]), access: Secret::new(vec![2]), identity: Arc::new(identity) }
    }

    #[tokio::test]
    async fn a_pair_that_does_not_fit_is_lost_and_what_went_wrong_before_stays_as_it_was() {
        const UNREACHED: RenewError = RenewError::Unreached { why: "it was down" };
        const LOST: RenewError = RenewError::Lost { why: "the new pair cannot stand where it is handed back" };
        let rows = [
            (Ok("short"), Ok(()), "one that fits"),
            (Ok("much too long"), Err(LOST), "one that does not"),
            (Err(UNREACHED), Err(UNREACHED), "none at all"),
        ];
        for (told, expected, shows) in rows {
            let fitting = Fitting::over("login".into(), Arc::new(Told(told)), Box::new(|pair| pair.access.len() < 8));
            assert_eq!(fitting.renew(&spent(), Timestamp(0)).await.map(|_| ()), expected, "{shows}");
            assert!(fitting.forgives_repeats(), "{shows}: what the issuer forgives it forgives still");
        }
    }
}
