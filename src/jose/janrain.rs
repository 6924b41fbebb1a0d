//! What Janrain Capture signs, as text: requests of API clients, and the refresh of a mobile app.
//!
//! A request's text is its path, a date of Capture's own form, and one line for each parameter in order. Two implementations of
//! the vendor's differ in two places, so a request has up to two texts: with or without a last line break where there is no
//! parameter, and sorted by whole lines or by names alone. Method, host and content type are in neither.
//!
//! Nothing here holds a key or reads a clock; parameters come decoded, and whoever hands them in has refused names and values
//! with which two lists would have one text ([`unambiguous`]).

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveDateTime};

use crate::domain::Timestamp;
use crate::jose::form::Pair;

/// Parameters that are never part of the text.
pub const UNSIGNED: [&str; 3] = ["access_token", "client_id", "client_secret"];

/// A moment as Capture writes it, in UTC: `2016-02-26 19:08:44`, which is no date of HTTP.
///
/// `None` for every other spelling, and for a leap second.
#[must_use]
pub fn read_date(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 19] = text.as_bytes().try_into().ok()?;
    let digit_or = |index: usize, byte: u8| match index {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    };
    if !bytes.iter().enumerate().all(|(index, byte)| digit_or(index, *byte)) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?;
    let moment: NaiveDateTime = date.and_hms_opt(number(11..13)?, number(14..16)?, number(17..19)?)?;
    Some(Timestamp(moment.and_utc().timestamp()))
}

/// `moment` as Capture writes it; `None` outside the years 0 to 9999.
#[must_use]
pub fn written_date(moment: Timestamp) -> Option<String> {
    let text = chrono::DateTime::from_timestamp(moment.0, 0)?.format("%Y-%m-%d %H:%M:%S").to_string();
    (text.len() == 19).then_some(text)
}

/// Whether no other list of parameters has the text of `pairs`, whatever their order: no name stands twice, is empty or holds
/// `=`, and neither names nor values hold control characters, line breaks among them.
#[must_use]
pub fn unambiguous(pairs: &[Pair<'_>]) -> bool {
    let plain = |text: &str| !text.chars().any(char::is_control);
    crate::jose::form::repeated(pairs).is_none()
        && pairs.iter().all(|(name, value)| !name.is_empty() && !name.contains('=') && plain(name) && plain(value))
}

/// Every text that a request with these parameters may have been signed as.
#[must_use]
pub fn texts(path: &str, date: &str, pairs: &[Pair<'_>]) -> Vec<String> {
    let mut signed: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (&**name, &**value)).filter(|(name, _)| !UNSIGNED.contains(name)).collect();
    if signed.is_empty() {
        return vec![format!("{path}\n{date}\n"), format!("{path}\n{date}\n\n")];
    }
    let text = |lines: Vec<String>| format!("{path}\n{date}\n{}\n", lines.join("\n"));
    let lines = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let mut by_line = lines(&signed);
    by_line.sort_unstable();
    signed.sort_unstable_by_key(|(name, _)| *name);
    let by_name = lines(&signed);
    if by_line == by_name { vec![text(by_line)] } else { vec![text(by_line), text(by_name)] }
}

/// The text that a mobile app signs with its refresh secret, to have a new access token in place of `access_token`.
#[must_use]
pub fn refresh_text(date: &str, access_token: &str) -> String {
    format!("refresh_access_token\n{date}\n{access_token}\n")
}

/// `pairs` that own nothing.
#[must_use]
pub fn borrowed<'p>(pairs: &[(&'p str, &'p str)]) -> Vec<Pair<'p>> {
    pairs.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect()
}

#[cfg(test)]
mod tests;
