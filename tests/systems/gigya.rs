//! Gigya: the shipped conf between its clients, an app, and an API that judges every signature itself.

mod app;
mod api;
mod stage;
