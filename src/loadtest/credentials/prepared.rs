//! Requests that somebody else has prepared: a file of JSON Lines, one request a line.
//!
//! ```json
//! {"lane":"users","kind":"good","method":"GET","target":"/api/orders","headers":{"authorization":"Bearer ..."},"expect":"pass"}
//! ```
//!
//! `lane` (default `prepared`) and `kind` (default `good`) say where it is counted, `expect` what must come of it: `pass`, `refuse`, or a
//! status; by default a good one passes and every other is refused. `once` says that it may be sent once only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::domain::{Seconds, Timestamp};
use crate::loadtest::lane::{Arm, Expected, Lane, Lasting, Maker, Shot, Supply};
use crate::loadtest::mix::{Kind, Mix};
use crate::settings::unquoted::unquoted;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    lane: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    method: Option<String>,
    target: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    expect: Option<Wish>,
    #[serde(default)]
    once: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wish {
    Status(u16),
    Word(String),
}

/// The most requests in one file.
const MOST: usize = 1_000_000;

/// Requests that are sent in turn, again and again.
struct Turning(Vec<Shot>);

impl Maker for Turning {
    fn make(&self, number: u64, _: Timestamp) -> Result<Shot, String> {
        let index =
            u64::try_from(self.0.len()).ok().and_then(|length| number.checked_rem(length)).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.0.get(index)).cloned().ok_or_else(|| "there is no request to send".to_owned())
    }
}

/// Requests that are sent once each.
struct Single(Mutex<VecDeque<Shot>>);

impl Maker for Single {
    fn make(&self, _: u64, _: Timestamp) -> Result<Shot, String> {
        self.0
            .lock()
            .pop_front()
            .ok_or_else(|| "the requests that may be sent once are used up: prepare more of them, or send less with --requests".to_owned())
    }
}

/// The lanes that the lines of `text` make, whose kinds come as often as `mix` says. `authority` is the `Host` of requests that have none.
///
/// # Errors
///
/// What is wrong with which line; never a value of it.
pub fn lanes(text: &str, mix: &Mix, authority: &str) -> Result<Vec<Lane>, String> {
    type Group = (String, Kind, Expected, bool);
    let mut groups: Vec<(Group, Vec<Shot>)> = Vec::new();
    let mut lines = 0;
    for (number, line) in (1_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        lines += 1;
        if MOST < lines {
            return Err(format!("more than {MOST} requests"));
        }
        let (group, shot) = read(line, authority).map_err(|why| format!("line {number}: {why}"))?;
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, shots)) => shots.push(shot),
            None => groups.push((group, vec![shot])),
        }
    }
    let mut lanes: Vec<Lane> = Vec::new();
    for ((name, kind, expected, once), shots) in groups {
        let callers = shots.len();
        let supply = if once {
            Supply::new(Box::new(Single(Mutex::new(shots.into()))), Lasting::Once, 1)
        } else {
            Supply::new(Box::new(Turning(shots)), Lasting::For(Seconds(u32::MAX)), callers)
        };
        let arm = Arm { kind, expected, weight: mix.weight(kind), supply };
        match lanes.iter_mut().find(|lane| *lane.name == *name) {
            Some(lane) => lane.arms.push(arm),
            None => lanes.push(Lane { name: name.into(), scheme: Arc::from("prepared"), arms: vec![arm] }),
        }
    }
    if lanes.is_empty() { Err("there is no request in it".to_owned()) } else { Ok(lanes) }
}

