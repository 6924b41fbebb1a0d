//! The head of a request, borrowed, in words that no proxy framework owns.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

/// A request's head as every stage sees it.
#[derive(Debug, Clone)]
pub struct RequestView<'r> {
    /// The method, exactly as sent (case-sensitive, RFC 9110 section 9.1).
    pub method: &'r str,
    /// The request target as sent, for schemes that sign it.
    pub raw_target: &'r str,
    /// The one canonical reading of the target; what is judged and what is forwarded.
    pub target: &'r Target,
    /// The canonical host: lower case, no trailing dot, no port. Empty when the request had none.
    pub host: &'r str,
    /// All fields as the client sent them.
    pub headers: &'r HeaderMap,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub client: IpAddr,
    /// Whether the client's connection (or a trusted proxy's word) is TLS.
    pub secure: bool,
    /// The request's id, for the audit record and the upstream.
    pub request_id: &'r str,
}

/// A request target in canonical form: origin-form path and query (RFC 9112 section 3.2.1).
///
/// Made by `route::target` only. Encoded unreserved characters are decoded, percent-hex is upper case,
/// and the path has no dot segment, empty segment, backslash, control or encoded separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The path, starting with `/`.
    pub path: Box<str>,
    /// The query without its `?`, as sent; `None` when there was no `?`.
    pub query: Option<Box<str>>,
}

impl Target {
    /// Path and query as they go on the wire.
    #[must_use]
    pub fn wire(&self) -> Cow<'_, str> {
        match &self.query {
            None => Cow::Borrowed(&self.path),
            Some(query) => Cow::Owned(format!("{}?{query}", self.path)),
        }
    }
}

impl<'r> RequestView<'r> {
    /// The only value of field `name`.
    ///
    /// `Ok(None)` when it is absent.
    ///
    /// # Errors
    ///
    /// `Err(())` when it stands there twice, or holds bytes outside visible ASCII, space and tab.
    #[allow(clippy::result_unit_err, reason = "the caller knows which credential it was looking for")]
    pub fn sole_header(&self, name: &HeaderName) -> Result<Option<&'r str>, ()> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(());
        }
        first.to_str().map(Some).map_err(|_| ())
    }
}
