//! `/connect`: the web client cannot set fields on a WebSocket, so it puts its credentials into the query; here they become fields.
//!
//! A query ends up in logs and histories, a field does not. Every parameter that stands for a field is taken out, also where nothing is
//! made of it; `check` and whatever else there is stays. A parameter that stands there twice, or disagrees with the field of the same
//! meaning, has no reading.
//!
//! Source: taptalksdk-web 1.0.310 (`app_key`, `authorization=Bearer …`, `device_identifier`, `device_model`, `device_platform`,
//! `content_type`; what it does not know it writes as `undefined`).

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::Breach;
use crate::systems::taptalk::client::{APP_KEY, DEVICE, id_in};
use crate::systems::taptalk::envelope::{AUTHORIZATION_INVALID, HEADER_INVALID, KEY_INCOMPATIBLE, KEY_INVALID};

/// What becomes of the access token in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The upstream sees it, as `Authorization`.
    Move,
    /// The upstream does not see it.
    Drop,
}

/// What the credentials in a query come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Fields to set.
    pub(super) set: Vec<(HeaderName, HeaderValue)>,
    /// Parameters to take out, by their decoded names.
    pub(super) remove_query: Vec<Cow<'static, str>>,
    /// The id of the app that the query names.
    pub(super) app: Option<String>,
    /// The device that the query names.
    pub(super) device: Option<String>,
}

/// What a parameter stands for.
enum Meaning {
    Field(HeaderName),
    /// Nothing that an upstream needs.
    Nothing,
    /// A credential that no client has, by its field.
    ServerKey(&'static str),
}

/// What `name` stands for, in either spelling; `None` when it stands for itself.
fn meaning(name: &str) -> Option<Meaning> {
    Some(match name.to_ascii_lowercase().replace('-', "_").as_str() {
        "app_key" => Meaning::Field(APP_KEY),
        "authorization" => Meaning::Field(AUTHORIZATION),
        "device_identifier" => Meaning::Field(DEVICE),
        "device_model" => Meaning::Field(HeaderName::from_static("device-model")),
        "device_platform" => Meaning::Field(HeaderName::from_static("device-platform")),
        "content_type" => Meaning::Nothing,
        "server_key" => Meaning::ServerKey("Server-Key"),
        "api_key" => Meaning::ServerKey("API-Key"),
        _ => return None,
    })
}

/// Moves what stands for fields in `query` into fields, beside those of `headers`.
///
/// # Errors
///
/// A [`Breach`]: something has two readings or none, or is a Server-Key.
pub(super) fn moved(query: Option<&str>, headers: &HeaderMap, token: Token) -> Result<Moved, Breach> {
    let mut moved = Moved::default();
    let mut seen: Vec<HeaderName> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let Some(meaning) = meaning(&name) else { continue };
        let name: Cow<'static, str> = Cow::Owned(name.into_owned());
        if !moved.remove_query.contains(&name) {
            moved.remove_query.push(name);
        }
        let field = match meaning {
            Meaning::Field(field) => field,
            Meaning::Nothing => continue,
            Meaning::ServerKey(field) => return Err(leaked(field)),
        };
        if seen.contains(&field) {
            return Err(unreadable(&field));
        }
        seen.push(field.clone());
        if matches!(&*value, "" | "undefined" | "null") {
            continue;
        }
        let mut said = HeaderValue::from_str(&value).map_err(|_| unreadable(&field))?;
        if headers.get_all(&field).iter().any(|other| !other.is_empty() && *other != said) {
            return Err(unreadable(&field));
        }
        if field == AUTHORIZATION {
            if !is_bearer(&value) {
                return Err(unreadable(&field));
            }
            if token == Token::Drop {
                continue;
            }
        } else if field == APP_KEY {
            moved.app = Some(id_in(&value).ok_or_else(|| unreadable(&field))?);
        } else if field == DEVICE {
            moved.device = Some(value.into_owned());
        }
        said.set_sensitive(field == AUTHORIZATION || field == APP_KEY);
        moved.set.push((field, said));
    }
    Ok(moved)
}

/// `Bearer` and one text of visible signs.
fn is_bearer(value: &str) -> bool {
    let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    token.is_some_and(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','))
}

fn unreadable(field: &HeaderName) -> Breach {
    let (code, name, says) = match field.as_str() {
        "authorization" => (AUTHORIZATION_INVALID, "Authorization", "authorization must be one bearer token"),
        "app-key" => (KEY_INVALID, "App-Key", "app_key must be one base64 of an app's id and secret"),
        "device-identifier" => (HEADER_INVALID, "Device-Identifier", "device_identifier must stand there once"),
        "device-model" => (HEADER_INVALID, "Device-Model", "device_model must stand there once"),
        _ => (HEADER_INVALID, "Device-Platform", "device_platform must stand there once"),
    };
    Breach { code: code.into(), field: name.into(), says: says.into() }
}

/// The refusal of a back end's key that a client has.
pub(super) fn leaked(field: &'static str) -> Breach {
    Breach {
        code: KEY_INCOMPATIBLE.into(),
        field: field.into(),
        says: "a server key is for servers; whoever can read this client can read it, so it must be replaced".into(),
    }
}

#[cfg(test)]
mod tests;
