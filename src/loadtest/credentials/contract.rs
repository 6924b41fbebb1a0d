//! What every maker of credentials says and does.

use crate::domain::Timestamp;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// The request that a credential goes with; some are signed over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
}

/// What a credential adds to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presented {
    /// Fields.
    pub headers: Vec<(String, String)>,
    /// Cookies.
    pub cookies: Vec<(String, String)>,
    /// Parameters of the query, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Parameters of a form, not yet encoded.
    pub form: Vec<(String, String)>,
}

impl Presented {
    /// One field.
    #[must_use]
    pub fn header(name: &str, value: String) -> Self {
        Self { headers: vec![(name.to_owned(), value)], ..Self::default() }
    }

    /// This and `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.headers.extend(other.headers);
        self.cookies.extend(other.cookies);
        self.query.extend(other.query);
        self.form.extend(other.form);
        self
    }
}

/// Makes credentials for one authenticator.
///
/// # Contract
///
/// A good one passes that authenticator, for as long as [`Presenter::lasting`] says. An expired one is authentic and has run
/// out. A forged one is well formed in every respect and made by somebody who does not hold the key: what is refused for its form
/// shows nothing about signatures.
pub trait Presenter: Send + Sync {
    /// How long a good one may be presented.
    fn lasting(&self) -> Lasting;

    /// Whether there is such a thing as a credential of `kind`. [`Kind::Absent`] and [`Kind::Replayed`] are not asked for.
    fn makes(&self, kind: Kind) -> bool;

    /// A credential of `kind` for caller `number`, made at `now`, to go with `asked`.
    ///
    /// # Errors
    ///
    /// A sentence: it could not be made.
    fn present(&self, kind: Kind, number: u64, asked: &Asked, now: Timestamp) -> Result<Presented, String>;
}
