//! RFC 7519 (JSON Web Token), judged by the whole `jwt` scheme; and a genuine token of a vendor, with its published key.

use std::sync::Arc;

use countersign::domain::Secret;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::jwk::parse_pem;
use countersign::jose::key::VerifyingKey;
use countersign::jose::mint::SigningKey;
use serde_json::{Value as Json, json};

use crate::jwt::{Bench, NOW, Set, bench, claims, fresh, settings};

#[test]
fn the_example_of_section_3_1_is_good_until_its_exp_and_not_then() {
    let secret =
        countersign::jose::base64url::decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let key = VerifyingKey::hmac(&Secret::new(secret.unwrap()), None).unwrap();
    let settings = json!({
        "issuer": "joe", "audience": "none", "require": { "iss": "joe" }, "subject_from": "iss", "keys": "set", "algorithms": "HS256", "leeway": "0s",
    });
    let bench = bench(&settings, &[("set", Set::of(vec![Arc::new(key)]))]);
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let unsecured = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    let cases = [
        (token, 1_300_819_379, Ok("joe"), "the last second"),
        (token, 1_300_819_380, Err("expired"), "on or after exp it must not be accepted (section 4.1.4)"),
        (token, 0, Ok("joe"), "no nbf and no iat"),
        (unsecured, 0, Err("credential_malformed"), "section 6.1: an unsecured JWT"),
    ];
    for (token, now, expected, shows) in cases {
        assert_eq!(bench.at(token, now), expected.map(str::to_owned).map_err(str::to_owned), "{shows}");
    }
}

/// Section 4.1, one row for each side of each rule.
#[test]
fn registered_claims_follow_section_4_1() {
    let (key, public) = fresh(Algorithm::Es256);
    let bench = bench(&settings(json!({ "leeway": "10s", "audience": ["app", "api"] })), &[("set", Set::of(vec![public]))]);
    let cases: Vec<(Json, i64, Result<(), &str>, &str)> = vec![
        (json!({}), NOW, Ok(()), "4.1: all there"),
        (json!({ "iss": "https://ID.example" }), NOW, Err("issuer_mismatch"), "4.1.1: case-sensitive"),
        (json!({ "sub": "zoë:1" }), NOW, Ok(()), "4.1.2: any text"),
        (json!({ "aud": "api" }), NOW, Ok(()), "4.1.3: a single text"),
        (json!({ "aud": ["x", "api"] }), NOW, Ok(()), "4.1.3: an array with one of ours"),
        (json!({ "aud": ["x"] }), NOW, Err("audience_mismatch"), "4.1.3: must be rejected when we are not named"),
        (json!({ "exp": NOW }), NOW + 9, Ok(()), "4.1.4: some small leeway"),
        (json!({ "exp": NOW }), NOW + 10, Err("expired"), "4.1.4: and no more"),
        (json!({ "exp": NOW as f64 + 0.0 }), NOW + 9, Ok(()), "2: NumericDate may be written as a float"),
        (json!({ "exp": NOW as f64 + 0.5 }), NOW, Err("claims_malformed"), "2: fractions of seconds we do not read"),
        (json!({ "nbf": NOW }), NOW - 10, Ok(()), "4.1.5: some small leeway"),
        (json!({ "nbf": NOW }), NOW - 11, Err("not_yet_valid"), "4.1.5: and no more"),
        (json!({ "iat": NOW }), NOW - 10, Ok(()), "4.1.6: issued by a clock ahead of ours"),
        (json!({ "iat": NOW }), NOW - 11, Err("not_yet_valid"), "4.1.6: issued in the future"),
        (json!({ "jti": 1 }), NOW, Ok(()), "4.1.7: jti binds nothing here"),
        (json!({ "https://example.com/x": { "y": [1, null] } }), NOW, Ok(()), "4.2: claims we do not know are kept"),
    ];
    for (changes, now, expected, shows) in cases {
        let token = key.sign_compact(&[], &claims(changes)).unwrap();
        let actual = bench.at(&token, now).map(|_| ());
        assert_eq!(actual.as_ref().map_err(String::as_str), expected.as_ref().map_err(|reason| *reason), "{shows}");
    }
}

#[test]
fn section_5_headers_neither_help_nor_harm() {
    let (key, public) = fresh(Algorithm::Es256);
    let bench = bench(&settings(json!({})), &[("set", Set::of(vec![public]))]);
    let cases: Vec<(Vec<(&str, &str)>, Result<String, String>, &str)> = vec![
        (vec![("typ", "JWT")], Ok("ada".into()), "5.1: as recommended"),
        (vec![("typ", "jwt")], Ok("ada".into()), "5.1: media types ignore case"),
        (vec![("cty", "JWT")], Err("credential_malformed".into()), "5.2: a nested JWT"),
        (vec![("iss", "https://evil.example")], Ok("ada".into()), "5.3: claims repeated in the header are not read"),
    ];
    for (header, expected, shows) in cases {
        assert_eq!(bench.on(&key.sign_compact(&header, &claims(json!({}))).unwrap()), expected, "{shows}");
    }
}

/// HAT application tokens: no `kid`, no `aud`, the issuer a bare host that names the caller, an idle end of 72 hours
/// after `iat` beside `exp`. Token and key are those of the vendor's developer portal.
mod genuine {
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmbpD4OytlMcWRuGHgfy8
q9I9GT46Sh3FwuZQkicCMqMWaV9ukwo6mW+e4UciNh5acXf2qEnQdbRHCxNVe90G
jTzVCPcFvigE/Tn9icNzISludwA4/uiAbaFwJg9dvXVphQuxZdq5dEIDAvPcqwUk
JBCX+CLBP1a0CWiB/ACbaVwYm2bZApZe52BLiw7ejvM6UvQoOjOYiRiVGJKdgUgm
WIruC+bMcbhbNpf/11M0+YCi/d51OSwup/nyEweoa6deTrMdFyMosnlcknEaWx9t
NPU3Agub9SNZVKkXTYgRXzoQu8k/BC331uKII1pi6atqLjQGkY4rY6fXJ3Db3NYI
9QIDAQAB
-----END PUBLIC KEY-----
";

