//! The top level of a conf: which sections there are, and what each is for.

use crate::config::audit::AUDIT;
use crate::config::authenticators::AUTHENTICATORS;
use crate::config::issuers::ISSUERS;
use crate::config::limits::{CACHE, GOVERNOR, LIMITS, OUTBOUND};
use crate::config::listeners::{ADMIN, LISTENERS};
use crate::config::renewers::RENEWERS_SHAPE;
use crate::config::revocations::REVOCATIONS;
use crate::config::rules::RULES;
use crate::config::stores::{KEYS, STATE};
use crate::config::upstreams::UPSTREAMS;
use crate::settings::{KeySpec, SectionSpec, Shape};

/// A whole conf.
pub static CONF: SectionSpec = SectionSpec {
    title: "the conf",
    doc: "Who may call what, and what the services behind are shown. Unknown keys are faults; paths are relative to the conf's folder; \
          durations are written `30s` `5m` `1h`, sizes `64KiB`; secrets are references, `{ env: NAME }` or `{ file: path }`. \
          What a thing is, is said by its key.",
    keys: &[
        KeySpec::required("listeners", LISTENERS, "Where clients connect."),
        KeySpec::optional("admin", Shape::Section(&ADMIN), "Where operators look in: `/livez`, `/readyz`, `/metrics`. Off unless written."),
        KeySpec::default("upstreams", UPSTREAMS, "{}", "The services behind, by name: a URL, or the long form."),
        KeySpec::default("keys", KEYS, "{}", "Key stores by name, each of one kind. Authenticators refer to them."),
        KeySpec::default("issuers", ISSUERS, "{}", "Who gives token pairs in this proxy's own name, by name."),
        KeySpec::default("authenticators", AUTHENTICATORS, "{}", "Ways to prove who is calling, by name, each of one scheme."),
        KeySpec::default(
            "renewers",
            RENEWERS_SHAPE,
            "{}",
            "Ways to renew a credential that has run out, by name, each of one kind. Authenticators refer to them.",
        ),
        KeySpec::required("rules", RULES, "Which requests are let through, and where to. What no rule matches is refused."),
        KeySpec::default(
            "trusted_proxies",
            Shape::List { of: &Shape::Text, lone: true, min: 0 },
            "[]",
            "Networks (`10.0.0.0/8`) or addresses of proxies in front of this one, whose `X-Forwarded-*` and `Forwarded` are believed. \
             Nobody's by default: a client can write these headers too.",
        ),
        KeySpec::default("limits", Shape::Section(&LIMITS), "{}", "Bounds on what a client may send and hold."),
        KeySpec::default(
            "governor",
            GOVERNOR,
            "{}",
            "Budgets of failed attempts per client network and per claimed id; over budget is 429. `off` switches it off.",
        ),
        KeySpec::default("cache", CACHE, "{}", "How long a verified credential is remembered. `off` judges every request anew."),
        KeySpec::default("audit", Shape::Section(&AUDIT), "{}", "The audit record: one JSON line per request."),
        KeySpec::default("outbound", Shape::Section(&OUTBOUND), "{}", "How key sets and other outbound answers are fetched."),
        KeySpec::default(
            "state",
            STATE,
            "{ embedded: {} }",
            "Where what must not be forgotten is kept: spent credentials, sessions, renewals, revocations. Opened only when something \
             needs it.",
        ),
        KeySpec::default("revocations", Shape::Section(&REVOCATIONS), "{}", "Whose credentials are no longer taken."),
        KeySpec::default(
            "startup_wait",
            Shape::Duration { min: 0, max: 600 },
            "30s",
            "How long `/readyz` waits for key sets at the start. After that the process is ready, and only rules that lack keys answer 503.",
        ),
        KeySpec::default(
            "grace",
            Shape::Duration { min: 0, max: 3_600 },
            "30s",
            "How long requests in flight may take to finish after SIGTERM.",
        ),
        KeySpec::default(
            "drain_delay",
            Shape::Duration { min: 0, max: 600 },
            "0s",
            "How long new connections are still taken after SIGTERM, while `/readyz` already says 503 and every answer closes its \
             connection: the time that whoever sends requests here needs to notice. `grace` begins after it.",
        ),
        KeySpec::optional("threads", Shape::Count { min: 1, max: 1_024 }, "Worker threads; one per processor unless written."),
        KeySpec::default(
            "watch",
            Shape::Bool,
            "false",
            "Whether a change of this file triggers a reload. Keys and certificates are always watched; SIGHUP always reloads.",
        ),
        KeySpec::default(
            "allow_inline_secrets",
            Shape::Bool,
            "false",
            "Whether secrets may stand in this file. For tests: a conf is copied, committed and shown around. \
             The file must then not be readable by all.",
        ),
    ],
};
