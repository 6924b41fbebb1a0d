//! Our own pairs are renewed where they were made, for whoever they were made for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use crate::domain::{Clock, Identity, Observer, Random, Seconds, Secret, Silent, Spent, Timestamp, Value};
use crate::issuer::pairs::{Caller, Issued, Issuer, IssuerTools, PairOrder, Terms};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::net::client::{Client, ClientSettings};
use crate::renew::contract::{RenewError, RenewTools, Renewer};
use crate::renew::local::ENTRY;
use crate::settings::{Checking, Faults, Material, Names, NodeValue};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::testing::{Counting, Failing, Fault, revocations};
use crate::verify::keys::testing::{map, node};

const NOW: Timestamp = Timestamp(1_800_000_000);
const REJECTED: RenewError = RenewError::Rejected { code: "invalid_grant" };

fn issuer(store: &Arc<dyn StateStore>) -> Arc<Issuer> {
    let terms = Terms {
        name: "main".into(),
        issuer: "https://id.example".into(),
        audience: Box::new(["app".into()]),
        access_life: Seconds(900),
        refresh_life: Seconds(86_400),
        grace: Seconds(30),
        client_id: "main".into(),
        claims: Box::default(),
    };
    let keys: Arc<[SigningKey]> = Arc::new([SigningKey::generate(Algorithm::EdDsa).unwrap()]);
    let tools = IssuerTools {
        state: Arc::clone(store),
        revoked: revocations(store, Arc::new(AtomicI64::new(NOW.0))),
        random: Arc::new(Counting::apart()),
        observer: Arc::new(Silent),
    };
    Arc::new(Issuer::new(terms, keys, tools).unwrap())
}

fn renewer(issuers: &BTreeMap<String, Arc<Issuer>>, name: &str) -> Result<Arc<dyn Renewer>, String> {
    let (mut faults, material, mut names) = (Faults::default(), Material::default(), Names::default());
    names.define("issuers", name);
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let plan = (ENTRY.plan)(&node(map(vec![("issuer", NodeValue::Text(name.into()))])), &mut checking).unwrap();
    assert_eq!(plan.issuers().first().map(|(name, _)| name.as_str()), Some(name), "the conf is told whose pairs it spends");
    let client = Arc::new(Client::new(ClientSettings::default()).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(AtomicI64::new(NOW.0));
    let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::new(Counting::apart()), Arc::new(Silent));
    let deadline = Duration::from_secs(1);
    plan.build(&"pairs".into(), &RenewTools { issuers, deadline, client: &client, clock: &clock, random: &random, observer: &observer })
}

fn order(client: Option<Caller>) -> PairOrder {
    PairOrder { subject: "ann".into(), scopes: Box::default(), claims: Value::empty(), client }
}

