//! The rules of the API's own calls: what each must bring, over what, for whom, how often, and what the proxy adds.
//!
//! In order: is the call made here at all, is a credential in the address, can others read the connection, is it the right method,
//! is what it brings whole, is every device that it names the caller's own. Then the instance's key is added, and what is to be
//! counted is named.
//!
//! Deliberately absent: whether the key is the right one, which is the authenticator's or the vendor's to say, and any way for
//! `Login` to stand in for a refresh: a pair that cannot be refreshed is over.

use std::net::IpAddr;

use crate::domain::{Identity, Need, Refusal, Seconds, Step, Value};
use crate::jose::digest::digest;
use crate::systems::contract::{Count, Guarded, Pass};
use crate::systems::telematics::body::{Kind, document, kind, member, object};
use crate::systems::telematics::breach::{forbidden, invalid, wrong_method, wrong_type};
use crate::systems::telematics::calls::{Call, fold, management};
use crate::systems::telematics::devices::{Devices, keep_to};
use crate::systems::telematics::instance::{Brought, INSTANCE_ID, INSTANCE_KEY, Instance, refuse_in_the_clear};
use crate::systems::telematics::login::{Login, Who, is_uuid, read, written};
use crate::systems::telematics::named::{asks_otherwise, in_document, in_form, in_head, refuse_in_query};

/// The longest token of a refresh.
const MAX_TOKEN: usize = 8 * 1024;

/// The rules of one rule of the conf.
#[derive(Debug)]
pub(crate) struct Guard {
    /// The calls that are made here.
    pub(crate) calls: Box<[Call]>,
    /// The instance whose key is added; `None` when clients bring theirs.
    pub(crate) instance: Option<Instance>,
    /// Which devices may be named.
    pub(crate) devices: Devices,
    /// Whether bodies of other calls than those of the instance and of management are searched for devices too.
    pub(crate) reads_bodies: bool,
    /// Whether operators may log in.
    pub(crate) operators: bool,
    /// How many registrations an instance may make.
    pub(crate) registrations: Option<Quota>,
    /// How many logins a caller may make as one user.
    pub(crate) logins: Option<Quota>,
}

/// At most `most` calls of one kind in any `per`, for each caller. Counted by whoever has a memory, once everything here is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) most: u32,
    pub(crate) per: Seconds,
}

impl Quota {
    /// The count of `caller`, a digest. Quotas over the same length of time are one, whatever rule they stand at.
    fn of(self, caller: [u8; 32]) -> Count {
        let key = digest("telematics quota", &[&caller, &self.per.0.to_be_bytes()]);
        Count { key, most: self.most, per: self.per, breach: None }
    }
}

