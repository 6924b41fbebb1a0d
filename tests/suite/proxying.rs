//! Requests go through as they came, streams are not held back, and what fails fails alone.

use crate::support::edge::before;
use crate::support::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn an_admitted_request_arrives_countersigned_and_without_its_credential() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;

    client.send("GET /a?b=c HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer good\r\nX-Auth-Subject: mallory\r\nx_auth.subject: mallory\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));

    let record = upstream.sole();
    assert_eq!(record.line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(record.fields("x-auth-subject"), ["alice"], "the judge's word, once");
    assert_eq!(record.fields("x_auth.subject"), [""; 0], "and no look-alike");
    assert_eq!(record.fields("authorization"), [""; 0], "the credential stays here");
    assert_eq!(record.fields("host"), ["app.example"]);
}
