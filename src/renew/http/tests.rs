//! Exchanges that a conf describes, with an issuer on loopback that answers by script.

use std::time::Duration;

use crate::net::client::loopback::{Told, silent_port};
use crate::renew::contract::RenewError;
use crate::renew::http::ENTRY;
use crate::renew::http::reading::Pointer;
use crate::renew::stage::{NOW, Scene, json, plan, renewer, shown, spent};

const ANSWER: &str = "answer: { access: /data/token, refresh: /data/refresh, expires_in: { pointer: /data/life, unit: seconds } }";
const PAIR: &str = r#"{"data":{"token":"a2","refresh":"r2","life":300}}"#;

#[tokio::test]
async fn what_is_sent_is_what_the_conf_describes() {
    let accept = "accept: application/json";
    let as_form = "content-type: application/x-www-form-urlencoded";
    let as_json = "content-type: application/json";
    let rows = [
        (
            "form: { refresh_token: '{refresh}', who: '{subject}' }",
            format!("POST /renew HTTP/1.1\n{accept}\n{as_form}"),
            "refresh_token=r%261%3D%22%2B%2F%25&who=ann+%22%26+bob".to_owned(),
            "fields, encoded",
        ),
        (
            "json: { token: '{access}', renew: '{refresh}', user: { name: '{subject}', age: 7, ok: true, none: null, list: [1.5, 'x{{y}}'] } }",
            format!("POST /renew HTTP/1.1\n{accept}\n{as_json}"),
            r#"{"token":"old.access","renew":"r&1=\"+/%","user":{"name":"ann \"& bob","age":7,"ok":true,"none":null,"list":[1.5,"x{y}"]}}"#
                .to_owned(),
            "an object, encoded, whose other values are as they are",
        ),
        (
            "method: PUT, json: {}, headers: { X-Refresh: '{refresh}', Authorization: 'Bearer {access}', X-Key: '{secrets.key}' }, \
             secrets: { key: { env: SECRET } }",
            format!("PUT /renew HTTP/1.1\n{accept}\n{as_json}\nx-refresh: r&1=\"+/%\nauthorization: Bearer old.access\nx-key: s&c:r t"),
            "{}".to_owned(),
            "fields of the head",
        ),
        (
            "method: GET, headers: { Authorization: 'Bearer {refresh}', accept: application/vnd.example+json }",
            "GET /renew HTTP/1.1\naccept: application/vnd.example+json\nauthorization: Bearer r&1=\"+/%".to_owned(),
            String::new(),
            "no body, and another kind of answer",
        ),
        (
            "json: { a: '{refresh}{access}' }, headers: { Content-Type: application/vnd.example+json }",
            format!("POST /renew HTTP/1.1\n{accept}\ncontent-type: application/vnd.example+json"),
            r#"{"a":"r&1=\"+/%old.access"}"#.to_owned(),
            "two in one text, and another kind of body",
        ),
    ];
    for (settings, head, body, shows) in rows {
        let scene = Scene::new(&ENTRY, &format!("{{ url: ISSUER/renew, {settings}, {ANSWER} }}"), || json(200, PAIR));
        assert_eq!(shown(&scene.renew().await.unwrap()), "a2 r2 300 -", "{shows}");
        assert_eq!(scene.asked(), (head, body), "{shows}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_not_sent() {
    let settings = format!("{{ url: ISSUER/renew, headers: {{ X-User: '{{subject}}', X-Refresh: '{{refresh}}' }}, {ANSWER} }}");
    let scene = Scene::new(&ENTRY, &settings, || json(200, PAIR));
    let mut hostile = spent();
    let mut identity = (*hostile.identity).clone();
    identity.subject = "ann\r\nX-Admin: yes".into();
    hostile.identity = identity.into();
    let outcome = scene.renewer.renew(&hostile, NOW).await.unwrap_err();
    assert_eq!(outcome, RenewError::Unaccepted { code: "unwritable" }, "a line break ends no header field");
    assert_eq!(scene.issuer.count(), 0, "nothing was sent");
    scene.renew().await.expect("another subject is");
}

#[tokio::test]
async fn the_rules_of_the_conf_say_what_an_answer_means() {
    let rejected = Err(RenewError::Rejected { code: "refused" });
    let unaccepted = Err(RenewError::Unaccepted { code: "refused" });
    let (lost, unreached) = (Err(RenewError::Lost { why: "" }), Err(RenewError::Unreached { why: "" }));
    let page = |status| Told::Answer(status, vec![("content-type".into(), "text/html".into())], "<html>".into());
    let usual = ANSWER.to_owned();
    let told = format!(
        "{ANSWER}, success: {{ status: [200, 201], when: {{ pointer: /ok, equals: true }} }}, \
         fatal: [{{ when: {{ pointer: /code, equals: [gone, 7] }} }}, {{ status: 410 }}], \
         transient: {{ status: [200, 500], when: {{ pointer: /code, equals: busy }} }}"
    );
    let at = |unit: &str| format!("answer: {{ access: /a, expires_at: {{ pointer: /e, unit: {unit} }} }}");
    let lasting = "answer: { access: /a, expires_in: { pointer: /e, unit: milliseconds } }".to_owned();
    let rows: Vec<(&String, Told, Result<&str, RenewError>, &str)> = vec![
        (&usual, json(200, PAIR), Ok("a2 r2 300 -"), "a pair"),
        (&usual, json(200, r#"{"data":{"token":"a2"}}"#), Ok("a2 - - -"), "the old one stays good, and no end is said"),
        (&usual, json(200, r#"{"data":{"token":"a2","refresh":null,"life":null}}"#), Ok("a2 - - -"), "null is nothing"),
        (&usual, Told::status(400), unaccepted, "400 is fatal unless the conf says otherwise, and ends nothing"),
        (&usual, Told::status(401), unaccepted, "401 too"),
        (&usual, page(401), lost, "but no page is"),
        (&usual, Told::status(429), unreached, "too often"),
        (&usual, Told::status(503), unreached, "not ready"),
        (&usual, Told::status(500), lost, "an error"),
        (&usual, Told::status(403), lost, "a status that nobody spoke of"),
        (&usual, json(201, PAIR), lost, "another success"),
        (&usual, Told::Answer(302, vec![("location".into(), "/".into())], Vec::new()), lost, "a redirect"),
        (&usual, page(200), lost, "a page"),
        (&usual, Told::Raw(Vec::new()), lost, "a broken connection"),
        (&usual, Told::Endless, lost, "an answer without end"),
        (&usual, json(200, "{}"), lost, "no pair"),
        (&usual, json(200, r#"{"data":{"token":""}}"#), lost, "an empty one"),
        (&usual, json(200, r#"{"data":{"token":"a2","refresh":["r2"]}}"#), lost, "a list of refresh credentials"),
        (&usual, json(200, r#"{"data":{"token":"a2","life":"soon"}}"#), lost, "an end that is no time"),
        (&usual, json(200, r#"{"data":{"token":"a2","token":"a3"}}"#), lost, "two tokens"),
        (&told, json(201, &PAIR.replacen('{', r#"{"ok":true,"#, 1)), Ok("a2 r2 300 -"), "a success that says so"),
        (&told, json(200, PAIR), lost, "one that does not"),
        (&told, json(200, &PAIR.replacen('{', r#"{"ok":"true","#, 1)), lost, "text is not true"),
        (&told, json(200, r#"{"code":"gone"}"#), rejected, "a refusal with the status of a success"),
        (&told, json(500, r#"{"code":7}"#), rejected, "of any status"),
        (&told, json(500, r#"{"code":8}"#), lost, "another code"),
        (&told, Told::status(410), rejected, "or a status alone"),
        (&told, Told::status(400), lost, "what is written takes the place of what is usual"),
        (&told, json(200, r#"{"code":"busy"}"#), unreached, "busy, with the status of a success"),
        (&told, json(502, r#"{"code":"busy"}"#), lost, "both must hold"),
        (&told, Told::status(503), lost, "what is written takes the place of what is usual"),
        (&lasting, json(200, r#"{"a":"a2","e":300999}"#), Ok("a2 - 300 -"), "milliseconds"),
        (&lasting, json(200, r#"{"a":"a2","e":"300000"}"#), Ok("a2 - 300 -"), "as text"),
    ];
    let scenes = [(&usual, Rules::new(&usual)), (&told, Rules::new(&told)), (&lasting, Rules::new(&lasting))];
    for (rules, answer, expected, shows) in rows {
        let (_, scene) = scenes.iter().find(|(known, _)| *known == rules).unwrap();
        scene.expect(answer, expected, shows).await;
    }
    for (unit, end, expected, shows) in [
        ("seconds", NOW.0 + 60, Some("a2 - 60 -"), "a moment"),
        ("milliseconds", (NOW.0 + 60) * 1_000, Some("a2 - 60 -"), "the same in milliseconds"),
        ("seconds", (NOW.0 + 60) * 1_000, None, "milliseconds taken for seconds lie in another age"),
        ("seconds", NOW.0 - 60, Some("a2 - -60 -"), "a moment in the past is one all the same"),
    ] {
        let expected = expected.ok_or(RenewError::Lost { why: "" });
        Rules::new(&at(unit)).expect(json(200, &format!(r#"{{"a":"a2","e":{end}}}"#)), expected, shows).await;
    }
}

#[tokio::test]
async fn a_credential_may_stand_in_a_field_of_the_answer() {
    let lost = || Err(RenewError::Lost { why: "" });
    let fields = |written: &[(&str, &str)]| {
        let fields = written.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Told::Answer(200, fields, br#"{"message":"Authenticated"}"#.to_vec())
    };
    let bare = |written: &[(&str, &str)]| {
        let fields = written.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Told::Answer(200, fields, Vec::new())
    };
    let sliding = "answer: { access_header: X-Auth-Token, refresh_header: x-auth-token }";
    let mixed = "answer: { access_header: X-Auth-Token, refresh: /message }";
    let ends = "answer: { access_header: X-Auth-Token, expires_in: { pointer: /message, unit: seconds } }";
    let rows: Vec<(&str, Told, Result<&str, RenewError>, &str)> = vec![
        (sliding, fields(&[("X-Auth-Token", "a2")]), Ok("a2 a2 - -"), "one token that renews itself"),
        (sliding, bare(&[("x-auth-token", "a2")]), Ok("a2 a2 - -"), "whatever the body is"),
        (mixed, fields(&[("X-Auth-Token", "a2")]), Ok("a2 Authenticated - -"), "one in a field, one in the body"),
        (sliding, fields(&[]), lost(), "no such field"),
        (sliding, fields(&[("X-Auth-Token", "a2"), ("X-Auth-Token", "a3")]), lost(), "two of them"),
        (sliding, fields(&[("X-Auth-Token", "")]), lost(), "an empty one"),
        (sliding, fields(&[("X-Auth-Token", "a b")]), lost(), "one that no field of a request could carry"),
        (sliding, fields(&[("X-Auth-Token", "a2"), ("content-type", "text/html")]), lost(), "on a page for people"),
        (mixed, bare(&[("X-Auth-Token", "a2")]), lost(), "half of it in a body that is none"),
        (ends, bare(&[("X-Auth-Token", "a2")]), lost(), "an end in a body that is none"),
    ];
    for (answer, told, expected, shows) in rows {
        Rules::new(answer).expect(told, expected, shows).await;
    }
    for (answer, expected) in [
        ("{ access: /a, access_header: X-A }", "one place"),
        ("{ access: /a, refresh: /r, refresh_header: X-R }", "one place"),
        ("{ refresh_header: X-R }", "where the access credential stands"),
        ("{ access_header: 'a b' }", "header field name"),
    ] {
        let (plan, told) = plan(&ENTRY, &format!("{{ url: 'https://id.example/t', form: {{ r: '{{refresh}}' }}, answer: {answer} }}"));
        assert!(plan.is_none() && told.iter().any(|says| says.contains(expected)), "{answer}: {told:?}");
    }
}

/// A renewer with certain rules for answers.
struct Rules(Scene);

impl Rules {
    fn new(rules: &str) -> Self {
        Self(Scene::new(&ENTRY, &format!("{{ url: ISSUER/renew, form: {{ r: '{{refresh}}' }}, {rules} }}"), || Told::Hang))
    }

    /// Shows that `told` comes to `expected`.
    async fn expect(&self, told: Told, expected: Result<&str, RenewError>, shows: &str) {
        let before = self.0.issuer.count();
        let outcome = self.0.told(told).await;
        match (&outcome, expected) {
            (Ok(pair), Ok(expected)) => assert_eq!(shown(pair), expected, "{shows}"),
            (Err(outcome), Err(expected)) => {
                assert_eq!(std::mem::discriminant(outcome), std::mem::discriminant(&expected), "{shows}: {outcome:?}");
            }
            (_, expected) => panic!("{shows}: {outcome:?} instead of {expected:?}"),
        }
        assert_eq!(self.0.issuer.count() - before, 1, "{shows}: asked once, whatever it says");
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_there_has_spent_nothing() {
    let settings = |url: String| format!("{{ url: '{url}', form: {{ r: '{{refresh}}' }}, {ANSWER} }}");
    let nobody = renewer(&ENTRY, &settings(format!("http://{}/", silent_port())), Duration::from_secs(5));
    let outcome = nobody.renew(&spent(), NOW).await.unwrap_err();
    assert!(matches!(outcome, RenewError::Unreached { .. }), "{outcome:?}");
}

#[test]
fn pointers_are_read_by_their_grammar() {
    let document = crate::jose::json::parse(br#"{"a":{"b":[10,{"c":11}]},"":12,"x/y":13,"m~n":14,"~1":15,"n":null,"01":16}"#).unwrap();
    let rows = [
        ("/a/b/0", Some(10), "into a list"),
        ("/a/b/1/c", Some(11), "and beyond"),
        ("/", Some(12), "the empty name"),
        ("/x~1y", Some(13), "a slash in a name"),
        ("/m~0n", Some(14), "a tilde in a name"),
        ("/~01", Some(15), "escapes are undone once"),
        ("/01", Some(16), "a name may look like a number"),
        ("/n", None, "null is nothing"),
        ("/a/b/2", None, "beyond the end"),
        ("/a/b/00", None, "no leading zeros"),
        ("/a/b/-", None, "what is not there yet"),
        ("/a/b/c", None, "a name into a list"),
        ("/a/b/0/x", None, "into a number"),
        ("/A", None, "another name"),
    ];
    for (text, expected, shows) in rows {
        let found = Pointer::read(text).unwrap().find(&document).and_then(crate::domain::Value::as_int);
        assert_eq!(found, expected, "{shows}: {text}");
    }
    for (text, shows) in [("", "the root"), ("a", "no slash"), ("/~", "an open escape"), ("/~2", "an unknown one"), ("/a~", "at the end")] {
        assert_eq!(Pointer::read(text), None, "{shows}: {text}");
    }
}

#[test]
fn settings_are_proven() {
    let with = |more: &str| format!("{{ url: 'https://id.example/t', {more} }}");
    let form = "form: { r: '{refresh}' }";
    let answer = "answer: { access: /a }";
    let good = format!("{form}, {answer}");
    let rows = [
        (with(&good), "", "the least"),
        (with(&format!("{answer}, headers: {{ X-R: '{{refresh}}' }}")), "", "in a header"),
        (with(&format!("{answer}, method: GET, headers: {{ Authorization: 'Bearer {{access}}' }}")), "", "the old credential is spent"),
        (with(&format!("{answer}, json: {{ a: b }}")), "nothing would be spent", "nothing of the client's is sent"),
        (with(&format!("{answer}, form: {{ r: '{{refresh}}', s: '{{subjct}}' }}")), "`{subjct}` is nothing that can be put here", "a slip"),
        (with(&format!("{answer}, form: {{ r: '{{refresh}}', s: '{{ refresh }}' }}")), "is nothing that can be put here", "spaces"),
        (with(&format!("{answer}, form: {{ r: '{{refresh}}', s: 'a{{b' }}")), "a brace stands alone", "an open brace"),
        (with(&format!("{answer}, form: {{ r: '{{refresh}}', s: 'a}}b' }}")), "a brace stands alone", "a closing one"),
        (with(&format!("{answer}, json: {{ r: ['{{refresh}}', {{ x: '{{nobody}}' }}] }}")), "`{nobody}` is nothing", "deep in a body"),
        (with(&format!("{good}, headers: {{ X-K: '{{secrets.key}}' }}")), "defines no `key`", "a secret that is not there"),
        (with(&format!("{good}, secrets: {{ key: {{ env: SECRET }} }}")), "warning: nothing says `{secrets.key}`", "one that nobody uses"),
        (with(&format!("{good}, secrets: {{ key: plain }}")), "may not stand in the conf", "a secret in the conf"),
        (with(&format!("{good}, json: {{ r: '{{refresh}}' }}")), "one body, `json` or `form`", "two bodies"),
        (with(&format!("{answer}, json: '{{refresh}}'")), "`json` must be a mapping", "a body that is no object"),
        (with(&format!("{good}, method: GET")), "a GET has no body", "a body where none may be"),
        (with(&format!("{good}, headers: {{ Content-Length: '3' }}")), "written by the renewer itself", "framing"),
        (with(&format!("{good}, headers: {{ Host: a }}")), "written by the renewer itself", "another host"),
        (with(&format!("{good}, headers: {{ Accept-Encoding: gzip }}")), "written by the renewer itself", "compressed answers"),
        (with(&format!("{good}, headers: {{ X-A: '1', x-a: '2' }}")), "stands here twice", "a field twice"),
        (with(&format!("{good}, headers: {{ 'X A': '1' }}")), "is not a header field name", "no name"),
        (with(&format!("{good}, headers: {{ X-A: \"a\\nb\" }}")), "characters that a header field cannot carry", "two lines"),
        (with(&format!("{form}, answer: {{ access: token }}")), "`token` is no JSON Pointer", "a name"),
        (with(&format!("{form}, answer: {{ access: '/a~2' }}")), "is no JSON Pointer", "an unknown escape"),
        (
            with(&format!(
                "{form}, answer: {{ access: /a, expires_in: {{ pointer: /b, unit: seconds }}, expires_at: {{ pointer: /c, unit: seconds }} }}"
            )),
            "the end is said once",
            "two ends",
        ),
        (with(&format!("{form}, answer: {{ access: /a, expires_in: {{ pointer: /b }} }}")), "needs `unit`", "what does it count?"),
        (with(&format!("{good}, fatal: {{}}")), "would mean every answer", "everything is fatal"),
        (with(&format!("{good}, fatal: {{ status: [200, 400] }}")), "every success would be fatal", "a success is fatal"),
        (with(&format!("{good}, transient: {{ status: 200 }}")), "every success would be transient", "or nothing"),
        (with(&format!("{good}, fatal: {{ status: 600 }}")), "between 100 and 599", "no status"),
        ("{ url: 'http://id.example/', form: { r: '{refresh}' }, answer: { access: /a } }".into(), "over https only", "plaintext"),
        (form.replace("form", "{ form") + ", answer: { access: /a } }", "needs `url`", "nobody to ask"),
    ];
    for (yaml, words, shows) in rows {
        let (plan, told) = plan(&ENTRY, &yaml);
        if words.is_empty() {
            assert!(plan.is_some() && told.is_empty(), "{shows}: {told:#?}");
        } else {
            assert!(told.len() == 1 && told[0].contains(words), "{shows}: {told:#?}");
            assert_eq!(plan.is_some(), words.starts_with("warning"), "{shows}");
        }
    }
}

#[test]
fn a_body_may_nest_so_deep_and_no_deeper() {
    let nested = |levels: usize| {
        let body = format!("{}r: '{{refresh}}'{}", "a: { ".repeat(levels - 1), " }".repeat(levels - 1));
        plan(&ENTRY, &format!("{{ url: 'https://id.example/t', json: {{ {body} }}, answer: {{ access: /a }} }}"))
    };
    assert!(nested(16).0.is_some(), "{:?}", nested(16).1);
    let (plan, told) = nested(17);
    assert!(plan.is_none() && told[0].contains("16 levels deep"), "{told:?}");
}

#[test]
fn nothing_shows_a_secret() {
    let settings = "{ url: 'https://id.example/t', form: { r: '{refresh}', k: '{secrets.key}' }, secrets: { key: { env: SECRET } }, \
                    answer: { access: /a } }";
    let (plan, told) = plan(&ENTRY, settings);
    assert!(told.is_empty(), "{told:?}");
    let shown = format!("{plan:?}");
    assert!(!shown.contains("s&c") && shown.contains("Secret(7 bytes)"), "{shown}");
}
