//! How much a test tries: a fiftieth or so of the figures each time, all of them for `make prove`.

/// Whether the full figures are asked for: `COUNTERSIGN_PROVE=1`, and no other value.
pub fn proving() -> bool {
    std::env::var_os("COUNTERSIGN_PROVE").is_some_and(|value| value == "1")
}

/// The figure of `make prove`, or that of every day.
pub fn figure<T>(full: T, usual: T) -> T {
    if proving() { full } else { usual }
}

/// Says what a test has counted, also where what passing tests print is kept back.
pub fn tell(counted: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{counted}");
}
