//! Janrain Capture on the tour: an app whose users log in through it, and Capture itself behind the proxy.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::demo::credentials::{hmac_sha1, server_key};
use crate::demo::systems::janrain::DemoJanrain;
use crate::demo::tour::caller::{Caller, Request};
use crate::demo::tour::contract::{Show, Stumble, Vendor};
use crate::demo::tour::form::{NUMBER, TEXT};
use crate::demo::tour::ground::{ANY_PORT, Fitted, Ground};
use crate::demo::tour::late::LateClock;
use crate::demo::tour::step::{Fresh, Position, Step};
use crate::demo::upstream::DemoUpstream;
use crate::domain::{Clock, Random, Reason, Seconds, Timestamp};
use crate::jose::mint::MintFault;

const CONF: &str = include_str!("../../../conf/systems/janrain.yaml");

/// How long access tokens live.
const LIFE: Seconds = Seconds(600);
/// Longer than that, and shorter than a session may idle.
const BEHIND: Seconds = Seconds(960);

const APP: &str = "app.example";
const API: &str = "capture.example";
/// The client of the app, which logs users in.
const CLIENT: &str = "demologinclientdemologinclient00";
/// A back end that reads.
const READER: &str = "demoreaderdemoreaderdemoreader00";
const REDIRECT: &str = "https://app.example/done";
/// A user, and her address.
const JANE: (&str, &str) = ("67890def-6789-4def-8789-67890defab67", "janedoe@example.com");
/// Another.
const JOHN: (&str, &str) = ("67890def-6789-4def-8789-67890defab68", "johndoe@example.com");

struct Janrain {
    stand: DemoJanrain,
    random: Arc<dyn Random>,
    secret: String,
    reader_secret: String,
}

/// Sets the stage.
///
/// # Errors
///
/// A server cannot be started, or the conf not be fitted.
pub async fn set(ground: &Ground) -> Result<Show, Stumble> {
    let clock = ground.late(BEHIND);
    let stand = DemoJanrain::start(ANY_PORT, Arc::clone(&clock) as Arc<dyn Clock>).await?;
    let app = DemoUpstream::start(ANY_PORT).await?;
    let (secret, reader_secret) = (ground.secret(), ground.secret());
    stand.life(LIFE);
    for (uuid, address) in [JANE, JOHN] {
        stand.user(address, uuid);
    }
    let clients = [(CLIENT, &secret, &["login_client", "access_issuer"][..]), (READER, &reader_secret, &["direct_read_access"][..])];
    let mut lines = String::new();
    for (id, secret, features) in clients {
        stand.client(id, secret, features);
        lines += &(json!({ "client_id": id, "secrets": [secret], "features": features }).to_string() + "\n");
    }
    let conf = Fitted::new(CONF, &app)?.put("https://my-app.janraincapture.com", &stand.origin())?.text();
    let files = vec![
        ("keys/demo-ticket-current.key", ground.secret()),
        ("keys/demo-janrain-secret.txt", secret.clone()),
        ("keys/demo-janrain-clients.jsonl", lines),
    ];
    let vendor = Box::new(Janrain { stand, random: Arc::clone(&ground.random), secret, reader_secret });
    Ok(Show { name: "janrain", title: "Janrain Capture (Akamai Identity Cloud)", conf, files, clock, app, vendor })
}

