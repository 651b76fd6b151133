//! What a chip and the reader it lies in can do beyond the least, each with how that was learned.

/// Something that not every chip or reader can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// READ BINARY names a file by its short identifier in P1, which saves a SELECT.
    ShortFileIds,
    /// A file that was named so is the current one afterwards.
    ShortFileIdsSelect,
    /// The sign command names a key by its short identifier in P2.
    ShortKeyIds,
    /// An answer can be longer than 256 bytes.
    ExtendedLength,
    /// An answer can have 256 bytes.
    FullLength,
    /// RSASSA-PSS with SHA-256.
    PssSha256,
}

/// How something was learned. The later one is the better: what a card or a reader says is a hint,
/// what it does is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// It was asked for, and the answer told nothing: it counts as there until it fails.
    Unclear,
    /// The reader's driver said so.
    ToldByReader(bool),
    /// The card said so.
    ToldByCard(bool),
    /// It was done.
    Proven,
    /// It was tried, and failed.
    Disproven,
}

/// How many capabilities there are.
const COUNT: usize = 6;

/// The capabilities of one chip in one reader.
#[derive(Debug, Clone, Copy, Default)]
pub struct CardCapabilities([Option<Evidence>; COUNT]);

impl Capability {
    /// Those that are the reader's as much as the chip's: what fails once is never tried again in
    /// that reader.
    pub const OF_READER: [Self; 2] = [Self::ExtendedLength, Self::FullLength];

    fn index(self) -> usize {
        match self {
            Self::ShortFileIds => 0,
            Self::ShortFileIdsSelect => 1,
            Self::ShortKeyIds => 2,
            Self::ExtendedLength => 3,
            Self::FullLength => 4,
            Self::PssSha256 => 5,
        }
    }
}

impl Evidence {
    /// What it says.
    #[must_use]
    pub fn holds(self) -> bool {
        match self {
            Self::ToldByReader(holds) | Self::ToldByCard(holds) => holds,
            Self::Unclear | Self::Proven => true,
            Self::Disproven => false,
        }
    }
}

impl CardCapabilities {
    /// How a capability was learned, if it was.
    #[must_use]
    pub fn evidence(&self, capability: Capability) -> Option<Evidence> {
        self.0.get(capability.index()).copied().flatten()
    }

    /// Whether there is a capability; `None` when it was not tried yet.
    #[must_use]
    pub fn has(&self, capability: Capability) -> Option<bool> {
        self.evidence(capability).map(Evidence::holds)
    }

    /// Takes evidence, unless there is better.
    pub fn learn(&mut self, capability: Capability, evidence: Evidence) {
        if let Some(known) = self.0.get_mut(capability.index()) {
            *known = (*known).max(Some(evidence));
        }
    }

    /// Takes all evidence of another set, unless there is better.
    pub fn learn_all(&mut self, other: &Self) {
        for (known, learned) in self.0.iter_mut().zip(other.0) {
            *known = (*known).max(learned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_outweighs_what_was_said() {
        let mut capabilities = CardCapabilities::default();
        assert_eq!(capabilities.has(Capability::PssSha256), None);
        capabilities.learn(Capability::PssSha256, Evidence::ToldByCard(true));
        capabilities.learn(Capability::PssSha256, Evidence::Disproven);
        capabilities.learn(Capability::PssSha256, Evidence::ToldByCard(true));
        assert_eq!(capabilities.has(Capability::PssSha256), Some(false));
        assert_eq!(capabilities.has(Capability::ShortFileIds), None);
    }
}
