//! Structured data as claims carry it: what JSON can say, without a JSON library.
//!
//! Objects keep their order and never hold a name twice; whoever builds one refuses duplicates
//! (see `jose::json`).

/// One value of a claim set, an introspection answer, or a key record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A number written without fraction or exponent that fits 64 bits.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// JSON text.
    Text(Box<str>),
    /// JSON array.
    List(Box<[Value]>),
    /// JSON object, in the order it was written, names distinct.
    Map(Box<[(Box<str>, Value)]>),
}

impl Value {
    /// An empty object.
    #[must_use]
    pub fn empty() -> Self {
        Self::Map(Box::default())
    }

    /// The member called `name`, when this is an object that has one.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(members) => members.iter().find(|(key, _)| &**key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Follows a dotted path through nested objects: `realm_access.roles`.
    ///
    /// Each dot descends one level; a member whose own name holds a dot is not reachable this way,
    /// so that one path has exactly one reading.
    #[must_use]
    pub fn at_path(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, name| value.member(name))
    }

    /// The text, when this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, when this is one; a float that is integral and exact counts.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        /// Above this a float no longer names one integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Self::Int(number) => Some(*number),
            #[allow(clippy::cast_possible_truncation, reason = "integral and within 2^53, checked in the guard")]
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(*number as i64),
            _ => None,
        }
    }

    /// The elements, when this is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
