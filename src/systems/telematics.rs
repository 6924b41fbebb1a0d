//! The system `telematics`: the Telematics SDK (Damoov), in front of your app and in front of its user API.
//!
//! What a setting says elsewhere: tokens are judged by `jwt`, `introspection` or a session, instances by `key_pair`, and pairs are
//! renewed by the `http` renewer against `/v1/Auth/RefreshToken`. What is left is here: how a refusal is written, what
//! registration, login and refresh must bring, whose devices may be named, and which replies bring a pair.
//!
//! Source: docs.damoov.com, and what the vendor's own clients send. Where they leave something open, a setting has a default.
//! Deliberately absent: a login in place of a refresh. Logins are few (five a day, by one of its pages), refreshes are not.

pub(crate) mod body;
pub(crate) mod breach;
mod calls;
mod devices;
pub(crate) mod envelope;
mod guard;
mod harvest;
mod instance;
pub(crate) mod login;
mod named;

use std::sync::Arc;

use crate::domain::{Breach, Step};
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};
use crate::systems::contract::{Guarded, Harvest, Meaning, Pass, Refused, Rendered, Reply, System, SystemEntry, SystemPlan};
use crate::systems::telematics::calls::Call;
use crate::systems::telematics::devices::{Devices, Owner};
use crate::systems::telematics::envelope::Case;
use crate::systems::telematics::guard::{Guard, Quota};
use crate::systems::telematics::instance::Instance;

/// The system's line on the roll-call.
pub static ENTRY: SystemEntry = SystemEntry {
    name: "telematics",
    doc: "Telematics SDK (Damoov): instances, device tokens, pairs that rotate.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

/// Names of calls, in the order of [`Call::NAMED`].
const CALL_NAMES: &[&str] = &["create", "create_many", "login", "refresh", "management", "other"];

/// The most that a quota may allow in its window.
const MAX_QUOTA: i64 = 10_000;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the system `telematics`",
    doc: "Refusals as the Telematics SDK's clients expect them, and the rules of its user API.",
    keys: &[
        KeySpec::default(
            "envelope",
            Shape::OneOf(&["upper", "lower"]),
            "upper",
            "How names in refusals are written: `Status`, `Title`, `Errors`, or in lower case, as portal-apis does.",
        ),
        KeySpec::default(
            "calls",
            Shape::List { of: &Shape::OneOf(CALL_NAMES), lone: true, min: 1 },
            "[create, create_many, login, refresh, management, other]",
            "The calls that are made at this rule, found by their paths without case; the others are refused. `other` is everything that \
             is none of the five: data, or an app of your own.",
        ),
        KeySpec::optional(
            "instance",
            Shape::Section(&INSTANCE),
            "The instance whose key is added here: to registrations as `InstanceId` and `InstanceKey`, to logins of users as \
             `InstanceId` and `Password`. For proven callers only. Without it clients bring their own. The upstream is https, or on this machine.",
        ),
        KeySpec::default(
            "devices",
            Shape::OneOf(&["own", "any"]),
            "own",
            "Which devices a request may name (`DeviceToken`, `UserDeviceToken`, `CustomToken`; in fields, query, path and body): the \
             caller's own, or any. Whoever brings an instance's key to a registration or login may name any.",
        ),
        KeySpec::default(
            "device",
            Shape::Text,
            "subject",
            "Which part of an identity is its device: `subject`, or `claims.PATH`. An identity without it may name none.",
        ),
        KeySpec::optional("any_device_scope", Shape::Text, "Callers with this scope may name any device."),
        KeySpec::default(
            "search_bodies",
            Shape::Bool,
            "true",
            "Whether JSON and form bodies of `other` calls are searched for devices too. They are then read whole: at most 64 KiB, not \
             compressed, in UTF-8.",
        ),
        KeySpec::default(
            "operator_logins",
            Shape::Bool,
            "true",
            "Whether operators (DataHub users) may log in here, by e-mail address and a password of their own.",
        ),
        KeySpec::default(
            "status_in_body",
            Shape::Bool,
            "false",
            "Whether a reply of HTTP status 200 whose body says `\"Status\": 401` means that the token has run out. Every reply is then \
             held back up to 64 KiB.",
        ),
        KeySpec::optional(
            "registrations",
            Shape::Section(&QUOTA),
            "How many registrations an instance may make. Counted in the state store, so on all nodes together; one `CreateMany` counts \
             once. Of callers whom nobody has proven, each address is counted for itself.",
        ),
        KeySpec::optional(
            "logins",
            Shape::Section(&QUOTA),
            "How many logins one caller may make as one user; counted likewise. The vendor blocks users who log in too often.",
        ),
    ],
};

static INSTANCE: SectionSpec = SectionSpec {
    title: "`instance`",
    doc: "An instance and its key.",
    keys: &[
        KeySpec::required("id", Shape::Text, "Its id (`InstanceId`)."),
        KeySpec::required("key", Shape::Secret, "Its key (`InstanceKey`). Clients never see it."),
    ],
};