fn read(line: &str, authority: &str) -> Result<((String, Kind, Expected, bool), Shot), String> {
    let written: Written = serde_json::from_str(line).map_err(|error| unquoted(&error, "a request"))?;
    let kind = match &written.kind {
        None => Kind::Good,
        Some(name) => Kind::named(name).ok_or_else(|| format!("`kind` is one of {}", Kind::ALL.map(Kind::name).join(" ")))?,
    };
    let expected = match (&written.expect, kind) {
        (Some(Wish::Status(status)), _) if (100..600).contains(status) => Expected::Status(*status),
        (Some(Wish::Word(word)), _) if word == "pass" => Expected::Passes,
        (Some(Wish::Word(word)), _) if word == "refuse" => Expected::Refused,
        (None, Kind::Good) => Expected::Passes,
        (None, _) => Expected::Refused,
        (Some(_), _) => return Err("`expect` is \"pass\", \"refuse\" or a status".to_owned()),
    };
    if !written.target.starts_with('/') {
        return Err("`target` is a path with its query, and starts with `/`".to_owned());
    }
    let mut shot = Request::builder()
        .method(written.method.as_deref().unwrap_or("GET"))
        .uri(written.target)
        .body(Full::new(Bytes::from(written.body)))
        .map_err(|_| "`method` or `target` is none".to_owned())?;
    for (name, value) in &written.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a name in `headers` is none")?;
        let value = HeaderValue::from_str(value).map_err(|_| "a value in `headers` is none")?;
        shot.headers_mut().append(name, value);
    }
    if !shot.headers().contains_key(HOST) {
        shot.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(|_| "the proxy's host is none")?);
    }
    Ok(((written.lane.unwrap_or_else(|| "prepared".to_owned()), kind, expected, written.once), shot))
}

#[cfg(test)]
mod tests {
    use super::lanes;
    use crate::domain::Timestamp;
    use crate::loadtest::lane::Expected;
    use crate::loadtest::mix::{Kind, Mix};

    #[test]
    fn lines_become_lanes_or_are_refused_with_their_number_and_without_their_values() {
        let cases = [
            // text, expected of the first arm or part of the reason, what the row shows
            (r#"{"target":"/a"}"#, Ok((Kind::Good, Expected::Passes)), "a good one passes"),
            (r#"{"target":"/a","kind":"forged"}"#, Ok((Kind::Forged, Expected::Refused)), "any other is refused"),
            (r#"{"target":"/a","kind":"expired","expect":403}"#, Ok((Kind::Expired, Expected::Status(403))), "with a status of its own"),
            (r#"{"target":"/a","kind":"absent","expect":"pass"}"#, Ok((Kind::Absent, Expected::Passes)), "or not, as the line says"),
            ("\n\n{}", Err("line 3"), "no target"),
            (r#"{"target":"a"}"#, Err("starts with `/`"), "no path"),
            (r#"{"target":"/a","kind":"bad"}"#, Err("one of good"), "no such kind"),
            (r#"{"target":"/a","expect":"maybe"}"#, Err("\"pass\""), "no such wish"),
            (r#"{"target":"/a","expect":99}"#, Err("\"pass\""), "no such status"),
            (r#"{"target":"/a","headers":{"x":"a\nb"}}"#, Err("a value in `headers`"), "two lines in one field"),
            (r#"{"target":"/a","header":{}}"#, Err("line 1"), "an unknown member"),
            ("", Err("no request"), "nothing"),
        ];
        for (text, expected, shows) in cases {
            match (lanes(text, &Mix::default(), "localhost"), expected) {
                (Ok(lanes), Ok(first)) => assert_eq!((lanes[0].arms[0].kind, lanes[0].arms[0].expected), first, "{shows}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{shows}: {why}"),
                (Ok(_), Err(_)) => panic!("{shows}: it was read"),
                (Err(why), Ok(_)) => panic!("{shows}: {why}"),
            }
        }
        let why = lanes(r#"{"target":"/a","headers":{"authorization":17}}"#, &Mix::default(), "localhost").err().unwrap();
        assert!(!why.contains("17"), "a value may be a secret: {why}");
    }

    #[test]
    fn what_may_be_sent_once_is_sent_once() {
        let text = "{\"target\":\"/a\",\"once\":true}\n{\"target\":\"/b\",\"once\":true}\n{\"target\":\"/c\"}";
        let lanes = lanes(text, &Mix::default(), "localhost").unwrap();
        let [single, turning] = &lanes[0].arms[..] else { panic!("two arms") };
        let said = |arm: &crate::loadtest::lane::Arm| arm.supply.draw(Timestamp(0)).map(|drawn| drawn.shot.uri().to_string());
        assert_eq!((said(single), said(single)), (Ok("/a".into()), Ok("/b".into())));
        assert!(said(single).is_err_and(|why| why.contains("used up")), "a third would be a replay");
        assert_eq!((said(turning), said(turning)), (Ok("/c".into()), Ok("/c".into())), "the others take turns for ever");
    }
}
