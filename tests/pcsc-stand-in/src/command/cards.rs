//! The cards of a console, in readers and outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::icc::{Icc, Parrot};

/// A card.
#[derive(Clone)]
pub enum Shelved {
    /// A card of another kind.
    Other(Arc<Parrot>),
}

/// The cards by their names.
#[derive(Default)]
pub struct Shelf(BTreeMap<String, Shelved>);

impl Shelf {
    /// Makes a card.
    ///
    /// # Errors
    /// When there is no such profile.
    pub fn make(&mut self, id: &str, profile: &str) -> Result<Arc<dyn Icc>, String> {
        let card = match profile {
            "other" => Shelved::Other(Arc::new(Parrot { atr: vec![0x3b, 0x00], answer: vec![0x6a, 0x82] })),
            other => return Err(format!("no such profile: {other}")),
        };
        self.0.insert(id.to_owned(), card);
        self.card(id)
    }

    /// A card as readers see it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn card(&self, id: &str) -> Result<Arc<dyn Icc>, String> {
        match self.0.get(id) {
            Some(Shelved::Other(card)) => Ok(card.clone()),
            None => Err(format!("no such card: {id}")),
        }
    }
}
