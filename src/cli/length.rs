//! A length of time as arguments write it: the same words as in a conf.

use std::str::FromStr;

use crate::domain::Seconds;
use crate::settings::section::parse_duration;

/// `30s`, `5m`, `1h` or `2d`, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(Seconds);

impl Length {
    /// The same in seconds.
    #[must_use]
    pub fn seconds(self) -> Seconds {
        self.0
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = parse_duration(text).ok_or("write 30s, 5m, 1h or 2d")?;
        if length.subsec_nanos() != 0 {
            return Err("whole seconds, please".to_owned());
        }
        u32::try_from(length.as_secs()).map(|seconds| Self(Seconds(seconds))).map_err(|_| "longer than a century".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Length;
    use crate::domain::Seconds;

    #[test]
    fn lengths_are_written_as_in_a_conf() {
        let cases = [
            ("30s", Some(30), "seconds"),
            ("5m", Some(300), "minutes"),
            ("2d", Some(172_800), "days"),
            ("500ms", None, "less than a second"),
            ("soon", None, "a word"),
            ("30", None, "no unit"),
            ("99999999d", None, "longer than can be said"),
        ];
        for (text, expected, shows) in cases {
            assert_eq!(text.parse::<Length>().ok().map(Length::seconds), expected.map(Seconds), "{shows}");
        }
    }
}
