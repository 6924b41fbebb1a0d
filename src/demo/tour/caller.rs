//! Whoever calls the proxy on the tour: a request that is also a curl command, and what an answer brought.

use http::header::SET_COOKIE;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::demo::script::command;
use crate::demo::tour::contract::Stumble;

/// One request to the proxy.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The request target.
    pub target: String,
    /// Fields to send.
    pub headers: Vec<(&'static str, String)>,
    /// The body, where there is one.
    pub body: Option<String>,
    /// The texts in it that must reach no app.
    pub credentials: Vec<String>,
}

impl Request {
    /// A GET of `target` at `host`; at any where that is empty.
    #[must_use]
    pub fn get(host: &str, target: &str) -> Self {
        let request = Self { method: Method::GET, target: target.to_owned(), headers: Vec::new(), body: None, credentials: Vec::new() };
        if host.is_empty() { request } else { request.field("Host", host) }
    }

    /// A POST of `body` as `media`.
    #[must_use]
    pub fn post(host: &str, target: &str, media: &str, body: impl Into<String>) -> Self {
        let request = Self { method: Method::POST, body: Some(body.into()), ..Self::get(host, target) };
        request.field("Content-Type", media)
    }

    /// A POST of a form.
    #[must_use]
    pub fn form(host: &str, target: &str, pairs: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Self::post(host, target, "application/x-www-form-urlencoded", body)
    }

    /// With the field `name`.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With the credential `value` in the field `name`, behind `prefix`.
    #[must_use]
    pub fn credential(mut self, name: &'static str, prefix: &str, value: &str) -> Self {
        self.credentials.push(value.to_owned());
        self.field(name, &format!("{prefix}{value}"))
    }

    /// With a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.credential("Authorization", "Bearer ", token)
    }

    /// With a cookie, as a page of the same site sends it.
    #[must_use]
    pub fn cookie(self, cookie: &str) -> Self {
        self.credential("Cookie", "", cookie).field("Sec-Fetch-Site", "same-origin")
    }

    /// The same as a command, for a proxy at `origin`.
    #[must_use]
    pub fn curl(&self, origin: &str) -> String {
        command(&self.method, &self.headers, self.body.as_deref(), &format!("{origin}{}", self.target))
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Which path was asked, for complaints.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The first value of the field `name`, where it is text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The text at the JSON Pointer `pointer`.
    ///
    /// # Errors
    ///
    /// [`Stumble::Lacks`].
    pub fn text(&self, pointer: &str) -> Result<String, Stumble> {
        let found = self.json().pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| self.lacks(pointer))
    }

    /// The cookie `name` that it sets, as a browser sends it back.
    ///
    /// # Errors
    ///
    /// [`Stumble::Lacks`].
    pub fn cookie(&self, name: &str) -> Result<String, Stumble> {
        let set = self.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = set.filter_map(|value| value.split(';').next());
        let pair = pairs.find(|pair| pair.split_once('=').is_some_and(|(is, value)| is == name && !value.is_empty()));
        pair.map(str::to_owned).ok_or_else(|| self.lacks(&format!("the cookie {name}")))
    }

    fn lacks(&self, wanted: &str) -> Stumble {
        Stumble::Lacks { path: self.path.clone(), status: self.status, wanted: wanted.to_owned() }
    }
}

/// Asks one proxy.
pub struct Caller {
    client: reqwest::Client,
    origin: String,
}

impl Caller {
    /// For the proxy at `origin`.
    ///
    /// # Errors
    ///
    /// The client could not be set up.
    pub fn new(origin: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, origin: origin.to_owned() })
    }

    /// Where the proxy is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Sends `request`.
    ///
    /// # Errors
    ///
    /// [`Stumble::Silent`].
    pub async fn send(&self, request: &Request) -> Result<Answer, Stumble> {
        // Neither names the query, in which credentials may stand.
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        let silent = |source: reqwest::Error| Stumble::Silent { path: path.clone(), source: source.without_url() };
        let mut sent = self.client.request(request.method.clone(), format!("{}{}", self.origin, request.target));
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let answer = sent.send().await.map_err(silent)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.text().await.map_err(silent)?;
        Ok(Answer { path, status, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Answer, Request, SET_COOKIE};

    #[test]
    fn a_request_is_a_command_that_a_shell_reads_as_meant() {
        let request = Request::form("a.example", "/x?y=z", &[("who", "it's me")]).cookie("s=1");
        assert_eq!(
            request.curl("http://127.0.0.1:1"),
            "curl -si -H 'Host: a.example' -H 'Content-Type: application/x-www-form-urlencoded' -H 'Cookie: s=1' \
             -H 'Sec-Fetch-Site: same-origin' --data-raw 'who=it%27s+me' 'http://127.0.0.1:1/x?y=z'"
        );
        assert_eq!(request.credentials, ["s=1"], "and knows what of it must not go on");
    }

    #[test]
    fn a_cookie_that_is_taken_back_is_none() {
        let mut headers = HeaderMap::new();
        for cookie in ["__Host-login=; Max-Age=0", "__Host-session=abc; Path=/; Secure"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        let answer = Answer { path: "/".to_owned(), status: 303, headers, body: r#"{"a":{"b":"c","d":1}}"#.to_owned() };
        assert_eq!(answer.cookie("__Host-session").unwrap(), "__Host-session=abc");
        assert!(answer.cookie("__Host-login").is_err(), "an empty one");
        assert!(answer.cookie("__Host").is_err(), "part of a name");
        assert_eq!(answer.text("/a/b").unwrap(), "c");
        let lacks = answer.text("/a/d").unwrap_err().to_string();
        assert_eq!(lacks, "/ answered 303 without /a/d", "a number is no text, and nothing of the body is told");
    }
}
