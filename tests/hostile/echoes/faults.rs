//! Faults of a conf in which a secret stands in the wrong place or form, as `check` and `run` tell them.
//!
//! Row O3.

use std::fmt::Write as _;

use super::{MARK, folder, leak};
use crate::support::child::binary;

/// A conf around one fragment, and the files that it refers to.
struct Broken {
    shows: &'static str,
    /// What the fault says.
    says: &'static str,
    /// What stands at the top level.
    conf: &'static str,
    /// `broken` holds this.
    file: &'static str,
}

/// Confs with one fault each, where a secret stands in the wrong place or form; `M` is the mark.
const BROKEN: &[Broken] = &[
    Broken {
        shows: "an inline secret",
        says: "a secret may not stand in the conf",
        conf: "admin: { address: 127.0.0.1:0, token: M }",
        file: "",
    },
    Broken {
        shows: "an inline secret among others",
        says: "must be a secret reference",
        conf: "admin: { address: 127.0.0.1:0, token: [M] }",
        file: "",
    },
    Broken {
        shows: "a secret under another key",
        says: "must be a secret reference",
        conf: "admin: { address: 127.0.0.1:0, token: { value: M } }",
        file: "",
    },
    Broken { shows: "a quote that does not end", says: "not YAML", conf: "admin: { address: 127.0.0.1:0, token: \"M }", file: "" },
    Broken { shows: "a mapping that does not end", says: "not YAML", conf: "admin: { address: 127.0.0.1:0, token: M", file: "" },
    Broken { shows: "an escape that is none", says: "not YAML", conf: "admin: { token: \"\\qM\" }", file: "" },
    Broken { shows: "an alias of nothing", says: "not YAML", conf: "admin: { token: *M }", file: "" },
    Broken { shows: "a tag", says: "tags", conf: "admin: { token: !M M }", file: "" },
    Broken {
        shows: "a number where text belongs",
        says: "must be a secret reference",
        conf: "admin: { address: 127.0.0.1:0, token: { file: [M] } }",
        file: "",
    },
    Broken {
        shows: "a password in the URL of an upstream",
        says: "must not carry",
        conf: "upstreams: { app: 'http://127.0.0.1:9', app2: 'http://user:M@127.0.0.1:9' }",
        file: "",
    },
    Broken {
        shows: "one in the URL of a store",
        says: "must not carry",
        conf: "state: { redis: { url: 'redis://:M@127.0.0.1:9/0' } }",
        file: "",
    },
    Broken {
        shows: "a store's password inline",
        says: "a secret may not stand in the conf",
        conf: "state: { redis: { url: 'redis://127.0.0.1:9/0', password: M } }",
        file: "",
    },
    Broken {
        shows: "one in the URL of a key set",
        says: "must not carry",
        conf: "keys: { k: { jwks_url: { url: 'https://user:M@id.example/' } } }",
        file: "",
    },
    Broken {
        shows: "one in a query",
        says: "over https only",
        conf: "keys: { k: { jwks_url: { url: 'http://id.example/?key=M' } } }",
        file: "",
    },
    Broken {
        shows: "one in the URL of a service",
        says: "must not carry",
        conf: "keys: { k: { server_key_lookup: { url: 'https://user:M@id.example/{id}', pepper: { file: pepper } } } }",
        file: "",
    },
    Broken {
        shows: "a pepper that is too short",
        says: "a pepper has",
        conf: "keys: { k: { server_keys: { file: partners.jsonl, pepper: { file: broken } } } }",
        file: "M",
    },
    Broken {
        shows: "a secret in the clear where a digest belongs",
        says: "is no digest",
        conf: "keys: { k: { server_keys: { file: broken, pepper: { file: pepper } } } }",
        file: "{\"id\":\"acme\",\"secrets\":[\"M\"]}\n",
    },
    Broken {
        shows: "a key for a record",
        says: "no JSON object",
        conf: "keys: { k: { server_keys: { file: broken, pepper: { file: pepper } } } }",
        file: "acme:M\n",
    },
    Broken {
        shows: "a secret as a member's name",
        says: "unknown field",
        conf: "keys: { k: { server_keys: { file: broken, pepper: { file: pepper } } } }",
        file: "{\"id\":\"acme\",\"M\":true}\n",
    },
    Broken { shows: "a seal key that is too short", says: "are needed", conf: "keys: { k: { mac: { file: broken } } }", file: "M" },
    Broken {
        shows: "a secret that is no base64",
        says: "not base64",
        conf: "keys: { k: { gigya_secret: { file: broken } } }",
        file: "M-?!",
    },
    Broken {
        shows: "an HMAC secret that is too short",
        says: "too weak",
        conf: "keys: { k: { pinned: { hmac: { file: broken }, hmac_algorithm: HS256 } } }",
        file: "M",
    },
    Broken {
        shows: "a private key as an HMAC secret",
        says: "key of another kind",
        conf: "keys: { k: { pinned: { hmac: { file: broken }, hmac_algorithm: HS256 } } }",
        file: "-----BEGIN PRIVATE KEY-----\nM0123456789abcdef0123456789\n-----END PRIVATE KEY-----\n",
    },
    Broken {
        shows: "a key set that is no JSON",
        says: "not well-formed",
        conf: "keys: { k: { pinned: { file: broken } } }",
        file: "{\"keys\":[{\"M\"",
    },
    Broken {
        shows: "a key that shows its private half",
        says: "a private key is in the set",
        conf: "keys: { k: { pinned: { file: broken } } }",
        file: "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"M\",\"d\":\"M\"}",
    },
    Broken {
        shows: "a PEM of another kind",
        says: "neither a public key",
        conf: "keys: { k: { pinned: { file: broken } } }",
        file: "-----BEGIN M-----\nM\n-----END M-----\n",
    },
    Broken {
        shows: "a PEM that is no base64",
        says: "not base64",
        conf: "keys: { k: { pinned: { file: broken } } }",
        file: "-----BEGIN PUBLIC KEY-----\nM!\n-----END PUBLIC KEY-----\n",
    },
    Broken {
        shows: "a signing key whose PEM does not end",
        says: "has no end",
        conf: "issuers: { main: { issuer: 'https://p.example', audience: app, signing_key: { file: broken } } }",
        file: "-----BEGIN PRIVATE KEY-----\nM\n-----END M",
    },
    Broken {
        shows: "a certificate that is a secret",
        says: "holds no certificate",
        conf: "listeners: [{ address: 127.0.0.1:0, tls: { certificate: broken, key: broken } }]",
        file: "M",
    },
    Broken {
        shows: "a certificate's PEM that is broken",
        says: "is not PEM",
        conf: "listeners: [{ address: 127.0.0.1:0, tls: { certificate: broken, key: broken } }]",
        file: "-----BEGIN CERTIFICATE-----\nM!!\n-----END CERTIFICATE-----\n",
    },
    Broken {
        shows: "a section that begins like none",
        says: "is not PEM",
        conf: "listeners: [{ address: 127.0.0.1:0, tls: { certificate: broken, key: broken } }]",
        file: "-----BEGIN M\nM\n",
    },
    Broken {
        shows: "authorities that are a secret",
        says: "no PEM bundle",
        conf: "keys: { k: { jwks_url: { url: 'https://id.example/', ca: broken } } }\nauthenticators: { u: { jwt: { issuer: 'https://id.example', audience: a, keys: k } } }",
        file: "-----BEGIN CERTIFICATE-----\nM?\n-----END CERTIFICATE-----\n",
    },
    Broken {
        shows: "a client secret inline",
        says: "a secret may not stand in the conf",
        conf: "authenticators: { u: { introspection: { endpoint: 'https://id.example/', client_id: a, client_secret: M, issuer: 'https://id.example', audience: a } } }",
        file: "",
    },
    Broken {
        shows: "a secret that cannot stand in a header",
        says: "control characters",
        conf: "keys: { k: { server_key_lookup: { url: 'https://id.example/{id}', pepper: { file: pepper }, headers: { Authorization: { file: broken } } } } }",
        file: "M\u{7}\nM",
    },
    Broken {
        shows: "revocations that are none",
        says: "no JSON object",
        conf: "revocations: { file: broken }",
        file: "{\"token\":\"M\"\n{\"M\":1}\n",
    },
    Broken {
        shows: "a revocation of another form",
        says: "no JSON object",
        conf: "revocations: { file: broken }",
        file: "{\"token\":[\"M\"]}\n",
    },
];

