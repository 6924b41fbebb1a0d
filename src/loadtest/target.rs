//! Where the load goes, and in which protocol: by default to this machine only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// A proxy under load.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where its connections go.
    pub address: SocketAddr,
    /// What `Host` says, unless a request says something else.
    pub authority: String,
    /// How it is spoken to over TLS; in plaintext without.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken, and not HTTP/1.1.
    pub http2: bool,
}

/// What a connection over TLS is set up with.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whom it trusts, and which protocols it offers.
    pub config: Arc<ClientConfig>,
    /// Whom it asks for.
    pub name: ServerName<'static>,
}

impl Target {
    /// A proxy on this machine.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, authority: address.to_string(), tls: None, http2: false }
    }

    /// The same, spoken to in HTTP/2 if `http2` says so, and over TLS where there is a certificate (or authority) `ca` to trust, as PEM.
    ///
    /// # Errors
    ///
    /// A sentence: there is no certificate in `ca`, or the TLS library does not take it.
    pub fn speaking(self, http2: bool, ca: Option<&str>) -> Result<Self, String> {
        let Some(ca) = ca else { return Ok(Self { http2, ..self }) };
        let host = self.authority.parse::<http::uri::Authority>().map_err(|_| "the proxy has no host to ask for")?;
        let name = ServerName::try_from(host.host().trim_matches(['[', ']']).to_owned()).map_err(|_| "the proxy's host is no name")?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            let certificate = certificate.map_err(|_| "a certificate to trust is no PEM")?;
            roots.add(certificate).map_err(|fault| format!("a certificate cannot be trusted: {fault}"))?;
        }
        if roots.is_empty() {
            return Err("there is no certificate to trust".to_owned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
        let mut config = config.map_err(|fault| fault.to_string())?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        Ok(Self { http2, tls: Some(Tls { config: Arc::new(config), name }), ..self })
    }

    /// The protocol, in words.
    #[must_use]
    pub fn protocol(&self) -> String {
        let version = if self.http2 { "HTTP/2" } else { "HTTP/1.1" };
        let carrier = if self.tls.is_some() { "over TLS" } else { "in plaintext" };
        format!("{version} {carrier}, one request at a time on each connection")
    }

    /// The proxy at `url`, whose host `resolved` stands for; it must be on loopback unless `remote` is permitted. Over TLS it is spoken to
    /// only by [`Self::speaking`].
    ///
    /// # Errors
    ///
    /// A sentence: not a plain `http` or `https` URL, no address, or not on loopback.
    pub fn of(url: &Url, resolved: &[SocketAddr], remote: Remote) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{url}`: the load is sent in HTTP; name an http:// or https:// listener of the proxy"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || !matches!(url.path(), "" | "/") {
            return Err("name the proxy by scheme, host and port alone, such as http://127.0.0.1:8080".to_owned());
        }
        let address = *resolved.first().ok_or_else(|| format!("`{url}` has no address"))?;
        // Every address, not only the one that is used: a name that is loopback today may be another machine in a minute.
        if remote == Remote::Refused && !resolved.iter().all(|address| is_loopback(address.ip())) {
            return Err(format!(
                "`{url}` is not on this machine; a load test of a machine that is not yours is an attack: say --yes-remote if it is"
            ));
        }
        let host = url.host().map(|host| match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => format!("[{ip}]"),
        });
        let host = host.ok_or_else(|| format!("`{url}` has no host"))?;
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self { address, authority, tls: None, http2: false })
    }
}

/// Whether another machine may be put under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// Only this one.
    Refused,
    /// Somebody has said so.
    Permitted,
}

fn is_loopback(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use url::Url;

    use super::{Remote, Target};

    #[test]
    fn whom_to_trust_is_said_by_a_certificate_or_nothing_is_sent() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let target = || Target::at(([127, 0, 0, 1], 8_443).into());
        let pem = made.cert.pem();
        for (http2, offered) in [(true, &b"h2"[..]), (false, b"http/1.1")] {
            let tls = target().speaking(http2, Some(&pem)).unwrap().tls.unwrap();
            assert_eq!(tls.config.alpn_protocols, [offered], "one protocol is offered, so that no other is measured");
        }
        for (pem, part) in [("", "no certificate"), ("nothing", "no certificate"), (&pem.replace("MII", "!!!"), "")] {
            let fault = target().speaking(false, Some(pem)).err().unwrap();
            assert!(fault.contains(part), "{fault}");
        }
        let plain = target().speaking(true, None).unwrap();
        assert!(plain.tls.is_none() && plain.http2, "in plaintext without one");
    }

    #[test]
    fn load_goes_to_this_machine_unless_somebody_says_otherwise() {
        let cases = [
            // url, addresses, permitted, authority or part of the reason, what the row shows
            ("http://127.0.0.1:8080", vec!["127.0.0.1:8080"], Remote::Refused, Ok("127.0.0.1:8080"), "this machine"),
            ("http://[::1]:8080/", vec!["[::1]:8080"], Remote::Refused, Ok("[::1]:8080"), "and by its other address"),
            ("http://localhost", vec!["127.0.0.1:80"], Remote::Refused, Ok("localhost"), "a default port is left out"),
            ("http://proxy.example", vec!["192.0.2.1:80"], Remote::Refused, Err("--yes-remote"), "another machine"),
            ("http://proxy.example", vec!["192.0.2.1:80"], Remote::Permitted, Ok("proxy.example"), "which somebody permitted"),
            ("http://both.example", vec!["127.0.0.1:80", "192.0.2.1:80"], Remote::Refused, Err("--yes-remote"), "one address of two"),
            ("http://0.0.0.0:80", vec!["0.0.0.0:80"], Remote::Refused, Err("--yes-remote"), "no address in particular"),
            ("https://127.0.0.1", vec!["127.0.0.1:443"], Remote::Refused, Ok("127.0.0.1"), "TLS, at its own port"),
            ("ftp://127.0.0.1", vec!["127.0.0.1:21"], Remote::Refused, Err("in HTTP"), "another protocol"),
            ("http://a:b@127.0.0.1", vec!["127.0.0.1:80"], Remote::Refused, Err("alone"), "a secret in a URL"),
            ("http://127.0.0.1/api", vec!["127.0.0.1:80"], Remote::Refused, Err("alone"), "a path"),
            ("http://nowhere.example", vec![], Remote::Permitted, Err("no address"), "nowhere"),
        ];
        for (url, addresses, remote, expected, shows) in cases {
            let url = Url::parse(url).unwrap();
            let resolved: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            match (Target::of(&url, &resolved, remote), expected) {
                (Ok(target), Ok(authority)) => assert_eq!(target.authority, authority, "{shows}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{shows}: {why}"),
                (other, _) => panic!("{shows}: {other:?}"),
            }
        }
    }
}
