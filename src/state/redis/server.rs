//! What a server says of itself (`INFO`), and whether we can rest on it.
//!
//! Pure. A server that is not fit is not used: nothing is asked of a replica, of one that still loads its data, of one that is
//! part of a cluster.
//!
//! Source: the command references of Redis and of Valkey, `INFO`.

use std::time::Duration;

/// Why the server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// No connection came about, or it broke.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// It is starting.
    #[error("it is still loading its data")]
    Loading,
    /// It takes no writes.
    #[error("it is a replica; `url` must name the primary")]
    Replica,
    /// It refused, by this code.
    #[error("it answered {0}")]
    Answered(String),
    /// It does not take our name and password.
    #[error("it refused `username` and `password`, or asks for them")]
    Credentials,
    /// Its access rules do not let us.
    #[error("its access rules (ACL) forbid what we need")]
    Forbidden,
    /// It is not one server on its own.
    #[error(
        "it is in {0} mode; Redis Cluster and Sentinel are not supported: name one server, or the address that always leads to the primary"
    )]
    Mode(String),
    /// It is too old.
    #[error("it is version {0}; at least 7.0 is needed")]
    Old(String),
    /// It did not say what we must know.
    #[error("its INFO does not say `{0}`")]
    Silence(&'static str),
    /// It throws away what was spent, to make room.
    #[error("it evicts keys (`maxmemory-policy {0}`), so what was spent could be used again; set `maxmemory-policy noeviction`")]
    Evicts(String),
    /// `strict` demands something else.
    #[error("`strict` demands {demands}; the server has {has}")]
    Lax {
        /// What should be set.
        demands: &'static str,
        /// What is.
        has: String,
    },
    /// `strict` cannot be proven.
    #[error("`strict` needs the answer to CONFIG GET, and the server refused it")]
    Unprovable,
}

impl Trouble {
    /// Whether waiting does not help: somebody must change the conf or the server.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent(_) | Self::Loading | Self::Replica | Self::Answered(_) => false,
            Self::Credentials
            | Self::Forbidden
            | Self::Mode(_)
            | Self::Old(_)
            | Self::Silence(_)
            | Self::Evicts(_)
            | Self::Lax { .. }
            | Self::Unprovable => true,
        }
    }
}

/// A server that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Another one at each start of the server.
    pub(super) run: String,
    /// Whether it keeps an append-only file.
    pub(super) appends: bool,
    /// Whether it was a replica once and took over: what the primary had acknowledged last may be missing.
    pub(super) took_over: bool,
}

impl Server {
    /// Reads what the server says in answer to `INFO`.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it cannot be used, or does not say.
    pub(super) fn read(info: &str) -> Result<Self, Trouble> {
        let find = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
        let need = |name: &'static str| find(name).ok_or(Trouble::Silence(name));

        // Valkey has names of its own for what is Valkey's, from version 8 on.
        let mode = find("server_mode").or_else(|| find("redis_mode")).ok_or(Trouble::Silence("redis_mode"))?;
        if mode != "standalone" {
            return Err(Trouble::Mode(mode.to_owned()));
        }
        let version = find("valkey_version").or_else(|| find("redis_version")).ok_or(Trouble::Silence("redis_version"))?;
        let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        if major < OLDEST {
            return Err(Trouble::Old(version.to_owned()));
        }
        if need("loading")? != "0" {
            return Err(Trouble::Loading);
        }
        if need("role")? != "master" {
            return Err(Trouble::Replica);
        }
        let policy = need("maxmemory_policy")?;
        if policy != "noeviction" {
            return Err(Trouble::Evicts(policy.to_owned()));
        }
        Ok(Self {
            run: need("run_id")?.to_owned(),
            appends: need("aof_enabled")? == "1",
            // -1 where it has always been its own primary.
            took_over: need("second_repl_offset")? != "-1",
        })
    }

    /// Whether a start of this server loses nothing that it has acknowledged, as far as the server says.
    pub(super) fn is_durable(&self) -> bool {
        self.appends && !self.took_over
    }
}

/// Scripts that say what they may do, and `CONFIG GET` of several names, came with it.
const OLDEST: u32 = 7;

