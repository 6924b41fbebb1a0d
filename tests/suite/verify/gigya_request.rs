//! Signed requests: the vendor's vectors, the bytes that both kinds of client send, and what must not pass.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::{Claim, Place, Refusal, Secret, Timestamp};
use countersign::verify::contract::{SchemePlan, Verifier};
use countersign::verify::gigya_request::{GigyaRequestVerifier, prove as plan};
use countersign::verify::keys::contract::BuiltKeys;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use crate::stage::{NOW, Outcome, Stage, Told, known, prove, stores};

const SECRET: &str = "dGVzdC1zZWNyZXQtMTIzNDU2Nzg5MA==";
const FORM: &str = "application/x-www-form-urlencoded";
const MALFORMED: Told = Told::Out("credential_malformed", 401);
const CONFLICT: Told = Told::Out("credential_conflict", 400);
const INVALID: Told = Told::Out("signature_invalid", 401);
const UNKNOWN: Told = Told::Out("key_unknown", 401);
const LATE: Told = Told::Out("window_exceeded", 401);

fn encode(text: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, SET).to_string()
}

/// A client of the vendor's, written apart from all code of the house.
#[derive(Clone)]
struct Client {
    secret: &'static str,
    method: &'static str,
    url: &'static str,
    parameters: Vec<(&'static str, String)>,
}

impl Client {
    fn new(time: impl ToString, nonce: &str) -> Self {
        let parameters = [("apiKey", "3_site".to_owned()), ("userKey", "AUser".to_owned()), ("timestamp", time.to_string())];
        let mut parameters = parameters.to_vec();
        parameters.push(("nonce", nonce.to_owned()));
        parameters.push(("UID", "a b!*'()~\u{e9}".to_owned()));
        Self { secret: SECRET, method: "POST", url: "https://accounts.us1.gigya.com/accounts.getAccountInfo", parameters }
    }

    /// With one parameter set otherwise.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.retain(|(other, _)| *other != name);
        self.parameters.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(other, _)| *other != name);
        self
    }

    fn signature(&self) -> String {
        let mut sorted = self.parameters.clone();
        sorted.sort();
        let pairs: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let base = format!("{}&{}&{}", self.method, encode(self.url), encode(&pairs.join("&")));
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&STANDARD.decode(self.secret).unwrap()).unwrap();
        mac.update(base.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// As Java and Python write it: a space is `%20`.
    fn form(&self) -> String {
        let mut pairs = self.parameters.clone();
        pairs.push(("sig", self.signature()));
        pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
    }

    fn post(&self) -> Stage {
        posted(&self.form())
    }
}

fn posted(form: &str) -> Stage {
    Stage { method: "POST", path: "/accounts.getAccountInfo", ..Stage::new().body(FORM, form.to_owned().leak().as_bytes()) }
}

fn verifier_with(extra: Json) -> GigyaRequestVerifier {
    let mut settings = json!({
        "public_base": "https://accounts.us1.gigya.com",
        "sites": { "api_key": "3_site", "user_keys": { "AUser": "store" } },
    });
    for (key, value) in extra.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let secrets = Arc::from([Secret::new(STANDARD.decode(SECRET).unwrap())]);
    prove(plan, &settings).unwrap().verifier(&"server".into(), &stores(BuiltKeys::GigyaSecret(secrets))).unwrap()
}

fn verifier() -> GigyaRequestVerifier {
    verifier_with(json!({}))
}

/// The vector of the reference, signed elsewhere.
#[test]
fn a_request_that_the_vendors_library_signed_verifies() {
    let form = "userKey=AUser&timestamp=1700000000&nonce=1&format=json&apiKey=3_apikey&UID=a%20b%21%2A%27%28%29~%C3%A9&sig=D%2Bi%2FCnWumho6Blqf7ZhW6NRKuFI%3D";
    let verifier = verifier_with(json!({ "sites": { "api_key": "3_apikey", "user_keys": { "AUser": "store" } } }));
    assert_eq!(posted(form).ask(&verifier, 1_700_000_000).told(), known("AUser"));
    assert_eq!(posted(&form.replace("%20", "+")).ask(&verifier, 1_700_000_000).told(), known("AUser"), "as PHP writes it");
    assert_eq!(posted(&form.replace("%20", "%2B")).ask(&verifier, 1_700_000_000).told(), INVALID, "a plus is no space");
    let lower = posted(&form.replace("%2B", "%2b").replace("%2F", "%2f"));
    assert_eq!(lower.ask(&verifier, 1_700_000_000).told(), known("AUser"), "hex of either case");
}

