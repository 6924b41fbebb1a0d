//! Issuers that serve their keys under names of their own, as HATs do: one server on loopback with a certificate of a moment ago,
//! which the conf under load trusts and is led to.
//!
//! Whom a conf asks for keys follows from its authenticators: the domains that they believe and their key store allows.
//!
//! Not here: a name that is asked anywhere but on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, Uri};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::demo::certificate::Certificate;
use crate::demo::stand::{self, Stand};
use crate::demo::systems::hat::Hats;
use crate::domain::Clock;
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::loadtest::credentials::token::{algorithms, host_of, store_and_issuer};
use crate::loadtest::fresh::sections::listed;

/// Which hosts a conf asks for keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// HATs that may log in, by the name of the `hat` authenticator.
    pub hats: BTreeMap<String, Vec<String>>,
    /// The issuer, and what it signs under, by the name of the `jwt` authenticator.
    pub issuers: BTreeMap<String, (String, Algorithm)>,
    /// Where keys are served.
    paths: BTreeSet<String>,
    /// Applications, and whose tokens they may ask for.
    applications: BTreeMap<String, BTreeSet<String>>,
}

/// HATs of each domain: a forged token is one that another of them has signed.
const OF_EACH: usize = 2;

impl Hosts {
    /// Those of `conf`.
    #[must_use]
    pub fn of(conf: &Value) -> Self {
        let mut hosts = Self::default();
        let store = |name: &str| conf.get("keys").and_then(|keys| keys.get(name)).and_then(|store| store.get("issuer_key"));
        for (name, written) in conf.get("authenticators").and_then(Value::as_object).into_iter().flatten() {
            if let Some(hat) = written.get("hat")
                && let Some(store) = hat.get("keys").and_then(Value::as_str).and_then(store)
            {
                hosts.served_as(store);
                hosts.hats.insert(name.clone(), named(hat, store));
                for id in hat.get("application").into_iter().flat_map(listed) {
                    let others = hosts.applications.entry(id.to_owned()).or_default();
                    others.extend(hat.get("application_token").and_then(Value::as_str).map(str::to_owned));
                }
            }
            if let Some(jwt) = written.get("jwt")
                && let Some((store, issuer)) = store_and_issuer(jwt).and_then(|(name, issuer)| Some((store(&name)?, issuer)))
            {
                hosts.served_as(store);
                let algorithm = algorithms(jwt).first().copied().unwrap_or(Algorithm::Rs256);
                hosts.issuers.insert(name.clone(), (host_of(&issuer), algorithm));
            }
        }
        hosts
    }

    /// Whether nobody is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hats.is_empty() && self.issuers.is_empty()
    }

    fn served_as(&mut self, store: &Value) {
        let path = store.get("path").and_then(Value::as_str).unwrap_or("publickey");
        self.paths.insert(format!("/{}", path.trim_start_matches('/')));
    }

    /// Every name, once.
    fn names(&self) -> BTreeSet<&str> {
        let issuers = self.issuers.values().map(|(host, _)| host.as_str());
        self.hats.values().flatten().map(String::as_str).chain(issuers).collect()
    }
}

/// HATs below every domain that both `hat` believes and `store` allows.
fn named(hat: &Value, store: &Value) -> Vec<String> {
    let domains = |value: Option<&Value>| -> Vec<String> {
        value.into_iter().flat_map(listed).map(|domain| domain.trim_start_matches('.').to_owned()).collect()
    };
    let covers = |wide: &str, narrow: &str| narrow.strip_suffix(wide).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let (believed, allowed) = (domains(hat.get("issuers")), domains(store.get("allow")));
    let mut narrower = BTreeSet::new();
    for one in &believed {
        for other in &allowed {
            narrower.extend(covers(one, other).then_some(other));
            narrower.extend(covers(other, one).then_some(one));
        }
    }
    narrower.into_iter().flat_map(|domain| (1..=OF_EACH).map(move |number| format!("bench-{number}.{domain}"))).collect()
}

/// The running server.
pub struct Farm {
    hosts: Hosts,
    hats: Hats,
    own: Arc<BTreeMap<String, Arc<SigningKey>>>,
    pem: String,
    stand: Stand,
}

