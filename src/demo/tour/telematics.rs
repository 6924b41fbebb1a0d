//! The Telematics SDK on the tour: an app that its phones call, and a user API whose instance key stays in the proxy.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::demo::credentials::{claims, with};
use crate::demo::systems::telematics::DemoTelematics;
use crate::demo::tour::caller::{Caller, Request};
use crate::demo::tour::contract::{Show, Stumble, Vendor};
use crate::demo::tour::form::TEXT;
use crate::demo::tour::ground::{ANY_PORT, Backend, Fitted, Ground};
use crate::demo::tour::late::LateClock;
use crate::demo::tour::step::{Fresh, Position, Step};
use crate::demo::upstream::DemoUpstream;
use crate::domain::{Clock, Reason, Seconds};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::{MintFault, SigningKey};

const CONF: &str = include_str!("../../../conf/systems/telematics.yaml");

/// How long access tokens live.
const LIFE: Seconds = Seconds(600);
/// Longer than that, and shorter than a session may idle.
const BEHIND: Seconds = Seconds(960);

/// A user with a phone that holds its own pair.
const PHONE: &str = DemoTelematics::USER;
/// A user whose pair the proxy holds.
const DRIVER: &str = DemoTelematics::OTHER;

struct Telematics {
    stand: DemoTelematics,
    backend: Backend,
    accounts: SigningKey,
}

/// Sets the stage.
///
/// # Errors
///
/// A server cannot be started, a key not made, or the conf not be fitted.
pub async fn set(ground: &Ground) -> Result<Show, Stumble> {
    let clock = ground.late(BEHIND);
    let stand = DemoTelematics::start(ANY_PORT, Arc::clone(&clock) as Arc<dyn Clock>, LIFE).await?;
    let app = DemoUpstream::start(ANY_PORT).await?;
    let (backend, accounts) = (Backend::new("fleet", ground), SigningKey::generate(Algorithm::Es256)?);
    let conf = Fitted::new(CONF, &app)?
        .put("damoov: { pinned: { file: keys/demo-issuer.jwks.json } }", "damoov: { pinned: { file: keys/damoov.jwk } }")?
        .put("keys/demo-issuer.jwks.json", "keys/accounts.jwk")?
        .put("https://user.telematicssdk.com", &stand.origin())?
        .text();
    let mut files = vec![
        ("keys/demo-ticket-current.key", ground.secret()),
        ("keys/damoov.jwk", stand.public_jwk().ok_or(MintFault::Library)?.to_string()),
        ("keys/accounts.jwk", accounts.public_jwk().ok_or(MintFault::Library)?.to_string()),
        ("keys/demo-instance-key.txt", DemoTelematics::KEY.to_owned()),
    ];
    files.extend(backend.files()?);
    let vendor = Box::new(Telematics { stand, backend, accounts });
    Ok(Show { name: "telematics", title: "Telematics SDK (Damoov)", conf, files, clock, app, vendor })
}

#[async_trait]
impl Vendor for Telematics {
    fn origin(&self) -> String {
        self.stand.origin()
    }

    fn visits(&self) -> usize {
        self.stand.seen().len()
    }

    fn renewals(&self) -> usize {
        self.stand.asked().refreshed
    }

    fn secrets(&self) -> Vec<String> {
        vec![DemoTelematics::KEY.to_owned()]
    }

    async fn steps(&self, caller: &Caller, clock: &LateClock) -> Result<Vec<Step>, Stumble> {
        // A pair that will have run out in a phone, and one in a session.
        let (old_access, old_refresh) = self.stand.pair(PHONE, clock.now()).ok_or(MintFault::Library)?;
        let old_session = self.session(caller, DRIVER, clock).await?;
        clock.catch_up();
        let device = caller.send(&self.registration()).await?.text("/Result/DeviceToken")?;
        let (access, refresh) = self.stand.pair(&device, clock.now()).ok_or(MintFault::Library)?;
        let session = self.session(caller, &device, clock).await?;
        // And a pair that has ended where it counts, though not by the clock.
        let ending = caller.send(&self.registration()).await?.text("/Result/DeviceToken")?;
        let ended = self.session(caller, &ending, clock).await?;
        self.stand.end_access(&ending);

        let phone = |access: &str, refresh: &str| Request::get("", "/app/trips").bearer(access).credential("X-Refresh-Token", "", refresh);
        let trips = |device: &str| done(json!({ "DeviceToken": device, "Trips": [] }));
        let wrong = Request::post("", "/v1/Registration/create", "application/json", "{}");
        let wrong = wrong.field("InstanceId", self.backend.id).credential("InstanceKey", "", "guess");
        Ok(vec![
            Step::app("jwt", "a phone with an access token: the app is told whose", phone(&access, &refresh), &device),
            Step::refused(
                Position::App,
                "jwt",
                "a request about somebody else's device",
                phone(&access, &refresh).field("DeviceToken", PHONE),
                Reason::GuardRefused,
                refusal(403, json!([{ "Key": "DeviceToken", "Message": TEXT }])),
            )
            .status(403),
            Step::app("jwt", "a token that has run out, with what renews it", phone(&old_access, &old_refresh), PHONE)
                .renewed()
                .brings(Fresh::Field("x-renewed-access-token", "")),
            Step::api(
                "key_pair",
                "a back end registers a user, without the instance's key",
                self.registration(),
                done(json!({ "DeviceToken": TEXT })),
            ),
            Step::api("session", "trips, for a client that holds a session, no token", with_session(&session), trips(&device)),
            Step::refused(
                Position::Api,
                "key_pair",
                "a registration with a wrong key",
                wrong,
                Reason::SecretWrong,
                refusal(401, json!([{ "Key": TEXT, "Message": TEXT }])),
            )
            .status(401),
            Step::refused(
                Position::Api,
                "session",
                "trips, for nobody",
                Request::get("", "/trips"),
                Reason::CredentialMissing,
                refusal(401, json!([{ "Key": TEXT, "Message": TEXT }])),
            )
            .status(401),
            Step::api("session", "a session whose pair has run out", with_session(&old_session), trips(DRIVER)).renewed(),
            Step::api("session", "401 of the API: renewed, called again", with_session(&ended), trips(&ending)).renewed(),
        ])
    }
}

impl Telematics {
    /// As a back end registers a user.
    fn registration(&self) -> Request {
        let request = Request::post("", "/v1/Registration/create", "application/json", "{}").field("InstanceId", self.backend.id);
        request.credential("InstanceKey", "", &self.backend.secret)
    }

    /// The user of `device` logs in with the account that our own service gave them: the cookie that comes of it.
    async fn session(&self, caller: &Caller, device: &str, clock: &LateClock) -> Result<String, Stumble> {
        let claims = with(claims("https://id.example", clock.now()), "device_token", device);
        let account = self.accounts.sign_compact(&[], &claims)?;
        let login = json!({ "LoginFields": json!({ "Devicetoken": device }).to_string(), "Password": "" });
        let login = Request::post("", "/v1/Auth/Login", "application/json", login.to_string()).bearer(&account);
        caller.send(&login).await?.cookie("__Host-session")
    }
}

fn with_session(cookie: &str) -> Request {
    Request::get("", "/trips").credential("Cookie", "", cookie)
}

/// The envelope of a success.
fn done(result: Value) -> Value {
    json!({ "Result": result, "Status": 200, "Title": TEXT, "Errors": [] })
}

/// The envelope of a refusal.
fn refusal(status: u16, errors: Value) -> Value {
    json!({ "Status": status, "Title": TEXT, "Errors": errors })
}