#[test]
fn a_signed_request_is_proven_with_its_site_and_one_nonce() {
    let outcome = Client::new(NOW, "n-1").post().ask(&verifier(), NOW);
    let identity = outcome.identity();
    assert_eq!((&*identity.subject, &*identity.issuer), ("AUser", "store"));
    assert_eq!(identity.claims.member("apiKey").and_then(Claim::as_text), Some("3_site"));
    assert!(identity.claims.member("UID").is_none(), "what was asked for is not who asks");
    let burn = identity.burn.as_ref().unwrap();
    assert_eq!((burn.made, burn.until), (Timestamp(NOW - 60), Timestamp(NOW + 301)), "remembered as long as it could come again");
    let key = |client: Client| client.post().ask(&verifier(), NOW).identity().burn.as_ref().unwrap().key;
    assert_eq!(burn.key, key(Client::new(NOW + 1, "n-1").with("UID", "other")), "the same nonce with another time and content is the same");
    assert_ne!(burn.key, key(Client::new(NOW, "n-2")), "another nonce is another");
    assert_eq!(verifier().cache_generation(), None, "each is judged anew");
}

#[test]
fn what_was_signed_must_arrive_and_nothing_else() {
    let client = Client::new(NOW, "n-1");
    let form = client.form();
    let path = |path: &'static str| Stage { path, ..client.post() };
    let get = Client { method: "GET", ..client.clone() };
    let (query, body) = form.split_once("&nonce").map(|(query, body)| (query.to_owned(), format!("nonce{body}"))).unwrap();
    let rows = [
        (client.post(), known("AUser"), "as signed"),
        (Stage { path: "/accounts.getAccountInfo", ..Stage::new().query(&get.form()) }, known("AUser"), "as GET, all in the query"),
        (posted(&body).query(&query), known("AUser"), "some in the query and some in the body: one list"),
        (posted(&format!("{form}&a=")), INVALID, "one more parameter, empty as it is"),
        (posted(&form.replacen("userKey", "userkey", 1)), UNKNOWN, "names have a case: this one has no user key, and the site no secret"),
        (posted(&form.replace("UID=a", "UID=b")), INVALID, "another value"),
        (path("/accounts.deleteAccount"), INVALID, "another method of the vendor's"),
        (path("/Accounts.getAccountInfo"), INVALID, "paths have a case"),
        (Stage { method: "PUT", ..client.post() }, INVALID, "another HTTP method"),
        (posted(&form.replace("nonce=n-1", "nonce=n-2")), INVALID, "another nonce"),
        (posted(&form.replace(&NOW.to_string(), &(NOW + 1).to_string())), INVALID, "another time"),
        (Client { url: "http://accounts.us1.gigya.com/accounts.getAccountInfo", ..client.clone() }.post(), INVALID, "signed for http"),
        (Client { url: "https://accounts.eu1.gigya.com/accounts.getAccountInfo", ..client.clone() }.post(), INVALID, "for another host"),
        (
            Client { url: "https://accounts.us1.gigya.com:443/accounts.getAccountInfo", ..client.clone() }.post(),
            INVALID,
            "with a port that is left out",
        ),
        (posted(&format!("{form}&UID=x")), CONFLICT, "a name twice"),
        (posted(&form).query("UID=x"), CONFLICT, "once in the query and once in the body"),
        (posted(&form).query(&form), CONFLICT, "the whole request twice"),
        (posted(&format!("{form}&%55ID=x")), CONFLICT, "twice in two spellings"),
        (posted(&form).query("sig=x"), CONFLICT, "two signatures"),
        (posted(&format!("{form}&a%26b=1")), MALFORMED, "a name with a separator in it"),
        (posted(&format!("{form}&a=%")), MALFORMED, "a broken escape"),
        (client.clone().without("nonce").post(), MALFORMED, "no nonce"),
        (client.clone().with("nonce", "a b").post(), MALFORMED, "one with a space"),
        (client.clone().with("nonce", &"n".repeat(256)).post(), known("AUser"), "the longest"),
        (client.clone().with("nonce", &"n".repeat(257)).post(), MALFORMED, "a longer one"),
        (client.clone().without("timestamp").post(), MALFORMED, "no time"),
        (client.clone().without("apiKey").post(), MALFORMED, "no site"),
        (client.clone().with("apiKey", "3_other").post(), UNKNOWN, "a site that is not in the conf, signed as it may be"),
        (client.clone().with("userKey", "BUser").post(), UNKNOWN, "a user key that is not"),
        (client.clone().without("userKey").post(), UNKNOWN, "the site itself, whose secret is not there"),
        (posted(&form.replace("%3D", "")), MALFORMED, "a signature without padding"),
        (posted(&form).field("content-encoding", "gzip"), MALFORMED, "a form in a coding"),
        (posted(&form).field("content-type", FORM), CONFLICT, "two content types"),
        (posted("a=1&a=2"), Told::Absent, "a form that is not signed may be what it likes"),
        (Stage::new(), Told::Absent, "nothing"),
    ];
    for (stage, expected, shows) in rows {
        assert_eq!(stage.ask(&verifier(), NOW).told(), expected, "{shows}");
    }
}

