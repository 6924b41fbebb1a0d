//! `serve: hat.publickey`: the public key of an issuer of HAT tokens, where its clients look for it (`GET /publickey`).
//!
//! A HAT's token names no key, so whoever proves one asks the HAT that it names; a client asks as well, to see whether such a HAT is
//! there. Before an API that signs such tokens and serves no key itself, this is that key. A rule is for the hosts that it names, so
//! other issuers' keys are at other rules.
//!
//! Never here: a private key, which nobody needs to publish the public one; a key of another kind than HATs have (RS256).
//!
//! Source: HAT 2.0, `GET /publickey`; RFC 7468 section 13.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use crate::domain::Refusal;
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::jose::algorithm::Algorithm;
use crate::jose::key::VerifyingKey;
use crate::jose::pem;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "hat.publickey",
    doc: "The public key of an issuer of HAT tokens, as PEM text.",
    shape: Shape::Section(&SETTINGS),
    methods: &["GET", "HEAD"],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `hat.publickey`",
    doc: "The public key of an issuer of HAT tokens, where its clients look for it: at `/publickey` of the host that tokens name as `iss`.",
    keys: &[KeySpec::required(
        "file",
        Shape::File,
        "PEM with one public RSA key (`PUBLIC KEY`), the one that proves the issuer's tokens. Read again on reload.",
    )],
};

/// The settings, proven.
#[derive(Debug)]
struct PublicKeyPlan {
    /// The key as it is handed out.
    text: Bytes,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let Some(node) = settings else {
        checking.faults.error(at, "say which key: `{ hat.publickey: { file: PATH } }`");
        return None;
    };
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let path = section.text("file")?;
    match checking.material.file(path).and_then(|content| read(content).map_err(|why| format!("`{path}`: {why}"))) {
        Ok(text) => Some(Box::new(PublicKeyPlan { text })),
        Err(says) => {
            checking.faults.error(section.span_of("file"), says);
            None
        }
    }
}

/// The key in `content`, written anew: what stands around it in the file is not handed out.
fn read(content: &[u8]) -> Result<Bytes, &'static str> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not PEM text")?;
    let blocks = pem::blocks(text)?;
    let [block] = blocks.as_slice() else { return Err("there is not exactly one key in this PEM text") };
    let key = VerifyingKey::from_der(block.label, &block.der, Some(Algorithm::Rs256))?;
    if block.label != "PUBLIC KEY" || !key.permits(Algorithm::Rs256) {
        return Err("HATs sign with RSA; write the issuer's public RSA key as `PUBLIC KEY`");
    }
    Ok(Bytes::from(pem::write("PUBLIC KEY", &block.der).as_bytes().to_vec()))
}

impl ServicePlan for PublicKeyPlan {
    fn remembers(&self) -> bool {
        false
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, _tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(PublicKey(self.text.clone())))
    }
}

/// Hands the key out.
struct PublicKey(Bytes);

#[async_trait]
impl Service for PublicKey {
    async fn serve(&self, _call: &Call<'_>) -> Result<Reply, Refusal> {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            // Not longer than it takes those who prove to ask again when a signature does not match.
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        ];
        Ok(Reply { status: 200, headers, body: self.0.clone(), guessed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::jose::algorithm::Algorithm;
    use crate::jose::mint::SigningKey;

    #[test]
    fn one_public_rsa_key_is_handed_out_and_nothing_that_stands_around_it() {
        let key = |algorithm| SigningKey::generate(algorithm).unwrap();
        let (rsa, other, elliptic) = (key(Algorithm::Rs256), key(Algorithm::Rs256), key(Algorithm::Es256));
        let good = rsa.public_pem().unwrap();
        let private = String::from_utf8(rsa.private_pem().unwrap().expose().to_vec()).unwrap();
        assert_eq!(read(good.as_bytes()).unwrap(), good, "as it was written");
        assert_eq!(read(format!("the key of ada\n{good}\n").as_bytes()).unwrap_or_default(), good, "without what is said about it");
        let rows = [
            (String::new(), "nothing"),
            ("key".to_owned(), "no PEM"),
            (good.replace("-----END PUBLIC KEY-----", ""), "cut short"),
            (format!("{good}{}", other.public_pem().unwrap()), "two of them"),
            (elliptic.public_pem().unwrap(), "a key of another kind"),
            (private.clone(), "a private key"),
            (format!("{good}{private}"), "even beside the public one"),
        ];
        for (text, shows) in rows {
            assert!(read(text.as_bytes()).is_err(), "{shows}");
        }
        assert!(read(b"\xff").is_err(), "no text");
    }
}
