//! Gigya on the tour: an app that gets users and no Gigya, and an API whose secrets lie in the proxy alone.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::demo::credentials::{hmac_sha1, server_key};
use crate::demo::systems::gigya::DemoGigya;
use crate::demo::tour::caller::{Caller, Request};
use crate::demo::tour::contract::{Show, Stumble, Vendor};
use crate::demo::tour::form::{ANYTHING, NUMBER, TEXT};
use crate::demo::tour::ground::{ANY_PORT, Backend, Fitted, Ground};
use crate::demo::tour::late::LateClock;
use crate::demo::tour::step::{Fresh, Position, Step};
use crate::demo::upstream::DemoUpstream;
use crate::domain::{Clock, Reason, Seconds, Timestamp};
use crate::jose::mint::MintFault;

const CONF: &str = include_str!("../../../conf/systems/gigya.yaml");

/// Longer than an id token lives, and than a store of nonces needs to be sure of itself.
const BEHIND: Seconds = Seconds(600);

/// What servers of the site believe to ask, and therefore sign.
const PUBLIC: &str = "https://accounts.example";
const APP: &str = "app.example";
const API: &str = "accounts.example";
const SIGNER: &str = "signer.example";
const ME: &str = "me.example";
const INFO: &str = "accounts.getAccountInfo";

struct Gigya {
    stand: DemoGigya,
    backend: Backend,
    secret: String,
    user_secret: String,
}

/// Sets the stage.
///
/// # Errors
///
/// A server cannot be started, a key not made, or the conf not be fitted.
pub async fn set(ground: &Ground) -> Result<Show, Stumble> {
    let clock = ground.late(BEHIND);
    let (secret, user_secret) = (DemoGigya::fresh_secret(&*ground.random), DemoGigya::fresh_secret(&*ground.random));
    let stand = DemoGigya::start(ANY_PORT, Arc::clone(&clock) as Arc<dyn Clock>, &secret, &user_secret).await?;
    stand.call_it(PUBLIC);
    let app = DemoUpstream::start(ANY_PORT).await?;
    let backend = Backend::new("shop", ground);
    let conf = Fitted::new(CONF, &app)?
        // What is signed stays as it is shipped.
        .put("base: https://accounts.us1.gigya.com", &format!("base: {PUBLIC}"))?
        .put("https://accounts.us1.gigya.com", &stand.origin())?
        .text();
    let mut files = vec![
        ("keys/demo-ticket-current.key", ground.secret()),
        ("keys/demo-gigya-secret.txt", secret.clone()),
        ("keys/demo-gigya-user-secret.txt", user_secret.clone()),
    ];
    files.extend(backend.files()?);
    let vendor = Box::new(Gigya { stand, backend, secret, user_secret });
    Ok(Show { name: "gigya", title: "Gigya (SAP Customer Data Cloud)", conf, files, clock, app, vendor })
}

#[async_trait]
impl Vendor for Gigya {
    fn origin(&self) -> String {
        self.stand.origin()
    }

    fn visits(&self) -> usize {
        self.stand.called().len()
    }

