//! What is not as it must be is said.
