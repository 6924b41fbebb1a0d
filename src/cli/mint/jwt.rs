//! `mint jwt`: a JSON Web Token signed with a private key of yours.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::ambient::{self, WallClock};
use crate::cli::length::Length;
use crate::cli::mint::print_headers;
use crate::cli::{Done, Failure};
use crate::domain::{Clock, Seconds, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;

/// Signs a JSON Web Token with a private key.
///
/// The algorithm follows from the key; an RSA key signs RS256 unless told otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Try it:\n  \
        countersign keys generate es256 --out issuer.pem > issuer.pub       # the conf pins issuer.pub\n  \
        curl -H \"$(countersign mint jwt --signing-key issuer.pem --issuer https://id.example --audience app --subject anna)\" ...")]
pub struct MintJwt {
    /// The private key, PEM. `countersign keys generate` makes one.
    #[arg(long, value_name = "PEM")]
    signing_key: PathBuf,
    /// The algorithm, for a key that fits several: RS256, RS384, RS512, PS256, PS384, PS512.
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Option<Algorithm>,
    /// The `kid` of the header. Default: the key's thumbprint (RFC 7638).
    #[arg(long)]
    kid: Option<String>,
    /// `iss`.
    #[arg(long)]
    issuer: String,
    /// `sub`.
    #[arg(long)]
    subject: String,
    /// `aud`; more than once for several.
    #[arg(long)]
    audience: Vec<String>,
    /// `scope`, space-separated.
    #[arg(long)]
    scope: Option<String>,
    /// How long it is good: 30s, 5m, 1h, 2d.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    expires_in: Length,
    /// Make one that has run out this long ago, to see it refused.
    #[arg(long, value_name = "DURATION", conflicts_with = "expires_in")]
    expired_for: Option<Length>,
    /// Another claim; the value is JSON, or else text. More than once for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
    claim: Vec<(String, Value)>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl MintJwt {
    pub(super) fn run(&self) -> Done {
        let pem = ambient::read_file(&self.signing_key, 64 * 1024)
            .map_err(|why| Failure::new(format!("cannot read `{}`: {why}", self.signing_key.display())))?;
        let pem = String::from_utf8(pem).map_err(|_| Failure::new(format!("`{}` is not PEM text", self.signing_key.display())))?;
        let key = SigningKey::from_pem(&pem, self.algorithm).map_err(|fault| Failure::new(fault.to_string()))?;
        let key = match &self.kid {
            Some(kid) => key.with_kid(Some(kid)),
            None => key,
        };
        let claims = self.claims(WallClock.now());
        let token = key.sign_compact(&[], &claims).map_err(|fault| Failure::new(fault.to_string()))?;
        print_headers(&[("Authorization", format!("Bearer {token}"))], self.json);
        Ok(())
    }

    /// The claims, as of `now`.
    fn claims(&self, now: Timestamp) -> Value {
        let expires = match self.expired_for {
            None => now.plus(self.expires_in.seconds()),
            Some(past) => now.minus(past.seconds()),
        };
        let issued = now.min(expires.minus(Seconds(1)));
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.issuer));
        claims.insert("sub".to_owned(), json!(self.subject));
        match self.audience.as_slice() {
            [] => {}
            [one] => drop(claims.insert("aud".to_owned(), json!(one))),
            several => drop(claims.insert("aud".to_owned(), json!(several))),
        }
        if let Some(scope) = &self.scope {
            claims.insert("scope".to_owned(), json!(scope));
        }
        claims.insert("iat".to_owned(), json!(issued.0));
        claims.insert("exp".to_owned(), json!(expires.0));
        for (name, value) in &self.claim {
            claims.insert(name.clone(), value.clone());
        }
        Value::Object(claims)
    }
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::named(name).ok_or_else(|| {
        format!("there is no such algorithm; known: {}", Algorithm::ALL.iter().map(|known| known.name()).collect::<Vec<_>>().join(" "))
    })
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::MintJwt;
    use crate::domain::Timestamp;

    #[derive(Parser)]
    struct Wrapped {
        #[command(flatten)]
        mint: MintJwt,
    }

    fn claims(arguments: &[&str]) -> Option<Value> {
        let base = ["mint", "--signing-key", "x", "--issuer", "https://id.example", "--subject", "anna"];
        Some(Wrapped::try_parse_from(base.iter().chain(arguments)).ok()?.mint.claims(Timestamp(1_000_000)))
    }

    #[test]
    fn claims_are_what_the_arguments_say() {
        let cases = [
            // arguments, claim, value, what the row shows
            (vec![], "exp", Some(json!(1_000_300)), "five minutes by default"),
            (vec!["--expires-in", "1h"], "exp", Some(json!(1_003_600)), "as long as asked"),
            (vec!["--expired-for", "1m"], "exp", Some(json!(999_940)), "already over"),
            (vec!["--audience", "a"], "aud", Some(json!("a")), "one audience is text"),
            (vec!["--audience", "a", "--audience", "b"], "aud", Some(json!(["a", "b"])), "two are a list"),
            (vec!["--claim", "admin=true"], "admin", Some(json!(true)), "JSON is taken as JSON"),
            (vec!["--claim", "team=blue"], "team", Some(json!("blue")), "anything else as text"),
            (vec!["--claim", "exp=5"], "exp", Some(json!(5)), "even a registered claim, to try what is refused"),
            (vec!["--expires-in", "soon"], "exp", None, "no length of time"),
            (vec!["--claim", "team"], "team", None, "no value"),
        ];
        for (arguments, name, expected, shows) in cases {
            let actual = claims(&arguments).and_then(|claims| claims.get(name).cloned());
            assert_eq!(actual, expected, "{shows}");
        }
    }
}
