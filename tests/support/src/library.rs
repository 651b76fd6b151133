//! The built module as a program loads it, and other files of the build.

use std::env;
use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use cryptoki_sys as ck;
use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CK_VERSION};

use crate::Rv;

/// Major and minor.
pub type Version = (u8, u8);

/// The first version, of the table that every program knows.
pub const VERSION_2_40: Version = (2, 40);
/// The version that brought interfaces.
pub const VERSION_3_0: Version = (3, 0);
/// The newest version.
pub const VERSION_3_2: Version = (3, 2);

/// The loaded library. The tables that it gives out are there until [`Library::close`], or for
/// ever.
pub struct Library {
    handle: *mut c_void,
}

// SAFETY: the loader's functions may be called from any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// `C_GetInterface`.
pub type GetInterface = unsafe extern "C" fn(
    *mut ck::CK_UTF8CHAR,
    *mut CK_VERSION,
    *mut *mut CK_INTERFACE,
    ck::CK_FLAGS,
) -> ck::CK_RV;

/// `C_GetInterfaceList`.
pub type GetInterfaceList = unsafe extern "C" fn(*mut CK_INTERFACE, *mut ck::CK_ULONG) -> ck::CK_RV;

type GetFunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> ck::CK_RV;

impl Library {
    /// The file, as Cargo has built it for this test.
    pub fn path() -> PathBuf {
        beside("libjpki_pkcs11.so")
    }

    /// Loads the file that Cargo has built.
    pub fn load() -> Self {
        Self::load_from(&Self::path())
    }

    /// Loads a copy, which has the static to itself.
    pub fn load_from(path: &Path) -> Self {
        Self::load_with(path, libc::RTLD_LOCAL)
    }

    /// Loads it so that libraries which are loaded later find its symbols.
    pub fn load_for_all(path: &Path) -> Self {
        Self::load_with(path, libc::RTLD_GLOBAL)
    }

    fn load_with(path: &Path, scope: libc::c_int) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path is a string; the library's initialisers are the Rust runtime's.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | scope) };
        assert!(!handle.is_null(), "{path:?} cannot be loaded");
        Self { handle }
    }

    /// Unloads it. Nothing of it may be used any more.
    pub fn close(self) {
        // SAFETY: the handle is of a loaded library.
        assert_eq!(unsafe { libc::dlclose(self.handle) }, 0);
    }

    /// A function that the library exports; `F` is its type.
    pub fn symbol<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: the handle is of a loaded library, and the name is a string.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?}");
        assert_eq!(size_of::<F>(), size_of_val(&symbol));
        // SAFETY: the standard gives the function this type.
        unsafe { mem::transmute_copy(&symbol) }
    }

    /// The table of version 2.40, as an old client gets it.
    pub fn table_2_40(&self) -> &'static CK_FUNCTION_LIST {
        let get = self.symbol::<GetFunctionList>(c"C_GetFunctionList");
        let mut list = ptr::null_mut();
        // SAFETY: the place is writable.
        Rv(unsafe { get(&raw mut list) }).ok();
        // SAFETY: see the type.
        unsafe { &*list }
    }

    /// The table of version 3.0.
    pub fn table_3_0(&self) -> &'static CK_FUNCTION_LIST_3_0 {
        let interface = self.interface(None, Some(VERSION_3_0), 0).unwrap();
        // SAFETY: the interface of that version has such a table.
        unsafe { &*interface.pFunctionList.cast() }
    }

    /// The table of version 3.2.
    pub fn table_3_2(&self) -> &'static CK_FUNCTION_LIST_3_2 {
        let interface = self.interface(None, Some(VERSION_3_2), 0).unwrap();
        // SAFETY: the interface of that version has such a table.
        unsafe { &*interface.pFunctionList.cast() }
    }

    /// C_GetInterface.
    pub fn interface(
        &self,
        name: Option<&CStr>,
        version: Option<Version>,
        flags: ck::CK_FLAGS,
    ) -> Result<&'static CK_INTERFACE, Rv> {
        let get = self.symbol::<GetInterface>(c"C_GetInterface");
        let name = name.map_or(ptr::null_mut(), |name| name.as_ptr().cast_mut().cast());
        let mut version = version.map(|(major, minor)| CK_VERSION { major, minor });
        let version = version.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut interface = ptr::null_mut();
        // SAFETY: the name is NULL or a string, the version NULL or one, and the place is writable.
        let rv = Rv(unsafe { get(name, version, &raw mut interface, flags) });
        if rv != ck::CKR_OK {
            assert!(interface.is_null(), "an error and an interface");
            return Err(rv);
        }
        // SAFETY: see the type.
        Ok(unsafe { &*interface })
    }
}

/// A file of the build, beside the test program or one directory up: Cargo puts libraries there.
///
/// # Panics
/// When it is in neither.
#[must_use]
pub fn beside(name: &str) -> PathBuf {
    let program = env::current_exe().expect("the program has a path");
    let found =
        program.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("{name} is not beside {}: is it a dependency of the test?", program.display())
    })
}

/// The version that a table of any kind begins with.
pub fn version_of(interface: &CK_INTERFACE) -> Version {
    // SAFETY: every table begins with its version.
    number(unsafe { *interface.pFunctionList.cast::<CK_VERSION>() })
}

/// A version as two numbers.
pub fn number(version: CK_VERSION) -> Version {
    (version.major, version.minor)
}

/// The names of the dynamic symbols that a library defines: what other programs can see (ELF,
/// "Symbol Table").
pub fn exported_symbols() -> Vec<String> {
    let file = fs::read(Library::path()).unwrap();
    let number = |at: usize, bytes: usize| {
        let digits = file[at..at + bytes].iter().rev();
        digits.fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!((&file[..4], file[5]), (&b"\x7fELF"[..], 1), "little-endian");
    // Where the numbers stand, by the width of an address.
    let wide = file[4] == 2;
    let word = if wide { 8 } else { 4 };
    let (sections, section_size, section_count) = if wide { (0x28, 0x3a, 0x3c) } else { (0x20, 0x2e, 0x30) };
    let (kind, offset, size, link) = if wide { (4, 0x18, 0x20, 0x28) } else { (4, 0x10, 0x14, 0x18) };
    let (entry_size, defined_in) = if wide { (24, 6) } else { (16, 14) };
    let section = |index: usize| number(sections, word) + index * number(section_size, 2);
    let is_dynamic = |index: &usize| number(section(*index) + kind, 4) == 11;
    let symbols =
        (0..number(section_count, 2)).find(is_dynamic).map(section).expect("a table of dynamic symbols");
    let strings = number(section(number(symbols + link, 4)) + offset, word);
    let first = number(symbols + offset, word);
    let entries = (first..first + number(symbols + size, word)).step_by(entry_size);
    // On some processors sections are there, too, without a name.
    let defined = entries.filter(|entry| number(entry + defined_in, 2) != 0 && number(*entry, 4) != 0);
    let mut names: Vec<String> = defined
        .map(|entry| {
            let name = file[strings + number(entry, 4)..].split(|byte| *byte == 0).next().unwrap();
            String::from_utf8_lossy(name).into_owned()
        })
        .collect();
    names.sort();
    names
}
