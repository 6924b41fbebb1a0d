//! The system `hat`: how personal data servers (HATs, Dataswift) and their clients speak, beyond what settings say.
//!
//! Real statuses with a small JSON object; a 303 to `/` in place of 401 and 403 where the client does not ask for JSON first; and a fresh
//! token in `X-Auth-Token` of every reply to an authenticated request, which the client is to use from then on. A reply that brings one is
//! for one person alone and is stored by nobody.
//!
//! Not here: who is believed (the scheme `hat`), how a kept token is slid on (the renewer `hat`), log-in pages (`serve: hat.login`).
//!
//! Source: HAT 2.0 (`ErrorHandler`, `Authentication`), its authenticator (Silhouette, `RequestHandler`), the client `@dataswift/hat-js`.

mod reply;
mod words;

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};

use crate::domain::{Breach, Step};
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};
use crate::systems::contract::{Guarded, Harvest, Meaning, Pass, Refused, Rendered, Reply, System, SystemEntry, SystemPlan};
use crate::systems::hat::words::render;

/// The system's line on the roll-call.
pub static ENTRY: SystemEntry = SystemEntry {
    name: "hat",
    doc: "Personal data servers (HAT, Dataswift): `X-Auth-Token`, slid on with every reply.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the system `hat`",
    doc: "Refusals as a HAT writes them, and its tokens in replies.",
    keys: &[
        KeySpec::default(
            "redirect",
            Shape::Text,
            "/",
            "Where 401 and 403 send a client that asks for something else than JSON first, as HATs do (303): a path of this host; a request for \
             that very path is answered in JSON. `none` for JSON to everybody.",
        ),
        KeySpec::default(
            "expose",
            Shape::Bool,
            "true",
            "Whether pages of other origins that may read a reply may read the fresh token in it (`Access-Control-Expose-Headers`), as the \
             vendor's web client must.",
        ),
    ],
};

/// What carries tokens, in requests and in replies.
pub const FIELD: HeaderName = HeaderName::from_static("x-auth-token");

/// The same as a query parameter, in exactly this case.
const PARAMETER: &str = "X-Auth-Token";

/// The settings, proven.
#[derive(Debug, Clone)]
struct Hat {
    /// Where a client is sent that wants a page; `None` for nowhere.
    redirect: Option<HeaderValue>,
    expose: bool,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn SystemPlan>> {
    let bare = Node { span: at.clone(), value: NodeValue::Map(Vec::new()) };
    let section = Section::open(&SETTINGS, settings.unwrap_or(&bare), checking.faults)?;
    let written = section.text("redirect")?;
    let redirect = match written {
        "none" => None,
        path if is_own_path(path) => Some(HeaderValue::from_str(path).ok()?),
        path => {
            let says = format!("`redirect` must be a path of this host such as `/`, or `none`; found `{}`", path.escape_debug());
            checking.faults.error(section.span_of("redirect"), says);
            return None;
        }
    };
    Some(Box::new(Hat { redirect, expose: section.flag("expose") }))
}

/// Whether browsers read `path` as one of the very host that they are at.
fn is_own_path(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'))
}

impl SystemPlan for Hat {
    fn system(&self) -> &'static str {
        ENTRY.name
    }

    fn build(&self) -> Result<Arc<dyn System>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl System for Hat {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn render(&self, refused: &Refused<'_>) -> Option<Rendered> {
        Some(render(refused, self.redirect.as_ref()))
    }

    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        let headers = guarded.request.headers;
        let mut fields = headers.get_all(&FIELD).iter();
        let first = fields.next();
        if fields.next().is_some() {
            // Which of the two a HAT takes is its own secret. Where nobody is authenticated, nobody else has looked.
            return Step::Refuse(crate::domain::Refusal::GuardRefused(Box::new(Breach {
                code: "two_tokens".into(),
                field: "X-Auth-Token".into(),
                says: "Access Denied".into(),
            })));
        }
        // In a URL it would go on into the logs of whatever is behind us. Where both places hold one they are equal by now, and one of
        // them goes on.
        let remove_query = if first.is_some() { vec![PARAMETER.into()] } else { Vec::new() };
        Step::Done(Pass { remove_query, ..Pass::default() })
    }

    fn holds(&self, method: &str, path: &str) -> bool {
        // The log-in says the token in its body as well, where a session that keeps it must take it out.
        method == "GET" && path == reply::LOGIN
    }

    fn weigh(&self, reply: &Reply<'_>) -> Meaning {
        reply::weigh(reply)
    }

    fn harvest(&self, reply: &Reply<'_>) -> Option<Harvest> {
        reply::harvest(reply)
    }

    fn hand_on(&self, reply: &Reply<'_>, kept: bool) -> Vec<(HeaderName, Option<HeaderValue>)> {
        reply::hand_on(reply, kept, self.expose)
    }
}

#[cfg(test)]
mod tests;
