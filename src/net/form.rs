//! The body of a request as form fields, wiped when dropped.
//!
//! Rules: the WHATWG URL standard, section 5.2 (`application/x-www-form-urlencoded`).

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::domain::Secret;

/// Form fields being written.
#[derive(Default)]
pub struct Form(Zeroizing<String>);

impl Form {
    /// Appends a field.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        form_urlencoded::byte_serialize(name.as_bytes()).for_each(|part| self.0.push_str(part));
        self.0.push('=');
        form_urlencoded::byte_serialize(value).for_each(|part| self.0.push_str(part));
    }

    /// Appends a field that holds a secret.
    pub fn push_secret(&mut self, name: &str, value: &Secret) {
        self.push(name, value.expose());
    }

    /// What has been written.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        Bytes::copy_from_slice(self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_become_another_field() {
        let mut form = Form::default();
        form.push("a b", b"x&y=z");
        form.push_secret("c", &Secret::new(b"+ %\xff\r\n".to_vec()));
        form.push("d", b"");
        assert_eq!(form.into_body(), "a+b=x%26y%3Dz&c=%2B+%25%FF%0D%0A&d=");
    }
}
