//! A proxy that runs already under load: what is sent comes from a file, or is signed with keys that were handed in.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use tokio::runtime::Runtime;
use url::Url;

use crate::ambient::{self, SystemRandom};
use crate::cli::Failure;
use crate::cli::bench::here::{described, read};
use crate::cli::bench::{Bench, Lanes, Stage};
use crate::jose::mint::SigningKey;
use crate::loadtest::credentials::prepared;
use crate::loadtest::driver::connection::Marker;
use crate::loadtest::driver::run::Range;
use crate::loadtest::fresh::keyring::{Holder, Keyring, Signer};
use crate::loadtest::fresh::lanes::{Means, bare};
use crate::loadtest::fresh::rewrite::plain;
use crate::loadtest::fresh::upstream::LoadUpstream;
use crate::loadtest::target::{Remote, Target};

/// Finds the proxy and makes what is sent to it.
pub(super) fn stage(bench: &Bench, url: &Url, load: &Runtime) -> Result<Stage, Failure> {
    if bench.credentials.is_none() && bench.signing_key.is_empty() {
        return Err(Failure::new("with --url say what to present: --credentials FILE, or --signing-key NAME=PEM and --conf FILE"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let found = load.block_on(tokio::net::lookup_host((host.as_str(), port)));
    let resolved: Vec<SocketAddr> = found.map_err(|error| Failure::new(format!("cannot find `{host}`: {error}")))?.collect();
    let remote = if bench.yes_remote { Remote::Permitted } else { Remote::Refused };
    let target = Target::of(url, &resolved, remote).map_err(Failure::new)?;
    let ca = bench.ca.as_deref().map(|path| file(path, 1 << 20)).transpose()?;
    if (url.scheme() == "https") != ca.is_some() {
        return Err(Failure::new(
            "an https:// proxy is trusted by the certificate of its authority, and no other: name both, or --url http://... without --ca",
        ));
    }
    let target = target.speaking(bench.http2, ca.as_deref()).map_err(Failure::new)?;

    let mut lanes = Vec::new();
    let mut left_out = Vec::new();
    if let Some(path) = &bench.credentials {
        let text = file(path, 1 << 30)?;
        lanes =
            prepared::lanes(&text, &bench.mix, &target.authority).map_err(|why| Failure::new(format!("`{}`: {why}", path.display())))?;
    }
    let mut conf = Vec::new();
    if let Some(path) = &bench.conf {
        let document = read(path)?;
        let tree = plain(&document.root);
        conf = described(&tree, path);
        if !bench.signing_key.is_empty() {
            let means = Means {
                keyring: keyring(bench)?,
                issuer: None,
                scopes: crate::loadtest::fresh::sections::scopes_of(&tree),
                claims: bench.claims(),
                callers: usize::try_from(bench.callers).unwrap_or(1),
                mix: bench.mix,
                authority: target.authority.clone(),
                headers: bench.header.clone(),
                random: Arc::new(SystemRandom),
            };
            let made = Lanes::of(&tree, &means, &bench.rule);
            lanes.extend(made.lanes);
            left_out = made.left_out;
        }
    }
    conf.push(("protocol".to_owned(), target.protocol()));
    bench.ready(&lanes, &left_out)?;
    let bare = bench.bare.as_deref().map(|path| bare(Some(path), &target.authority)).transpose().map_err(Failure::new)?;
    let service = bench.service.map(|address| service(bench, address, load)).transpose()?;
    let marker = match (&service, &bench.marker) {
        (Some(service), _) => Some(service.marker().clone()),
        (None, Some((name, value))) => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Failure::new("the name of --marker is none of a field"))?;
            let value = HeaderValue::from_str(value).map_err(|_| Failure::new("the value of --marker is none of a field"))?;
            Some(Marker { name, value })
        }
        (None, None) => None,
    };
    let range = Arc::new(Range { target, lanes, bare, marker });
    Ok(Stage { range, left_out, notes: Vec::new(), subject: url.to_string(), conf, here: None, _service: service })
}

/// The service behind, on the threads that send the load.
fn service(bench: &Bench, address: SocketAddr, load: &Runtime) -> Result<LoadUpstream, Failure> {
    let bytes = usize::try_from(bench.body).unwrap_or(0);
    load.block_on(LoadUpstream::start(address, bytes, &SystemRandom))
        .map_err(|error| Failure::new(format!("cannot be the service behind at {address}: {error}")))
}

/// The keys that were handed in, by the name of an authenticator or a key store.
fn keyring(bench: &Bench) -> Result<Keyring, Failure> {
    let mut keyring = Keyring::default();
    for (name, path) in &bench.signing_key {
        let pem = file(path, 64 * 1024)?;
        let key = SigningKey::from_pem(&pem, None).map_err(|fault| Failure::new(format!("`{}`: {fault}", path.display())))?;
        keyring.hold(name, Holder::Signers(vec![(key.algorithm(), Signer::Key(Arc::new(key)))]));
    }
    Ok(keyring)
}

fn file(path: &Path, limit: u64) -> Result<String, Failure> {
    let bytes = ambient::read_file(path, limit).map_err(|why| Failure::new(format!("cannot read `{}`: {why}", path.display())))?;
    String::from_utf8(bytes).map_err(|_| Failure::new(format!("`{}` is not text", path.display())))
}
