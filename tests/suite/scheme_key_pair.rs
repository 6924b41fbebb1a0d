//! Ids and secrets in two headers through the running proxy.

use crate::support::rows::{PEPPER, row, run, server_key};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

fn conf(upstream: &Upstream) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys:
  instances: {{ server_keys: {{ file: instances.jsonl, pepper: {{ file: pepper }} }} }}
authenticators:
  instance: {{ key_pair: {{ keys: instances }} }}
  named: {{ key_pair: {{ keys: instances, id_header: X-Unit, key_header: X-Unit-Key }} }}
rules:
  - {{ name: instance, match: {{ paths: [/**] }}, authenticate: instance, forward: app }}
  - {{ name: named, match: {{ paths: [/named/**] }}, authenticate: named, forward: app }}
",
        upstream.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_and_its_key_are_judged_together() {
    let upstream = Upstream::start().await;
    let lines = [
        server_key("vehicle-7", "instance-secret", ""),
        server_key("ends", "instance-secret", &format!(",\"expires\":{NOW}")),
        server_key("starts", "instance-secret", &format!(",\"not_before\":{NOW}")),
        server_key("off", "instance-secret", ",\"disabled\":true"),
    ]
    .concat();
    let whole = Whole::start(&conf(&upstream), &[("instances.jsonl", lines.as_bytes()), ("pepper", PEPPER)]).await;
    let pair = |shows, id: &str, key: &str| row(shows, "/x").field("InstanceId", id).credential("InstanceKey", key);

    let rows = [
        pair("the right pair", "vehicle-7", "instance-secret").passes("vehicle-7"),
        row("field names are no matter of case", "/x")
            .field("instanceid", "vehicle-7")
            .credential("INSTANCEKEY", "instance-secret")
            .passes("vehicle-7"),
        row("the names that the conf gives", "/named/x")
            .field("X-Unit", "vehicle-7")
            .credential("X-Unit-Key", "instance-secret")
            .passes("vehicle-7"),
        row("neither", "/x").refused(401, "credential_missing"),
        row("an id alone is malformed, not absent", "/x").field("InstanceId", "vehicle-7").refused(401, "credential_malformed"),
        row("a key alone", "/x").credential("InstanceKey", "instance-secret").refused(401, "credential_malformed"),
        pair("an empty id", "", "instance-secret").refused(401, "credential_malformed"),
        pair("an empty key", "vehicle-7", "").refused(401, "credential_malformed"),
        pair("a wrong key", "vehicle-7", "instance-secre7").refused(401, "secret_wrong"),
        pair("an unknown id", "vehicle-8", "instance-secret").refused(401, "secret_wrong"),
        row("swapped", "/x").credential("InstanceId", "instance-secret").field("InstanceKey", "vehicle-7").refused(401, "secret_wrong"),
        pair("switched off", "off", "instance-secret").refused(401, "key_disabled"),
        pair("the last second before its end", "ends", "instance-secret").at(NOW - 1).passes("ends"),
        pair("the end itself is too late", "ends", "instance-secret").refused(401, "key_disabled"),
        pair("the second before its start", "starts", "instance-secret").at(NOW - 1).refused(401, "key_disabled"),
        pair("its first second", "starts", "instance-secret").passes("starts"),
        pair("too long an id", &"v".repeat(9_000), "instance-secret").refused(401, "credential_malformed"),
        pair("too long a key", "vehicle-7", &"k".repeat(9_000)).refused(401, "credential_malformed"),
        pair("two ids", "vehicle-7", "instance-secret").field("InstanceId", "starts").refused(400, "credential_conflict"),
        pair("two keys", "vehicle-7", "instance-secret").credential("InstanceKey", "other-secret").refused(400, "credential_conflict"),
        pair("two keys joined", "vehicle-7", "instance-secret, other").refused(400, "credential_conflict"),
    ];
    run(&whole, &upstream, rows).await;

    let (_, seen) =
        pair("neither half reaches the upstream", "vehicle-7", "instance-secret").passes("vehicle-7").run(&whole, &upstream).await;
    let seen = seen.unwrap();
    assert!(seen.fields("instanceid").is_empty() && seen.fields("instancekey").is_empty(), "{}", seen.head);
}
