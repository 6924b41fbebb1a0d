//! What every system brings to the tour: a conf with its files, an app, and the vendor's stand-in with what it has to show.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use crate::demo::certificate::CertificateFault;
use crate::demo::credentials::CredentialFault;
use crate::demo::tour::caller::Caller;
use crate::demo::tour::late::LateClock;
use crate::demo::tour::step::Step;
use crate::demo::upstream::DemoUpstream;
use crate::jose::mint::MintFault;

/// One system, ready but for the proxy.
pub struct Show {
    /// Its name in confs: `taptalk`.
    pub name: &'static str,
    /// Its name to people.
    pub title: &'static str,
    /// The shipped conf, with the addresses that we got.
    pub conf: String,
    /// The files that the conf refers to, by their paths beside it.
    pub files: Vec<(&'static str, String)>,
    /// The clock of the proxy and of the vendor's stand-in; behind, until [`Vendor::steps`] has it catch up.
    pub clock: Arc<LateClock>,
    /// The app behind the proxy.
    pub app: DemoUpstream,
    /// The vendor's stand-in.
    pub vendor: Box<dyn Vendor>,
}

/// A stand-in of a vendor's server, as the tour sees it.
#[async_trait]
pub trait Vendor: Send + Sync {
    /// Its origin, for people who want to ask it themselves.
    fn origin(&self) -> String;

    /// How many requests have reached it; those for keys that it publishes are not counted.
    fn visits(&self) -> usize;

    /// How many renewals it has granted.
    fn renewals(&self) -> usize;

    /// What no client may ever be shown: the secrets that the conf keeps for it.
    fn secrets(&self) -> Vec<String>;

    /// Does everything that must have been done before, through the proxy where its clients would, lets the clock catch up, and says
    /// what there is to try. Called once.
    ///
    /// # Errors
    ///
    /// The proxy did not do what its clients rely on; a token could not be made.
    async fn steps(&self, caller: &Caller, clock: &LateClock) -> Result<Vec<Step>, Stumble>;
}

/// Why there is no tour. None of it is the visitor's doing.
#[derive(Debug, thiserror::Error)]
pub enum Stumble {
    /// No system is called so.
    #[error("no system is called `{0}`")]
    Unknown(String),
    /// A stand-in could not be started.
    #[error("a stand-in could not be started: {0}")]
    Stand(#[from] io::Error),
    /// A token or key could not be made.
    #[error("a token could not be made: {0}")]
    Token(#[from] MintFault),
    /// A credential could not be made.
    #[error(transparent)]
    Credential(#[from] CredentialFault),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// The shipped conf reads otherwise than the demo believes.
    #[error("the shipped conf has no `{0}`, which the demo puts its own in place of")]
    Conf(String),
    /// The proxy gave no answer.
    #[error("no answer came from {path}: {source}")]
    Silent {
        /// Which path was asked.
        path: String,
        /// What went wrong underneath.
        source: reqwest::Error,
    },
    /// An answer lacks what its clients rely on.
    #[error("{path} answered {status} without {wanted}")]
    Lacks {
        /// Which path was asked.
        path: String,
        /// The status of the answer.
        status: u16,
        /// What it lacks.
        wanted: String,
    },
}
