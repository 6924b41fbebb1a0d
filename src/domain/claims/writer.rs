//! Claims being written, value by value.
//!
//! What is written last into an object is a name, and then its value; whoever writes sees to that, and that lists and objects are
//! closed. What is read back of claims that were not ends early, and is never something that was not written.

use crate::domain::claims::{Claim, Claims, FEW, LONGEST_SHORT, MANY, Members, kind};
use crate::domain::value::Value;

/// Claims that are not finished.
#[derive(Default)]
pub struct Writer(String);

impl Writer {
    /// Room for claims of about `bytes`.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Writes a whole value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(truth) => self.bool(*truth),
            Value::Int(number) => self.int(*number),
            Value::Float(number) => self.float(*number),
            Value::Text(text) => self.text(text),
            Value::List(items) => {
                self.open_list();
                items.iter().for_each(|item| self.value(item));
                self.close();
            }
            Value::Map(members) => {
                self.open_map();
                for (name, member) in members {
                    self.text(name);
                    self.value(member);
                }
                self.close();
            }
        }
    }

    /// Writes a value that was read from other claims.
    pub fn claim(&mut self, claim: Claim<'_>) {
        match claim {
            Claim::Null => self.null(),
            Claim::Bool(truth) => self.bool(truth),
            Claim::Int(number) => self.int(number),
            Claim::Float(number) => self.float(number),
            Claim::Text(text) => self.text(text),
            Claim::List(items) => {
                self.open_list();
                items.for_each(|item| self.claim(item));
                self.close();
            }
            Claim::Map(members) => {
                self.open_map();
                for (name, member) in members {
                    self.text(name);
                    self.claim(member);
                }
                self.close();
            }
        }
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.byte(kind::NULL);
    }

    /// Writes a truth.
    pub fn bool(&mut self, truth: bool) {
        self.byte(if truth { kind::TRUE } else { kind::FALSE });
    }

    /// Writes a whole number.
    pub fn int(&mut self, number: i64) {
        let bits = number.cast_unsigned();
        let small = bits >> (7 * FEW) == 0;
        self.byte(if small { kind::SMALL } else { kind::INT });
        self.groups(bits, if small { FEW } else { MANY });
    }

    /// Writes any other number.
    pub fn float(&mut self, number: f64) {
        self.byte(kind::FLOAT);
        self.groups(number.to_bits(), MANY);
    }

    /// Writes a text, or the name of a member whose value is to follow.
    pub fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) if text.len() <= LONGEST_SHORT => self.byte(kind::SHORT + length),
            _ => {
                self.byte(kind::LONG);
                // 35 bits: a longer text would take 32 GiB.
                self.groups(text.len() as u64, FEW);
            }
        }
        self.0.push_str(text);
    }

    /// Begins a list, which ends with [`Self::close`].
    pub fn open_list(&mut self) {
        self.byte(kind::LIST);
    }

    /// Begins an object, which ends with [`Self::close`].
    pub fn open_map(&mut self) {
        self.byte(kind::MAP);
    }

    /// Ends the list or the object that was begun last.
    pub fn close(&mut self) {
        self.byte(kind::END);
    }

    /// What was written, in exactly the memory it takes.
    #[must_use]
    pub fn finish(self) -> Claims {
        // A copy: an allocator leaves what was shrunk a little where it is, in a place for more.
        Claims(self.0.as_str().into())
    }

    /// How far it is written: where what is written next begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.0.len()
    }

    /// The members so far of the object whose first name stands at `position`, which is not closed.
    #[must_use]
    pub fn members(&self, position: usize) -> Members<'_> {
        Members(self.0.get(position..).unwrap_or_default())
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(char::from(byte & 0x7f));
    }

    fn groups(&mut self, number: u64, count: usize) {
        for group in (0..count).rev() {
            self.byte((number >> (7 * group)) as u8);
        }
    }
}
