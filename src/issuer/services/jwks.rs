//! `serve: jwks`: the public keys of everything that this proxy signs, as one JWKS document (RFC 7517 section 5).
//!
//! Public by nature: it says nothing that a signature does not let anyone check. The document is put together by whoever
//! builds the house, from what signs in it; here it is only handed out.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::domain::Refusal;
use crate::issuer::contract::{Call, PublishedKeys, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::settings::{Checking, Node, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "jwks",
    doc: "The public keys of everything that this proxy signs, as one JWKS document.",
    shape: Shape::Section(&SETTINGS),
    methods: &[],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `jwks`",
    doc: "The public keys of everything that this proxy signs, as one JWKS document. It has no settings.",
    keys: &[],
};

/// The settings, proven: there are none.
#[derive(Debug)]
struct JwksPlan;

fn plan(_settings: Option<&Node>, _at: &Span, _checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    Some(Box::new(JwksPlan))
}

impl ServicePlan for JwksPlan {
    fn publishes_keys(&self) -> bool {
        true
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Jwks { published: Arc::clone(tools.published) }))
    }
}

/// Hands out the document.
struct Jwks {
    published: Arc<PublishedKeys>,
}

#[async_trait]
impl Service for Jwks {
    async fn serve(&self, _call: &Call<'_>) -> Result<Reply, Refusal> {
        let document = self.published.document().ok_or(Refusal::Internal)?;
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
            // Whoever verifies our signatures looks again within minutes, so a new key is known before it signs for long.
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        ];
        Ok(Reply { status: 200, headers, body: document.clone(), guessed: false })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::HeaderMap;

    use super::Jwks;
    use crate::domain::{Reason, RequestView, Target, Timestamp};
    use crate::issuer::contract::{Call, PublishedKeys, Service};

    #[tokio::test]
    async fn what_was_published_first_is_handed_out_and_nothing_before_that() {
        let published = Arc::new(PublishedKeys::default());
        let service = Jwks { published: Arc::clone(&published) };
        let target = Target { path: "/keys".into(), query: None };
        let headers = HeaderMap::new();
        let request = RequestView {
            method: "GET",
            raw_target: "/keys",
            target: &target,
            host: "",
            headers: &headers,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            secure: true,
            request_id: "",
        };
        let call = Call { request: &request, identity: None, body: Bytes::new(), now: Timestamp(0) };

        let early = service.serve(&call).await.unwrap_err();
        assert_eq!(early.reason(), Reason::Internal, "an empty set would make every signature of ours look forged");
        published.publish(Bytes::from_static(b"{\"keys\":[1]}"));
        published.publish(Bytes::from_static(b"{\"keys\":[2]}"));
        let reply = service.serve(&call).await.unwrap();
        assert_eq!((reply.status, reply.body.as_ref()), (200, b"{\"keys\":[1]}".as_slice()), "published once");
        let cached = reply.headers.iter().find(|(name, _)| name == "cache-control").map(|(_, value)| value.to_str().unwrap());
        assert_eq!(cached, Some("public, max-age=300"), "public keys may be kept for a while");
    }
}
