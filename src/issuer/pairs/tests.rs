//! Families of tokens.
