//! What a load test says in the end: as text, as JSON, as a page.

pub mod document;
pub mod html;
pub mod json;
pub mod svg;
pub mod text;
