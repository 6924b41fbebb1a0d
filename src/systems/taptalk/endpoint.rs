//! Which endpoint of TapTalk's a path is, and so whose credential belongs there.
//!
//! Not here: methods, which are the rule's and the guard's; host names. A path that is not clearly a back end's is taken for a
//! client's, where a Server-Key is refused.
//!
//! Source: docs.taptalk.io (server API, OneTalk integration API), taptalksdk-web 1.0.310.

/// An endpoint, by who calls it and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/v1/server/auth_ticket/request`: a ticket for a user.
    Ticket,
    /// Anything else below `/v1/server`, which back ends call with a Server-Key.
    Server,
    /// `/api/integration/v1/user/request_auth_ticket`: OneTalk's ticket for a user.
    Contact,
    /// Anything else below `/api/integration`, which back ends call with OneTalk's API-Key.
    Integration,
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
        // OneTalk's base is its own, whatever stands in front of chat's.
        match path.strip_suffix('/').unwrap_or(path) {
            "/api/integration/v1/user/request_auth_ticket" => return Self::Contact,
            other if other == "/api/integration" || other.starts_with("/api/integration/") => return Self::Integration,
            _ => {}
        }
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
            ("/api/integration/v1/user/request_auth_ticket", "", Endpoint::Contact, "OneTalk's ticket request"),
            ("/api/integration/v1/user/request_auth_ticket/", "/api", Endpoint::Contact, "whatever the base of chat is"),
            ("/api/integration/v1/inbox/send", "", Endpoint::Integration, "another of OneTalk's"),
            ("/api/integration", "/api", Endpoint::Integration, "the folder itself"),
            ("/api/integrations/v1", "", Endpoint::Client, "another word"),
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
