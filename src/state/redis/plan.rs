//! The settings, proven, and how the store is opened by them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::state::contract::{StateStore, StorePlan, StoreTools};
use crate::state::redis::dial::Dialer;
use crate::state::redis::names::Names;
use crate::state::redis::store::Redis;

/// The settings, proven.
pub(super) struct RedisPlan {
    pub(super) dialer: Dialer,
    pub(super) names: Names,
    pub(super) strict: bool,
    /// The URL as written, which holds no password.
    pub(super) shown: Box<str>,
    /// Tells the credentials and certificates from others: a digest, for comparison only.
    pub(super) credentials: [u8; 32],
}

impl fmt::Debug for RedisPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described())
    }
}

impl RedisPlan {
    fn described(&self) -> String {
        let Dialer { client: _, timeout, connect_timeout } = &self.dialer;
        format!(
            "redis url={} prefix={} timeout={timeout:?} connect_timeout={connect_timeout:?} strict={}",
            self.shown,
            self.names.origin(),
            self.strict
        )
    }
}

#[async_trait]
impl StorePlan for RedisPlan {
    fn name(&self) -> &'static str {
        super::ENTRY.name
    }

    /// Whoever writes down a server means to share what is in it.
    fn is_there(&self) -> bool {
        true
    }

    fn continuity(&self) -> String {
        format!("{} {:?}", self.described(), self.credentials)
    }

    async fn open(&self, tools: &StoreTools) -> Result<Arc<dyn StateStore>, String> {
        Ok(Arc::new(Redis::open(self, tools).await?))
    }
}