/// Whether `settings`, names and values in turn as `CONFIG GET` has them, are those that `strict` demands.
///
/// # Errors
///
/// [`Trouble::Lax`] with the first that is not.
pub(super) fn prove_strict<'s>(settings: impl Fn(&str) -> Option<&'s str>) -> Result<(), Trouble> {
    const DEMANDED: &[(&str, &str, &str)] = &[
        ("appendonly", "yes", "`appendonly yes`: without it a restart forgets what was spent"),
        ("appendfsync", "always", "`appendfsync always`: otherwise the last second is lost with the machine"),
        ("maxmemory-policy", "noeviction", "`maxmemory-policy noeviction`: otherwise what was spent is thrown away to make room"),
    ];
    for (name, wanted, demands) in DEMANDED {
        let has = settings(name).ok_or(Trouble::Unprovable)?;
        if has != *wanted {
            return Err(Trouble::Lax { demands, has: format!("`{name} {has}`") });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Server, Trouble, prove_strict};

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:8f3c\r\n\r\n# Memory\r\nmaxmemory:0\r\n\
                        maxmemory_policy:noeviction\r\n\r\n# Persistence\r\nloading:0\r\nasync_loading:0\r\naof_enabled:1\r\n\r\n\
                        # Replication\r\nrole:master\r\nsecond_repl_offset:-1\r\n";

    #[test]
    fn a_server_is_used_when_it_says_that_it_can_be() {
        let fit = Server { run: "8f3c".into(), appends: true, took_over: false };
        let cases = [
            // what is replaced, by what, expected, what the row shows
            ("", "", Ok(fit.clone()), "as it should be"),
            ("7.0.15", "8.1.0", Ok(fit.clone()), "a later version"),
            ("7.0.15", "6.2.14", Err(Trouble::Old("6.2.14".into())), "one that cannot prove its scripts beforehand"),
            ("7.0.15", "unstable", Err(Trouble::Old("unstable".into())), "a version that is none"),
            ("mode:standalone", "mode:cluster", Err(Trouble::Mode("cluster".into())), "part of a cluster"),
            ("redis_mode:", "valkey_version:8.1.1\r\nserver_mode:", Ok(fit.clone()), "Valkey, which calls it otherwise"),
            ("redis_mode:standalone", "server_mode:cluster", Err(Trouble::Mode("cluster".into())), "and says so of a cluster"),
            ("redis_mode:standalone\r\n", "", Err(Trouble::Silence("redis_mode")), "a server that says neither"),
            ("mode:standalone", "mode:sentinel", Err(Trouble::Mode("sentinel".into())), "a sentinel"),
            ("\nloading:0", "\nloading:1", Err(Trouble::Loading), "its data is not there yet"),
            ("role:master", "role:slave", Err(Trouble::Replica), "a replica"),
            ("aof_enabled:1", "aof_enabled:0", Ok(Server { appends: false, ..fit.clone() }), "snapshots at best"),
            ("offset:-1", "offset:1024", Ok(Server { took_over: true, ..fit.clone() }), "a replica that took over"),
            ("noeviction", "allkeys-lru", Err(Trouble::Evicts("allkeys-lru".into())), "a cache"),
            ("run_id:8f3c\r\n", "", Err(Trouble::Silence("run_id")), "a server that does not tell its starts apart"),
            ("role:master\r\n", "", Err(Trouble::Silence("role")), "nor whether it takes writes"),
        ];
        for (part, by, expected, shows) in cases {
            assert_eq!(Server::read(&INFO.replace(part, by)), expected, "{shows}");
        }
        let durable = [(true, false, true), (false, false, false), (true, true, false)];
        for (appends, took_over, expected) in durable {
            assert_eq!(Server { appends, took_over, ..fit.clone() }.is_durable(), expected, "appends={appends} took_over={took_over}");
        }
    }

    #[test]
    fn strict_demands_three_settings_and_names_the_first_that_is_missing() {
        let cases = [
            (["yes", "always", "noeviction"], None, "all of them"),
            (["no", "always", "noeviction"], Some("`appendonly no`"), "no file"),
            (["yes", "everysec", "noeviction"], Some("`appendfsync everysec`"), "a second at risk"),
            (["yes", "always", "volatile-lru"], Some("`maxmemory-policy volatile-lru`"), "makes room"),
            (["no", "no", "noeviction"], Some("`appendonly no`"), "the first of two"),
        ];
        for (values, expected, shows) in cases {
            let names = ["appendonly", "appendfsync", "maxmemory-policy"];
            let found = prove_strict(|wanted| names.iter().zip(values).find(|(name, _)| **name == wanted).map(|(_, value)| value));
            let says = match found {
                Err(Trouble::Lax { has, .. }) => Some(has),
                other => other.map(|()| None).unwrap(),
            };
            assert_eq!(says.as_deref(), expected, "{shows}");
        }
        assert_eq!(prove_strict(|_| None), Err(Trouble::Unprovable), "a server that does not tell");
    }
}
