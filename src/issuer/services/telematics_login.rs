//! `serve: telematics.login`: a pair of ours for a user of an instance, as `POST /v1/Auth/Login` gives one.
//!
//! Who holds an instance's id and key is proven by the rule (`key_pair`), and may log in any user of it: that is how the vendor has it.
//! The key as `Password` is looked at by the guard of the system, which demands that it be the one that was proven. Each login is a
//! family of its own: two phones of one user do not end one another's pair, as they do at the vendor.
//!
//! Never here: operators, who have passwords, and whether there is such a user: a pair says which device token was asked for, no more.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Refusal, Value};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::pairs::{Issuer, PairOrder};
use crate::issuer::services::oauth;
use crate::issuer::services::telematics::{given, outage};
use crate::settings::{Checking, KeySpec, Node, SectionSpec, Shape, Span};
use crate::systems::telematics::body::object;
use crate::systems::telematics::breach::forbidden;
use crate::systems::telematics::login::{Who, read};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "telematics.login",
    doc: "Gives a pair of an issuer of ours for a device token, in the Telematics SDK's words.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `telematics.login`",
    doc: "Gives whoever has proven an instance's key a pair for the `Devicetoken` of `LoginFields`, as `/v1/Auth/Login` does. Its subject is the \
          device token; `instance`, which the issuer takes over if its `claims` name it, says whose key it was.",
    keys: &[KeySpec::required("issuer", Shape::Name("issuers"), "The issuer that gives the pair.")],
};

#[derive(Debug)]
struct LoginPlan {
    issuer: String,
    span: Span,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, span) = oauth::issuer_of(ENTRY.name, &SETTINGS, settings, at, checking)?;
    Some(Box::new(LoginPlan { issuer, span }))
}

impl ServicePlan for LoginPlan {
    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.span.clone())]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Login { issuer: oauth::built(tools, &self.issuer)? }))
    }
}

/// Opens families of one issuer.
struct Login {
    issuer: Arc<Issuer>,
}

#[async_trait]
impl Service for Login {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let caller = call.identity.ok_or(Refusal::CredentialMissing)?;
        // Only an instance's key opens all its users; whoever else a rule may have proven is not asked about theirs here.
        if caller.scheme != "key_pair" {
            return Err(forbidden("InstanceKey", "A login takes the key of an instance."));
        }
        let login = read(&object(call.request.headers, &call.body)?)?;
        let Who::Device(device) = login.who else {
            return Err(forbidden("LoginFields", "Operators do not log in here."));
        };
        let claims = Value::Map(Box::new([("instance".into(), Value::Text(caller.subject.clone()))]));
        let subject = device.to_ascii_lowercase().into();
        let order = PairOrder { subject, scopes: Box::default(), claims, client: None };
        let issued = self.issuer.open(order, call.now).await.map_err(outage)?;
        given(&self.issuer, &issued, call.now)
    }

    fn public_keys(&self) -> Option<String> {
        Some(self.issuer.public_keys())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value as Json, json};

    use super::ENTRY;
    use crate::domain::{Identity, Reason, Refusal};
    use crate::issuer::contract::{Reply, Service};
    use crate::issuer::services::house::{House, identity, post_at};
    use crate::settings::NodeValue;
    use crate::state::testing::Fault;
    use crate::verify::keys::testing::{map, node};

    const DEVICE: &str = "8b1cf7f9-0000-4000-8000-00000000000A";

    fn service(house: &House) -> Arc<dyn Service> {
        house.service(&ENTRY, Some(&node(map(vec![("issuer", NodeValue::Text("main".into()))])))).unwrap()
    }

    async fn ask(service: &Arc<dyn Service>, by: Option<Identity>, body: &Json) -> Result<Reply, Refusal> {
        let fields = [("content-type", "application/json")];
        post_at("app.example", service, by.map(Arc::new).as_ref(), &fields, &body.to_string()).await
    }

    #[tokio::test]
    async fn both_forms_bring_a_pair_for_the_device() {
        let house = House::new();
        let service = service(&house);
        let text = json!({ "LoginFields": json!({ "Devicetoken": DEVICE }).to_string(), "Password": "k" });
        for body in [text, json!({ "loginFields": { "DeviceToken": DEVICE } })] {
            let reply = ask(&service, Some(identity("key_pair")), &body).await.unwrap();
            let said: Json = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, &said["Status"], &said["Title"], &said["Errors"]), (200, &json!(200), &json!(""), &json!([])));
            assert_eq!(said["Result"]["DeviceToken"], DEVICE.to_lowercase(), "UUIDs are written in one way");
            assert_eq!(said["Result"]["AccessToken"]["ExpiresIn"], 900);
            let refresh = said["Result"]["RefreshToken"].as_str().unwrap();
            let now = crate::issuer::services::house::NOW;
            assert!(house.issuer.rotate_for(refresh, &DEVICE.to_lowercase(), now).await.is_ok(), "the pair is the device's");
        }
    }

    #[tokio::test]
    async fn nobody_else_gets_one() {
        let house = House::new();
        let service = service(&house);
        let good = json!({ "LoginFields": { "Devicetoken": DEVICE } });
        let rows = [
            (None, good.clone(), "credential_missing", "nobody"),
            (Some(identity("jwt")), good.clone(), "guard_refused", "somebody without an instance's key"),
            (Some(identity("key_pair")), json!({ "LoginFields": { "email": "a@b" }, "Password": "p" }), "guard_refused", "an operator"),
            (Some(identity("key_pair")), json!({ "LoginFields": { "Devicetoken": "x" } }), "guard_refused", "no device token"),
            (Some(identity("key_pair")), json!([]), "guard_refused", "no login"),
        ];
        for (by, body, reason, shows) in rows {
            assert_eq!(ask(&service, by, &body).await.unwrap_err().reason().as_str(), reason, "{shows}");
        }
        house.failing.fail(Some(Fault::Write));
        let refusal = ask(&service, Some(identity("key_pair")), &good).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::StateUnavailable, "and nothing is given that nobody remembers");
    }
}
