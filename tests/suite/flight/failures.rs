//! Everything that goes wrong with a renewal, on the issuer's side and on the store's, and what is never done about it.
//!
//! Attacks M4, M5, M9, M11 and M12.
