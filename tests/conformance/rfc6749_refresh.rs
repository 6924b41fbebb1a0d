//! RFC 6749 section 6 (refreshing an access token), with sections 3.2, 5.1 and 5.2: what the token endpoint takes and answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use countersign::domain::{Claims, Clock, Identity, Observer, Random, Refusal, RequestView, Seconds, Silent, Target, Timestamp, Value};
use countersign::issuer::SERVICES;
use countersign::issuer::contract::{Call, PublishedKeys, Reply, Service, ServiceTools};
use countersign::issuer::pairs::{Caller, Issuer, IssuerTools, PairOrder, Terms};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::settings::{Checking, Faults, Material, Names, Span};
use countersign::state::contract::StateStore;
use countersign::state::memory::Memory;
use countersign::state::revoked::Revocations;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use crate::jwt::node;

pub const NOW: i64 = 1_800_000_000;
const FORM: &str = "application/x-www-form-urlencoded";

/// Bytes that never come twice.
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// An issuer with its endpoints.
pub struct Endpoints {
    pub issuer: Arc<Issuer>,
    services: BTreeMap<&'static str, Arc<dyn Service>>,
}

impl Endpoints {
    pub async fn new() -> Self {
        let state: Arc<dyn StateStore> = Arc::new(Memory::new(1_000, Timestamp(0)));
        let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::new(Counting(AtomicU64::new(0))), Arc::new(Silent));
        let clock: Arc<dyn Clock> = Arc::new(AtomicI64::new(NOW));
        let revoked = Arc::new(Revocations::new(Arc::clone(&state), clock, Arc::clone(&random), Arc::clone(&observer)));
        assert!(revoked.catch_up().await);
        let terms = Terms {
            name: "main".into(),
            issuer: "https://proxy.example".into(),
            audience: Box::new(["app".into()]),
            access_life: Seconds(900),
            refresh_life: Seconds(86_400),
            grace: Seconds(30),
            client_id: "main".into(),
            claims: Box::default(),
        };
        let tools = IssuerTools {
            state: Arc::clone(&state),
            revoked: Arc::clone(&revoked),
            random: Arc::clone(&random),
            observer: Arc::clone(&observer),
        };
        let keys: Arc<[SigningKey]> = Arc::new([SigningKey::generate(Algorithm::EdDsa).unwrap()]);
        let issuer = Arc::new(Issuer::new(terms, keys, tools).unwrap());
        let issuers = BTreeMap::from([("main".to_owned(), Arc::clone(&issuer))]);
        let tools = ServiceTools {
            tickets: &BTreeMap::new(),
            issuers: &issuers,
            sessions: &BTreeMap::new(),
            relays: &BTreeMap::new(),
            published: &Arc::new(PublishedKeys::default()),
            state: &state,
            revoked: &revoked,
            random: &random,
            observer: &observer,
        };
        let mut services = BTreeMap::new();
        for name in ["token", "revoke"] {
            let entry = SERVICES.iter().find(|entry| entry.name == name).unwrap();
            assert_eq!(entry.methods, ["POST"], "the client MUST use the HTTP \"POST\" method (section 3.2, RFC 7009 section 2.1)");
            let (mut faults, material, mut names) = (Faults::default(), Material::default(), Names::default());
            names.define("issuers", "main");
            let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
            let span = Span { file: "test".into(), line: 1, column: 1 };
            let plan = (entry.plan)(Some(&node(&json!({ "issuer": "main" }))), &span, &mut checking).unwrap();
            services.insert(name, plan.build(&tools).unwrap());
        }
        Self { issuer, services }
    }

    /// The first refresh token of a login, and its access token.
    pub async fn login(&self, client: Option<Caller>) -> (String, String) {
        let scopes = Box::new(["read".into(), "write".into()]);
        let order = PairOrder { subject: "ann".into(), scopes, claims: Value::empty(), client };
        let issued = self.issuer.open(order, Timestamp(NOW)).await.unwrap();
        let text = |secret: &countersign::domain::Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        (text(issued.pair.refresh.as_ref().unwrap()), text(&issued.pair.access))
    }

    /// What `service` answers to `body`.
    pub async fn post(&self, service: &str, body: &str, client: Option<&str>) -> Result<Reply, Refusal> {
        self.post_as(service, &[("content-type", FORM)], body.as_bytes(), client, NOW).await
    }

    pub async fn post_as(
        &self,
        service: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        client: Option<&str>,
        now: i64,
    ) -> Result<Reply, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let target = Target { path: "/token".into(), query: None };
        let request = RequestView {
            method: "POST",
            raw_target: "/token",
            target: &target,
            host: "proxy.example",
            headers: &headers,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            secure: true,
            request_id: "",
        };
        let identity = client.map(|name| {
            Arc::new(Identity {
                subject: name.into(),
                issuer: "partners".into(),
                scopes: Box::default(),
                claims: Claims::empty(),
                expires: None,
                not_before: None,
                scheme: "server_key",
                authenticator: "client".into(),
                burn: None,
                also: Vec::new(),
            })
        });
        let call = Call { request: &request, identity: identity.as_ref(), body: Bytes::copy_from_slice(body), now: Timestamp(now) };
        self.services[service].serve(&call).await
    }
}

