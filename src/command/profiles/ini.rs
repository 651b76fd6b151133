//! Files of sections, keys and values: Mozilla's `profiles.ini`, and desktop entries.

/// One section, with its lines in their order.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pairs: Vec<(String, String)>,
}

impl Section {
    /// The value of a key. The last one counts if a key stands twice.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The sections of a text. A line that is neither a section, a pair nor a comment is left out, and
/// so is a pair before the first section.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push(Section { name: name.to_owned(), pairs: Vec::new() });
        } else if let (Some(section), Some((key, value))) = (sections.last_mut(), line.split_once('=')) {
            section.pairs.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sections
}
