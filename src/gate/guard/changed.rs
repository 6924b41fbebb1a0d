//! What a guarded request goes on as: written into the permit to forward it, or shown to the service of ours that answers it.

use std::borrow::Cow;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Place, RequestView, Target};
use crate::gate::hygiene;
use crate::gate::verdict::Admission;
use crate::systems::contract::Pass;

/// Writes `pass` into the permit, behind everything else that was written into it.
pub(in crate::gate) fn apply(pass: &Pass, request: &RequestView<'_>, admission: &mut Admission) {
    for name in &pass.remove {
        admission.set.retain(|(other, _)| other != name);
        admission.remove.push(name.clone());
    }
    take_off(pass, request, &mut admission.target, &mut admission.remove, &mut admission.set);
    for (name, value) in &pass.set {
        admission.set.retain(|(other, _)| other != name);
        admission.set.push((name.clone(), value.clone()));
    }
    admission.body.clone_from(&pass.body);
}

/// Takes off what `pass` names. A client's field goes in every spelling that a reader may take for the name, also where ours is set in
/// its place.
fn take_off(
    pass: &Pass,
    request: &RequestView<'_>,
    target: &mut Target,
    remove: &mut Vec<HeaderName>,
    set: &mut Vec<(HeaderName, HeaderValue)>,
) {
    let named = pass.remove.iter().chain(pass.set.iter().map(|(name, _)| name)).map(|name| Place::Header(name.clone()));
    let places: Vec<Place> = pass.remove_query.iter().map(|name| Place::Query((&**name).into())).chain(named).collect();
    hygiene::remove_credentials(request, places.iter(), target, remove, set);
}

/// A request as its guard has left it, for a service of ours.
#[derive(Debug)]
pub(in crate::gate) struct Changed {
    headers: HeaderMap,
    target: Target,
    raw_target: String,
}

impl Changed {
    /// `request` with the fields `headers`, as `pass` says that it goes on.
    pub(in crate::gate) fn by(pass: &Pass, request: &RequestView<'_>, headers: Cow<'_, HeaderMap>) -> Self {
        let (mut target, mut remove, mut set) = (request.target.clone(), pass.remove.clone(), Vec::new());
        take_off(pass, request, &mut target, &mut remove, &mut set);
        let raw_target = if target == *request.target { request.raw_target.to_owned() } else { target.wire().into_owned() };
        let mut headers = headers.into_owned();
        if pass.body.is_some() {
            // It told the length of another body.
            headers.remove(CONTENT_LENGTH);
        }
        for name in &remove {
            headers.remove(name);
        }
        for (name, value) in set.iter().chain(&pass.set) {
            headers.insert(name, value.clone());
        }
        Self { headers, target, raw_target }
    }

    /// `request` as it goes on.
    pub(in crate::gate) fn view<'c>(&'c self, request: &RequestView<'c>) -> RequestView<'c> {
        RequestView { headers: &self.headers, target: &self.target, raw_target: &self.raw_target, ..*request }
    }
}
