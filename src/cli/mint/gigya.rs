//! `mint gigya`: a user id signed with a partner secret.
//!
//! Rules: Gigya's `UIDSignature`, HMAC-SHA1 over `timestamp_UID` with the base64-decoded partner secret.

use serde_json::json;

use crate::ambient::WallClock;
use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure, print_json};
use crate::demo::credentials::gigya_signature;
use crate::domain::{Clock, Timestamp};

/// Signs a user id with a Gigya partner secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "Try it:\n  curl \"http://127.0.0.1:8080/profile?$(countersign mint gigya --secret env:GIGYA_SECRET --uid anna)\"")]
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
        let at = self.at.map_or_else(|| WallClock.now(), Timestamp);
        let signature = gigya_signature(&self.secret.read_text()?, at, &self.uid).map_err(Failure::new)?;
        let [uid, signed, when] =
            if self.site { ["siteUID", "UIDSig", "UIDTimestamp"] } else { ["UID", "UIDSignature", "signatureTimestamp"] };
        if self.json {
            print_json(&json!({ uid: self.uid, signed: signature, when: at.to_string() }));
        } else {
            let mut query = form_urlencoded::Serializer::new(String::new());
            say!("{}", query.append_pair(uid, &self.uid).append_pair(signed, &signature).append_pair(when, &at.to_string()).finish());
        }
        Ok(())
    }
}