    const TOKEN: [&str; 3] = [
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9",
        "eyJhcHBsaWNhdGlvblZlcnNpb24iOiIxLjIuNyIsInN1YiI6IjEtT0tRdm1TdGdCZ0lKdm9mNUN6NktsMnhaYjhXMUszQmZFR28xa2dZVERCQmdLeUR0ZDBqOXp6VWRaUmlRdFloaFY2VjQ5a1g1WUlmTzE0K3lEcm1GUlwvN1RkUW1iWXNMS3BDST0iLCJhcHBsaWNhdGlvbiI6ImhhdGFwcHN0YWdpbmciLCJpc3MiOiJ0ZXN0aW5nLmh1YmF0Lm5ldCIsImV4cCI6MTU0NDA4Nzc3MiwiaWF0IjoxNTQxNDk1NzcyLCJqdGkiOiI5ZjdlN2MyOTYwMjZkNmM4ODBmN2M2ZTk0MzIzOTQ3Yzg2YmI2OGEwZTIxN2YxZmZhYWE2ZTY3NGYwYWE1ODRmOWRiMzEwNDhiZmI1ZjI4N2Y5YzU4OGM4MGNmOTlmNzJjZTUyOTcxZjU3Y2NkNzVmODUzNTg3OTcwYWM5NWQzNDZhYWNmMzY5OWVkN2IyYmIyMDY5ZTJiMmM5YjE1OTg2Mjc5ZGNiYTNlMTMwYjRkMTdkNTI0ZTVkMmE5MTYyZTUzM2JjNWRlODJmNDBjNTg2ZDc2ODk2MTU0NDE3NzBkOGMwNDRlZjhhNjFlNWM3Y2JkZGQzOWFmYmQ1MDllMjU2In0",
        "i4W_pbOVP9Qb-kkNaari-2U1eWfPSZ6QfYubb6r2SzN1VK0xRe_YT6Zm8gIuEoq8mf5p9wKPcsqzgJwLe27rGNTypCI9qZhVGqY0bNEC5GaXjH3YCXGI_hRKfHiqGbRD8XN1uhOlyWJg0pw_7DA4hdy1pGapw11Pu10y1-YMy6dlieAAU3ot87OGSr5bpXi3P3Wzgvv_QHRRn0ZVXHwp9p1UvG8LFkfzAg5lPqwQGZwMhqmp2NKSF_pStmzcKIsox_1ogrfam_3cm7p1iSRPMROYWxU9rwaOLQiXYXHuB1kO9Z62vxRJLySX_1PunWwXohbu4Rw7biBvpTdLI9D_DQ",
    ];

    const ISSUED: i64 = 1_541_495_772;

    fn hat(application: &str) -> Bench {
        let settings = json!({
            "issuer": "*.hubat.net", "audience": "none", "subject_from": "iss", "keys": "hat", "algorithms": "RS256",
            "max_age": "72h", "leeway": "0s", "require": { "application": application },
        });
        bench(&settings, &[("hat", Set::of(parse_pem(KEY.as_bytes()).unwrap().keys))])
    }

    #[test]
    fn a_genuine_token_is_judged_to_the_second() {
        let token = TOKEN.join(".");
        let cases = [
            (ISSUED - 1, Err("not_yet_valid"), "before it was issued"),
            (ISSUED, Ok("testing.hubat.net"), "as it is issued"),
            (ISSUED + 259_200, Ok("testing.hubat.net"), "idle for 72 hours exactly"),
            (ISSUED + 259_201, Err("expired"), "a second longer, though exp is far off"),
            (1_544_087_773, Err("expired"), "past exp too"),
        ];
        for (now, expected, shows) in cases {
            assert_eq!(hat("hatappstaging").at(&token, now), expected.map(str::to_owned).map_err(str::to_owned), "{shows}");
        }
        assert_eq!(hat("another").at(&token, ISSUED), Err("claim_missing".into()), "a token for another application");
    }

    #[test]
    fn its_claims_arrive_as_they_were_signed() {
        let token = TOKEN.join(".");
        let fields = [("authorization", &*format!("Bearer {token}"))];
        let identity = hat("hatappstaging").request("/", None, &fields, ISSUED).unwrap();
        let claim = |name: &str| identity.claims.member(name).and_then(|value| value.as_text()).unwrap_or_default();
        assert_eq!((claim("application"), claim("applicationVersion")), ("hatappstaging", "1.2.7"));
        assert!(claim("sub").starts_with("1-OKQvmStg") && claim("sub").contains("mFR/7Td"), "an escaped slash is a slash");
        assert_eq!(claim("jti").len(), 256);
    }

    #[test]
    fn the_vendors_key_proves_nothing_else() {
        let other = SigningKey::generate(Algorithm::Rs256).unwrap().with_kid(None);
        let payload = json!({ "iss": "testing.hubat.net", "application": "hatappstaging", "iat": ISSUED, "exp": ISSUED + 60 });
        let token = other.sign_compact(&[], &payload).unwrap();
        assert_eq!(hat("hatappstaging").at(&token, ISSUED), Err("signature_invalid".into()), "another key, the same claims");
        let spliced = format!("{}.{}.{}", TOKEN[0], token.split('.').nth(1).unwrap(), TOKEN[2]);
        assert_eq!(hat("hatappstaging").at(&spliced, ISSUED), Err("signature_invalid".into()), "its signature under other claims");
    }
}