#[async_trait]
impl Vendor for Janrain {
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
        vec![self.secret.clone(), self.reader_secret.clone()]
    }

    async fn steps(&self, caller: &Caller, clock: &LateClock) -> Result<Vec<Step>, Stumble> {
        // A page whose session will hold a token that has run out.
        let old_session = self.session(caller, JANE.1).await?;
        clock.catch_up();
        let session = self.session(caller, JANE.1).await?;
        // And one that holds a token that has ended where it counts, though not by the clock.
        let ended = self.session(caller, JOHN.1).await?;
        self.stand.end_access(JOHN.0);
        let refresh = self.refresh_token(caller).await?;

        let page = |target: &str, cookie: &str| Request::get(APP, target).cookie(cookie);
        let user = |uuid: &str| json!({ "stat": "ok", "result": { "uuid": uuid } });
        let unseen =
            [("form", "socialRegistrationForm"), ("token", &*self.social(JANE.1)), ("emailAddress", JANE.1), ("displayName", "Jane")];
        let unseen = same_site(Request::form(APP, "/oauth/register_native", &unseen));
        let signed = self.signed(&self.reader_secret, clock.now())?;
        let guessed = self.signed("guess", clock.now())?;
        let spend = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let spend = Request::form(API, "/oauth/token", &spend).credential("Authorization", "Basic ", &server_key(CLIENT, &self.secret));
        let pair = json!({ "stat": "ok", "access_token": TEXT, "refresh_token": TEXT, "expires_in": NUMBER });
        Ok(vec![
            Step::app("session", "a user who has logged in: the app is told who", page("/home", &session), JANE.0),
            Step::api("session", "her record, with the token of her session", page("/entity", &session), user(JANE.0)).beside_the_app(),
            Step::refused(
                Position::App,
                "none",
                "a registration with a token nobody has logged in with",
                unseen,
                Reason::GuardRefused,
                with(refusal(200, "invalid_argument"), &json!({ "argument_name": "token" })),
            ),
            Step::refused(
                Position::App,
                "session",
                "her record, for nobody",
                Request::get(APP, "/entity"),
                Reason::CredentialMissing,
                refusal(402, "invalid_client_credentials"),
            ),
            Step::api("session", "a session whose token has run out", page("/entity", &old_session), user(JANE.0))
                .beside_the_app()
                .renewed(),
            Step::api("session", "414 in a 200 of Capture: renewed, called again", page("/entity", &ended), user(JOHN.0))
                .beside_the_app()
                .renewed(),
            Step::api(
                "janrain_signature",
                "a search that a client has signed",
                signed.clone(),
                json!({ "stat": "ok", "result": { "client": READER, "path": "/entity.find" } }),
            ),
            Step::refused(
                Position::Api,
                "janrain_signature",
                "the same signature again",
                signed,
                Reason::Replayed,
                refusal(402, "invalid_client_credentials"),
            ),
            Step::refused(
                Position::Api,
                "janrain_signature",
                "signed with another secret",
                guessed,
                Reason::SignatureInvalid,
                refusal(402, "invalid_client_credentials"),
            ),
            Step::api("server_key", "a client spends its refresh token for a new pair", spend, pair)
                .renewed()
                .brings(Fresh::Member("/refresh_token")),
        ])
    }
}

impl Janrain {
    /// A token of 40 characters that a provider has just made for `address`, good for one login.
    fn social(&self, address: &str) -> String {
        let mut bytes = [0; 20];
        self.random.fill(&mut bytes);
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.stand.social(&token, address);
        token
    }

    /// Somebody logs in with a page, which posts the code it gets: the cookie of a session that can be renewed.
    async fn session(&self, caller: &Caller, address: &str) -> Result<String, Stumble> {
        let login = same_site(Request::form(APP, "/oauth/auth_native", &[("token", &self.social(address))]));
        let answer = caller.send(&login).await?;
        let (cookie, code) = (answer.cookie("__Host-session")?, answer.text("/authorization_code")?);
        let redeem = Request::form(APP, "/oauth/token", &[("grant_type", "authorization_code"), ("code", &code)]);
        caller.send(&redeem.cookie(&cookie)).await?.cookie("__Host-session")
    }

    /// Jane logs in with a client that keeps its own tokens: the refresh token that it gets.
    async fn refresh_token(&self, caller: &Caller) -> Result<String, Stumble> {
        let (flow, version, locale) = DemoJanrain::FLOW;
        let social = self.social(JANE.1);
        let pairs = [
            ("client_id", CLIENT),
            ("flow", flow),
            ("flow_version", version),
            ("locale", locale),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("token", social.as_str()),
        ];
        let code = caller.send(&Request::form(API, "/oauth/auth_native", &pairs)).await?.text("/authorization_code")?;
        let redeem = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT)];
        let redeem = Request::form(API, "/oauth/token", &redeem).credential("Authorization", "Basic ", &server_key(CLIENT, &self.secret));
        caller.send(&redeem).await?.text("/refresh_token")
    }

    /// A search of the reader's, signed with `secret` at the moment `at`.
    fn signed(&self, secret: &str, at: Timestamp) -> Result<Request, Stumble> {
        let path = "/entity.find";
        let date = chrono::DateTime::from_timestamp(at.0, 0).ok_or(MintFault::Library)?.format("%Y-%m-%d %H:%M:%S").to_string();
        let signature = hmac_sha1(secret.as_bytes(), &format!("{path}\n{date}\ntype_name=user\n")).ok_or(MintFault::Library)?;
        let request = Request::get(API, &format!("{path}?type_name=user")).field("Date", &date);
        Ok(request.credential("Authorization", &format!("Signature {READER}:"), &signature))
    }
}

/// As a page of the app's own posts it.
fn same_site(request: Request) -> Request {
    request.field("Sec-Fetch-Site", "same-origin")
}

/// The form of a refusal, which comes with HTTP 200.
fn refusal(code: u16, error: &str) -> Value {
    json!({ "stat": "error", "code": code, "error": error, "error_description": TEXT, "request_id": TEXT })
}

/// With more members.
fn with(mut form: Value, more: &Value) -> Value {
    if let (Some(form), Some(more)) = (form.as_object_mut(), more.as_object()) {
        form.extend(more.clone());
    }
    form
}