/// Why there is no pass yet.
enum Halt {
    Body,
    Refuse(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

impl Guard {
    /// Judges `guarded`.
    pub(crate) fn judge(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        match self.pass(guarded) {
            Ok(pass) => Step::Done(pass),
            Err(Halt::Body) => Step::Need(Need::Body),
            Err(Halt::Refuse(refusal)) => Step::Refuse(refusal),
        }
    }

    fn pass(&self, guarded: &Guarded<'_>) -> Result<Pass, Halt> {
        let request = guarded.request;
        let call = Call::of(&request.target.path);
        if !self.calls.contains(&call) {
            return Err(forbidden("", "This call is not made here.").into());
        }
        refuse_in_query(request)?;
        if call.takes_instance() || request.headers.contains_key(INSTANCE_KEY) {
            refuse_in_the_clear(request)?;
        }
        if !matches!(call, Call::Management | Call::Other) && request.method != "POST" {
            return Err(wrong_method().into());
        }
        // Whoever brings the key may name any user of the instance: to the vendor, they are its owner.
        let brings_key = call.takes_instance() && self.instance.is_none();
        let bound = if brings_key { None } else { self.devices.bound(guarded.identity) };
        if let Some(own) = bound {
            keep_to(own, in_head(request))?;
        }
        let mut pass = match call {
            Call::Create | Call::CreateMany => self.registration(call, guarded, bound)?,
            Call::Login => self.login(guarded, bound)?,
            Call::Refresh => refresh(guarded)?,
            Call::Management | Call::Other => self.other(call, guarded, bound)?,
        };
        if self.instance.is_some() {
            // What a client says of an instance is of no account where the proxy knows it.
            let fields = [INSTANCE_ID, INSTANCE_KEY].into_iter();
            pass.remove.extend(fields.filter(|field| pass.set.iter().all(|(name, _)| name != field)));
        }
        Ok(pass)
    }

    fn registration(&self, call: Call, guarded: &Guarded<'_>, bound: Option<&str>) -> Result<Pass, Halt> {
        let request = guarded.request;
        let brought = Brought::read(request)?;
        let id = match &self.instance {
            None => brought.required()?.to_owned(),
            Some(instance) => {
                prove_somebody(guarded.identity)?;
                String::from_utf8_lossy(instance.id().as_bytes()).into_owned()
            }
        };
        let body = guarded.facts.body().ok_or(Halt::Body)?;
        if call == Call::Create && !body.is_empty() {
            let said = object(request.headers, body)?;
            check_registration(&said)?;
            keep_document(bound, &said)?;
        } else if call == Call::CreateMany {
            if kind(request.headers)? != Kind::Json {
                return Err(wrong_type().into());
            }
            let said = document(body).ok_or_else(|| invalid("", "The body must be JSON with one reading."))?;
            keep_document(bound, &said)?;
        }
        let who = if guarded.identity.is_some() { Vec::new() } else { prefix(request.client) };
        let count = |quota: Quota| quota.of(digest("telematics registrations", &[id.as_bytes(), &who]));
        let counts = self.registrations.map(count).into_iter().collect();
        let set = match &self.instance {
            None => Vec::new(),
            Some(instance) => vec![(INSTANCE_ID, instance.id().clone()), (INSTANCE_KEY, instance.key().clone())],
        };
        Ok(Pass { set, counts, ..Pass::default() })
    }

    fn login(&self, guarded: &Guarded<'_>, bound: Option<&str>) -> Result<Pass, Halt> {
        let request = guarded.request;
        let brought = Brought::read(request)?;
        let body = guarded.facts.body().ok_or(Halt::Body)?;
        let Login { who, password } = read(&object(request.headers, body)?)?;
        let mut pass = match (&who, &self.instance) {
            (Who::Operator(_), _) => {
                if !self.operators {
                    return Err(forbidden("LoginFields", "Operators do not log in here.").into());
                }
                if brought.id.is_some() || brought.key.is_some() {
                    return Err(invalid("InstanceId", "An operator logs in without an instance.").into());
                }
                password.ok_or_else(no_password)?;
                Pass::default()
            }
            (Who::Device(_), None) => {
                brought.required_id()?;
                brought.agrees_with(&password.ok_or_else(no_password)?)?;
                Pass::default()
            }
            (Who::Device(device), Some(instance)) => {
                prove_somebody(guarded.identity)?;
                if let Some(own) = bound {
                    keep_to(own, [device])?;
                }
                // What the client sent as a password is of no account: ours takes its place.
                let body = Some(written(device, instance.password()).into());
                Pass { set: vec![(INSTANCE_ID, instance.id().clone())], body, ..Pass::default() }
            }
        };
        pass.counts.extend(self.logins.map(|quota| quota.of(caller(&who, guarded))));
        Ok(pass)
    }

    fn other(&self, call: Call, guarded: &Guarded<'_>, bound: Option<&str>) -> Result<Pass, Halt> {
        let Some(own) = bound else { return Ok(Pass::default()) };
        let request = guarded.request;
        let mut is_named = !in_head(request).is_empty();
        if call == Call::Management || self.reads_bodies {
            match kind(request.headers)? {
                Kind::Opaque if call == Call::Management => return Err(wrong_type().into()),
                Kind::Opaque => {}
                kind => {
                    let body = guarded.facts.body().ok_or(Halt::Body)?;
                    is_named |= keep_body(own, kind, body)?;
                }
            }
        }
        if call == Call::Management {
            if !is_named {
                return Err(forbidden("DeviceToken", "Whose device it is about must be said.").into());
            }
            let is_search = management(&request.target.path).is_some_and(|below| below.last().is_some_and(|name| name == "find"));
            if is_search && asks_otherwise(request) {
                return Err(forbidden("", "A user is found here by their device and by nothing else.").into());
            }
        }
        Ok(Pass::default())
    }
}

/// Refuses unless somebody was proven: with the key added, whoever comes could be anyone.
fn prove_somebody(identity: Option<&Identity>) -> Result<(), Refusal> {
    identity.map(|_| ()).ok_or_else(|| forbidden("InstanceKey", "The key is added for callers who have proven who they are."))
}

fn no_password() -> Refusal {
    invalid("Password", "Password is required.")
}

/// Refuses `said` when it names other devices than that to which the caller is bound.
fn keep_document(bound: Option<&str>, said: &Value) -> Result<(), Refusal> {
    bound.map_or(Ok(()), |own| keep_to(own, in_document(said)))
}

/// The same for the body of any call; whether it names one at all.
fn keep_body(own: &str, kind: Kind, body: &[u8]) -> Result<bool, Refusal> {
    let is_structured = body.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['));
    let said = match kind {
        _ if body.is_empty() => None,
        Kind::Json => Some(document(body).ok_or_else(unread)?),
        // A lenient server reads it whatever it says it is.
        Kind::Form | Kind::Unsaid if is_structured => Some(document(body).ok_or_else(unread)?),
        Kind::Form | Kind::Unsaid | Kind::Opaque => None,
    };
    let mut named: Vec<String> = said.iter().flat_map(in_document).map(std::borrow::Cow::into_owned).collect();
    if matches!(kind, Kind::Form | Kind::Unsaid) {
        named.extend(in_form(body));
    }
    keep_to(own, &named)?;
    Ok(!named.is_empty())
}

fn unread() -> Refusal {
    invalid("", "The body must be JSON in which no name stands twice, in whatever case.")
}

/// Refuses a registration whose documented members are not what they must be. Others are the vendor's to judge.
fn check_registration(said: &Value) -> Result<(), Refusal> {
    const FLAGS: [&str; 4] = ["enabletracking", "enablelogging", "enablerealtimelocation", "enabled"];
    let is_flag = |value: Option<&Value>| matches!(value, None | Some(Value::Null | Value::Bool(_)));
    for name in ["createaccesstoken", "generateaccesstoken"] {
        if !is_flag(member(said, name)) {
            return Err(invalid("CreateAccessToken", "CreateAccessToken is true or false."));
        }
    }
    match member(said, "customtoken") {
        None | Some(Value::Null) => {}
        Some(Value::Text(text)) if is_uuid(text) => {}
        Some(_) => return Err(invalid("CustomToken", "CustomToken is a UUID.")),
    }
    match member(said, "userfields") {
        None | Some(Value::Null) => Ok(()),
        Some(fields @ Value::Map(_)) if FLAGS.iter().all(|name| is_flag(member(fields, name))) => Ok(()),
        Some(_) => Err(invalid("UserFields", "UserFields is an object whose Enable members are true or false.")),
    }
}

/// A refresh brings the old access token and the refresh token, and nothing else.
fn refresh(guarded: &Guarded<'_>) -> Result<Pass, Halt> {
    let body = guarded.facts.body().ok_or(Halt::Body)?;
    let said = object(guarded.request.headers, body)?;
    Brought::read(guarded.request)?;
    let Value::Map(members) = &said else { return Err(unread().into()) };
    let is_token = |value: &Value| {
        value.as_text().is_some_and(|text| !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()))
    };
    for (name, told) in [("accesstoken", "AccessToken"), ("refreshtoken", "RefreshToken")] {
        if !member(&said, name).is_some_and(is_token) {
            return Err(invalid(told, "It is required, as a string.").into());
        }
    }
    if members.iter().any(|(name, _)| !matches!(fold(name).as_str(), "accesstoken" | "refreshtoken")) {
        return Err(invalid("", "A refresh has AccessToken and RefreshToken, and nothing else.").into());
    }
    Ok(Pass::default())
}

/// Names whoever logs in as `who`, for the count: a proven caller with the name they use; of others only where they come from, so
/// that nobody can fill the count with names.
fn caller(who: &Who, guarded: &Guarded<'_>) -> [u8; 32] {
    let (kind, name) = match who {
        Who::Device(name) => (b"device".as_slice(), name.to_ascii_lowercase()),
        Who::Operator(name) => (b"operator".as_slice(), fold(name)),
    };
    match guarded.identity {
        Some(identity) => digest("telematics logins", &[kind, identity.issuer.as_bytes(), identity.subject.as_bytes(), name.as_bytes()]),
        None => digest("telematics logins", &[b"stranger", &prefix(guarded.request.client)]),
    }
}

/// The part of `address` that one customer of a network has.
fn prefix(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().iter().take(8).copied().collect(),
    }
}
