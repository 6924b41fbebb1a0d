//! Every metric there is: its name, its labels, what it counts.
//!
//! One table, so that the exposition, the operations page and its test cannot drift apart. Label values are words of
//! ours or names of the conf; no label ever carries a client's text.

/// How a metric behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its samples end in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations in buckets; its samples end in `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Always 1; its labels are what it says. Its sample ends in `_info`.
    Info,
}

macro_rules! metrics {
    ($($variant:ident $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        /// Names one metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// Every metric there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name of its family, without the suffix that its kind adds.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => concat!("countersign_", $name),)* }
            }

            /// What it counts or measures.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// How it behaves over time.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// The names of its labels.
            #[must_use]
            pub fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)* }
            }
        }
    };
}

metrics! {
    Decisions Counter "decisions" ["rule" "authenticator" "verdict" "reason"]
        "Finished requests by what was decided";
    AuthDuration Histogram "auth_duration_seconds" ["authenticator" "cache"]
        "What judging a request took: all stages before forwarding, waiting included";
    StageDuration Histogram "stage_duration_seconds" ["stage"]
        "What each stage took";
    CredentialCacheRequests Counter "credential_cache_requests" ["result"]
        "Look-ups in the cache of verified credentials";
    KeyStoreAge Gauge "key_store_age_seconds" ["store"]
        "How long ago the key set in force was fetched";
    KeyStoreFetches Counter "key_store_fetches" ["store" "result"]
        "Attempts to fetch a key set";
    KeyStoreStale Gauge "key_store_stale" ["store"]
        "1 while the newest attempt to fetch the key set has failed";
    KeyStoreKeys Gauge "key_store_keys" ["store"]
        "Keys in force";
    KeyStoreSkipped Counter "key_store_skipped" ["store" "reason"]
        "Keys of a fetched set that were skipped as weak or ill-formed";
    IntrospectionRequests Counter "introspection_requests" ["authenticator" "result"]
        "Questions to introspection endpoints, and checks of opaque tokens";
    Renewals Counter "renewals" ["renewer" "result"]
        "Renewals made, by how they ended";
    RenewalsCoalesced Counter "renewals_coalesced" ["renewer"]
        "Requests that got what another request had renewed";
    StateRequests Counter "state_requests" ["operation" "result"]
        "Questions to the state store";
    GovernorRequests Counter "governor_requests" ["budget" "result"]
        "Questions whether a caller has failures left, or room to have something remembered";
    GovernorTracked Gauge "governor_tracked" ["budget"]
        "Failure budgets kept now, and what is remembered for guards";
    Revocations Gauge "revocations" []
        "Revocations in force now";
    RevocationsAge Gauge "revocations_age_seconds" []
        "How long ago the log of revocations was last read to its end";
    RevocationsUnreadable Counter "revocations_unreadable" []
        "Entries of the log of revocations that were not understood, and so are not in force";
    ConfigGeneration Gauge "config_generation" []
        "Counts the confs put in force since the start; 1 is the first";
    ConfigReloads Counter "config_reloads" ["result"]
        "Attempts to put another conf in force";
    ConfigLastReloadSuccess Gauge "config_last_reload_success" []
        "1 when the newest attempt to put a conf in force succeeded";
    AuditDropped Counter "audit_dropped" []
        "Audit records that were not written";
    LogDropped Counter "log_dropped" []
        "Lines of the process log that were not written";
    AuditWaiting Gauge "audit_waiting" []
        "Requests that wait now until their audit record can be taken (`audit.when_behind: block`)";
    UpstreamRequests Counter "upstream_requests" ["upstream" "result"]
        "Attempts at an upstream; a retried request makes several";
    UpstreamDuration Histogram "upstream_duration_seconds" ["upstream"]
        "What one attempt at an upstream took";
    ConnectionsOpen Gauge "connections_open" []
        "Client connections open now";
    ConnectionsCap Gauge "connections_cap" []
        "Client connections that may be open at once";
    ConnectionsRefused Counter "connections_refused" ["reason"]
        "Client connections turned away before their first request; `total_cap`: left waiting while all there may be were open";
    HeadsRefused Counter "heads_refused" ["reason"]
        "Request heads refused before a rule was looked for; no decision is counted for them";
    Panics Counter "panics" []
        "Requests that were answered 500 because of a fault in the proxy itself";
    Build Info "build" ["version"]
        "What is running";
}

impl Metric {
    /// The name under which its samples are found: with `_total` or `_info` where the kind adds it.
    #[must_use]
    pub fn sample(self) -> String {
        let suffix = match self.kind() {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{suffix}", self.name())
    }
}