static QUOTA: SectionSpec = SectionSpec {
    title: "a quota",
    doc: "So many in any such length of time.",
    keys: &[
        KeySpec::required("most", Shape::Count { min: 1, max: MAX_QUOTA }, "How many calls are let through in that time."),
        KeySpec::required(
            "per",
            Shape::Duration { min: 1, max: 2_592_000 },
            "The length of time they are counted over; any such length, wherever it begins.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug, Clone)]
struct TelematicsPlan {
    case: Case,
    calls: Box<[Call]>,
    instance: Option<Instance>,
    devices: Devices,
    search_bodies: bool,
    operators: bool,
    status_in_body: bool,
    registrations: Option<Quota>,
    logins: Option<Quota>,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn SystemPlan>> {
    let empty = Node { span: at.clone(), value: NodeValue::Map(Vec::new()) };
    prove(settings.unwrap_or(&empty), checking).map(|plan| Box::new(plan) as Box<dyn SystemPlan>)
}

fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<TelematicsPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let named = section.texts("calls");
    let calls = Call::NAMED.iter().filter(|(name, _)| named.contains(name)).map(|(_, call)| *call).collect();
    let instance = section.node("instance").and_then(|node| instance(node, checking));
    let devices = devices(&section, checking);
    let registrations = quota(&section, "registrations", checking);
    let logins = quota(&section, "logins", checking);
    if before != checking.faults.errors() {
        return None;
    }
    Some(TelematicsPlan {
        case: if section.text("envelope") == Some("lower") { Case::Lower } else { Case::Upper },
        calls,
        instance,
        devices: devices?,
        search_bodies: section.flag("search_bodies"),
        operators: section.flag("operator_logins"),
        status_in_body: section.flag("status_in_body"),
        registrations,
        logins,
    })
}

fn instance(node: &Node, checking: &mut Checking<'_>) -> Option<Instance> {
    let section = Section::open(&INSTANCE, node, checking.faults)?;
    let key = checking.secret(section.node("key")?)?;
    match Instance::new(section.text("id")?, key) {
        Ok(instance) => Some(instance),
        Err(says) => {
            checking.faults.error(section.span(), says);
            None
        }
    }
}

fn devices(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Devices> {
    let any = section.text("devices") == Some("any");
    for key in ["device", "any_device_scope"] {
        if any && section.node(key).is_some() {
            checking.faults.warn(section.span_of(key), format!("with `devices: any` nobody looks at `{key}`; remove one of the two"));
        }
    }
    let owner = Owner::read(section.text("device")?);
    let Some(owner) = owner else {
        checking.faults.error(section.span_of("device"), "`device` is `subject`, or a claim such as `claims.device_token`");
        return None;
    };
    let unless = section.text("any_device_scope").map(Box::from);
    Some(if any { Devices::Any } else { Devices::Own { owner, unless } })
}

fn quota(section: &Section<'_>, key: &'static str, checking: &mut Checking<'_>) -> Option<Quota> {
    let quota = Section::open(&QUOTA, section.node(key)?, checking.faults)?;
    Some(Quota { most: u32::try_from(quota.count("most")?).ok()?, per: quota.seconds("per")? })
}

impl SystemPlan for TelematicsPlan {
    fn system(&self) -> &'static str {
        NAME
    }

    fn shows_secret(&self) -> Option<&'static str> {
        self.instance.as_ref().map(|_| "the instance's key")
    }

    fn remembers(&self) -> bool {
        self.registrations.is_some() || self.logins.is_some()
    }

    fn build(&self) -> Result<Arc<dyn System>, String> {
        let guard = Guard {
            calls: self.calls.clone(),
            instance: self.instance.clone(),
            devices: self.devices.clone(),
            reads_bodies: self.search_bodies,
            operators: self.operators,
            registrations: self.registrations,
            logins: self.logins,
        };
        Ok(Arc::new(Telematics { case: self.case, status_in_body: self.status_in_body, guard }))
    }
}

/// The system at one rule.
#[derive(Debug)]
struct Telematics {
    case: Case,
    status_in_body: bool,
    guard: Guard,
}

impl System for Telematics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn render(&self, refused: &Refused<'_>) -> Option<Rendered> {
        envelope::render(self.case, refused)
    }

    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        self.guard.judge(guarded)
    }

    fn coded(&self) -> Breach {
        breach::coded()
    }

    fn holds(&self, method: &str, path: &str) -> bool {
        self.status_in_body || (method == "POST" && Call::of(path).brings_pair())
    }

    fn weigh(&self, reply: &Reply<'_>) -> Meaning {
        // A 401 to a login is a wrong password, and to a registration a wrong key: neither is to be tried again, for logins are few.
        let is_of_a_token = matches!(Call::of(reply.path), Call::Management | Call::Other);
        if reply.status == 401 && is_of_a_token { Meaning::Expired } else { Meaning::Fine }
    }

    fn classify(&self, reply: &Reply<'_>) -> Meaning {
        let is_of_a_token = matches!(Call::of(reply.path), Call::Management | Call::Other);
        let says_so = self.status_in_body && reply.status == 200 && is_of_a_token && harvest::status(reply) == 401;
        if says_so { Meaning::Expired } else { self.weigh(reply) }
    }

    fn harvest(&self, reply: &Reply<'_>) -> Option<Harvest> {
        harvest::harvest(reply)
    }
}

#[cfg(test)]
mod tests;
