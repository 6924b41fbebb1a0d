//! The settings that all remote sources of keys share.

use std::path::PathBuf;

use crate::domain::Seconds;
use crate::net::authorities::Authorities;
use crate::settings::{Checking, KeySpec, Section, Shape};
use crate::verify::keys::contract::MAX_STALE;
use crate::verify::keys::store::Timing;

/// How old a set may be before it is fetched again.
pub const REFRESH_KEY: KeySpec = KeySpec::default(
    "refresh",
    Shape::Duration { min: 10, max: 3_600 },
    "5m",
    "How old a set may be before it is fetched again; a key that the issuer withdraws is believed that much longer.",
);

/// How long a set lasts that cannot be fetched again.
pub const MAX_STALE_KEY: KeySpec = KeySpec::default(
    "max_stale",
    Shape::Duration { min: 10, max: 30 * 86_400 },
    "24h",
    "How long the last good set is used when no newer one can be fetched; after that, what needs it is answered 503.",
);

/// Where a copy is kept.
pub const CACHE_FILE_KEY: KeySpec = KeySpec::optional(
    "cache_file",
    Shape::Path,
    "A file in which the last good set is kept, so that a start during an outage of the issuer works. Whoever may write it decides \
     whose tokens are believed.",
);

/// What the shared settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// When the set is fetched, and how long it lasts.
    pub timing: Timing,
    /// Where a copy is kept.
    pub cache_file: Option<PathBuf>,
    /// Which authorities are trusted.
    pub authorities: Authorities,
}

impl Default for Remote {
    /// As when none of the keys is written.
    fn default() -> Self {
        const REFRESH: Seconds = Seconds(300);
        Self { timing: Timing { refresh: REFRESH, max_stale: MAX_STALE }, cache_file: None, authorities: Authorities::default() }
    }
}

impl Remote {
    /// Reads the shared settings of `section`, which must have them all.
    pub fn read(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let authorities = Authorities::read(section, checking)?;
        let timing = Timing { refresh: section.seconds("refresh")?, max_stale: section.seconds("max_stale")? };
        if timing.max_stale < timing.refresh {
            checking.faults.error(
                section.span_of("max_stale"),
                "`max_stale` is shorter than `refresh`, so there would be no keys between two fetches; make it longer",
            );
            return None;
        }
        let cache_file = section.text("cache_file").map(|path| checking.material.resolve(path));
        Some(Self { timing, cache_file, authorities })
    }

    /// A text that is equal exactly when these settings are.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:?} {:?} {}", self.timing, self.cache_file, self.authorities.text())
    }
}
