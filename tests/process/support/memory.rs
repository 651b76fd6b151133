//! Looks for a secret in another process, piece by piece, so that a copy which was overwritten in
//! part is found too.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use test_support::rng::Rng;

use super::role::SECRET_LENGTH;

/// How much of a secret counts as a find.
const PIECE: usize = 5;

/// The most bytes read at once.
const CHUNK: usize = 1 << 20;

/// A PIN that is found only where a process left it: letters that no hexadecimal number
/// has, and digits.
#[derive(Clone)]
pub struct Canary([u8; SECRET_LENGTH]);

/// Where a piece of a canary was found.
pub struct Find {
    /// The mapping, as /proc/PID/maps has it.
    pub mapping: String,
    /// The first address.
    pub address: usize,
    /// How many bytes of it.
    pub length: usize,
}

impl Canary {
    /// A new one.
    pub fn new() -> Self {
        let mut rng = Rng::new();
        Self(std::array::from_fn(|at| {
            let (first, count) = if at % 2 == 0 { (b'G', 20) } else { (b'0', 10) };
            first + u8::try_from(rng.below(count)).expect("few characters")
        }))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The PIN as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters and digits")
    }

    /// Where pieces of it are in these bytes: first byte and length.
    pub fn find_in(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut finds: Vec<(usize, usize)> = Vec::new();
        // Any piece covers one of these places.
        for at in (PIECE - 1..bytes.len()).step_by(PIECE) {
            if !matches!(bytes[at], b'G'..=b'Z' | b'0'..=b'9') {
                continue;
            }
            for start in at + 1 - PIECE..=at {
                let Some(piece) = bytes.get(start..start + PIECE) else { continue };
                if self.0.windows(PIECE).any(|own| own == piece) {
                    match finds.last_mut() {
                        Some((first, length)) if start <= *first + *length => {
                            *length = start + PIECE - *first
                        }
                        _ => finds.push((start, PIECE)),
                    }
                }
            }
        }
        finds
    }

    /// Where pieces of it are in the memory of a process.
    pub fn find_in_process(&self, pid: u32) -> Vec<Find> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process is there");
        let memory = File::open(format!("/proc/{pid}/mem")).expect("the process may be looked into");
        let mut finds = Vec::new();
        for mapping in maps.lines().filter(|mapping| !is_unchanged_file(mapping)) {
            let Some((start, end)) = bounds(mapping) else { continue };
            for chunk in (start..end).step_by(CHUNK) {
                let mut bytes = vec![0; (end - chunk).min(CHUNK)];
                let place = u64::try_from(chunk).expect("an address");
                // Some mappings cannot be read, those of the kernel for one.
                let Ok(count) = memory.read_at(&mut bytes, place) else { continue };
                finds.extend(self.find_in(&bytes[..count]).into_iter().map(|(first, length)| Find {
                    mapping: mapping.to_owned(),
                    address: chunk + first,
                    length,
                }));
            }
        }
        finds
    }
}

impl fmt::Debug for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:#x} of {}", self.length, self.address, self.mapping)
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canary")
    }
}

/// Whether a mapping is of a file and cannot be written to: programs, of which debug builds have a
/// lot.
fn is_unchanged_file(mapping: &str) -> bool {
    let writable = mapping.split(' ').nth(1).is_some_and(|rights| rights.contains('w'));
    !writable && mapping.contains('/')
}

/// First address and the one after the last, of a readable mapping.
fn bounds(mapping: &str) -> Option<(usize, usize)> {
    let (range, rest) = mapping.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    rest.starts_with('r').then_some((number(start)?, number(end)?))
}

/// Bytes of a page for a secret.
pub const PAGE: usize = 4096;

/// The one page where a secret was found, and all of it each time.
pub fn only_page(finds: &[Find]) -> usize {
    let page = |find: &Find| find.address / PAGE * PAGE;
    let first = finds.first().map_or(0, page);
    let whole = |find: &Find| find.length == 16 && page(find) == first;
    assert!(!finds.is_empty() && finds.iter().all(whole), "not in one page: {finds:#?}");
    first
}

/// The flags that the kernel shows for the mapping of an address (proc(5), `VmFlags`).
pub fn flags(pid: u32, address: usize) -> Vec<String> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("the process is there");
    let mut inside = false;
    for line in smaps.lines() {
        if let Some((start, end)) = bounds(line) {
            inside = (start..end).contains(&address);
        } else if let (true, Some(flags)) = (inside, line.strip_prefix("VmFlags:")) {
            return flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("no mapping at {address:#x}");
}

/// Bytes at an address of a process.
pub fn read(pid: u32, address: usize, length: usize) -> Vec<u8> {
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the process may be looked into");
    let mut bytes = vec![0; length];
    memory.read_exact_at(&mut bytes, u64::try_from(address).expect("an address")).expect("a mapping");
    bytes
}
