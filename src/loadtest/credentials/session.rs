//! Sessions of our own: `session`. Their cookies are opened by the proxy itself beforehand, where a rule of the conf does that.

use std::sync::Arc;

use crate::domain::{Random, Seconds, Timestamp};
use crate::jose::base64url;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// Presents cookies.
pub struct SessionPresenter {
    cookies: Arc<[(String, String)]>,
    random: Arc<dyn Random>,
}

impl SessionPresenter {
    /// Of these sessions, each a cookie's name and value.
    #[must_use]
    pub fn new(cookies: Arc<[(String, String)]>, random: Arc<dyn Random>) -> Self {
        Self { cookies, random }
    }
}

impl Presenter for SessionPresenter {
    fn lasting(&self) -> Lasting {
        Lasting::For(Seconds(u32::MAX))
    }

    fn makes(&self, kind: Kind) -> bool {
        // A session that has run out cannot be had without waiting for it.
        matches!(kind, Kind::Good | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, _: Timestamp) -> Result<Presented, String> {
        let sessions = u64::try_from(self.cookies.len()).unwrap_or(u64::MAX);
        let index = number.checked_rem(sessions).and_then(|index| usize::try_from(index).ok());
        let (name, value) = index.and_then(|index| self.cookies.get(index)).ok_or("there is no session")?;
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
