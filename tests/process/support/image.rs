//! The memory of another process at one instant.
//!
//! Pages that are locked, not dumped and wiped at a fork are *protected*. A process may hold
//! secrets there and nowhere else.

use std::fmt;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::memory::PAGE;

/// The flags of a protected mapping (proc(5), `VmFlags`): locked, not dumped, wiped at a fork.
const PROTECTED: [&str; 3] = ["lo", "dd", "wf"];

/// Of a protected page the first bytes are in use.
const USED: usize = 128;

/// How many bytes of a protected page count as a copy, and how many of them must not be zero.
const PIECE: usize = 8;
const PIECE_NOT_ZERO: usize = 5;

/// What can be read of a process, without the pages that hold only zeros.
pub struct Image {
    runs: Vec<Run>,
}

/// Neighbouring pages of one mapping, none of them all zero.
struct Run {
    mapping: String,
    flags: String,
    start: usize,
    bytes: Vec<u8>,
}

/// Where a needle was found.
pub struct Found {
    /// Which one, as the test calls it.
    name: String,
    /// The mapping, as /proc/PID/smaps has it, with its flags.
    mapping: String,
    address: usize,
}

/// Bytes to look for.
#[derive(Clone)]
pub struct Needle {
    name: String,
    bytes: Vec<u8>,
}

impl Needle {
    /// Bytes that must occur as a whole.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), bytes: bytes.to_vec() }
    }

    /// Every piece of so many bytes.
    pub fn pieces(name: &str, bytes: &[u8], length: usize, step: usize) -> Vec<Self> {
        let pieces = bytes.windows(length).enumerate().step_by(step);
        pieces.map(|(at, piece)| Self::new(format!("{name} from {at}"), piece)).collect()
    }

    /// Where the bytes of a file or a mapping have it.
    pub fn places_in(&self, bytes: &[u8]) -> Vec<usize> {
        let mut places = Vec::new();
        let mut rest = 0;
        while let Some(at) = find(&bytes[rest..], &self.bytes) {
            places.push(rest + at);
            rest += at + 1;
        }
        places
    }
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The first place of a needle.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    // SAFETY: both are slices, and are read only.
    let found =
        unsafe { libc::memmem(bytes.as_ptr().cast(), bytes.len(), needle.as_ptr().cast(), needle.len()) };
    (!found.is_null()).then(|| found.addr() - bytes.as_ptr().addr())
}

impl Image {
    /// The memory of a process, without its program files. The process should be stopped or wait.
    pub fn of(pid: u32) -> Self {
        Self::of_mappings(pid, |line| !is_program(line))
    }

    /// The memory of a process, with its program files.
    pub fn with_programs(pid: u32) -> Self {
        Self::of_mappings(pid, |_| true)
    }

    fn of_mappings(pid: u32, counts: impl Fn(&str) -> bool) -> Self {
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("the process is there");
        let memory = File::open(format!("/proc/{pid}/mem")).expect("the process may be read");
        let mut runs = Vec::new();
        let mut mapping = None;
        for line in smaps.lines() {
            if let Some(range) = range(line) {
                mapping = Some((line, range));
            } else if let (Some(flags), Some((line, range))) = (line.strip_prefix("VmFlags:"), &mapping) {
                if rights(line).starts_with('r') && counts(line) {
                    read_runs(&memory, line, flags, range.clone(), &mut runs);
                }
            }
        }
        Self { runs }
    }

    /// Where the needles are outside of the protected pages.
    pub fn find_outside(&self, needles: &[Needle]) -> Vec<Found> {
        self.find_where(needles, |run| !run.is_protected())
    }

    /// Where the needles are.
    pub fn find(&self, needles: &[Needle]) -> Vec<Found> {
        self.find_where(needles, |_| true)
    }

    fn find_where(&self, needles: &[Needle], counts: impl Fn(&Run) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        for run in self.runs.iter().filter(|run| counts(run)) {
            for needle in needles {
                found.extend(needle.places_in(&run.bytes).into_iter().map(|at| Found {
                    name: needle.name.clone(),
                    mapping: format!("{} ({})", run.mapping, run.flags),
                    address: run.start + at,
                }));
            }
        }
        found
    }

    /// How many protected pages are in use.
    pub fn protected_pages(&self) -> usize {
        self.runs.iter().filter(|run| run.is_protected()).map(|run| run.bytes.len() / PAGE).sum()
    }

    /// What stands on the protected pages, in pieces: the PINs, and what they can be computed from.
    pub fn protected_pieces(&self) -> Vec<Needle> {
        let runs = self.runs.iter().filter(|run| run.is_protected());
        let pages = runs.flat_map(|run| run.bytes.chunks(PAGE));
        let pieces = pages.flat_map(|page| page[..USED].chunks(PIECE));
        let filled = pieces.filter(|piece| piece.iter().filter(|byte| **byte != 0).count() >= PIECE_NOT_ZERO);
        filled.map(|piece| Needle::new("a piece of a protected page", piece)).collect()
    }

    /// The mappings that the kernel wipes at a fork and that are not all zero.
    pub fn wiped_on_fork(&self) -> Vec<&str> {
        let runs = self.runs.iter().filter(|run| run.has_flag("wf"));
        runs.map(|run| run.mapping.as_str()).collect()
    }
}

impl Run {
    fn has_flag(&self, flag: &str) -> bool {
        self.flags.split_whitespace().any(|own| own == flag)
    }

    fn is_protected(&self) -> bool {
        PROTECTED.iter().all(|flag| self.has_flag(flag))
    }
}

/// The rights of a mapping, from its first line.
fn rights(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default()
}

/// Whether a mapping is of a file, and cannot be written.
fn is_program(line: &str) -> bool {
    !rights(line).contains('w') && line.contains('/')
}

/// The addresses in the first line of a mapping.
fn range(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

/// Reads a mapping, and keeps the pages that are not zero.
fn read_runs(memory: &File, mapping: &str, flags: &str, range: Range<usize>, runs: &mut Vec<Run>) {
    let mut bytes = vec![0; range.len()];
    let place = u64::try_from(range.start).expect("an address");
    // The kernel keeps some of its own mappings from readers.
    let Ok(count) = memory.read_at(&mut bytes, place) else { return };
    let mut next = None;
    for (number, page) in bytes[..count].chunks(PAGE).enumerate() {
        if find(&[0; PAGE], page).is_some() {
            continue;
        }
        if next != Some(number) {
            let start = range.start + number * PAGE;
            let (mapping, flags) = (mapping.to_owned(), flags.trim().to_owned());
            runs.push(Run { mapping, flags, start, bytes: Vec::new() });
        }
        runs.last_mut().expect("a run").bytes.extend_from_slice(page);
        next = Some(number + 1);
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x} of {}", self.name, self.address, self.mapping)
    }
}
