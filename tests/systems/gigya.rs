//! Gigya: the shipped conf between its clients, an app, and an API that judges every signature itself.

<<<<<<< HEAD
mod account;
mod api;
mod app;
mod pitfalls;
=======
mod api;
mod app;
>>>>>>> hat
mod stage;
