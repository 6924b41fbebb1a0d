//! Base strings: the vendor's own vectors, and that no two calls have one.

use url::Url;

use crate::domain::Secret;
use crate::jose::hmac_sha1::{Sha1Key, Strictness, decode_secret};
use crate::jose::signed_call::{ParameterFault, Parameters, PublicBase, base_string, encode, read_number};

fn key(secret: &str) -> Sha1Key {
    Sha1Key::new(&decode_secret(secret.as_bytes(), Strictness::Canonical).unwrap()).unwrap()
}

fn read(text: &str) -> Result<Parameters<'_>, ParameterFault> {
    let mut parameters = Parameters::new();
    parameters.read(text).map(|()| parameters)
}

fn base(url: &str) -> Result<PublicBase, &'static str> {
    PublicBase::new(&Url::parse(url).unwrap())
}

/// SAP/gigya-java-sdk, `SigUtilsTest`, and one derived with the same algorithm.
#[test]
fn signed_calls_come_out_as_the_vendors_sdk_signs_them() {
    let cases = [
        (
            "http://photos.example.net",
            "/photos",
            "size=original&file=vacation.jpg&oauth_consumer_key=test-consumer-secret&oauth_token=test-token-secret\
             &oauth_signature_method=HMAC-SHA1&oauth_timestamp=1191242096&oauth_nonce=kllo9940pd9333jh&oauth_version=1.0&sig=left%20out",
            "dGVzdC1jb25zdW1lci1zZWNyZXQmdGVzdC10b2tlbi1zZWNyZXQ=",
            "POST&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26oauth_consumer_key%3Dtest-consumer-secret%26\
             oauth_nonce%3Dkllo9940pd9333jh%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D1191242096%26\
             oauth_token%3Dtest-token-secret%26oauth_version%3D1.0%26size%3Doriginal",
            "j4/Jwtp11HLWl7KG3QlsczfRRpU=",
        ),
        (
            "https://accounts.us1.gigya.com",
            "/accounts.getAccountInfo",
            "userKey=AUser&timestamp=1700000000&nonce=1&format=json&apiKey=3_apikey&UID=a+b%21%2A%27%28%29~%C3%A9",
            "dGVzdC1zZWNyZXQtMTIzNDU2Nzg5MA==",
            "POST&https%3A%2F%2Faccounts.us1.gigya.com%2Faccounts.getAccountInfo&UID%3Da%2520b%2521%252A%2527%2528%2529~%25C3%25A9%26\
             apiKey%3D3_apikey%26format%3Djson%26nonce%3D1%26timestamp%3D1700000000%26userKey%3DAUser",
            "D+i/CnWumho6Blqf7ZhW6NRKuFI=",
        ),
    ];
    for (public, path, parameters, secret, expected, signature) in cases {
        let text = base_string("POST", &base(public).unwrap().url_of(path), &read(parameters).unwrap(), "sig");
        assert_eq!(text, expected);
        assert_eq!(key(secret).sign_text(&[&text]), signature, "{path}");
    }
}

#[test]
fn values_are_encoded_to_the_last_character_that_is_not_unreserved() {
    assert_eq!(encode("!*'();:@&=+$,/?%#[] "), "%21%2A%27%28%29%3B%3A%40%26%3D%2B%24%2C%2F%3F%25%23%5B%5D%20");
    assert_eq!(encode("abc012_-.~"), "abc012_-.~");
    assert_eq!(encode("\u{e9}"), "%C3%A9");
}

#[test]
fn a_port_that_is_not_the_schemes_own_stays_in_the_url() {
    let cases = [
        ("http://Api.Example:8080/", "http://api.example:8080/a"),
        ("https://api.example:4433", "https://api.example:4433/a"),
        ("https://api.example:443", "https://api.example/a"),
        ("http://api.example:80", "http://api.example/a"),
        ("HTTPS://API.example/Mount/", "https://api.example/Mount/a"),
    ];
    for (written, expected) in cases {
        assert_eq!(base(written).unwrap().url_of("/a"), expected, "{written}");
    }
    for wrong in ["ftp://api.example", "https://user@api.example", "https://api.example/?a=1", "https://api.example/#a"] {
        assert!(base(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn both_spellings_of_a_space_are_one_and_every_name_stands_once() {
    assert_eq!(read("a=b+c").unwrap(), read("a=b%20c").unwrap(), "PHP and Java sign the same");
    assert_ne!(read("a=b%2Bc").unwrap(), read("a=b+c").unwrap(), "a plus that was meant is none that was not");
    let cases = [
        ("a=1&a=2", ParameterFault::Twice, "twice"),
        ("a=1&a=1", ParameterFault::Twice, "twice the same"),
        ("a=1&%61=2", ParameterFault::Twice, "twice in two spellings"),
        ("a=%2", ParameterFault::Malformed, "a broken escape"),
        ("a=%ff", ParameterFault::Malformed, "not UTF-8"),
        ("a%3D1%26b=2", ParameterFault::Malformed, "a name that reads as two parameters once it is joined"),
        ("=1", ParameterFault::Malformed, "no name"),
        ("a+b=1", ParameterFault::Malformed, "a name with a space"),
        ("%C3%A9=1", ParameterFault::Malformed, "a name beyond ASCII"),
    ];
    for (text, expected, shows) in cases {
        assert_eq!(read(text).unwrap_err(), expected, "{shows}");
    }
    let mut query = read("a=1").unwrap();
    assert_eq!(query.read("a=1").unwrap_err(), ParameterFault::Twice, "once in the query and once in the body is twice");
    let many: String = (0..513).map(|number| format!("p{number}=&")).collect();
    assert_eq!(read(&many).unwrap_err(), ParameterFault::Malformed, "more than any call has");
    assert_eq!(format!("{:?}", read("secret=s3cret").unwrap()), "Parameters(1)", "values are not printed");
}

#[test]
fn parameters_stand_in_the_order_of_bytes_and_without_the_signature() {
    let mut parameters = read("b=2&apiKey=k&UID=u&sig=x").unwrap();
    assert_eq!(parameters.written("sig"), "UID=u&apiKey=k&b=2", "upper case first, as bytes have it");
    parameters.set("b", "3 4");
    parameters.remove("sig");
    assert_eq!(parameters.form(), "UID=u&apiKey=k&b=3%204");
    assert_eq!(parameters.get("b"), Some("3 4"));
}

#[test]
fn a_number_has_one_spelling() {
    for (text, expected) in [("0", Some(0)), ("1700000000", Some(1_700_000_000)), ("9223372036854775807", Some(i64::MAX))] {
        assert_eq!(read_number(text), expected, "{text}");
    }
    for wrong in ["", "00", "01", "+1", "-1", "1.0", " 1", "1e3", "9223372036854775808", "10000000000000000000", "\u{0661}"] {
        assert_eq!(read_number(wrong), None, "{wrong:?}");
    }
}