pub fn caller(name: &str) -> Caller {
    Caller { issuer: "partners".into(), name: name.into() }
}

pub fn json_of(reply: &Reply) -> Json {
    serde_json::from_slice(&reply.body).unwrap()
}

pub fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_str().unwrap())
}

#[tokio::test]
async fn a_successful_answer_has_the_form_of_section_5_1() {
    let endpoints = Endpoints::new().await;
    let (refresh, _) = endpoints.login(None).await;
    let reply = endpoints.post("token", &format!("grant_type=refresh_token&refresh_token={refresh}"), None).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(field(&reply, "content-type"), Some("application/json"), "section 5.1: the application/json media type");
    assert_eq!(field(&reply, "cache-control"), Some("no-store"), "section 5.1: MUST include Cache-Control: no-store");
    assert_eq!(field(&reply, "pragma"), Some("no-cache"), "section 5.1: and Pragma: no-cache");
    let body = json_of(&reply);
    let members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!(body["token_type"], "Bearer", "section 7.1");
    assert_eq!(body["expires_in"], 900, "the lifetime in seconds");
    assert_eq!(body["scope"], "read write", "section 3.3");
    assert_ne!(body["refresh_token"], refresh.as_str(), "section 6: a new refresh token, and the client MUST discard the old one");

    let late = format!("grant_type=refresh_token&refresh_token={refresh}");
    let again = endpoints.post_as("token", &[("content-type", FORM)], late.as_bytes(), None, NOW + 10).await.unwrap();
    let again = json_of(&again);
    assert_eq!((&again["access_token"], &again["refresh_token"]), (&body["access_token"], &body["refresh_token"]), "a lost answer");
    assert_eq!(again["expires_in"], 890, "of which ten seconds are gone");
}