#[test]
fn o3_no_fault_of_a_conf_shows_a_secret() {
    for Broken { shows, says, conf, file } in BROKEN {
        let folder = folder();
        folder.write("broken", file.replace('M', MARK));
        let mut whole = String::new();
        for (section, usual) in
            [("listeners:", "listeners: [{ address: 127.0.0.1:0 }]"), ("upstreams:", "upstreams: { app: http://127.0.0.1:9 }")]
        {
            if !conf.starts_with(section) {
                writeln!(whole, "{usual}").unwrap();
            }
        }
        writeln!(whole, "rules:\n  - {{ name: open, match: {{ paths: [/] }}, authenticate: none, forward: app }}").unwrap();
        writeln!(whole, "{}", conf.replace('M', MARK)).unwrap();
        let conf = folder.write("countersign.yaml", whole);
        for verb in [&["check"][..], &["check", "--json"], &["run"]] {
            let mut command = binary();
            let done = command.args(verb).arg("-c").arg(&conf).output().unwrap();
            let told = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
            assert_eq!(done.status.code(), Some(1), "{shows}, {verb:?}: this is a fault: {told}");
            assert!(told.contains(says), "{shows}, {verb:?}: it is this fault: {told}");
            assert_eq!(leak(&told), None, "{shows}, {verb:?}: {told}");
        }
    }
}
