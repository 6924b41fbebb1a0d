//! The systems whose own clients are served in their own words, one file each, and their roll-call.

pub mod contract;
pub mod gigya;
pub mod hat;
pub mod janrain;
pub mod taptalk;
pub mod telematics;

use crate::systems::contract::SystemEntry;

/// Every system that a rule may name.
pub static SYSTEMS: &[&SystemEntry] = &[&gigya::ENTRY, &hat::ENTRY, &janrain::ENTRY, &taptalk::ENTRY, &telematics::ENTRY];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::SYSTEMS;
    use crate::domain::Breach;
    use crate::settings::{Checking, Faults, Material, Names, Span};
    use crate::systems::contract::System;

    /// The system called `name`, with all defaults.
    fn system(name: &str) -> Arc<dyn System> {
        let entry = SYSTEMS.iter().find(|entry| entry.name == name).unwrap();
        let (mut faults, material, names) = (Faults::default(), Material::default(), Names::default());
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        let span = Span { file: "conf".into(), line: 1, column: 1 };
        (entry.plan)(None, &span, &mut checking).unwrap().build().unwrap()
    }

    #[test]
    fn a_guess_is_a_breach_about_a_credential_and_nothing_else_is() {
        let rows = [
            ("janrain", "200", "token", true, "a one-time token that nobody has shown"),
            ("janrain", "200", "merge_token", true, "a merge token likewise"),
            ("janrain", "200", "signature", true, "a signature"),
            ("janrain", "402", "client_id", true, "the id of another client"),
            ("janrain", "402", "", false, "a secret over http"),
            ("janrain", "100", "token", false, "none at all"),
            ("janrain", "200", "redirect_uri", false, "an address"),
            ("janrain", "200", "date", false, "too late"),
            ("gigya", "403003", "UIDSig", true, "a signature"),
            ("gigya", "400128", "UIDTimestamp", false, "too late"),
            ("gigya", "400006", "siteUID", false, "an id of a wrong form"),
            ("taptalk", "40105", "", true, "a token at another device"),
            ("taptalk", "49102", "App-Key", false, "the key of an app, which everybody has"),
            ("taptalk", "49101", "App-Key", false, "none"),
            ("telematics", "403", "DeviceToken", false, "the device of somebody else, whether there is one or not"),
            ("telematics", "422", "Password", false, "written in two ways"),
            ("hat", "two_tokens", "X-Auth-Token", false, "two tokens"),
        ];
        for (name, code, field, guess, shows) in rows {
            let breach = Breach { code: code.into(), field: field.into(), says: "".into() };
            assert_eq!(system(name).is_guess(&breach), guess, "{name}: {shows}");
        }
    }

    #[test]
    fn a_guard_judges_credentials_where_it_reads_them() {
        let rows = [
            ("janrain", "/oauth/auth_native", true),
            ("janrain", "/oauth/token", true),
            ("janrain", "/oauth/refresh_access_token", true),
            ("janrain", "/entity", false),
            ("taptalk", "/connect", true),
            ("taptalk", "/v1/chat/message/send", true),
            ("taptalk", "/v1/server/auth_ticket/request", false),
            // Nothing proves a `UIDSig` unless the conf says so.
            ("gigya", "/accounts.notifyLogin", false),
            ("telematics", "/v1/Auth/Login", false),
            ("hat", "/users/access_token", false),
        ];
        for (name, path, judges) in rows {
            assert_eq!(system(name).judges(path), judges, "{name} {path}");
        }
    }

    #[test]
    fn every_system_says_of_a_coded_body_what_its_clients_read() {
        for (name, code) in [("janrain", "200"), ("gigya", "400006"), ("taptalk", "40001"), ("telematics", "415"), ("hat", "coded")] {
            assert_eq!(system(name).coded().code, code, "{name}");
        }
    }
}
