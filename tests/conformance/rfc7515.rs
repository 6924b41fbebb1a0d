//! RFC 7515 (JSON Web Signature), appendices A and C; RFC 8037 appendix A (Ed25519).

use std::sync::Arc;

use countersign::jose::algorithm::Algorithm;
use countersign::jose::base64url::{decode, encode};
use countersign::jose::compact::{Compact, CompactFault, split};
use countersign::jose::json;
use countersign::jose::jwk::{Trust, parse_jwk};
use countersign::jose::key::VerifyingKey;
use countersign::jose::mint::SigningKey;
use serde_json::{Value as Json, json};

/// Payload of A.1 to A.3.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const A2_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs\
D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k\
G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

const A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ\
cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv\
hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

struct Example {
    name: &'static str,
    header: &'static str,
    payload: &'static str,
    signature: &'static str,
    jwk: Json,
    algorithm: Algorithm,
}

fn examples() -> Vec<Example> {
    vec![
        Example {
            name: "A.1, HS256",
            header: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            payload: CLAIMS,
            signature: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            jwk: json!({ "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" }),
            algorithm: Algorithm::Hs256,
        },
        Example {
            name: "A.2, RS256",
            header: "eyJhbGciOiJSUzI1NiJ9",
            payload: CLAIMS,
            signature: A2_SIGNATURE,
            jwk: json!({ "kty": "RSA", "n": A2_MODULUS, "e": "AQAB" }),
            algorithm: Algorithm::Rs256,
        },
        Example {
            name: "A.3, ES256",
            header: "eyJhbGciOiJFUzI1NiJ9",
            payload: CLAIMS,
            signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            jwk: json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }),
            algorithm: Algorithm::Es256,
        },
        Example {
            name: "A.4, ES512",
            header: "eyJhbGciOiJFUzUxMiJ9",
            payload: "UGF5bG9hZA",
            signature: "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
            jwk: json!({
                "kty": "EC", "crv": "P-521",
                "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
                "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
            }),
            algorithm: Algorithm::Es512,
        },
        Example {
            name: "RFC 8037 A.4, EdDSA",
            header: "eyJhbGciOiJFZERTQSJ9",
            payload: "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
            algorithm: Algorithm::EdDsa,
        },
    ]
}

fn key(jwk: &Json) -> VerifyingKey {
    parse_jwk(&json::parse(jwk.to_string().as_bytes()).unwrap(), Trust::Pinned).unwrap()
}

#[test]
fn the_signatures_of_the_examples_are_good_and_nothing_near_them_is() {
    for Example { name, header, payload, signature, jwk, algorithm } in examples() {
        let key = key(&jwk);
        let message = format!("{header}.{payload}");
        let signature = decode(signature).unwrap();
        assert!(key.verifies(algorithm, message.as_bytes(), &signature), "{name}");
        for bit in 0..8 * signature.len() {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(algorithm, message.as_bytes(), &changed), "{name}: bit {bit} of the signature");
        }
        for other in Algorithm::ALL.iter().filter(|other| **other != algorithm) {
            assert!(!key.verifies(*other, message.as_bytes(), &signature), "{name}: as {other:?}");
        }
    }
}

#[test]
fn the_compact_examples_are_read_and_proven() {
    for Example { name, header, payload, signature, jwk, algorithm } in examples() {
        let text = format!("{header}.{payload}.{signature}");
        if payload != CLAIMS {
            assert_eq!(Compact::parse(&text).err(), Some(CompactFault::Payload), "{name}: a text, where we read claim sets only");
            assert_eq!(split(&text), Ok([header, payload, signature]), "{name}: though its form is sound");
            continue;
        }
        let token = Compact::parse(&text).unwrap();
        assert_eq!((token.header().algorithm, token.header().kid.as_deref()), (Some(algorithm), None), "{name}");
        let claims = token.prove(algorithm, &[Arc::new(key(&jwk))]).unwrap_or_else(|| panic!("{name}: not proven"));
        assert_eq!(
            claims.get().member("exp").and_then(countersign::domain::Claim::as_int),
            Some(1_300_819_380),
            "{name}: line breaks in the claims"
        );
    }
}

#[test]
fn an_unsecured_jws_is_refused() {
    let a5 = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    assert_eq!(Compact::parse(&a5).err(), Some(CompactFault::Parts), "A.5: without a signature there are not three parts");
    let signed = format!("{a5}AAAA");
    assert_eq!(Compact::parse(&signed).map(|token| token.header().algorithm), Ok(None), "A.5 with something behind it names no algorithm");
}

#[test]
fn what_an_rfc_allows_and_we_do_not_read() {
    let a6 = json!({ "payload": CLAIMS, "signatures": [{ "protected": "eyJhbGciOiJSUzI1NiJ9", "header": { "kid": "2010-12-29" }, "signature": A2_SIGNATURE }] });
    let a7 = json!({ "payload": CLAIMS, "protected": "eyJhbGciOiJSUzI1NiJ9", "signature": A2_SIGNATURE });
    for (text, shows) in
        [(a6.to_string(), "A.6, general JSON: more than one signature has more than one reading"), (a7.to_string(), "A.7, flattened JSON")]
    {
        assert!(Compact::parse(&text).is_err(), "{shows}");
    }
    let crit = format!(
        "{}.{CLAIMS}.AAAA",
        encode(br#"{"alg":"none","crit":["http://example.com/UNDEFINED"],"http://example.com/UNDEFINED":true}"#)
    );
    assert_eq!(Compact::parse(&crit).err(), Some(CompactFault::Unsupported), "appendix E: a negative test for crit");
    let detached = format!("eyJhbGciOiJSUzI1NiJ9..{A2_SIGNATURE}");
    assert_eq!(Compact::parse(&detached).err(), Some(CompactFault::Parts), "appendix F: detached content");
}

#[test]
fn base64url_is_that_of_appendix_c() {
    assert_eq!(encode(&[3, 236, 255, 224, 193]), "A-z_4ME");
    assert_eq!(decode("A-z_4ME").as_deref(), Some(&[3, 236, 255, 224, 193][..]));
}

#[test]
fn ed25519_signs_what_rfc_8037_says() {
    // A.1 as PKCS#8 (RFC 8410 section 7): a fixed head and the 32 bytes of `d`.
    let seed = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pem = countersign::jose::pem::write("PRIVATE KEY", &[&head[..], &seed].concat());
    let key = SigningKey::from_pem(&pem, None).unwrap();
    assert_eq!(key.kid(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), "A.3: the thumbprint");
    let example = &examples()[4];
    let signature = key.sign(format!("{}.{}", example.header, example.payload).as_bytes()).unwrap();
    assert_eq!(encode(&signature), example.signature, "A.4: the signature, to the bit");
    assert_eq!(key.public_jwk().unwrap()["x"], example.jwk["x"], "A.2: the public key");
}
