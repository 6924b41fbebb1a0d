//! `ticket inspect`: opens a ticket with the keys of a conf, and says what stands in it and who would take it.
//!
//! Whether it has been spent or taken back is known to the state store alone, which is not asked. No key is printed; a key is
//! named as tickets name it.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use crate::ambient::WallClock;
use crate::assembly::live;
use crate::assembly::machine::Machine;
use crate::assembly::services::ticket_terms;
use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure, print_json};
use crate::domain::{Clock, Doubt, Timestamp};
use crate::jose::base64url;
use crate::jose::json::written;
use crate::jose::ticket::{MAX_TEXT, PREFIX, Ticket, TicketTerms, Unsealed, id_text, key_id, open};

/// Opens a ticket with the keys of a conf, and says what stands in it and which authenticator takes it.
///
/// Exit code 0 when it was opened, whether or not it is still good; 1 when none of the conf's keys opens it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Try it:\n  pbpaste | countersign ticket inspect -c countersign.yaml --ticket -")]
pub struct Inspect {
    /// The conf with the keys.
    #[arg(short, long, value_name = "FILE")]
    conf: PathBuf,
    /// Where the ticket is. It is a credential, so it is never an argument itself.
    #[arg(long, value_name = FORM)]
    ticket: SecretSource,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What one authenticator makes of a ticket.
struct Opinion<'t> {
    terms: &'t TicketTerms,
    /// Why it refuses it; `None` when it takes it, given that the bindings hold.
    refuses: Option<String>,
}

impl Inspect {
    /// Prints it.
    pub(super) fn run(&self) -> Done {
        let text = self.ticket.read_text()?;
        let text = text.trim();
        let plan = live::read(&self.conf, &Machine).map_err(|faults| {
            let first = faults.sorted().first().map(ToString::to_string).unwrap_or_default();
            Failure::new(format!("{}: not sound; `countersign check` says all of it: {first}", self.conf.display()))
        })?;
        let terms = ticket_terms(&plan).map_err(Failure::new)?;
        if terms.is_empty() {
            return Err(Failure::new(format!("{} has no authenticator of the scheme `ticket`", self.conf.display())));
        }
        let now = WallClock.now();
        let ticket = opened(&terms, text).map_err(Failure::new)?;
        let opinions: Vec<Opinion<'_>> =
            terms.iter().map(|terms| Opinion { terms, refuses: refusal(terms, text, &ticket, now).err() }).collect();
        if self.json {
            print_json(&shown(&ticket, &opinions, now))
        } else {
            tell(&ticket, &opinions, now)
        }
        Ok(())
    }
}

/// The ticket `text`, opened with whichever key of the conf it names.
fn opened(terms: &[TicketTerms], text: &str) -> Result<Ticket, String> {
    let mut furthest = None;
    for terms in terms {
        match open(&terms.keys, text) {
            Ok(ticket) => return Ok(ticket),
            // Forged says more than unknown: the key is at hand.
            Err(unsealed) if furthest.is_none() || unsealed != Unsealed::KeyUnknown => furthest = Some(unsealed),
            Err(_) => {}
        }
    }
    Err(why_closed(text, furthest.unwrap_or(Unsealed::Malformed)))
}

/// Why `text` cannot be opened, for an operator.
fn why_closed(text: &str, unsealed: Unsealed) -> String {
    let key = key_id(text).map_or_else(String::new, |id| format!(" ({})", hex(&id)));
    match unsealed {
        Unsealed::KeyUnknown => format!("this ticket is sealed with a key that no authenticator of the conf has{key}"),
        Unsealed::Forged => format!("this ticket was changed or forged: the key that it names{key} is at hand, and did not seal this text"),
        Unsealed::Malformed if !text.starts_with(PREFIX) => format!("this is no ticket: it does not begin with `{PREFIX}`"),
        Unsealed::Malformed if MAX_TEXT < text.len() => {
            format!("this is no ticket: it has {} bytes, and tickets have at most {MAX_TEXT}", text.len())
        }
        Unsealed::Malformed if text.strip_prefix(PREFIX).and_then(base64url::decode).is_none() => {
            "this is no ticket: what follows its prefix is not base64url without padding".to_owned()
        }
        Unsealed::Malformed if key_id(text).is_none() => "this is no ticket: it is too short to be one".to_owned(),
        Unsealed::Malformed => format!("this ticket was sealed with a key of ours{key}, and what stands in it cannot be read"),
    }
}

