//! What the fuzz targets share: a virtual card that can lie, and a user who calls everything.

#[path = "../../module/support/by_handle.rs"]
pub mod by_handle;
pub mod card;
pub mod input;
pub mod program;
pub mod slot;
pub mod user;
