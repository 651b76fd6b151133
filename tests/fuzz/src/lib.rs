//! What the fuzz targets share: a virtual card that can lie, and a user who calls everything.

pub mod card;
pub mod input;
pub mod program;
pub mod slot;
pub mod user;
