//! Server keys through the running proxy: the header of their own, `Basic`, and a header the conf names.

use crate::support::rows::{PEPPER, base64, digest_of, row, run, server_key};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

fn conf(upstream: &Upstream) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys:
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
authenticators:
  partner: {{ server_key: {{ keys: partners, from: [server_key, basic] }} }}
  named: {{ server_key: {{ keys: partners, from: {{ header: App-Key }} }} }}
rules:
  - {{ name: partner, match: {{ paths: [/partner/**] }}, authenticate: partner, forward: app }}
  - {{ name: named, match: {{ paths: [/named/**] }}, authenticate: named, forward: app }}
",
        upstream.address
    )
}

fn keys() -> String {
    let rotated = format!("{{\"id\":\"rotated\",\"secrets\":[\"{}\",\"{}\"]}}\n", digest_of("rotated", "one"), digest_of("rotated", "two"));
    [
        server_key("acme", "s3cret", ""),
        server_key("ends", "s3cret", &format!(",\"expires\":{NOW}")),
        server_key("starts", "s3cret", &format!(",\"not_before\":{NOW}")),
        server_key("off", "s3cret", ",\"disabled\":true"),
        server_key("hosted", "s3cret", ",\"hosts\":[\"api.example\"]"),
        rotated,
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_key_is_judged_wherever_it_stands() {
    let upstream = Upstream::start().await;
    let lines = keys();
    let whole = Whole::start(&conf(&upstream), &[("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER)]).await;
    let good = base64("acme:s3cret");
    let basic = |text: &str| format!("Basic {}", base64(text));
    let server_key = |text: &str| ("Server-Key", base64(text));
    let with = |shows, (name, value): (&str, String)| row(shows, "/partner/x").credential(name, value);

    let rows = [
        with("the right secret in its own header", server_key("acme:s3cret")).passes("acme"),
        with("the same as Basic", ("Authorization", basic("acme:s3cret"))).passes("acme"),
        with("an auth-scheme is no matter of case", ("Authorization", basic("acme:s3cret").replace("Basic", "bASIC"))).passes("acme"),
        row("the header that the conf names", "/named/x").credential("App-Key", &good).passes("acme"),
        row("and no other one there", "/named/x").field("Server-Key", &good).refused(401, "credential_missing"),
        with("the older secret of two", server_key("rotated:one")).passes("rotated"),
        with("the newer secret of two", server_key("rotated:two")).passes("rotated"),
        with("a colon more is another secret", server_key("acme:s3cret:")).refused(401, "secret_wrong"),
        row("nothing at all", "/partner/x").refused(401, "credential_missing"),
        row("a bearer is not for this rule", "/partner/x").field("Authorization", "Bearer abc").refused(401, "credential_missing"),
        with("not base64", ("Server-Key", "!".into())).refused(401, "credential_malformed"),
        with("empty", ("Server-Key", String::new())).refused(401, "credential_malformed"),
        with("no colon", server_key("acme")).refused(401, "credential_malformed"),
        with("no id", server_key(":s3cret")).refused(401, "credential_malformed"),
        with("padding left out", ("Server-Key", base64("acme:s3cret1").replace('=', ""))).refused(401, "secret_wrong"),
        with("padding left out where there must be some", ("Server-Key", base64("acme:s3cre").replace('=', "")))
            .refused(401, "credential_malformed"),
        with("the secret in the clear", ("Server-Key", "acme:s3cret".into())).refused(401, "credential_malformed"),
        with("something before the text", ("Server-Key", format!("Key {good}"))).refused(401, "credential_malformed"),
        with("Basic without anything", ("Authorization", "Basic".into())).refused(401, "credential_malformed"),
        with("Basic with two spaces", ("Authorization", format!("Basic  {good}"))).refused(401, "credential_malformed"),
        with("the wrong secret", server_key("acme:s3cre7")).refused(401, "secret_wrong"),
        with("a beginning of the secret", server_key("acme:s3c")).refused(401, "secret_wrong"),
        with("no secret", server_key("acme:")).refused(401, "credential_malformed"),
        with("nobody's id reads like a wrong secret", server_key("nobody:s3cret")).refused(401, "secret_wrong"),
        with("an id is a matter of case", server_key("ACME:s3cret")).refused(401, "secret_wrong"),
        with("the secret of another", server_key("rotated:s3cret")).refused(401, "secret_wrong"),
        with("switched off", server_key("off:s3cret")).refused(401, "key_disabled"),
        with("switched off is told only to who knows the secret", server_key("off:wrong")).refused(401, "secret_wrong"),
        with("the last second before its end", server_key("ends:s3cret")).at(NOW - 1).passes("ends"),
        with("the end itself is too late", server_key("ends:s3cret")).at(NOW).refused(401, "key_disabled"),
        with("the second before its start", server_key("starts:s3cret")).at(NOW - 1).refused(401, "key_disabled"),
        with("its first second", server_key("starts:s3cret")).at(NOW).passes("starts"),
        with("for another host there is no such key", server_key("hosted:s3cret")).refused(401, "secret_wrong"),
        with("the host it is for", server_key("hosted:s3cret")).field("Host", "api.example").passes("hosted"),
        with("too long to look at", ("Server-Key", base64(format!("acme:{}", "s".repeat(9_000))))).refused(401, "credential_malformed"),
        with("twice in two fields", server_key("acme:s3cret")).credential("Server-Key", &good).refused(400, "credential_conflict"),
        with("two in one field", ("Server-Key", format!("{good}, {good}"))).refused(400, "credential_conflict"),
        with("two places that agree are one", server_key("acme:s3cret")).credential("Authorization", basic("acme:s3cret")).passes("acme"),
        with("two places that differ", server_key("acme:s3cret"))
            .credential("Authorization", basic("rotated:one"))
            .refused(400, "credential_conflict"),
        with("right beside malformed is malformed", server_key("acme:s3cret"))
            .field("Authorization", "Basic !")
            .refused(401, "credential_malformed"),
    ];
    run(&whole, &upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn look_alikes_of_the_credential_header_go_with_it() {
    let upstream = Upstream::start().await;
    let lines = keys();
    let whole = Whole::start(&conf(&upstream), &[("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER)]).await;
    whole.ready().await;
    let row = row("spelled in another way", "/partner/x")
        .credential("Server-Key", base64("acme:s3cret"))
        .credential("Server_Key", "smuggled-credential")
        .passes("acme");
    row.run(&whole, &upstream).await;
}
