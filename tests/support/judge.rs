//! A judge with a handful of rules, for tests of everything around the gate.
//!
//! `/public…` is open; `/panic` panics; `/served` is answered; `/body` is judged by its body, which must be `good`; all else
//! needs `Authorization: Bearer good`. Whoever comes in is `alice`. Under `/renewable…` the credential can be renewed should the
//! upstream not take it: it is shown as `x-credential`, first `old`, then `new`. Under `/held…` and `/weighed…` as well, and there a
//! [`Dialect`] says when it has run out: for the one by the body of the reply, for the other by its head. What a reply brings is kept
//! where the target has `/kept`. A request whose target has `/rewritten` goes on with a body of the judge's, and one that has
//! `/emptied` with none.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use countersign::domain::{Doubt, Edition, Identity, Refusal, Seconds, Secret, SpentKey, Target, Timestamp};
use countersign::gate::arrival::{Arrival, BodySource};
use countersign::gate::contract::Judge;
use countersign::gate::verdict::{Admission, Outcome, Record, Refused, Renewable, Served, Verdict};
use countersign::issuer::contract::{Asker, Harvester};
use countersign::systems::contract::{self as contract, Meaning, Rendered, System};
use http::{HeaderName, HeaderValue};

/// Shows the upstream which credential the request goes by.
const CREDENTIAL: HeaderName = HeaderName::from_static("x-credential");

/// What an upstream may refuse.
const RENEWABLE: Renewable = Renewable { authenticator: 7, sent: Some(Edition([3; 32])) };

/// What is left of a body whose credential is kept.
pub const REST: &str = "the rest of it";

/// Stands for whoever keeps credentials; it is the judge who does.
#[derive(Debug)]
struct Kept;

#[async_trait]
impl Harvester for Kept {
    async fn keep(
        &self,
        _harvest: &contract::Harvest,
        _asker: &Asker<'_>,
        _now: Timestamp,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
        unreachable!()
    }
}

/// What the judge has requests go on with.
pub const REWRITTEN: &str = "in its place";

/// A system whose credentials have run out when a reply redirects to `/` or, where its body is there, says `expired` in it.
#[derive(Debug)]
pub struct Dialect;

impl System for Dialect {
    fn name(&self) -> &'static str {
        "dialect"
    }

    fn render(&self, _refused: &contract::Refused<'_>) -> Option<Rendered> {
        None
    }

    fn holds(&self, _method: &str, path: &str) -> bool {
        path.starts_with("/held")
    }

    fn weigh(&self, reply: &contract::Reply<'_>) -> Meaning {
        let home = reply.headers.get(http::header::LOCATION).is_some_and(|to| to == "/");
        if reply.status == 401 || (reply.status == 303 && home) { Meaning::Expired } else { Meaning::Fine }
    }

    fn classify(&self, reply: &contract::Reply<'_>) -> Meaning {
        let body = reply.body.expect("asked only where it is there");
        assert!(!reply.path.contains("panics"), "the system was asked to");
        let expired = memchr::memmem::find(body, b"expired").is_some();
        if expired { Meaning::Expired } else { self.weigh(reply) }
    }

    /// A credential stands in the field `x-token`, or in a body that has `token`.
    fn harvest(&self, reply: &contract::Reply<'_>) -> Option<contract::Harvest> {
        const FIELD: HeaderName = HeaderName::from_static("x-token");
        let in_field = reply.headers.get(FIELD).is_some();
        let in_body = reply.body.is_some_and(|body| body.windows(5).any(|word| word == b"token"));
        (in_field || in_body).then(|| contract::Harvest {
            access: Secret::new(b"token".to_vec()),
            refresh: None,
            life: None,
            subject: None,
            issuer: None,
            issued: None,
            strip: in_field.then_some(FIELD),
            rest: in_body.then(|| REST.into()),
        })
    }
}

pub struct Gatekeeper {
    /// How many requests it was asked about.
    pub asked: AtomicUsize,
    /// Until when whoever is let in may stay.
    pub cut_at: AtomicI64,
    /// Which upstream, by place.
    pub upstream: usize,
    /// What comes of a renewal.
    pub renewal: Renewal,
    /// How many renewals it was asked for.
    pub renewed: AtomicUsize,
    /// How many renewals it was told were in vain.
    pub in_vain: AtomicUsize,
}

/// What comes of a renewal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The fresh credential is let in.
    Admits,
    /// There is a fresh credential, and it is not let in.
    Refuses,
    /// There is none.
    Fails,
    /// The judge panics.
    Panics,
    /// Whoever asked is no longer let in, and nothing was renewed.
    Over,
}

impl Default for Gatekeeper {
    fn default() -> Self {
        Self {
            asked: AtomicUsize::new(0),
            cut_at: AtomicI64::new(i64::MAX),
            upstream: 0,
            renewal: Renewal::Admits,
            renewed: AtomicUsize::new(0),
            in_vain: AtomicUsize::new(0),
        }
    }
}

