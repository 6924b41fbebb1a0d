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
mod tests;
