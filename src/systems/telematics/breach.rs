//! Which rule of the API a request breaks: the breaches of the guard, each with the status that the vendor gives it.
//!
//! A breach's code is that status, so that `render` has nothing to look up. Its text is ours: nothing of the request is told.

use std::borrow::Cow;

use crate::domain::{Breach, Refusal};

/// The statuses that a guard gives. Anything else in a breach is a 403.
pub(crate) const STATUSES: [u16; 4] = [403, 405, 415, 422];

/// `field` is missing, stands there twice, or is not what it must be (422).
pub(crate) fn invalid(field: &'static str, says: &'static str) -> Refusal {
    breach("422", field, says)
}

/// The caller may not do this (403).
pub(crate) fn forbidden(field: &'static str, says: &'static str) -> Refusal {
    breach("403", field, says)
}

/// The call is not made with this method (405).
pub(crate) fn wrong_method() -> Refusal {
    breach("405", "", "This call is made with POST.")
}

/// The body is of another type than the call takes (415).
pub(crate) fn wrong_type() -> Refusal {
    breach("415", "Content-Type", "The body must be JSON in UTF-8, and say so.")
}

/// The body comes in a content coding (415).
pub(crate) fn coded() -> Breach {
    Breach { code: "415".into(), field: "Content-Encoding".into(), says: "The body must not be compressed.".into() }
}

/// The status that `breach` is answered with.
pub(crate) fn status_of(breach: &Breach) -> u16 {
    breach.code.parse().ok().filter(|status| STATUSES.contains(status)).unwrap_or(403)
}

fn breach(code: &'static str, field: &'static str, says: &'static str) -> Refusal {
    Refusal::GuardRefused(Box::new(Breach { code: Cow::Borrowed(code), field: Cow::Borrowed(field), says: Cow::Borrowed(says) }))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{forbidden, invalid, status_of, wrong_method, wrong_type};
    use crate::domain::{Breach, Refusal};

    #[test]
    fn a_breach_has_the_status_of_its_code_and_no_other() {
        for (refusal, status) in [(invalid("A", "b"), 422), (forbidden("", ""), 403), (wrong_method(), 405), (wrong_type(), 415)] {
            let Refusal::GuardRefused(breach) = refusal else { panic!("a breach") };
            assert_eq!(status_of(&breach), status);
        }
        for code in ["200", "", "abc", "500"] {
            let breach = Breach { code: Cow::Borrowed(code), field: Cow::Borrowed(""), says: Cow::Borrowed("") };
            assert_eq!(status_of(&breach), 403, "{code:?} is no status of a guard");
        }
    }
}
