//! Which endpoint of TapTalk's a path is, and so whose credential belongs there.
//!
//! Not here: methods, which are the rule's and the guard's; host names. A path that is not clearly a back end's is taken for a
//! client's, where a Server-Key is refused.
//!
//! Source: docs.taptalk.io (server API), taptalksdk-web 1.0.310.

/// An endpoint, by who calls it and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/v1/server/auth_ticket/request`: a ticket for a user.
    Ticket,
    /// Anything else below `/v1/server`, which back ends call with a Server-Key.
    Server,
    /// `/v1/auth/access_token/request`: a ticket for a pair.
    Exchange,
    /// `/v1/auth/access_token/refresh`: a refresh token for the next pair.
    Refresh,
    /// `/connect`: the WebSocket, and with `check=1` a look at the access token.
    Connect,
    /// Everything else: a client's, with an App-Key.
    Client,
}

impl Endpoint {
    /// The endpoint that `path` is, where `base` stands in front of all of them (`/api`, or nothing).
    pub(super) fn of(path: &str, base: &str) -> Self {
        let Some(below) = path.strip_prefix(base) else { return Self::Client };
        // Servers that route loosely take it with a slash at its end too, and so it must be judged as the same.
        match below.strip_suffix('/').unwrap_or(below) {
            "/v1/server/auth_ticket/request" => Self::Ticket,
            "/v1/auth/access_token/request" => Self::Exchange,
            "/v1/auth/access_token/refresh" => Self::Refresh,
            "/connect" => Self::Connect,
            other if other == "/v1/server" || other.starts_with("/v1/server/") => Self::Server,
            _ => Self::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn what_is_not_clearly_a_back_ends_is_a_clients() {
        let rows = [
            ("/v1/server/auth_ticket/request", "", Endpoint::Ticket, "the ticket request"),
            ("/v1/server/auth_ticket/request/", "", Endpoint::Ticket, "the same to servers that route loosely"),
            ("/api/v1/server/auth_ticket/request", "/api", Endpoint::Ticket, "below an older base"),
            ("/v1/server/auth_ticket/request", "/api", Endpoint::Client, "not below that base"),
            ("/v1/server/user/get_list", "", Endpoint::Server, "another of the back end's"),
            ("/v1/server", "", Endpoint::Server, "the folder itself"),
            ("/v1/servers", "", Endpoint::Client, "another word"),
            ("/V1/Server/auth_ticket/request", "", Endpoint::Client, "another spelling is a client's: a Server-Key is refused there"),
            ("/v1/auth/access_token/request", "", Endpoint::Exchange, "a ticket for a pair"),
            ("/v1/auth/access_token/refresh", "", Endpoint::Refresh, "a refresh token for a pair"),
            ("/connect", "", Endpoint::Connect, "outside /v1"),
            ("/api/connect", "/api", Endpoint::Connect, "below the base as well"),
            ("/connect/x", "", Endpoint::Client, "below it is nothing"),
            ("/apiv1/server/x", "/api", Endpoint::Client, "a base ends at a slash"),
            ("/v1/client/project_configs", "", Endpoint::Client, "the first call of every client"),
            ("/", "", Endpoint::Client, "anything"),
        ];
        for (path, base, expected, shows) in rows {
            assert_eq!(Endpoint::of(path, base), expected, "{shows}: {path} below {base:?}");
        }
    }
}
