//! Gigya: the shipped conf between its clients, an app, and an API that judges every signature itself.

mod account;
mod api;
mod app;
mod attacks;
mod pitfalls;
mod secrets;
mod stage;
