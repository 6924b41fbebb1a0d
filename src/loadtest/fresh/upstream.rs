//! The service behind a proxy under load: the shortest answer there is, with a mark that nobody else can make.
//!
//! It remembers nothing, so that it costs the same from the first request to the last.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::demo::stand::{self, Stand};
use crate::domain::Random;
use crate::jose::base64url;
use crate::loadtest::driver::connection::Marker;

/// A running service, and how its answers are known.
pub struct LoadUpstream {
    stand: Stand,
    marker: Marker,
}

impl LoadUpstream {
    /// The field of the mark.
    pub const FIELD: HeaderName = HeaderName::from_static("x-bench-upstream");

    /// Starts it on `address`; every answer has a body of `bytes`.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(address: SocketAddr, bytes: usize, random: &dyn Random) -> io::Result<Self> {
        let mut nonce = [0; 16];
        random.fill(&mut nonce);
        let value = HeaderValue::from_str(&base64url::encode(&nonce)).map_err(io::Error::other)?;
        let marker = Marker { name: Self::FIELD, value };
        let body = Bytes::from(vec![b'.'; bytes]);
        let mark = marker.value.clone();
        let stand = Stand::listen(address, move |_| {
            let mut answer = stand::plain(200, "text/plain", body.clone());
            answer.headers_mut().insert(Self::FIELD, mark.clone());
            std::future::ready(Some(answer))
        })
        .await?;
        Ok(Self { stand, marker })
    }

    /// Where it listens.
    #[must_use]
    pub fn origin(&self) -> String {
        self.stand.origin()
    }

    /// How its answers are known.
    #[must_use]
    pub fn marker(&self) -> &Marker {
        &self.marker
    }
}