/// What a renewal of `refresh` starts from, for whoever is of family `fam`.
fn spent(refresh: Secret, fam: Option<&str>) -> Spent {
    let claims: Box<[(Box<str>, Value)]> = fam.map(|fam| ("fam".into(), fam.into())).into_iter().collect();
    let identity = Identity {
        subject: "ann".into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: Value::Map(claims).into(),
        expires: Some(NOW),
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    Spent { refresh, access: Secret::new(Vec::new()), identity: Arc::new(identity) }
}

fn refresh_of(issued: &Issued) -> Secret {
    issued.pair.refresh.clone().unwrap()
}

#[tokio::test]
async fn a_pair_is_renewed_for_its_own_family_only() {
    let store: Arc<dyn StateStore> = Arc::new(Memory::new(1_000, Timestamp(0)));
    let issuer = issuer(&store);
    let issuers = BTreeMap::from([("main".to_owned(), Arc::clone(&issuer))]);
    let renewer = renewer(&issuers, "main").unwrap();
    let bound = Caller { issuer: "partners".into(), name: "shop".into() };

    let rows = [
        (None, "own", Ok(()), "its own access token"),
        (None, "none", Ok(()), "one that tells no family, of the same subject"),
        (None, "other", Err(REJECTED), "another login's access token (M6)"),
        (Some(bound), "own", Err(REJECTED), "a client's own, which is spent where the client proves itself"),
    ];
    for (client, fam, expected, shows) in rows {
        let first = issuer.open(order(client), NOW).await.unwrap();
        let other = issuer.open(order(None), NOW).await.unwrap();
        let fam = match fam {
            "own" => Some(first.family.text()),
            "other" => Some(other.family.text()),
            _ => None,
        };
        let outcome = renewer.renew(&spent(refresh_of(&first), fam.as_deref()), NOW).await;
        assert_eq!(outcome.as_ref().map(|_| ()).map_err(|error| *error), expected, "{shows}");
        if let Ok(pair) = outcome {
            assert_ne!(pair.refresh.as_ref().map(|refresh| refresh.expose().to_vec()), Some(refresh_of(&first).expose().to_vec()));
            assert_eq!(pair.access_until, Some(NOW.plus(Seconds(900))), "{shows}: the end is known");
        }
    }
    for (refresh, shows) in [(b"rubbish".to_vec(), "rubbish"), (vec![0xff; 68], "no text"), (Vec::new(), "nothing")] {
        let outcome = renewer.renew(&spent(Secret::new(refresh), None), NOW).await.map(|_| ());
        assert_eq!(outcome, Err(REJECTED), "{shows}");
    }
    assert!(self::renewer(&issuers, "nobody").is_err(), "an issuer that there is not");
}

#[tokio::test]
async fn what_is_somebody_elses_is_refused_before_it_is_spent() {
    let store: Arc<dyn StateStore> = Arc::new(Memory::new(1_000, Timestamp(0)));
    let issuer = issuer(&store);
    let renewer = renewer(&BTreeMap::from([("main".to_owned(), Arc::clone(&issuer))]), "main").unwrap();
    // subject, who vouches for it, scheme, whether it tells the family, whether it is renewed, what it shows
    let rows = [
        ("bert", "https://id.example", "jwt", false, false, "M6 bert's token, which tells no family, with ann's refresh token"),
        ("ann", "https://else.example", "jwt", false, false, "M6 an ann for whom somebody else vouches"),
        ("ann", "https://else.example", "jwt", true, false, "M6 who says that she is of this family"),
        ("Ann", "https://id.example", "jwt", false, false, "names have a case"),
        ("ann", "https://id.example", "jwt", false, true, "her own, which tells no family"),
        ("ann", "https://id.example", "jwt", true, true, "her own"),
        ("a.lee", "https://else.example", "session", false, true, "a session's, kept since a login of another name"),
    ];
    for (subject, vouches, scheme, tells, renewed, shows) in rows {
        let first = issuer.open(order(None), NOW).await.unwrap();
        let family = first.family.text();
        let mut theirs = spent(refresh_of(&first), tells.then_some(&*family));
        theirs.identity =
            Arc::new(Identity { subject: subject.into(), issuer: vouches.into(), scheme, ..Identity::clone(&theirs.identity) });
        let late = NOW.plus(Seconds(31));
        let expected = if renewed { Ok(()) } else { Err(REJECTED) };
        assert_eq!(renewer.renew(&theirs, NOW).await.map(|_| ()), expected, "{shows}");
        if !renewed {
            // Had it been spent by then, its coming again beyond the grace would end the family.
            let own = renewer.renew(&spent(refresh_of(&first), Some(&family)), late).await;
            assert!(own.is_ok(), "{shows}: nothing was spent");
            assert_eq!(renewer.renew(&theirs, late).await.map(|_| ()), expected, "{shows}: nor is her new pair theirs within the grace");
        }
    }
}

#[tokio::test]
async fn an_outage_is_told_from_a_refusal() {
    let failing = Failing::over(Arc::new(Memory::new(1_000, Timestamp(0))));
    let store: Arc<dyn StateStore> = Arc::<Failing>::clone(&failing);
    let issuer = issuer(&store);
    let renewer = renewer(&BTreeMap::from([("main".to_owned(), Arc::clone(&issuer))]), "main").unwrap();
    let first = issuer.open(order(None), NOW).await.unwrap();
    for fault in [Fault::Read, Fault::Write, Fault::LostWrite] {
        failing.fail(Some(fault));
        let outcome = renewer.renew(&spent(refresh_of(&first), None), NOW).await.map(|_| ());
        assert!(matches!(outcome, Err(RenewError::Unreached { .. })), "{fault:?}: asking again later is safe: {outcome:?}");
    }
    failing.fail(None);
    assert!(renewer.renew(&spent(refresh_of(&first), None), NOW).await.is_ok(), "and later it is answered");
    assert!(renewer.forgives_repeats(), "within the issuer's grace");
    let late = NOW.plus(Seconds(30));
    assert_eq!(renewer.renew(&spent(refresh_of(&first), None), late).await.map(|_| ()), Err(REJECTED), "and not beyond it");
}
