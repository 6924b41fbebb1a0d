//! A request as the gate sees it, borrowed from what Pingora has read.
//!
//! Nothing is decoded or normalised here; the gate judges what was sent.

use pingora::http::RequestHeader;

use crate::edge::wire::Connection;
use crate::gate::arrival::Arrival;

/// The head of a request, as received.
#[must_use]
pub fn arrival<'r>(request: &'r RequestHeader, connection: &'r Connection) -> Arrival<'r> {
    Arrival {
        method: request.method.as_str(),
        raw_target: request.raw_path(),
        authority: if connection.http2 { request.uri.authority().map(http::uri::Authority::as_str) } else { None },
        headers: &request.headers,
        peer: connection.peer,
        tls: connection.tls,
        server_name: connection.server_name.as_deref(),
        http2: connection.http2,
    }
}

/// The path of a request target without its query, for records.
#[must_use]
pub fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// The host a request names, as sent; empty when it names none.
#[must_use]
pub fn host_of(request: &RequestHeader) -> &str {
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    let field = || request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    authority.or_else(field).unwrap_or("")
}
