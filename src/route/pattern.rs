//! What a rule may say about host, path and method.
//!
//! A pattern must be written canonically, because it is compared with canonical text: one that is not would never
//! match, and its rule would silently guard nothing. What is wrong is therefore said when the conf is read.
//!
//! Deliberately absent: regular expressions, wildcards inside a segment, and any view of the query.

use crate::route::{host, target};

/// Which hosts a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host, in canonical form.
    Exact(Box<str>),
    /// Every host below this domain, at any depth, but not the domain itself. Written `*.example.com`, held without `*.`.
    Suffix(Box<str>),
    /// Every host, also none at all. Written `*`.
    Any,
}

/// One segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly this text, canonical.
    Literal(Box<str>),
    /// Any one segment that is not empty. The name is for readers; two patterns that differ in names only are the same.
    Named(Box<str>),
    /// Any number of segments, none included. Last only. Written `**`.
    Rest,
}

/// Which paths a rule is for.
///
/// `/a` matches `/a` and `/a/`: a trailing slash never changes the rule, since upstreams differ on whether it means
/// anything. `/a/**` matches these and everything below. Paths are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    segments: Box<[Segment]>,
}

/// Which methods a rule is for: those it names, and `HEAD` wherever it names `GET` (RFC 9110 section 9.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods {
    names: Box<[Box<str>]>,
}

impl HostPattern {
    /// Reads `text`: a host, `*.domain`, or `*`.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, is_suffix) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        if name.contains('*') {
            return Err(format!("`{text}` is not a host pattern: `*` stands alone or in front, as in `*.example.com`"));
        }
        let Ok(authority) = host::authority(name) else {
            return Err(format!(
                "`{text}` is not a host; write a name such as `api.example.com` (international names as `xn--`), `*.example.com`, or `*`"
            ));
        };
        if authority.port.is_some() {
            return Err(format!("`{text}` names a port; rules match the host only, write `{}`", authority.host));
        }
        if authority.host != name {
            let star = if is_suffix { "*." } else { "" };
            return Err(format!("`{text}` is not the canonical form; write `{star}{}`", authority.host));
        }
        if is_suffix && (name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok()) {
            return Err(format!("`{text}`: an address has nothing below it; write the address alone"));
        }
        Ok(if is_suffix { Self::Suffix(name.into()) } else { Self::Exact(name.into()) })
    }

    /// Whether `host`, canonical, is one of them.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Suffix(domain) => {
                host.strip_suffix(&**domain).and_then(|front| front.strip_suffix('.')).is_some_and(|front| !front.is_empty())
            }
            Self::Any => true,
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(domain) => write!(f, "*.{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl PathPattern {
    /// Reads `text`: `/`, `/literal/{name}/**`.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is not a path pattern; it starts with `/`, as in `/api/**`"));
        };
        if inner.is_empty() {
            return Ok(Self { segments: Box::default() });
        }
        if inner.ends_with('/') {
            let without = text.trim_end_matches('/');
            return Err(format!(
                "`{text}` ends in `/`; write `{without}`, which matches `{without}/` as well, or `{without}/**` for everything below"
            ));
        }
        let mut segments = Vec::new();
        let mut parts = inner.split('/').peekable();
        while let Some(part) = parts.next() {
            let segment = read_segment(part, text)?;
            if segment == Segment::Rest && parts.peek().is_some() {
                return Err(format!("`{text}`: `**` stands for the rest of the path and must be the last segment"));
            }
            segments.push(segment);
        }
        Ok(Self { segments: segments.into() })
    }

    /// Its segments; none for `/`.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether `path`, canonical, is one of them. The table is the quick way to ask; this is the definition.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut wanted = self.segments.iter();
        let mut given = segments_of(path);
        loop {
            match (wanted.next(), given.next()) {
                (Some(Segment::Rest), _) | (None, None) => return true,
                (Some(Segment::Literal(text)), Some(part)) if **text == *comparable(part) => {}
                (Some(Segment::Named(_)), Some(_)) => {}
                _ => return false,
            }
        }
    }
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Named(name) => write!(f, "/{{{name}}}")?,
                Segment::Rest => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

/// The segments of a canonical path; a trailing slash adds none.
pub(super) fn segments_of(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let is_root = inner.is_empty();
    inner.split('/').filter(move |_| !is_root)
}

