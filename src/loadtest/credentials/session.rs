//! Sessions of our own: `session`. They are opened by the proxy itself beforehand, where a rule of the conf does that, or else put into
//! its store; those that have ended are put there.

use std::sync::Arc;

use crate::domain::{Random, Seconds, Timestamp};
use crate::jose::base64url;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::fresh::keyring::Cookies;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// Presents cookies.
pub struct SessionPresenter {
    cookies: Arc<Cookies>,
    random: Arc<dyn Random>,
}

impl SessionPresenter {
    /// Of these sessions.
    #[must_use]
    pub fn new(cookies: Arc<Cookies>, random: Arc<dyn Random>) -> Self {
        Self { cookies, random }
    }
}

impl Presenter for SessionPresenter {
    fn lasting(&self) -> Lasting {
        Lasting::For(Seconds(u32::MAX))
    }

    fn makes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Expired => !self.cookies.expired.is_empty(),
            Kind::Good | Kind::Forged => true,
            Kind::Replayed | Kind::Absent => false,
        }
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, _: Timestamp) -> Result<Presented, String> {
        let cookies = if kind == Kind::Expired { &self.cookies.expired } else { &self.cookies.good };
        let sessions = u64::try_from(cookies.len()).unwrap_or(u64::MAX);
        let index = number.checked_rem(sessions).and_then(|index| usize::try_from(index).ok());
        let (name, value) = index.and_then(|index| cookies.get(index)).ok_or("there is no session")?;
        let value = if kind == Kind::Forged { self.guessed(value) } else { value.clone() };
        // What a browser says of a request that the site itself makes; unsafe methods need it.
        Ok(Presented { cookies: vec![(name.clone(), value)], ..Presented::header("sec-fetch-site", "same-origin".to_owned()) })
    }
}

impl SessionPresenter {
    /// A value as long as `value`, and nobody's.
    fn guessed(&self, value: &str) -> String {
        let mut bytes = vec![0; value.len()];
        self.random.fill(&mut bytes);
        base64url::encode(&bytes).chars().take(value.len()).collect()
    }
}