#[test]
fn a_request_is_good_for_five_minutes_and_a_clock_may_be_a_minute_ahead() {
    let at = |time: i64| Client::new(time, "n-1").post().ask(&verifier(), NOW).told();
    for (offset, expected, shows) in [
        (0, known("AUser"), "now"),
        (-300, known("AUser"), "the oldest"),
        (-301, LATE, "a second older"),
        (60, known("AUser"), "the newest"),
        (61, LATE, "a second newer"),
    ] {
        assert_eq!(at(NOW + offset), expected, "{shows}");
    }
    let narrow = verifier_with(json!({ "window": "180s", "ahead": "0s" }));
    for (offset, expected) in [(-180, known("AUser")), (-181, LATE), (0, known("AUser")), (1, LATE)] {
        assert_eq!(Client::new(NOW + offset, "n-1").post().ask(&narrow, NOW).told(), expected, "{offset}");
    }
}

#[test]
fn a_time_in_milliseconds_is_read_by_its_magnitude_and_signed_as_it_stands() {
    let at = |time: String| Client::new(time, "n-1").post().ask(&verifier(), NOW).told();
    for (time, expected, shows) in [
        (format!("{NOW}000"), known("AUser"), "milliseconds"),
        (format!("{}999", NOW - 300), known("AUser"), "the oldest"),
        (format!("{}999", NOW - 301), LATE, "older"),
        (format!("{NOW}000000"), LATE, "microseconds are a time that has not come"),
        (format!("{NOW}.5"), MALFORMED, "a fraction"),
        (format!("0{NOW}"), MALFORMED, "a leading zero"),
        (format!("-{NOW}"), MALFORMED, "a sign"),
        (format!("+{NOW}"), MALFORMED, "another"),
        ("99999999999999999999".to_owned(), MALFORMED, "more than any clock shows"),
    ] {
        assert_eq!(at(time.clone()), expected, "{shows}: {time}");
    }
    let form = Client::new(format!("{NOW}000"), "n-1").form();
    let seconds = posted(&form.replace(&format!("{NOW}000"), &NOW.to_string()));
    assert_eq!(seconds.ask(&verifier(), NOW).told(), INVALID, "what was signed is the text and not the moment");
}

/// Seen with one of the vendor's clients: falsy values are signed empty and sent as they are.
#[test]
fn a_client_that_signs_other_values_than_it_sends_is_told_the_truth() {
    let client = Client::new(NOW, "n-1").with("include", "");
    let sent = client.form().replace("include=", "include=false");
    assert_eq!(posted(&sent).ask(&verifier(), NOW).told(), INVALID);
}

#[test]
fn a_base_with_a_port_or_a_path_is_signed_with_it() {
    let rows = [
        ("http://gigya.local:8080", "http://gigya.local:8080/accounts.getAccountInfo", true),
        ("https://gigya.local:4433/mount", "https://gigya.local:4433/mount/accounts.getAccountInfo", true),
        ("https://Gigya.local:443/", "https://gigya.local/accounts.getAccountInfo", true),
        ("https://gigya.local", "https://gigya.local:443/accounts.getAccountInfo", false),
        ("https://gigya.local", "https://GIGYA.local/accounts.getAccountInfo", false),
    ];
    for (base, url, taken) in rows {
        let told = Client { url, ..Client::new(NOW, "n-1") }.post().ask(&verifier_with(json!({ "public_base": base })), NOW).told();
        assert_eq!(told, if taken { known("AUser") } else { INVALID }, "{base}: {url}");
    }
}

