//! Stand-ins for the vendors whose systems are served, one file each, as strict as the vendors are.

pub mod hat;
