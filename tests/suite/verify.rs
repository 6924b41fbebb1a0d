//! The schemes as a conf describes them.

mod gigya;
mod gigya_request;
mod gigya_session;
mod key_pair;
mod server_key;
mod ticket;
