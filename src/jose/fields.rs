//! Fields as bytes, with one reading.
//!
//! Every field stands at its place in a fixed order, and is of fixed width or has its length before it; so two sets of fields never
//! have the same bytes, and bytes have one reading or none. What is sealed or stored is written so: tickets, sessions, families.
//!
//! Never here: what the fields mean; a key; a repair of bytes that cannot be read.

use crate::domain::{Timestamp, Value};

/// How deep a [`Value`] may nest.
pub const DEPTH: usize = 8;

/// Fields being written. What does not fit its length field is `None`, and nothing is cut.
#[derive(Default)]
pub struct Writing(Vec<u8>);

impl Writing {
    /// With room for what most records take.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(256))
    }

    /// What has been written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Bytes of a width that the reader knows.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A flag.
    pub fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    /// A moment.
    pub fn moment(&mut self, moment: Timestamp) {
        self.fixed(&moment.0.to_be_bytes());
    }

    /// A moment that may be absent.
    pub fn optional_moment(&mut self, moment: Option<Timestamp>) {
        self.flag(moment.is_some());
        if let Some(moment) = moment {
            self.moment(moment);
        }
    }

    /// How many there are of what follows; 65,535 at most.
    #[must_use = "nothing is written when it does not fit"]
    pub fn count(&mut self, count: usize) -> Option<()> {
        self.fixed(&u16::try_from(count).ok()?.to_be_bytes());
        Some(())
    }

    /// Bytes, their number before them.
    #[must_use = "nothing is written when it does not fit"]
    pub fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.count(bytes.len())?;
        self.fixed(bytes);
        Some(())
    }

    /// A text.
    #[must_use = "nothing is written when it does not fit"]
    pub fn text(&mut self, text: &str) -> Option<()> {
        self.bytes(text.as_bytes())
    }

    /// Several texts.
    #[must_use = "nothing is written when it does not fit"]
    pub fn texts(&mut self, texts: &[Box<str>]) -> Option<()> {
        self.count(texts.len())?;
        texts.iter().try_for_each(|text| self.text(text))
    }

    /// A text that may be absent.
    #[must_use = "nothing is written when it does not fit"]
    pub fn optional(&mut self, text: Option<&str>) -> Option<()> {
        self.flag(text.is_some());
        text.map_or(Some(()), |text| self.text(text))
    }

    /// A value that nests [`DEPTH`] levels at most. A number that JSON cannot say is none.
    #[must_use = "nothing is written when it does not fit"]
    pub fn value(&mut self, value: &Value) -> Option<()> {
        self.nested(value, DEPTH)
    }

    fn nested(&mut self, value: &Value, depth: usize) -> Option<()> {
        match value {
            Value::Null => self.byte(0),
            Value::Bool(false) => self.byte(1),
            Value::Bool(true) => self.byte(2),
            Value::Int(number) => {
                self.byte(3);
                self.fixed(&number.to_be_bytes());
            }
            Value::Float(number) if number.is_finite() => {
                self.byte(4);
                self.fixed(&number.to_bits().to_be_bytes());
            }
            Value::Float(_) => return None,
            Value::Text(text) => {
                self.byte(5);
                self.text(text)?;
            }
            Value::List(items) => {
                let below = depth.checked_sub(1)?;
                self.byte(6);
                self.count(items.len())?;
                items.iter().try_for_each(|item| self.nested(item, below))?;
            }
            Value::Map(members) => {
                let below = depth.checked_sub(1)?;
                self.byte(7);
                self.count(members.len())?;
                for (name, member) in members {
                    self.text(name)?;
                    self.nested(member, below)?;
                }
            }
        }
        Some(())
    }
}

/// Fields still to be read. `None` wherever the bytes are not what was expected.
pub struct Reading<'b>(&'b [u8]);

impl<'b> Reading<'b> {
    /// All of `bytes`.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left. Whatever follows the last field makes the whole unreadable.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes of a fixed width.
    pub fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.fixed().map(|[byte]| byte)
    }

    /// A flag.
    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A moment.
    pub fn moment(&mut self) -> Option<Timestamp> {
        self.fixed().map(|bytes| Timestamp(i64::from_be_bytes(bytes)))
    }

    /// A moment that may be absent.
    #[allow(clippy::option_option, reason = "the outer one says whether the bytes could be read")]
    pub fn optional_moment(&mut self) -> Option<Option<Timestamp>> {
        if self.flag()? { self.moment().map(Some) } else { Some(None) }
    }

    /// How many there are of what follows.
    pub fn count(&mut self) -> Option<usize> {
        self.fixed().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    /// Bytes, their number before them.
    pub fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    /// A text.
    pub fn text(&mut self) -> Option<Box<str>> {
        std::str::from_utf8(self.bytes()?).ok().map(Into::into)
    }

    /// Several texts.
    pub fn texts(&mut self) -> Option<Box<[Box<str>]>> {
        (0..self.count()?).map(|_| self.text()).collect()
    }

    /// A text that may be absent.
    #[allow(clippy::option_option, reason = "the outer one says whether the bytes could be read")]
    pub fn optional(&mut self) -> Option<Option<Box<str>>> {
        if self.flag()? { self.text().map(Some) } else { Some(None) }
    }

    /// A value; no name stands twice in one of its objects.
    pub fn value(&mut self) -> Option<Value> {
        self.nested(DEPTH)
    }

    fn nested(&mut self, depth: usize) -> Option<Value> {
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(i64::from_be_bytes(self.fixed()?)),
            4 => Value::Float(Some(f64::from_bits(u64::from_be_bytes(self.fixed()?))).filter(|number| number.is_finite())?),
            5 => Value::Text(self.text()?),
            6 => {
                let below = depth.checked_sub(1)?;
                Value::List((0..self.count()?).map(|_| self.nested(below)).collect::<Option<_>>()?)
            }
            7 => {
                let below = depth.checked_sub(1)?;
                let mut members: Vec<(Box<str>, Value)> = Vec::new();
                for _ in 0..self.count()? {
                    let name = self.text()?;
                    if members.iter().any(|(known, _)| *known == name) {
                        return None;
                    }
                    members.push((name, self.nested(below)?));
                }
                Value::Map(members.into())
            }
            _ => return None,
        })
    }
}
