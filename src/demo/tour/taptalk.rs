//! TapTalk on the tour: a chat server that its clients speak to, and pages that use TapTalk's API without a secret of it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::demo::credentials::{ANNA, server_key, with};
use crate::demo::systems::taptalk::DemoTapTalk;
use crate::demo::tour::caller::{Caller, Request};
use crate::demo::tour::contract::{Show, Stumble, Vendor};
use crate::demo::tour::form::{ANYTHING, NUMBER, TEXT};
use crate::demo::tour::ground::{ANY_PORT, Backend, Fitted, Ground};
use crate::demo::tour::late::LateClock;
use crate::demo::tour::step::{Fresh, Position, Step};
use crate::demo::upstream::DemoUpstream;
use crate::domain::{Clock, Reason, Seconds};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::{MintFault, SigningKey};

const CONF: &str = include_str!("../../../conf/systems/taptalk.yaml");

/// How long access tokens of the vendor live.
const LIFE: Seconds = Seconds(600);
/// Longer than any access token lives, and shorter than a session may idle.
const BEHIND: Seconds = Seconds(960);

/// Where the proxy is the chat server.
const CHAT: &str = "chat.example";
/// Where it stands before TapTalk.
const SITE: &str = "site.example";
const TICKET: &str = "/v1/server/auth_ticket/request";
const EXCHANGE: &str = "/v1/auth/access_token/request";
const REFRESH: &str = "/v1/auth/access_token/refresh";
const SEND: &str = "/v1/chat/message/send";

struct TapTalk {
    stand: DemoTapTalk,
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
    let stand = DemoTapTalk::start(ANY_PORT, Arc::clone(&clock) as Arc<dyn Clock>, LIFE).await?;
    let app = DemoUpstream::start(ANY_PORT).await?;
    let backend = Backend::new("shop", ground);
    let (accounts, pairs) = (SigningKey::generate(Algorithm::Es256)?, SigningKey::generate(Algorithm::Es256)?);
    let pem = pairs.private_pem().ok_or(MintFault::Library)?;
    let conf = Fitted::new(CONF, &app)?
        .put("https://engine.taptalk.example", &stand.origin())?
        .put("https://onetalk-api.taptalk.example", &stand.origin())?
        .put("keys/demo-issuer.jwks.json", "keys/accounts.jwk")?
        .text();
    let mut files = vec![
        ("keys/demo-ticket-current.key", ground.secret()),
        ("keys/demo-assertion.pem", String::from_utf8_lossy(pem.expose()).into_owned()),
        ("keys/accounts.jwk", accounts.public_jwk().ok_or(MintFault::Library)?.to_string()),
        ("keys/demo-taptalk-app-key.txt", server_key(DemoTapTalk::APP.0, DemoTapTalk::APP.1)),
        ("keys/demo-taptalk-server-secret.txt", DemoTapTalk::SERVER.1.to_owned()),
        ("keys/demo-onetalk-key.txt", DemoTapTalk::API_KEY.to_owned()),
    ];
    files.extend(backend.files()?);
    let vendor = Box::new(TapTalk { stand, backend, accounts });
    Ok(Show { name: "taptalk", title: "TapTalk", conf, files, clock, app, vendor })
}

#[async_trait]
impl Vendor for TapTalk {
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
        let whole = server_key(DemoTapTalk::SERVER.0, DemoTapTalk::SERVER.1);
        vec![DemoTapTalk::SERVER.1.to_owned(), whole, DemoTapTalk::API_KEY.to_owned()]
    }

    async fn steps(&self, caller: &Caller, clock: &LateClock) -> Result<Vec<Step>, Stumble> {
        // Tokens that will have run out: a pair of our own, and one that a session holds.
        let (old_access, old_refresh) = self.login(caller).await?;
        let old_session = self.session(caller, "berta", clock).await?;
        clock.catch_up();
        let (access, _) = self.login(caller).await?;
        let session = self.session(caller, ANNA, clock).await?;
        // And one that has ended where it counts, though not by the clock.
        let ended = self.session(caller, "carla", clock).await?;
        self.stand.end_access("carla");

        let message = |request: Request| request.field("Device-Identifier", "d-1");
        let chat = |token: &str| message(client(CHAT, SEND)).bearer(token);
        let page = |cookie: &str| message(client(SITE, SEND)).cookie(cookie);
        let leaked = chat(&access).credential("Server-Key", "", &server_key(self.backend.id, &self.backend.secret));
        let refreshed = message(client(CHAT, REFRESH)).bearer(&old_refresh);
        Ok(vec![
            Step::served(
                Position::App,
                "server_key",
                "a back end has a ticket made, with its Server-Key",
                self.ticket(),
                fine(json!({ "ticket": TEXT, "userID": ANNA })),
            ),
            Step::app("jwt", "a message of Anna's, with her access token", chat(&access), ANNA),
            Step::refused(
                Position::App,
                "jwt",
                "an access token that has run out: clients refresh at this",
                chat(&old_access),
                Reason::Expired,
                refusal(401, "40104"),
            ),
            Step::refused(
                Position::App,
                "jwt",
                "a Server-Key that has leaked into an app",
                leaked,
                Reason::GuardRefused,
                refusal(491, "49104"),
            ),
            Step::served(Position::App, "none", "a refresh token is spent for a new pair", refreshed, fine(pair()))
                .brings(Fresh::Member("/data/accessToken")),
            Step::api(
                "jwt",
                "a page asks for root's ticket, and gets its own user's",
                self.own_ticket(clock)?,
                fine(json!({ "ticket": TEXT, "userID": "tt-anna" })),
            ),
            Step::api("session", "a message from a page that holds a session, no token", page(&session), fine(sent())),
            Step::refused(
                Position::Api,
                "session",
                "the same without a session",
                message(client(SITE, SEND)),
                Reason::CredentialMissing,
                refusal(401, "40101"),
            ),
            Step::api("session", "a session whose pair has run out", page(&old_session), fine(sent())).renewed(),
            Step::api("session", "40104 in a 200 of the API: renewed, called again", page(&ended), fine(sent())).renewed(),
        ])
    }
}

