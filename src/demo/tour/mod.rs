//! The five systems shown to people: each one's shipped conf between its clients, an app, and a stand-in of the vendor's server.
//!
//! Each system has a file that sets its stage, does what must have been done before there is anything to see (users log in, tokens run
//! out), and says what there is to try: in both positions a success, a refusal in the system's own dialect, and a renewal. The same
//! steps are printed as curl commands and taken by `countersign demo --once`.
//!
//! Time is not waited for: a stage begins under a clock that is behind, and what was given then has run out once it has caught up.
//!
//! Not here: the proxy, which whoever shows the tour starts; attacks, which tests/systems knows more of.

pub mod caller;
pub mod contract;
pub mod form;
pub mod ground;
pub mod late;
pub mod report;
pub mod step;
pub mod walk;

pub mod gigya;
pub mod hat;
pub mod janrain;
pub mod taptalk;
pub mod telematics;

use crate::demo::tour::contract::{Show, Stumble};
use crate::demo::tour::ground::Ground;

/// Their names in confs, in the order in which they are shown.
pub const NAMES: [&str; 5] = ["taptalk", "telematics", "hat", "gigya", "janrain"];

/// Sets the stage of the system `name`, which is one of [`NAMES`].
///
/// # Errors
///
/// Whatever keeps it from being set.
pub async fn set(name: &str, ground: &Ground) -> Result<Show, Stumble> {
    match name {
        "taptalk" => taptalk::set(ground).await,
        "telematics" => telematics::set(ground).await,
        "hat" => hat::set(ground).await,
        "gigya" => gigya::set(ground).await,
        "janrain" => janrain::set(ground).await,
        _ => Err(Stumble::Unknown(name.to_owned())),
    }
}