/// Whether `terms` take `ticket` at `now`, given that its bindings hold; the error says why not.
fn refusal(terms: &TicketTerms, text: &str, ticket: &Ticket, now: Timestamp) -> Result<(), String> {
    terms.open(text).map_err(|doubt| match doubt {
        Doubt::KeyUnknown | Doubt::SignatureInvalid => "it has not the key".to_owned(),
        Doubt::IssuerMismatch => format!("it takes tickets from `{}` only", terms.issuer),
        Doubt::AudienceMismatch => format!("it takes tickets for `{}` only", terms.audience),
        _ => format!("its life is not one that it takes: at most {}", length(i64::from(terms.max_life.0))),
    })?;
    if now < ticket.issued.minus(terms.leeway) {
        return Err("it is not good yet".to_owned());
    }
    if terms.end(ticket) <= now {
        return Err("it has expired".to_owned());
    }
    Ok(())
}

fn tell(ticket: &Ticket, opinions: &[Opinion<'_>], now: Timestamp) {
    let left = ticket.expires.0.saturating_sub(now.0);
    let ends = if left <= 0 { format!("{} ago", length(left.saturating_neg())) } else { format!("in {}", length(left)) };
    say!("id          {}", id_text(&ticket.id));
    say!("subject     {}", plain(&ticket.subject));
    say!("issuer      {}", plain(&ticket.issuer));
    say!("audience    {}", plain(&ticket.audience));
    say!("made        {}", moment(ticket.issued));
    say!("ends        {} ({ends})", moment(ticket.expires));
    say!("single use  {}", if ticket.single_use { "yes" } else { "no" });
    say!("scopes      {}", if ticket.scopes.is_empty() { "none".to_owned() } else { plain(&ticket.scopes.join(" ")) });
    let bindings = bindings(ticket);
    if bindings.is_empty() {
        say!("bound to    nothing: good for whoever holds it");
    }
    for (name, value) in &bindings {
        say!("bound to    {name} {}", value.as_str().map_or_else(|| value.to_string(), plain));
    }
    say!("claims      {}", plain(&claims(ticket).to_string()));
    for opinion in opinions {
        match &opinion.refuses {
            None => say!("taken by    {}{}", opinion.terms.name, if opinion.terms.single_use { " (once)" } else { "" }),
            Some(why) => say!("refused by  {}: {why}", opinion.terms.name),
        }
    }
}

fn shown(ticket: &Ticket, opinions: &[Opinion<'_>], now: Timestamp) -> Value {
    let opinions: Vec<Value> = opinions
        .iter()
        .map(|opinion| json!({ "name": &*opinion.terms.name, "takes": opinion.refuses.is_none(), "why_not": opinion.refuses }))
        .collect();
    json!({
        "jti": id_text(&ticket.id),
        "subject": ticket.subject,
        "issuer": ticket.issuer,
        "audience": ticket.audience,
        "issued_at": ticket.issued.0,
        "expires_at": ticket.expires.0,
        "expires_in": ticket.expires.0.saturating_sub(now.0).max(0),
        "single_use": ticket.single_use,
        "scopes": ticket.scopes,
        "bind": bindings(ticket),
        "claims": claims(ticket),
        "authenticators": opinions,
    })
}

/// What the ticket is bound to, by the names that `ticket.mint` knows.
fn bindings(ticket: &Ticket) -> Map<String, Value> {
    let bound = &ticket.bindings;
    let rows = [
        ("address", bound.address.map(|address| json!(address.to_string()))),
        ("device", bound.device.as_deref().map(Value::from)),
        ("host", bound.host.as_deref().map(Value::from)),
        ("methods", (!bound.methods.is_empty()).then(|| json!(bound.methods))),
        ("path", bound.path.as_deref().map(Value::from)),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn claims(ticket: &Ticket) -> Value {
    written(&ticket.claims).unwrap_or(Value::Null)
}

/// `text` as it may stand on a terminal: what is no visible character is escaped.
fn plain(text: &str) -> String {
    let shown = |letter: char| if matches!(letter, '\'' | '"' | '\\') { letter.to_string() } else { letter.escape_debug().to_string() };
    text.chars().map(shown).collect()
}

fn moment(at: Timestamp) -> String {
    DateTime::from_timestamp(at.0, 0).map_or_else(|| format!("{} s since 1970", at.0), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A length of time in its two largest units.
fn length(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (size, unit) in units {
        if size <= rest {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{length, plain};

    #[test]
    fn lengths_are_told_in_their_two_largest_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m 59s"),
            (3_600, "1h"),
            (3_661, "1h 1m"),
            (90_061, "1d 1h"),
            (-5, "0s"),
            (i64::MAX, "106751991167300d 15h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(length(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_subject_gives_a_terminal_no_command() {
        assert_eq!(plain("an\u{1b}[2Jna\r\n\u{9b}\u{202e}"), "an\\u{1b}[2Jna\\r\\n\\u{9b}\\u{202e}");
        assert_eq!(plain("Zoë O'Neill \\ \"x\""), "Zoë O'Neill \\ \"x\"", "what can be seen stays as it is");
    }
}