#[tokio::test]
async fn every_fault_has_its_code_of_section_5_2() {
    let endpoints = Endpoints::new().await;
    let bound = Some(caller("shop"));
    // body with R for a good refresh token, whose it is, who asks, code, what the row shows
    let rows: [(&str, Option<Caller>, Option<&str>, &str, &str); 22] = [
        ("grant_type=refresh_token&refresh_token=R", None, None, "", "a public client"),
        ("refresh_token=R&grant_type=refresh_token&x=y", None, None, "", "MUST ignore unrecognized request parameters (3.2)"),
        ("grant_type=refresh_token&refresh_token=R&scope=", None, None, "", "a parameter without a value is omitted (3.2)"),
        ("grant_type=refresh_token&refresh_token=R&scope=read", None, None, "", "less than was granted (6)"),
        ("grant_type=refresh_token&refresh_token=R", bound.clone(), Some("shop"), "", "the client it was issued to"),
        ("grant_type=refresh_token&refresh_token=R&client_id=shop", bound.clone(), Some("shop"), "", "which says who it is once more"),
        ("", None, None, "invalid_request", "a missing parameter"),
        ("refresh_token=R", None, None, "invalid_request", "no grant type"),
        ("grant_type=&refresh_token=R", None, None, "invalid_request", "a grant type without a value"),
        ("grant_type=refresh_token", None, None, "invalid_request", "no refresh token"),
        ("grant_type=refresh_token&refresh_token=", None, None, "invalid_request", "one without a value"),
        ("grant_type=refresh_token&refresh_token=R&refresh_token=R", None, None, "invalid_request", "a repeated parameter (5.2)"),
        ("grant_type=refresh_token&refresh_token=R&x=1&x=2", None, None, "invalid_request", "even an unknown one (3.2)"),
        ("grant_type=refresh_token&refresh_token=%ZZ", None, None, "invalid_request", "malformed in another way"),
        ("grant_type=password&username=a&password=b", None, None, "unsupported_grant_type", "another grant"),
        ("grant_type=Refresh_Token&refresh_token=R", None, None, "unsupported_grant_type", "names have case"),
        ("grant_type=refresh_token&refresh_token=R&scope=admin", None, None, "invalid_scope", "more than was granted (6)"),
        ("grant_type=refresh_token&refresh_token=R&scope=a%20%20b", None, None, "invalid_scope", "no list of scopes (3.3)"),
        ("grant_type=refresh_token&refresh_token=xR", None, None, "invalid_grant", "not a token of ours"),
        ("grant_type=refresh_token&refresh_token=R", bound.clone(), Some("bank"), "invalid_grant", "issued to another client (5.2)"),
        ("grant_type=refresh_token&refresh_token=R", bound.clone(), None, "invalid_grant", "and nobody in particular is another"),
        (
            "grant_type=refresh_token&refresh_token=R&client_id=bank",
            bound,
            Some("shop"),
            "invalid_request",
            "a client that is not who it says",
        ),
    ];
    for (body, whose, by, code, shows) in rows {
        let (refresh, _) = endpoints.login(whose.clone()).await;
        let reply = endpoints.post("token", &body.replace('R', &refresh), by).await.unwrap();
        let answer = json_of(&reply);
        if code.is_empty() {
            assert_eq!(reply.status, 200, "{shows}: {answer}");
            continue;
        }
        assert_eq!((reply.status, &answer["error"]), (400, &json!(code)), "{shows}");
        assert_eq!(field(&reply, "content-type"), Some("application/json"), "{shows}");
        assert_eq!(field(&reply, "cache-control"), Some("no-store"), "{shows}");
        let said = answer["error_description"].as_str().unwrap();
        // Section 5.2: error_description MUST NOT include characters outside %x20-21 / %x23-5B / %x5D-7E.
        assert!(said.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{shows}: {said}");
        assert!(
            !reply.body.windows(refresh.len()).any(|window| window == refresh.as_bytes()),
            "{shows}: nothing of the request is repeated"
        );
        let owner = whose.map(|_| "shop");
        let after = endpoints.post("token", &format!("grant_type=refresh_token&refresh_token={refresh}"), owner).await.unwrap();
        assert_eq!(after.status, 200, "{shows}: and nothing was spent");
    }
}

#[tokio::test]
async fn the_body_is_a_form_and_nothing_else() {
    let endpoints = Endpoints::new().await;
    let (refresh, _) = endpoints.login(None).await;
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let document = json!({ "grant_type": "refresh_token", "refresh_token": refresh }).to_string();
    let rows: [(&[(&str, &str)], &str, &str); 4] = [
        (&[("content-type", "application/json")], &document, "a JSON document"),
        (&[], &form, "a form that does not say it is one"),
        (&[("content-type", "text/plain")], &form, "what a page of another site may send without asking"),
        (&[("content-type", FORM), ("content-type", "text/plain")], &form, "two media types"),
    ];
    for (fields, body, shows) in rows {
        let reply = endpoints.post_as("token", fields, body.as_bytes(), None, NOW).await.unwrap();
        assert_eq!((reply.status, json_of(&reply)["error"].as_str()), (400, Some("invalid_request")), "{shows}");
    }
    let reply =
        endpoints.post_as("token", &[("content-type", "application/x-www-form-urlencoded;charset=UTF-8")], form.as_bytes(), None, NOW);
    assert_eq!(reply.await.unwrap().status, 200, "appendix B: a form in UTF-8");
}
