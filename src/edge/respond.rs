//! Where a refusal meets the wire.