/// The text a canonical segment is compared by: reserved characters that a path may hold bare are decoded.
///
/// `/v1/x%3Adelete` and `/v1/x:delete` are forwarded as they came, but an upstream takes them for the same; so does a rule.
pub(super) fn comparable(segment: &str) -> std::borrow::Cow<'_, str> {
    const RESERVED: [(&str, &str); 13] = [
        ("%21", "!"),
        ("%24", "$"),
        ("%26", "&"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2B", "+"),
        ("%2C", ","),
        ("%3A", ":"),
        ("%3B", ";"),
        ("%3D", "="),
        ("%40", "@"),
    ];
    if memchr::memchr(b'%', segment.as_bytes()).is_none() {
        return segment.into();
    }
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        out.push_str(before);
        let (triplet, after) = encoded.split_at_checked(3).unwrap_or((encoded, ""));
        out.push_str(RESERVED.iter().find(|(written, _)| *written == triplet).map_or(triplet, |(_, bare)| *bare));
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

fn read_segment(part: &str, pattern: &str) -> Result<Segment, String> {
    if part == "**" {
        return Ok(Segment::Rest);
    }
    if part.contains('*') {
        return Err(format!("`{pattern}`: `*` is not a wildcard here; write `{{name}}` for one segment or `**` for the rest"));
    }
    if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return if good {
            Ok(Segment::Named(name.into()))
        } else {
            Err(format!("`{pattern}`: the name in `{part}` is made of letters, digits and `_`"))
        };
    }
    if part.contains(['{', '}']) {
        return Err(format!("`{pattern}`: `{{name}}` stands for a whole segment; it cannot be part of `{part}`"));
    }
    if part.contains(['?', '#']) {
        return Err(format!("`{pattern}`: a rule never sees query or fragment; write the path only"));
    }
    let suggestion = format!("/{}", percent_encoding::utf8_percent_encode(part, NOT_ASCII));
    let reading = target::canonical(suggestion.as_bytes()).map_err(|_| {
        format!(
            "`{pattern}`: no request can have the segment `{part}`: empty and dot segments, backslashes and encoded separators are refused"
        )
    })?;
    let canonical = reading.target.path.trim_start_matches('/');
    if canonical != part {
        return Err(format!("`{pattern}`: `{part}` is not the canonical form; write `{canonical}`"));
    }
    if part.is_empty() {
        return Err(format!("`{pattern}`: `//` never reaches a rule; write a single `/`"));
    }
    Ok(Segment::Literal(comparable(canonical).into()))
}

/// What a suggestion encodes: everything that is not visible ASCII.
const NOT_ASCII: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ');

impl Methods {
    /// Methods that no rule may name and none matches: they would answer with what the request holds, or tunnel past us.
    pub const NEVER: [&'static str; 3] = ["CONNECT", "TRACE", "TRACK"];

    /// Reads a list of method names.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right, for the first name that is wrong.
    pub fn parse<'m>(names: impl IntoIterator<Item = &'m str>) -> Result<Self, String> {
        let mut methods: Vec<Box<str>> = Vec::new();
        for name in names {
            if Self::NEVER.contains(&name.to_ascii_uppercase().as_str()) {
                return Err(format!("`{name}` is never forwarded; leave it out"));
            }
            if !is_method(name) {
                let upper = name.to_ascii_uppercase();
                return Err(if is_method(&upper) {
                    format!("methods are case-sensitive; write `{upper}` instead of `{name}`")
                } else {
                    format!("`{name}` is not a method; write names such as GET, POST or DELETE")
                });
            }
            if !methods.iter().any(|known| **known == *name) {
                methods.push(name.into());
            }
        }
        if methods.is_empty() {
            return Err("name at least one method, or leave `methods` out to allow all".to_owned());
        }
        Ok(Self { names: methods.into() })
    }

    /// The methods named, in written order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether `method` is one of them, or `HEAD` where `GET` is.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        self.names().any(|name| name == method || (method == "HEAD" && name == "GET"))
    }
}

/// Whether `text` is a method that we would forward at all: as registered ones are written, in capitals, and not one of
/// [`Methods::NEVER`]. Lower-case twins of registered methods are therefore no methods (RFC 9110 section 9.1).
#[must_use]
pub fn is_forwardable(text: &str) -> bool {
    is_method(text) && !Methods::NEVER.contains(&text)
}

fn is_method(text: &str) -> bool {
    /// The longest registered method has 17 characters (`UPDATEREDIRECTREF`).
    const MAX: usize = 32;
    text.len() <= MAX
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
