//! The schemes as a conf describes them.

mod gigya;
mod key_pair;
mod server_key;
mod ticket;
