//! Claims as they are kept: a [`Value`] in one piece of memory.
//!
//! A remembered token is held by the hundred thousand, and a tree of names and values in pieces of memory of their own takes four
//! times what was written. Here all of it stands in one text, in the order it was written: each value is a character that says of
//! what kind it is, then what it holds; a text says its length first, lists and objects are closed by a character of their own.
//! Nothing in it can be changed, and nothing but [`Writer`] makes one, so what is read back is what was written.
//!
//! Never here: JSON (see `jose::json`), a judgement of what is claimed. That no object holds a name twice is seen to by whoever
//! writes, as for [`Value`].

mod writer;

pub use writer::Writer;

use std::fmt;

use crate::domain::value::Value;

/// What the first character of a value says. Those from [`SHORT`] on are texts of that many bytes more.
mod kind {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    /// A whole number of [`super::FEW`] groups.
    pub(super) const SMALL: u8 = 3;
    /// A whole number of [`super::MANY`] groups.
    pub(super) const INT: u8 = 4;
    /// The bits of a float, in [`super::MANY`] groups.
    pub(super) const FLOAT: u8 = 5;
    /// A text whose length stands behind, in [`super::FEW`] groups.
    pub(super) const LONG: u8 = 6;
    pub(super) const LIST: u8 = 7;
    pub(super) const MAP: u8 = 8;
    /// The end of a list or an object.
    pub(super) const END: u8 = 9;
    /// An empty text.
    pub(super) const SHORT: u8 = 16;
}

/// Groups of seven bits, each of which is a character: 35 bits hold every moment until the year 3058.
const FEW: usize = 5;

/// As many as hold 64 bits.
const MANY: usize = 10;

/// The longest text whose length stands in its first character.
const LONGEST_SHORT: usize = (0x7f - kind::SHORT) as usize;

/// One value, usually an object, that is never changed again.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(Box<str>);

/// One value among [`Claims`], borrowed from them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim<'c> {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A number written without fraction or exponent that fits 64 bits.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// JSON text.
    Text(&'c str),
    /// JSON array.
    List(Items<'c>),
    /// JSON object, in the order it was written, names distinct.
    Map(Members<'c>),
}

/// The elements of a list, from the next one on.
#[derive(Clone, Copy)]
pub struct Items<'c>(&'c str);

/// The members of an object, from the next one on.
#[derive(Clone, Copy)]
pub struct Members<'c>(&'c str);

impl Claims {
    /// An empty object.
    #[must_use]
    pub fn empty() -> Self {
        Self::from(&Value::empty())
    }

    /// The whole of them as one value.
    #[must_use]
    pub fn get(&self) -> Claim<'_> {
        read(&self.0).unwrap_or(Claim::Null)
    }

    /// The member called `name`, when this is an object that has one.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Claim<'_>> {
        self.get().member(name)
    }

    /// Follows a dotted path through nested objects, as [`Value::at_path`] does.
    #[must_use]
    pub fn at_path(&self, path: &str) -> Option<Claim<'_>> {
        self.get().at_path(path)
    }

    /// The bytes that they take beside themselves.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.len()
    }

    /// The same as a tree that can be taken apart.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.get().to_value()
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<&Value> for Claims {
    fn from(value: &Value) -> Self {
        let mut writer = Writer::default();
        writer.value(value);
        writer.finish()
    }
}

impl From<Value> for Claims {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<'c> Claim<'c> {
    /// The member called `name`, when this is an object that has one.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Claim<'c>> {
        match self {
            Self::Map(members) => members.find(name),
            _ => None,
        }
    }

    /// Follows a dotted path through nested objects, as [`Value::at_path`] does.
    #[must_use]
    pub fn at_path(self, path: &str) -> Option<Claim<'c>> {
        path.split('.').try_fold(self, |value, name| value.member(name))
    }

    /// The text, when this is text.
    #[must_use]
    pub fn as_text(self) -> Option<&'c str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, when this is one; a float that is integral and exact counts.
    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Float(number) => Value::Float(number).as_int(),
            _ => None,
        }
    }

    /// The elements, when this is a list.
    #[must_use]
    pub fn as_list(self) -> Option<Items<'c>> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The same as a tree that can be taken apart.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::Text(text.into()),
            Self::List(items) => Value::List(items.map(Claim::to_value).collect()),
            Self::Map(members) => Value::Map(members.map(|(name, member)| (name.into(), member.to_value())).collect()),
        }
    }
}