    fn renewals(&self) -> usize {
        self.stand.called().iter().filter(|called| called.method == "accounts.getJWT" && called.error_code == 0).count()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.secret.clone(), self.user_secret.clone()]
    }

    async fn steps(&self, caller: &Caller, clock: &LateClock) -> Result<Vec<Step>, Stumble> {
        // A page that has logged in, and whose id token will have run out.
        let old_session = session(caller).await?;
        let old_end = clock.now();
        clock.catch_up();
        let now = clock.now();
        let session = session(caller).await?;
        let token = |claims: Value| self.stand.id_token(&claims);
        let own = token(json!({ "sub": DemoGigya::UID, "apiKey": DemoGigya::API_KEY }))?;
        let foreign = token(json!({ "sub": DemoGigya::UID, "iss": "https://fidm.gigya.com/jwt/3_other/" }))?;
        let login = self.stand.log_in(DemoGigya::UID, 3_600);

        let api = |token: &str| Request::get(APP, "/api/me").bearer(token);
        let info = |cookie: &str| Request::get(ME, &format!("/{INFO}")).cookie(cookie);
        let signed = |nonce: &str| self.signed(now, nonce);
        let forged = self.signed(now, "demo-2")?;
        let forged = Request { body: forged.body.map(|body| body.replace("UID=_guid_anna", "UID=_guid_berta")), ..forged };
        let key = server_key(self.backend.id, &self.backend.secret);
        let account = fine(json!({ "UID": DemoGigya::UID, "profile": ANYTHING }));
        Ok(vec![
            Step::app("jwt", "an id token of this site", api(&own), DemoGigya::UID),
            Step::refused(
                Position::App,
                "jwt",
                "an id token of another site, under the same key",
                api(&foreign),
                Reason::IssuerMismatch,
                refusal(403_025),
            ),
            Step::refused(
                Position::App,
                "gigya_session",
                "a login whose signed end is over",
                self.visit(&login, old_end)?,
                Reason::Expired,
                refusal(403_011),
            ),
            Step::app(
                "gigya_session",
                "a login whose end the site has signed: slid on",
                self.visit(&login, now.plus(Seconds(300)))?,
                &login,
            )
            .unnamed()
            .brings(Fresh::Field("set-cookie", "gltexp_3_demo-site=")),
            Step::api("gigya_request", "a call that a server of the site has signed", signed("demo-1")?, account.clone()),
            Step::api(
                "server_key",
                "a back end that holds no secret has its call signed",
                Request::form(SIGNER, &format!("/{INFO}"), &[("UID", DemoGigya::UID)]).credential("Server-Key", "", &key),
                account.clone(),
            ),
            Step::refused(Position::Api, "gigya_request", "the same nonce again", signed("demo-1")?, Reason::Replayed, refusal(403_004)),
            Step::refused(
                Position::Api,
                "gigya_request",
                "another user under that signature",
                forged,
                Reason::SignatureInvalid,
                refusal(403_003),
            ),
            Step::api("session", "a page that holds a session, no token", info(&session), account.clone()),
            Step::api("session", "a session whose id token has run out: fetched anew", info(&old_session), account).renewed(),
        ])
    }
}

impl Gigya {
    /// A page of the site with the login `token`, whose end is signed.
    fn visit(&self, token: &str, end: Timestamp) -> Result<Request, Stumble> {
        let signature = sign(&self.secret, &format!("{token}_{end}"))?;
        let key = DemoGigya::API_KEY;
        Ok(Request::get(APP, "/visit/1").credential("Cookie", "", &format!("glt_{key}={token}; gltexp_{key}={end}_{signature}")))
    }

    /// A call that a server of the site signs under its user key.
    fn signed(&self, time: Timestamp, nonce: &str) -> Result<Request, Stumble> {
        const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let time = time.to_string();
        // In the order of their names, as they are signed.
        let pairs = [
            ("UID", DemoGigya::UID),
            ("apiKey", DemoGigya::API_KEY),
            ("nonce", nonce),
            ("timestamp", &time),
            ("userKey", DemoGigya::USER_KEY),
        ];
        let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let base = format!("POST&{}&{}", encode(&format!("{PUBLIC}/{INFO}")), encode(&joined.join("&")));
        let signature = sign(&self.user_secret, &base)?;
        let pairs: Vec<(&str, &str)> = pairs.into_iter().chain([("sig", signature.as_str())]).collect();
        Ok(Request::form(API, &format!("/{INFO}"), &pairs))
    }
}

/// A page logs in: the cookie that it gets.
async fn session(caller: &Caller) -> Result<String, Stumble> {
    let (name, password) = DemoGigya::LOGIN;
    let login = Request::form(ME, "/accounts.login", &[("loginID", name), ("password", password)]);
    caller.send(&login).await?.cookie("__Host-account")
}

/// A signature under a secret as the console shows it.
fn sign(secret: &str, text: &str) -> Result<String, MintFault> {
    let key = STANDARD.decode(secret).map_err(|_| MintFault::Library)?;
    hmac_sha1(&key, text).ok_or(MintFault::Library)
}

/// The vendor's envelope of a success, with these members beside its own.
fn fine(data: Value) -> Value {
    let mut form = json!({ "callId": TEXT, "errorCode": 0, "apiVersion": NUMBER, "statusCode": 200, "time": TEXT });
    if let (Some(form), Value::Object(data)) = (form.as_object_mut(), data) {
        form.extend(data);
    }
    form
}

/// Our envelope of a refusal, which comes with HTTP 200.
fn refusal(code: u64) -> Value {
    json!({
        "callId": TEXT, "errorCode": code, "errorMessage": TEXT, "errorDetails": TEXT, "apiVersion": NUMBER,
        "statusCode": code / 1_000, "statusReason": TEXT, "time": TEXT,
    })
}
