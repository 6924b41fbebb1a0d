//! The services that a proxy under load asks about credentials, one server on loopback: whose key an id has, and whose token
//! this is.
//!
//! Not here: issuers with key sets ([`crate::demo::issuer`]), issuers under names of their own (`farm`).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::json;

use crate::demo::stand::{self, Stand};
use crate::loadtest::fresh::checks::Checks;

/// A running server.
pub struct Inquiries {
    stand: Stand,
    books: Arc<Mutex<Books>>,
}

/// What it knows.
#[derive(Default)]
struct Books {
    /// Records of server keys by id, of one store each.
    records: Vec<BTreeMap<String, String>>,
    checks: Vec<Arc<Checks>>,
    asked: usize,
}

impl Inquiries {
    /// Starts it on `address`; it knows nothing yet.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let books = Arc::new(Mutex::new(Books::default()));
        let known = Arc::clone(&books);
        let stand = Stand::listen(address, move |request| std::future::ready(Some(answer(&known, &request)))).await?;
        Ok(Self { stand, books })
    }

    /// Knows `records`, each by its id, from now on; what to ask about `{id}`.
    #[must_use]
    pub fn know(&self, records: BTreeMap<String, String>) -> String {
        let mut books = self.books.lock();
        books.records.push(records);
        format!("{}/records/{}/{{id}}", self.stand.origin(), books.records.len() - 1)
    }

    /// Answers as `checks` does from now on; where.
    #[must_use]
    pub fn check(&self, checks: &Arc<Checks>) -> String {
        let mut books = self.books.lock();
        books.checks.push(Arc::clone(checks));
        format!("{}/checks/{}", self.stand.origin(), books.checks.len() - 1)
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.books.lock().asked
    }
}

fn answer(books: &Mutex<Books>, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let mut books = books.lock();
    books.asked += 1;
    let parts: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let number = parts.get(1).and_then(|number| number.parse::<usize>().ok());
    let nobody = || stand::json(404, &json!({}));
    match (parts.as_slice(), number) {
        (["records", _, id], Some(number)) => {
            let record = books.records.get(number).and_then(|records| records.get(*id));
            record.map_or_else(nobody, |record| stand::plain(200, "application/json", record.clone()))
        }
        (["checks", _], Some(number)) => {
            let checks = books.checks.get(number).cloned();
            drop(books);
            checks.map_or_else(nobody, |checks| checks.answer(request))
        }
        _ => nobody(),
    }
}