#[test]
fn the_secret_itself_proves_a_request_where_the_conf_says_so_and_over_https_alone() {
    let form = |parts: &[(&str, &str)]| parts.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&");
    let good = form(&[("apiKey", "3_site"), ("userKey", "AUser"), ("secret", SECRET), ("UID", "anna")]);
    let open = verifier_with(json!({ "raw_secret": true }));
    let wrong = || Told::Out("secret_wrong", 401);
    let in_clear = Stage { secure: false, ..posted(&good) };
    let get = Stage { path: "/accounts.getAccountInfo", ..Stage::new().query(&good) };
    let rows = [
        (posted(&good), known("AUser"), "the secret of the user key"),
        (posted(&good.replace("%3D%3D", "")), known("AUser"), "without its padding, as the vendor's decoders take it"),
        (posted(&good.replace(&encode(SECRET), "dGVzdC1zZWNyZXQ%3D")), wrong(), "another"),
        (posted(&good.replace(&encode(SECRET), "test-secret-1234567890")), wrong(), "its bytes as they are"),
        (posted(&good.replace(&encode(SECRET), &"A".repeat(516))), wrong(), "one that is longer than any"),
        (posted(&good.replace("AUser", "Another")), wrong(), "nobody learns which user keys there are"),
        (posted(&good.replace("3_site", "3_other")), wrong(), "nor which sites"),
        (posted(&good.replace("userKey=AUser&", "")), wrong(), "the site itself has another"),
        (posted(&format!("{good}&secret=x")), CONFLICT, "two of them"),
        (posted(&format!("{good}&UID=b")), CONFLICT, "a name twice, whichever"),
        (posted(&good.replace(&encode(SECRET), "")), MALFORMED, "an empty one"),
        (posted(&format!("{good}&sig=")), MALFORMED, "an empty signature is none, and not left out"),
        (posted(&good.replace("apiKey=3_site&", "")), Told::Absent, "without a site it is a request of another kind"),
        (get, Told::Foreign, "in a query it would stand in every log"),
    ];
    for (sent, expected, shows) in rows {
        assert_eq!(sent.ask(&open, NOW).told(), expected, "{shows}");
    }
    let Outcome::Refused(Refusal::GuardRefused(breach)) = in_clear.ask(&open, NOW) else { panic!("in the clear it is refused") };
    assert_eq!((&*breach.code, &*breach.field), ("403006", "secret"), "in the vendor's own words, whatever else it brings");
    let outcome = posted(&good).ask(&open, NOW);
    let identity = outcome.identity();
    assert_eq!(
        (identity.claims.member("apiKey").and_then(Claim::as_text), identity.burn.is_none()),
        (Some("3_site"), true),
        "it has no nonce"
    );
    assert!(!format!("{identity:?}").contains(SECRET), "and is nowhere in what is known");
    assert_eq!(posted(&good).ask(&verifier(), NOW).told(), Told::Foreign, "where the conf does not say so, it proves nothing");
    let signed = Client::new(NOW, "n-1").with("secret", "whatever").post();
    assert_eq!(signed.ask(&open, NOW).told(), known("AUser"), "beside a signature, the signature decides");
    assert_eq!(
        posted("secret=of+my+own&secret=twice").ask(&verifier(), NOW).told(),
        Told::Absent,
        "other requests may hold what they like"
    );
}

#[test]
fn settings_are_proven() {
    let base = "https://accounts.us1.gigya.com";
    let site = json!({ "api_key": "3_site", "keys": "store" });
    let rows = [
        (json!({ "public_base": base, "sites": site }), true, "the least"),
        (json!({ "public_base": base, "sites": [site, { "api_key": "3_other", "user_keys": { "AUser": "store" } }] }), true, "two sites"),
        (json!({ "public_base": base, "sites": [site, site] }), false, "one twice"),
        (json!({ "public_base": base, "sites": [] }), false, "none"),
        (json!({ "public_base": base, "sites": { "api_key": "3_site" } }), false, "one that nobody can sign for"),
        (json!({ "public_base": base, "sites": { "api_key": "3_site", "keys": "other" } }), false, "a store that is not there"),
        (json!({ "public_base": base, "sites": { "api_key": "3 site", "keys": "store" } }), false, "no API key"),
        (json!({ "public_base": base, "sites": { "api_key": "3_site", "user_keys": { "12": "store" } } }), false, "no user key"),
        (json!({ "sites": site }), false, "no base: the one that a request names would be the attacker's"),
        (json!({ "public_base": "https://a.example/?b", "sites": site }), false, "a base with a query"),
        (json!({ "public_base": base, "sites": site, "window": "301s" }), false, "a wide window"),
        (json!({ "public_base": base, "sites": site, "ahead": "301s" }), false, "a clock far ahead"),
    ];
    for (settings, sound, shows) in rows {
        assert_eq!(prove(plan, &settings).is_ok(), sound, "{shows}");
    }
    let proven = prove(plan, &json!({ "public_base": base, "sites": site })).unwrap();
    assert!(proven.remembers(), "nonces are remembered");
    assert!(proven.looks_at().contains(&Place::Query("sig".into())) && proven.looks_at().contains(&Place::Body));
}