impl TapTalk {
    /// As a back end asks for a ticket.
    fn ticket(&self) -> Request {
        let data = json!({
            "userIPAddress": "192.0.2.7", "userAgent": "Mozilla/5.0", "userPlatform": "web", "userDeviceID": "d-1",
            "xcUserID": ANNA, "fullName": "Anna Example",
        });
        let key = server_key(self.backend.id, &self.backend.secret);
        Request::post(CHAT, TICKET, "application/json", data.to_string()).credential("Server-Key", "", &key)
    }

    /// Anna logs in: the pair that she gets, of the proxy's own making.
    async fn login(&self, caller: &Caller) -> Result<(String, String), Stumble> {
        let ticket = caller.send(&self.ticket()).await?.text("/data/ticket")?;
        let exchange = client(CHAT, EXCHANGE).field("Device-Identifier", "d-1").bearer(&ticket);
        let answer = caller.send(&exchange).await?;
        Ok((answer.text("/data/accessToken")?, answer.text("/data/refreshToken")?))
    }

    /// A page exchanges a ticket of the vendor's: the cookie that it gets.
    async fn session(&self, caller: &Caller, user: &str, clock: &LateClock) -> Result<String, Stumble> {
        let ticket = self.stand.ticket(user, "Anna Example", clock.now()).ok_or(MintFault::Library)?;
        let exchange = client(SITE, EXCHANGE).field("Device-Identifier", "d-1").field("Sec-Fetch-Site", "same-origin").bearer(&ticket);
        caller.send(&exchange).await?.cookie("__Host-session")
    }

    /// As a page asks for a ticket, with the account that the site gave its user.
    fn own_ticket(&self, clock: &LateClock) -> Result<Request, Stumble> {
        let now = clock.now();
        let claims = with(crate::demo::credentials::claims("https://id.example", now), "name", "Anna Example");
        let data = json!({ "xcUserID": "root", "fullName": "Root", "userPlatform": "web", "userDeviceID": "d-1" });
        let request = Request::post(SITE, TICKET, "text/plain", data.to_string()).field("User-Agent", "Mozilla/5.0");
        Ok(request.field("App-Key", &app_key()).bearer(&self.accounts.sign_compact(&[], &claims)?))
    }
}

/// A call of the web client's, whose bodies are JSON in `text/plain`.
fn client(host: &str, path: &str) -> Request {
    let body = if path == SEND { r#"{"roomID":"1","body":"hello"}"# } else { "\"\"" };
    Request::post(host, path, "text/plain;charset=UTF-8", body).field("App-Key", &app_key())
}

fn app_key() -> String {
    server_key(DemoTapTalk::APP.0, DemoTapTalk::APP.1)
}

/// The envelope of a success.
fn fine(data: Value) -> Value {
    json!({ "status": 200, "error": { "code": "", "message": "", "field": "" }, "data": data })
}

/// The envelope of a refusal, which comes with HTTP 200 as well.
fn refusal(status: u16, code: &str) -> Value {
    json!({ "status": status, "error": { "code": code, "message": TEXT, "field": TEXT }, "data": {} })
}

fn pair() -> Value {
    json!({
        "accessToken": TEXT, "accessTokenExpiry": NUMBER, "refreshToken": TEXT, "refreshTokenExpiry": NUMBER, "user": ANYTHING,
    })
}

fn sent() -> Value {
    json!({ "user": ANYTHING })
}
