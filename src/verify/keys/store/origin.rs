//! Where a remote set is: a fixed URL, or one that has to be found first.

use async_trait::async_trait;
use url::Url;

use crate::domain::Timestamp;
use crate::net::client::Client;
use crate::verify::keys::store::SetFault;

/// Says where the set is.
#[async_trait]
pub trait Origin: Send + Sync {
    /// The URL of the set.
    ///
    /// # Errors
    ///
    /// [`SetFault`] when it cannot be found; must bound its own time.
    async fn locate(&self, client: &Client, now: Timestamp) -> Result<Url, SetFault>;

    /// The set was not where [`Origin::locate`] said; what was found is to be found anew.
    fn forget(&self) {}

    /// Names the origin for a copy on disk: a copy of another origin is not taken.
    fn text(&self) -> &str;
}

/// A URL that stands in the conf.
#[derive(Debug)]
pub struct Fixed(pub Url);

#[async_trait]
impl Origin for Fixed {
    async fn locate(&self, _client: &Client, _now: Timestamp) -> Result<Url, SetFault> {
        Ok(self.0.clone())
    }

    fn text(&self) -> &str {
        self.0.as_str()
    }
}
