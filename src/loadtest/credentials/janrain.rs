//! Requests that API clients of Janrain Capture sign: `janrain_signature`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

use crate::domain::{Random, Seconds, Timestamp};
use crate::jose::base64url;
use crate::jose::janrain;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::fresh::keyring::Pairs;
use crate::loadtest::fresh::sections::listed;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// How clients say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Signature,
    Body,
    Public,
}

/// Presents signed requests.
pub struct JanrainPresenter {
    pairs: Arc<Pairs>,
    way: Way,
    mount: String,
    burn: bool,
    random: Arc<dyn Random>,
}

impl JanrainPresenter {
    /// For a `janrain_signature` authenticator with these settings, whose clients are `pairs`.
    #[must_use]
    pub fn new(settings: &Value, pairs: Arc<Pairs>, random: Arc<dyn Random>) -> Self {
        let way = match settings.get("from").into_iter().flat_map(listed).next() {
            Some("body") => Way::Body,
            Some("public") => Way::Public,
            _ => Way::Signature,
        };
        let mount = settings.get("mount").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { pairs, way, mount, burn: settings.get("burn") != Some(&Value::Bool(false)), random }
    }
}

impl Presenter for JanrainPresenter {
    fn lasting(&self) -> Lasting {
        match self.way {
            Way::Signature if self.burn => Lasting::Once,
            Way::Signature => Lasting::For(Seconds(15)),
            Way::Body | Way::Public => Lasting::For(Seconds(u32::MAX)),
        }
    }

    fn makes(&self, kind: Kind) -> bool {
        match self.way {
            Way::Signature | Way::Body => matches!(kind, Kind::Good | Kind::Expired | Kind::Forged),
            // A name alone proves nothing, so there is nothing to forge; only a client that has ended is refused.
            Way::Public => matches!(kind, Kind::Good | Kind::Expired),
        }
    }

    fn present(&self, kind: Kind, number: u64, asked: &Asked, now: Timestamp) -> Result<Presented, String> {
        let at = |number: u64| {
            let callers = u64::try_from(self.pairs.good.len()).unwrap_or(u64::MAX);
            let index = number.checked_rem(callers).and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| self.pairs.good.get(index)).ok_or("there is no client")
        };
        let (id, secret) = match kind {
            Kind::Expired => (&self.pairs.expired.0, &self.pairs.expired.1),
            Kind::Forged => (&at(number)?.0, &at(number.wrapping_add(1))?.1),
            _ => at(number).map(|(id, secret)| (id, secret))?,
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Ok(match self.way {
            Way::Body => Presented { form: vec![pair("client_id", id), pair("client_secret", secret)], ..Presented::default() },
            Way::Public => Presented { form: vec![pair("client_id", id)], ..Presented::default() },
            Way::Signature => {
                // Each signature is taken once a second, so something in the request must differ.
                let mut bytes = [0; 12];
                self.random.fill(&mut bytes);
                let unique = base64url::encode(&bytes);
                let date = janrain::written_date(now).ok_or("no date")?;
                let path = asked.path.strip_prefix(&self.mount).unwrap_or(&asked.path);
                let texts = janrain::texts(path, &date, &janrain::borrowed(&[("bench", unique.as_str())]));
                let text = texts.first().ok_or("nothing to sign")?;
                let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_err(|_| "the secret is no key")?;
                mac.update(text.as_bytes());
                let signature = STANDARD.encode(mac.finalize().into_bytes());
                let signed = Presented::header("date", date).and(Presented::header("authorization", format!("Signature {id}:{signature}")));
                Presented { query: vec![pair("bench", &unique)], ..signed }
            }
        })
    }
}
