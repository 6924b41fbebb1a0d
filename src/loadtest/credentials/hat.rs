//! Tokens of personal data servers: `hat`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::{Random, Seconds, Timestamp};
use crate::jose::base64url;
use crate::jose::mint::SigningKey;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::credentials::place::Place;
use crate::loadtest::fresh::sections::listed;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;
use crate::settings::section::parse_duration;

/// Presents tokens that HATs have signed.
pub struct HatPresenter {
    /// At least two, each with its key.
    hats: Arc<[(String, Arc<SigningKey>)]>,
    place: Place,
    /// What tells the kind of token; of an owner's, not whose it is.
    kind: Map<String, Value>,
    /// Whether `resource` is the HAT itself.
    of_owner: bool,
    idle: Seconds,
    single_use: bool,
    random: Arc<dyn Random>,
}

impl HatPresenter {
    /// For a `hat` authenticator with these settings, which believes `hats`.
    ///
    /// # Errors
    ///
    /// There is no HAT to sign, or the token stands where none is put here.
    pub fn new(settings: &Value, hats: Arc<[(String, Arc<SigningKey>)]>, random: Arc<dyn Random>) -> Result<Self, String> {
        if hats.len() < 2 {
            return Err("no HAT is both believed by it and allowed by its key store".to_owned());
        }
        let text = |key: &str, default: &str| settings.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
        let first = |key: &str| settings.get(key).into_iter().flat_map(listed).next().map(str::to_owned);
        let field = text("field", "X-Auth-Token");
        let from = settings.get("from").map_or_else(|| vec!["header"], listed);
        // A header field is where clients put it that can choose.
        let place = match (from.contains(&"header"), from.first()) {
            (true, _) => Place::Header(field, String::new()),
            (_, Some(&"query")) => Place::Query(field),
            (_, Some(&"form")) => Place::Form(field),
            _ => return Err("its tokens stand in JSON or XML bodies alone, which are not made here".to_owned()),
        };
        let mut kind = Map::new();
        let mut of_owner = false;
        match text("kind", "").as_str() {
            "application" => {
                kind.insert("application".to_owned(), first("application").unwrap_or_default().into());
                kind.insert("applicationVersion".to_owned(), text("minimum_version", "1.0.0").into());
            }
            "owner" => {
                let resource = first("resource");
                of_owner = resource.is_none();
                kind.extend(resource.map(|resource| ("resource".to_owned(), resource.into())));
                kind.insert("accessScope".to_owned(), first("access_scopes").unwrap_or_else(|| "owner".to_owned()).into());
            }
            _ => {
                kind.extend(first("resource").map(|resource| ("resource".to_owned(), resource.into())));
                kind.insert("accessScope".to_owned(), "validate".into());
            }
        }
        let idle = parse_duration(&text("idle", "72h")).and_then(|length| u32::try_from(length.as_secs()).ok());
        Ok(Self {
            hats,
            place,
            kind,
            of_owner,
            idle: Seconds(idle.unwrap_or(259_200)),
            single_use: settings.get("single_use") == Some(&Value::Bool(true)),
            random,
        })
    }

    /// How long tokens live, as a HAT makes them: thirty days.
    const LIFE: Seconds = Seconds(2_592_000);

    /// The HAT of caller `number`.
    #[must_use]
    pub fn hat(&self, number: u64) -> Option<&str> {
        self.at(number).map(|(hat, _)| hat.as_str())
    }

    /// How long a good token is taken.
    #[must_use]
    pub fn life(&self) -> Seconds {
        self.idle.min(Self::LIFE)
    }

    fn at(&self, number: u64) -> Option<&(String, Arc<SigningKey>)> {
        let index = number.checked_rem(u64::try_from(self.hats.len()).ok()?)?;
        self.hats.get(usize::try_from(index).ok()?)
    }

    /// The token of `kind` of caller `number`, made at `now`.
    ///
    /// # Errors
    ///
    /// It could not be signed.
    pub fn token(&self, kind: Kind, number: u64, now: Timestamp) -> Result<String, String> {
        let at = |number: u64| self.at(number).ok_or("there is no HAT");
        let (hat, own) = at(number)?;
        // Somebody who has a HAT, and signs in the name of another.
        let key = if kind == Kind::Forged { &at(number.wrapping_add(1))?.1 } else { own };
        // Both ends are tried in turn: nobody has used it for too long, or it is simply over.
        let (issued, expires) = match kind {
            Kind::Expired if number.is_multiple_of(2) => (now.minus(self.idle).minus(Seconds(60)), now.plus(Self::LIFE)),
            Kind::Expired => (now.minus(Seconds(30)), now.minus(Seconds(10))),
            _ => (now, now.plus(Self::LIFE)),
        };
        let mut unique = [0; 32];
        self.random.fill(&mut unique);
        let unique = base64url::encode(&unique);
        let mut claims = self.kind.clone();
        if self.of_owner {
            claims.insert("resource".to_owned(), hat.as_str().into());
        }
        let own = json!({ "iss": hat, "sub": format!("1-{unique}"), "iat": issued.0, "exp": expires.0, "jti": unique });
        claims.extend(own.as_object().cloned().unwrap_or_default());
        key.sign_compact(&[], &Value::Object(claims)).map_err(|fault| fault.to_string())
    }
}

impl Presenter for HatPresenter {
    fn lasting(&self) -> Lasting {
        if self.single_use { Lasting::Once } else { Lasting::For(Seconds(self.idle.0.saturating_mul(3) / 4)) }
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        Ok(self.place.hold(self.token(kind, number, now)?))
    }
}
