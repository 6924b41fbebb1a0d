//! `mint gigya`: a user id signed with a partner secret.
//!
//! Rules: Gigya's `UIDSignature`, HMAC-SHA1 over `timestamp_UID` with the base64-decoded partner secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use crate::ambient::WallClock;
use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure, print_json};
use crate::domain::Clock;

/// Signs a user id with a Gigya partner secret.
#[derive(Debug, clap::Args)]
pub struct MintGigya {
    /// Where the partner secret is, in base64 as Gigya shows it.
    #[arg(long, value_name = FORM)]
    secret: SecretSource,
    /// The user id.
    #[arg(long)]
    uid: String,
    /// Sign as a site does (`siteUID`, `UIDSig`, `UIDTimestamp`) rather than as Gigya does.
    #[arg(long)]
    site: bool,
    /// The moment it is signed for, in seconds since 1970. Default: now.
    #[arg(long, value_name = "SECONDS")]
    at: Option<i64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl MintGigya {
    pub(super) fn run(&self) -> Done {
        let at = self.at.unwrap_or_else(|| WallClock.now().0);
        let signature = signature(&self.secret.read_text()?, at, &self.uid)?;
        let [uid, signed, when] =
            if self.site { ["siteUID", "UIDSig", "UIDTimestamp"] } else { ["UID", "UIDSignature", "signatureTimestamp"] };
        if self.json {
            print_json(&json!({ uid: self.uid, signed: signature, when: at.to_string() }));
        } else {
            let mut query = form_urlencoded::Serializer::new(String::new());
            println!("{}", query.append_pair(uid, &self.uid).append_pair(signed, &signature).append_pair(when, &at.to_string()).finish());
        }
        Ok(())
    }
}

/// The signature over `at_uid`, in base64.
fn signature(secret: &str, at: i64, uid: &str) -> Result<String, Failure> {
    let secret = STANDARD.decode(secret).map_err(|_| Failure::new("the partner secret is not base64"))?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&secret).map_err(|_| Failure::new("the partner secret is not a key"))?;
    mac.update(format!("{at}_{uid}").as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn it_signs_the_moment_and_the_id() {
        // openssl: printf '1700000000_anna' | openssl dgst -sha1 -mac HMAC -macopt hexkey:73656372657431 -binary | base64
        assert_eq!(signature("c2VjcmV0MQ==", 1_700_000_000, "anna").unwrap(), "i8HBCz2Rc9GXYKwiliStbxZpJG8=");
        assert!(signature("not base64", 1, "anna").is_err(), "the secret is base64, or it is not one");
    }
}
