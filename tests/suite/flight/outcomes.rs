//! The table of outcomes in `docs/renewal.md`, row by row.
