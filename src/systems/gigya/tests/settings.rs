//! What a rule may say about Gigya.

use super::stage::{SECRET, plan};

#[test]
fn settings_are_proven_and_show_no_secret() {
    let cases = [
        // yaml, what its fault says (nothing: it is sound), what the row shows
        ("{}", "", "all defaults"),
        ("proof: uid", "", "a proof"),
        ("proof: cookie", "must be one of", "no such proof"),
        ("http_status: sometimes", "must be one of", "no such time"),
        ("api_keys: 3_site", "", "one site"),
        ("api_keys: []", "at least 1", "none at all"),
        ("api_keys: ['3 site']", "an API key has", "no API key"),
        ("site: { secrets: { env: PARTNER } }", "", "a partner secret"),
        (
            "site: { secrets: [{ env: PARTNER }, { env: LENIENT }] }",
            "lenient_trailing_bits",
            "class B of secrets is taken only where the conf says so",
        ),
        ("{ site: { secrets: [{ env: PARTNER }, { env: LENIENT }] }, lenient_trailing_bits: true }", "", "as here"),
        ("{ site: { secrets: { env: DANGLING } }, lenient_trailing_bits: true }", "not base64", "class C never"),
        ("{ site: { secrets: { env: FOREIGN } }, lenient_trailing_bits: true }", "not base64", "class D never"),
        ("site: { secrets: { env: ABSENT } }", "not set", "no secret"),
        ("site: { secrets: { env: PARTNER }, window: 29s }", "between", "a narrower window than anybody's"),
        ("site: { secrets: { env: PARTNER }, window: 301s }", "between", "a wider one than the vendor's"),
        ("sign: {}", "nothing would be signed", "nothing to sign"),
        ("sign: { uid: { secret: { env: PARTNER }, whose: anybody } }", "must be one of", "nobody's id"),
        ("sign: { request: { base: 'https://a.example', api_key: 3_a, secret: { env: PARTNER } } }", "", "the least of a signed request"),
        (
            "sign: { request: { base: 'https://a.example?b=1', api_key: 3_a, secret: { env: PARTNER } } }",
            "nothing else",
            "a base with a query",
        ),
        (
            "sign: { request: { base: 'https://a.example', api_key: 3_a, user_key: '12', secret: { env: PARTNER } } }",
            "user key",
            "a user key of digits",
        ),
        ("slide: { api_key: 3_a, secret: { env: PARTNER } }", "", "a sliding end"),
        ("slide: { api_key: 3_a, secret: { env: PARTNER }, path: 'a' }", "starts with `/`", "a path that is none"),
        ("slide: { api_key: 3_a, secret: { env: PARTNER }, path: '/;Secure' }", "separates nothing", "one that goes on"),
        ("slide: { api_key: 3_a, secret: { env: PARTNER }, domain: 'a; b' }", "host name", "a domain that goes on"),
        ("slide: { api_key: 'a=b', secret: { env: PARTNER } }", "an API key has", "a cookie's name that is none"),
        ("unknown: 1", "knows no key", "a key nobody knows"),
    ];
    for (yaml, says, shows) in cases {
        match plan(yaml) {
            Ok(plan) => {
                assert!(says.is_empty(), "{shows}: was taken");
                assert!(!format!("{plan:?}").contains(SECRET), "{shows}: shows the secret");
                assert!(plan.build().is_ok() && plan.sets().is_empty() && !plan.remembers(), "{shows}");
            }
            Err(faults) => {
                assert!(!says.is_empty() && faults.iter().any(|fault| fault.contains(says)), "{shows}: {faults:?}");
                assert!(!faults.iter().any(|fault| fault.contains("jkl234h53k2") || fault.contains("mkl34n5jb4356")), "{faults:?}");
            }
        }
    }
}