impl Gatekeeper {
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn admit(&self, arrival: &Arrival<'_>) -> Outcome {
        let target = origin_form(arrival);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.into())),
            None => (target, None),
        };
        let mut admission = Admission::unjudged(self.upstream, Target { path: path.into(), query });
        let fold = |name: &HeaderName| name.as_str().chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        admission.remove = arrival.headers.keys().filter(|name| fold(name).starts_with("xauth")).cloned().collect();
        admission.remove.push(http::header::AUTHORIZATION);
        let connection = format!("tls={} name={} h2={}", arrival.tls, arrival.server_name.unwrap_or("-"), arrival.http2);
        admission.set = vec![
            (HeaderName::from_static("x-auth-subject"), HeaderValue::from_static("alice")),
            (HeaderName::from_static("x-tenant"), HeaderValue::from_static("ours")),
            (HeaderName::from_static("x-auth-connection"), HeaderValue::from_str(&connection).unwrap()),
        ];
        admission.remove_from_response = Arc::from([HeaderName::from_static("x-auth-subject")]);
        let at = |start: &str| admission.target.path.starts_with(start);
        let (renewable, held, weighed) = (at("/renewable"), at("/held"), at("/weighed"));
        let fixed = admission.target.path.contains("/fixed");
        if (renewable || held || weighed) && !fixed {
            admission.renewable = Some(RENEWABLE);
        }
        admission.held = held.then(|| Arc::new(Dialect) as Arc<dyn System>);
        admission.system = (held || weighed).then(|| Arc::new(Dialect) as Arc<dyn System>);
        if admission.target.path.contains("/kept") {
            admission.keeper = Some(Arc::new(Kept));
        }
        if admission.target.path.contains("/rewritten") {
            admission.body = Some(REWRITTEN.into());
        } else if admission.target.path.contains("/emptied") {
            admission.body = Some(bytes::Bytes::new());
        }
        let cut_at = self.cut_at.load(Ordering::SeqCst);
        admission.cut_at = (cut_at != i64::MAX).then_some(Timestamp(cut_at));
        Outcome::Admit(Box::new(admission))
    }
}

/// The target without scheme and authority.
fn origin_form(arrival: &Arrival<'_>) -> String {
    let target = String::from_utf8(arrival.raw_target.to_vec()).unwrap();
    match target.strip_prefix("http://") {
        Some(rest) => rest[rest.find('/').unwrap()..].to_owned(),
        None => target,
    }
}

fn refuse(refusal: Refusal) -> Outcome {
    Outcome::Refuse(Box::new(Refused { refusal, challenges: Arc::from(["Bearer"]), login: None, system: None }))
}

#[async_trait]
impl Judge for Gatekeeper {
    async fn judge(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource) -> Verdict {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut record = Record { request_id: "test-request".into(), ..Record::default() };
        let target = origin_form(arrival);
        let credential = arrival.headers.get(http::header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let outcome = if target.starts_with("/panic") {
            panic!("the judge was asked to");
        } else if target.starts_with("/served") {
            Outcome::Serve(Served { status: 200, headers: Vec::new(), body: "served".into() })
        } else if target.starts_with("/public") {
            self.admit(arrival)
        } else if target.starts_with("/body") {
            match body.body(64 * 1024).await {
                Ok(body) if body.starts_with(b"good") => self.admit(arrival),
                Ok(_) => refuse(Refusal::Doubted(Doubt::SignatureInvalid)),
                Err(outage) => refuse(outage.refusal()),
            }
        } else {
            match credential {
                Some(b"Bearer good") => self.admit(arrival),
                Some(_) => refuse(Refusal::Doubted(Doubt::SignatureInvalid)),
                None => refuse(Refusal::CredentialMissing),
            }
        };
        if let Outcome::Refuse(refused) = &outcome {
            record.reason = Some(refused.refusal.reason());
        }
        let mut outcome = outcome;
        if let Outcome::Admit(admission) = &mut outcome
            && admission.renewable.is_some()
        {
            admission.set.push((CREDENTIAL, HeaderValue::from_static("old")));
        }
        Verdict { outcome, record, hand_back: Vec::new() }
    }

    async fn harvest(
        &self,
        admission: &Admission,
        caller: Option<&Identity>,
        _arrival: &Arrival<'_>,
        harvest: &contract::Harvest,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
        assert_eq!((harvest.access.expose(), caller.is_none()), (&b"token"[..], true));
        assert!(!admission.target.path.contains("harvest-panics"), "the judge was asked to");
        if admission.target.path.contains("lost") {
            return Err(Refusal::StateUnavailable { retry_after: Seconds(5) });
        }
        Ok(vec![(http::header::SET_COOKIE, HeaderValue::from_static("session=ours; Path=/"))])
    }

    fn in_vain(&self, fresh: SpentKey) {
        assert_eq!(fresh, SpentKey([7; 32]), "the one that the admission named");
        self.in_vain.fetch_add(1, Ordering::SeqCst);
    }

    async fn readmit(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource, refused: Renewable) -> Option<Verdict> {
        assert_eq!(refused, RENEWABLE, "the one that the admission named");
        if self.renewal == Renewal::Over {
            let outcome = refuse(Refusal::Doubted(Doubt::Revoked));
            return Some(Verdict { outcome, record: Record::default(), hand_back: Vec::new() });
        }
        self.renewed.fetch_add(1, Ordering::SeqCst);
        let record = Record { request_id: "test-request".into(), renewed: true, ..Record::default() };
        let outcome = match self.renewal {
            Renewal::Admits => {
                let Outcome::Admit(mut admission) = self.admit(arrival) else { unreachable!() };
                let length = body.body(64 * 1024).await.unwrap().len();
                admission.set.push((CREDENTIAL, HeaderValue::from_static("new")));
                admission.set.push((HeaderName::from_static("x-body-seen"), HeaderValue::from(length)));
                admission.fresh = Some(SpentKey([7; 32]));
                Outcome::Admit(admission)
            }
            Renewal::Refuses => refuse(Refusal::PolicyDenied),
            Renewal::Fails | Renewal::Over => return None,
            Renewal::Panics => panic!("the judge was asked to"),
        };
        let hand_back = vec![
            (http::header::SET_COOKIE, HeaderValue::from_static("rt=fresh; Path=/")),
            (HeaderName::from_static("x-access-token"), HeaderValue::from_static("fresh")),
            (http::header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Some(Verdict { outcome, record, hand_back })
    }
}
