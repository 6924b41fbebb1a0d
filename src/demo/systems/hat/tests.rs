//! That the stand-in is as strict as a HAT is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::demo::systems::hat::{Hats, IDLE, OWNER};

const NOW: i64 = 1_800_000_000;
const HAT: &str = "ada.hubat.net";

struct Scene {
    hats: Hats,
    clock: Arc<AtomicI64>,
}

/// Status, token, location, body.
type Told = (u16, Option<String>, Option<String>, String);

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let hats = Hats::new(&[HAT, "bob.hubat.net"], Arc::<AtomicI64>::clone(&clock)).unwrap();
        hats.set_up("app", &["plug"]);
        hats.set_up("plug", &[]);
        Self { hats, clock }
    }

    async fn ask(&self, host: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Told {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(target).header("host", host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = self.hats.visit(&request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap());
        let field = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, token, place) = (answer.status().as_u16(), field("x-auth-token"), field("location"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, token, place, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn it_is_as_strict_as_a_hat() {
    let scene = Scene::new();
    let app = scene.hats.application(HAT, "app", "1.2.7").unwrap();
    let (owner, visitor) = (scene.hats.owner(HAT).unwrap(), scene.hats.validate(HAT, "https://us.example").unwrap());
    const VALIDATE: &str = "/users/access_token/validate";
    let rows = [
        (HAT, VALIDATE, vec![("x-auth-token", app.as_str())], "", 200, "an application"),
        (HAT, VALIDATE, vec![], "", 401, "nobody"),
        (HAT, VALIDATE, vec![("accept", "text/html")], "", 303, "nobody, who wants a page"),
        ("bob.hubat.net", VALIDATE, vec![("x-auth-token", &app)], "", 401, "somebody of another HAT"),
        ("eve.hubat.net", VALIDATE, vec![("x-auth-token", &app)], "", 404, "a HAT that is not there"),
        (HAT, VALIDATE, vec![("cookie", &app)], "", 401, "no HAT reads cookies"),
        (HAT, "/api/v2.6/data/app/notes", vec![("x-auth-token", &app)], "", 200, "its own data"),
        (HAT, "/api/v2.6/data/other/notes", vec![("x-auth-token", &app)], "", 403, "another's"),
        (HAT, "/api/v2.6/data/other/notes", vec![("x-auth-token", &owner)], "", 200, "the owner reads all"),
        (HAT, "/api/v2.6/data/app/notes", vec![("x-auth-token", &visitor)], "", 403, "a token for a service reads nothing"),
        (HAT, "/api/v2.6/data/app/notes", vec![("x-auth-token", &app), ("content-type", "application/json")], "{\"a\":1}", 201, "writes"),
        (
            HAT,
            "/users/application_token?name=x&resource=https://us.example",
            vec![("x-auth-token", &owner)],
            "",
            200,
            "the owner makes tokens",
        ),
        (HAT, "/users/application_token?name=x&resource=https://us.example", vec![("x-auth-token", &app)], "", 403, "no application does"),
        (HAT, "/api/v2.6/applications/plug/access-token", vec![("x-auth-token", &app)], "", 200, "another's token, which it may have"),
        (HAT, "/api/v2.6/applications/nothing/access-token", vec![("x-auth-token", &app)], "", 404, "no such application"),
    ];
    for (host, target, fields, body, status, shows) in rows {
        let (answered, token, place, _) = scene.ask(host, target, &fields, body).await;
        assert_eq!(answered, status, "{shows}");
        assert_eq!(token.is_some(), !matches!(status, 401 | 303) && host == HAT, "{shows}: whoever is authenticated gets the next token");
        assert_eq!(place.as_deref(), (status == 303).then_some("/"), "{shows}");
    }
    let plug = scene.hats.application(HAT, "plug", "1").unwrap();
    let forbidden = scene.ask(HAT, "/api/v2.6/applications/app/access-token", &[("x-auth-token", &plug)], "").await;
    assert_eq!(
        (forbidden.0, forbidden.3.as_str()),
        (403, r#"{"error":"Forbidden","message":"Access Denied"}"#),
        "a permission goes one way"
    );
    let both = format!("{VALIDATE}?X-Auth-Token=nonsense");
    assert_eq!(scene.ask(HAT, &both, &[("x-auth-token", &app)], "").await.0, 401, "the query comes first");
}

#[tokio::test]
async fn a_token_slides_until_it_was_idle_for_too_long_and_never_beyond_its_end() {
    let scene = Scene::new();
    let mut token = scene.hats.application(HAT, "app", "1").unwrap();
    let first = token.clone();
    for day in 1..=9 {
        scene.clock.store(NOW + day * IDLE, Ordering::SeqCst);
        let (status, next, ..) = scene.ask(HAT, "/users/access_token/validate", &[("x-auth-token", &token)], "").await;
        assert_eq!(status, 200, "the last second of three idle days is good");
        token = next.unwrap();
    }
    assert_eq!(scene.ask(HAT, "/users/access_token/validate", &[("x-auth-token", &first)], "").await.0, 401, "the first is idle by now");
    scene.clock.store(NOW + 2_592_000, Ordering::SeqCst);
    let (status, next, ..) = scene.ask(HAT, "/users/access_token/validate", &[("x-auth-token", &token)], "").await;
    assert_eq!(status, 200, "thirty days");
    scene.clock.store(NOW + 2_592_001, Ordering::SeqCst);
    let last = next.unwrap();
    assert_eq!(scene.ask(HAT, "/users/access_token/validate", &[("x-auth-token", &last)], "").await.0, 401, "and nothing slides beyond");
}

#[tokio::test]
async fn a_log_in_brings_a_token_and_too_many_are_400() {
    let scene = Scene::new();
    let fields = [("username", OWNER.0), ("password", OWNER.1)];
    let (status, token, _, body) = scene.ask(HAT, "/users/access_token", &fields, "").await;
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, said["accessToken"].as_str()), (200, token.as_deref()), "in the body and in the header");
    for _ in 0..9 {
        assert_eq!(scene.ask(HAT, "/users/access_token", &[("username", "eve")], "").await.0, 401);
    }
    let refused = scene.ask(HAT, "/users/access_token", &fields, "").await;
    assert_eq!((refused.0, refused.3), (400, json!({ "error": "Bad Request", "message": "Request rate exceeded" }).to_string()));
    scene.clock.store(NOW + 2, Ordering::SeqCst);
    assert_eq!(scene.ask(HAT, "/users/access_token", &fields, "").await.0, 200, "one more every two seconds");
    let (status, _, _, pem) = scene.ask(HAT, "/publickey", &[], "").await;
    assert!(status == 200 && pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
    let before = scene.hats.owner(HAT).unwrap();
    scene.hats.rekey(HAT).unwrap();
    assert_eq!(scene.ask(HAT, "/users/access_token/validate", &[("x-auth-token", &before)], "").await.0, 401, "another key");
}
