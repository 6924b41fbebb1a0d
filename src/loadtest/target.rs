//! Where the load goes: by default to this machine only.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

/// A proxy under load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where its connections go.
    pub address: SocketAddr,
    /// What `Host` says, unless a request says something else.
    pub authority: String,
}

impl Target {
    /// A proxy on this machine.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, authority: address.to_string() }
    }

    /// The proxy at `url`, whose host `resolved` stands for; it must be on loopback unless `remote` is permitted.
    ///
    /// # Errors
    ///
    /// A sentence: not a plain `http` URL, no address, or not on loopback.
    pub fn of(url: &Url, resolved: &[SocketAddr], remote: Remote) -> Result<Self, String> {
        if url.scheme() != "http" {
            return Err(format!("`{url}`: the load is sent in plaintext HTTP/1.1; name an http:// listener of the proxy"));
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
        Ok(Self { address, authority })
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
            ("https://127.0.0.1", vec!["127.0.0.1:443"], Remote::Refused, Err("plaintext"), "TLS is not spoken"),
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
