//! The house from outside: what its public rooms promise, mirrored room by room.

mod conf;
