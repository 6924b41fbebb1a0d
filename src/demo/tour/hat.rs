//! HATs on the tour: an app that people use with a personal data server of their own, and a HAT behind the proxy.
//!
//! HATs are asked for their keys over TLS, under their own names; the demo's are on loopback, with a certificate of a moment ago.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::demo::certificate::Certificate;
use crate::demo::stand::Stand;
use crate::demo::systems::hat::Hats;
use crate::demo::tour::caller::{Caller, Request};
use crate::demo::tour::contract::{Show, Stumble, Vendor};
use crate::demo::tour::ground::{ANY_PORT, Fitted, Ground};
use crate::demo::tour::late::LateClock;
use crate::demo::tour::step::{Fresh, Position, Step};
use crate::demo::upstream::DemoUpstream;
use crate::domain::{Clock, Reason, Seconds};

const CONF: &str = include_str!("../../../conf/systems/hat.yaml");

/// Most of the three days that a token may idle, and [`SETTLED`].
const BEHIND: Seconds = Seconds(61 * 3_600 + SETTLED.0);
/// What was made before a store began to remember, it cannot say to be unspent; nor what a clock that is ahead may have dated later.
const SETTLED: Seconds = Seconds(100);

/// Ada's HAT.
const ADA: &str = "ada.hubat.net";
/// Bob's.
const BOB: &str = "bob.hubat.net";
const VALIDATE: &str = "/users/access_token/validate";
const NOTES: &str = "/api/v2.6/data/my-app/notes";

struct Farm {
    hats: Hats,
    /// As the world asks them. They stop when this is dropped.
    _known: Stand,
    /// As the proxy has one behind itself.
    behind: Stand,
}

/// Sets the stage.
///
/// # Errors
///
/// A server cannot be started, a key or certificate not made, or the conf not be fitted.
pub async fn set(ground: &Ground) -> Result<Show, Stumble> {
    let clock = ground.late(BEHIND);
    let hats = Hats::new(&[ADA, BOB], Arc::clone(&clock) as Arc<dyn Clock>)?;
    hats.set_up("my-app", &["facebook"]);
    hats.set_up("facebook", &[]);
    let certificate = Certificate::fresh(&[ADA, BOB])?;
    let known = hats.listen_tls(ANY_PORT, certificate.config).await?;
    let behind = hats.listen(ANY_PORT).await?;
    let app = DemoUpstream::start(ANY_PORT).await?;
    let outbound =
        format!("state: {{ memory: {{}} }}\noutbound: {{ ca: ca.pem, resolve: {{ {ADA}: '{0}', {BOB}: '{0}' }} }}", known.address());
    let conf = Fitted::new(CONF, &app)?.put("http://127.0.0.1:9100", &behind.origin())?.put("state: { memory: {} }", &outbound)?.text();
    let files = vec![("keys/demo-ticket-current.key", ground.secret()), ("ca.pem", certificate.pem)];
    let vendor = Box::new(Farm { hats, _known: known, behind });
    Ok(Show { name: "hat", title: "HAT (Dataswift)", conf, files, clock, app, vendor })
}

#[async_trait]
impl Vendor for Farm {
    fn origin(&self) -> String {
        self.behind.origin()
    }

    fn visits(&self) -> usize {
        self.hats.visits()
    }

    /// A HAT is asked whether a token is good, and answers with the next one.
    fn renewals(&self) -> usize {
        self.hats.asked(VALIDATE)
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    async fn steps(&self, caller: &Caller, clock: &LateClock) -> Result<Vec<Step>, Stumble> {
        clock.pass(SETTLED);
        // A browser that logged in two and a half days ago, and an owner's token of that day.
        let session = self.session(caller).await?;
        let old_owner = self.hats.owner(ADA)?;
        clock.catch_up();
        let own = self.hats.application(ADA, "my-app", "1.2.7")?;
        let (plug, other) = (self.hats.application(ADA, "facebook", "1.0.0")?, self.hats.application(BOB, "my-app", "1.2.7")?);

        let notes = |token: &str| Request::get(ADA, "/app/notes").credential("X-Auth-Token", "", token);
        let api = |target: &str, token: &str| Request::get(ADA, target).credential("X-Auth-Token", "", token);
        let refusal = json!({ "error": "Not Authenticated", "message": "Not Authenticated" });
        Ok(vec![
            Step::app("hat", "the application's token: the app is told whose HAT it is", notes(&own), ADA),
            Step::refused(
                Position::App,
                "hat",
                "the token of another application",
                notes(&plug),
                Reason::AudienceMismatch,
                refusal.clone(),
            )
            .status(401),
            Step::app(
                "session",
                "a browser whose token has nearly idled away: slid on",
                Request::get("app.example", "/home/notes").cookie(&session),
                ADA,
            )
            .renewed(),
            Step::api("hat", "an application reads what is its own", api(NOTES, &own), json!([])),
            Step::refused(
                Position::Api,
                "hat",
                "two tokens that disagree",
                api(&format!("{NOTES}?X-Auth-Token={other}"), &own),
                Reason::CredentialConflict,
                json!({ "error": "Bad Request", "message": "More than one token" }),
            )
            .status(400),
            Step::refused(
                Position::Api,
                "hat",
                "an application does what only an owner may",
                api("/users/application_token?name=x&resource=https://app.example", &own),
                Reason::ClaimMissing,
                refusal,
            )
            .status(401),
            Step::api(
                "hat",
                "an owner's token: the next one comes with the reply",
                api(VALIDATE, &old_owner),
                json!({ "message": "Authenticated" }),
            )
            .renewed()
            .brings(Fresh::Field("x-auth-token", "")),
        ])
    }
}

impl Farm {
    /// Ada logs in with her browser: the cookie of her session, in which the application's token is.
    async fn session(&self, caller: &Caller) -> Result<String, Stumble> {
        let site = "app.example";
        let begun = caller.send(&Request::get(site, &format!("/login?hat={ADA}"))).await?;
        let login = begun.cookie("__Host-hat-login")?;
        let token = self.hats.application(ADA, "my-app", "1.2.7")?;
        let arrived = Request::get(site, &format!("/callback?token={token}")).credential("Cookie", "", &login);
        caller.send(&arrived).await?.cookie("__Host-session")
    }
}
