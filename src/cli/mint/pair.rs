//! `mint server-key` and `mint instance-key`: an id and a secret, as each system writes them.

use crate::cli::mint::print_headers;
use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure};
use crate::demo::credentials;

/// Writes an id and a secret as a `Server-Key` header: base64(id:secret).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Try it:\n  curl -H \"$(countersign mint server-key --id shop --secret file:shop.secret)\" http://127.0.0.1:8080/server/"
)]
pub struct MintServerKey {
    /// The id; no colon in it.
    #[arg(long)]
    id: String,
    /// Where the secret is.
    #[arg(long, value_name = FORM)]
    secret: SecretSource,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Writes an id and a secret as `InstanceId` and `InstanceKey` headers.
#[derive(Debug, clap::Args)]
pub struct MintInstanceKey {
    /// The id.
    #[arg(long)]
    id: String,
    /// Where the secret is.
    #[arg(long, value_name = FORM)]
    secret: SecretSource,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl MintServerKey {
    pub(super) fn run(&self) -> Done {
        print_headers(&[("Server-Key", server_key(&self.id, &self.secret.read_text()?)?)], self.json);
        Ok(())
    }
}

impl MintInstanceKey {
    pub(super) fn run(&self) -> Done {
        print_headers(&[("InstanceId", self.id.clone()), ("InstanceKey", self.secret.read_text()?)], self.json);
        Ok(())
    }
}

/// base64(id:secret); the id ends at the first colon, so it holds none (RFC 7617 section 2).
fn server_key(id: &str, secret: &str) -> Result<String, Failure> {
    if id.is_empty() || id.contains(':') {
        return Err(Failure::new("an id is not empty and holds no colon"));
    }
    Ok(credentials::server_key(id, secret))
}

#[cfg(test)]
mod tests {
    use super::server_key;

    #[test]
    fn a_server_key_is_the_base64_of_id_and_secret() {
        assert_eq!(server_key("Aladdin", "open sesame").unwrap(), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617 section 2");
        assert!(server_key("a:b", "c").is_err(), "a colon in the id would move the secret");
        assert!(server_key("", "c").is_err(), "no id");
    }
}