impl Farm {
    /// Starts it on `address` for `hosts`, each with a key of its own, under `clock`.
    ///
    /// # Errors
    ///
    /// A sentence: no key or certificate can be made, or the address cannot be listened on.
    pub async fn start(hosts: Hosts, address: SocketAddr, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let hats: BTreeSet<&str> = hosts.hats.values().flatten().map(String::as_str).collect();
        let names: Vec<&str> = hats.iter().copied().collect();
        let hats = Hats::new(&names, clock).map_err(|fault| fault.to_string())?;
        for (id, others) in &hosts.applications {
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            others.iter().filter(|other| !hosts.applications.contains_key(**other)).for_each(|other| hats.set_up(other, &[]));
            hats.set_up(id, &others);
        }
        let mut own = BTreeMap::new();
        for (host, algorithm) in hosts.issuers.values().filter(|(host, _)| !names.contains(&host.as_str())) {
            let key = SigningKey::generate(*algorithm).map_err(|fault| fault.to_string())?;
            own.entry(host.clone()).or_insert_with(|| Arc::new(key.with_kid(None)));
        }
        let own = Arc::new(own);
        let certificate = Certificate::fresh(&hosts.names().into_iter().collect::<Vec<_>>()).map_err(|fault| fault.to_string())?;
        let (paths, farm, keys) = (hosts.paths.clone(), hats.clone(), Arc::clone(&own));
        let answering = move |request| std::future::ready(Some(answer(&paths, &farm, &keys, request)));
        let stand = Stand::listen_tls(address, certificate.config, answering).await.map_err(|error| error.to_string())?;
        Ok(Self { hosts, hats, own, pem: certificate.pem, stand })
    }

    /// The certificate that whoever asks must trust, as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Where each name leads.
    #[must_use]
    pub fn addresses(&self) -> Value {
        let address = self.stand.address().to_string();
        self.hosts.names().into_iter().map(|name| (name.to_owned(), json!(address))).collect::<serde_json::Map<_, _>>().into()
    }

    /// The HATs that the `hat` authenticator `name` believes, each with its key.
    #[must_use]
    pub fn hats(&self, name: &str) -> Vec<(String, Arc<SigningKey>)> {
        let hosts = self.hosts.hats.get(name).into_iter().flatten();
        hosts.filter_map(|host| Some((host.clone(), self.hats.key(host)?))).collect()
    }

    /// The key that tokens for the `jwt` authenticator `name` are signed with.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<Arc<SigningKey>> {
        let (host, _) = self.hosts.issuers.get(name)?;
        self.own.get(host).cloned().or_else(|| self.hats.key(host))
    }

    /// How often a key was asked for, or a token exchanged.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.hats.visits()
    }
}

/// A key where one is asked for; everything else is a HAT's business.
fn answer(
    paths: &BTreeSet<String>,
    hats: &Hats,
    own: &BTreeMap<String, Arc<SigningKey>>,
    mut request: Request<Bytes>,
) -> Response<Full<Bytes>> {
    if paths.contains(request.uri().path()) {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if let Some(pem) = own.get(host).and_then(|key| key.public_pem()) {
            return stand::plain(200, "text/plain", pem);
        }
        // Where every HAT has it, whatever the conf calls the place.
        *request.uri_mut() = Uri::from_static("/publickey");
    }
    hats.visit(&request)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Hosts;
    use crate::jose::algorithm::Algorithm;

    #[test]
    fn hosts_lie_where_authenticators_believe_and_their_store_allows() {
        let of = |issuers, allow| {
            let conf = json!({
                "keys": { "hats": { "issuer_key": { "allow": allow } } },
                "authenticators": { "user": { "hat": { "keys": "hats", "issuers": issuers } } },
            });
            Hosts::of(&conf).hats.remove("user").unwrap()
        };
        let cases = [
            // believed, allowed, hosts, what the row shows
            (json!("a.net"), json!("a.net"), vec!["bench-1.a.net", "bench-2.a.net"], "two of the one domain"),
            (json!(["x.a.net"]), json!(["a.net"]), vec!["bench-1.x.a.net", "bench-2.x.a.net"], "the store allows more"),
            (json!(["a.net"]), json!([".x.a.net"]), vec!["bench-1.x.a.net", "bench-2.x.a.net"], "the authenticator believes more"),
            (json!(["a.net"]), json!(["b.net", "ba.net"]), vec![], "nobody whom both take"),
        ];
        for (issuers, allow, expected, shows) in cases {
            assert_eq!(of(issuers, allow), expected, "{shows}");
        }
    }

    #[test]
    fn tokens_of_whom_nobody_is_asked_about_need_no_host() {
        let conf = json!({
            "keys": { "own": { "issuer_key": { "allow": "a.net" } }, "set": { "pinned": { "file": "k" } } },
            "authenticators": {
                "a": { "jwt": { "issuer": "*.a.net", "keys": "own", "algorithms": "ES256" } },
                "b": { "jwt": { "issuer": "https://id.example", "keys": "set" } },
            },
        });
        let hosts = Hosts::of(&conf);
        assert_eq!(hosts.issuers.get("a"), Some(&("bench.a.net".to_owned(), Algorithm::Es256)));
        assert_eq!((hosts.issuers.len(), hosts.is_empty()), (1, false), "a key set is served by the issuer of all");
        assert!(Hosts::of(&json!({ "authenticators": {} })).is_empty());
    }
}