impl PartialEq<Value> for Claim<'_> {
    fn eq(&self, other: &Value) -> bool {
        match (*self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(one), Value::Bool(other)) => one == *other,
            (Self::Int(one), Value::Int(other)) => one == *other,
            (Self::Float(one), Value::Float(other)) => one == *other,
            (Self::Text(one), Value::Text(other)) => *one == **other,
            (Self::List(mut one), Value::List(other)) => {
                other.iter().all(|item| one.next().is_some_and(|own| own == *item)) && one.next().is_none()
            }
            (Self::Map(mut one), Value::Map(other)) => {
                let same = |(name, member): &(Box<str>, Value)| one.next().is_some_and(|(own, value)| *own == **name && value == *member);
                other.iter().all(same) && one.next().is_none()
            }
            _ => false,
        }
    }
}

impl PartialEq for Items<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl PartialEq for Members<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl<'c> Members<'c> {
    /// The member called `name`; those before it are passed over unread.
    fn find(self, name: &str) -> Option<Claim<'c>> {
        let mut rest = self.0;
        loop {
            let (own, value) = read_text(rest)?;
            if own == name {
                return read(value);
            }
            rest = pass(value)?;
        }
    }
}

impl<'c> Iterator for Items<'c> {
    type Item = Claim<'c>;

    fn next(&mut self) -> Option<Claim<'c>> {
        let claim = read(self.0)?;
        self.0 = pass(self.0)?;
        Some(claim)
    }
}

impl<'c> Iterator for Members<'c> {
    type Item = (&'c str, Claim<'c>);

    fn next(&mut self) -> Option<(&'c str, Claim<'c>)> {
        let (name, value) = read_text(self.0)?;
        let claim = read(value)?;
        self.0 = pass(value)?;
        Some((name, claim))
    }
}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}

/// The value that `rest` begins with; `None` at the end of a list or an object.
fn read(rest: &str) -> Option<Claim<'_>> {
    let (first, inside) = (*rest.as_bytes().first()?, rest.get(1..)?);
    Some(match first {
        kind::NULL => Claim::Null,
        kind::FALSE => Claim::Bool(false),
        kind::TRUE => Claim::Bool(true),
        kind::SMALL => Claim::Int(groups(inside, FEW)?.0.cast_signed()),
        kind::INT => Claim::Int(groups(inside, MANY)?.0.cast_signed()),
        kind::FLOAT => Claim::Float(f64::from_bits(groups(inside, MANY)?.0)),
        kind::LIST => Claim::List(Items(inside)),
        kind::MAP => Claim::Map(Members(inside)),
        _ => Claim::Text(read_text(rest)?.0),
    })
}

/// The text that `rest` begins with, and what stands behind it; `None` where no text stands.
fn read_text(rest: &str) -> Option<(&str, &str)> {
    let first = *rest.as_bytes().first()?;
    if let Some(length) = first.checked_sub(kind::SHORT) {
        return rest.get(1..)?.split_at_checked(usize::from(length));
    }
    if first != kind::LONG {
        return None;
    }
    let (length, behind) = groups(rest.get(1..)?, FEW)?;
    behind.split_at_checked(usize::try_from(length).ok()?)
}

/// What stands behind the value that `rest` begins with.
fn pass(rest: &str) -> Option<&str> {
    let first = *rest.as_bytes().first()?;
    match first {
        kind::NULL | kind::FALSE | kind::TRUE => rest.get(1..),
        kind::SMALL => rest.get(1 + FEW..),
        kind::INT | kind::FLOAT => rest.get(1 + MANY..),
        kind::LIST | kind::MAP => {
            let mut rest = rest.get(1..)?;
            while *rest.as_bytes().first()? != kind::END {
                if first == kind::MAP {
                    (_, rest) = read_text(rest)?;
                }
                rest = pass(rest)?;
            }
            rest.get(1..)
        }
        _ => read_text(rest).map(|(_, behind)| behind),
    }
}

/// The number in the first `count` groups, and what stands behind them.
fn groups(rest: &str, count: usize) -> Option<(u64, &str)> {
    let (digits, behind) = rest.split_at_checked(count)?;
    Some((digits.bytes().fold(0, |number, digit| number << 7 | u64::from(digit)), behind))
}

#[cfg(test)]
mod tests;
