//! The list of PKCS#11 modules in an NSS database: `pkcs11.txt`.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Result as IoResult};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A module in a profile. NSS's own, which has no file, is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) name: String,
    /// The file as the list names it: a path, or a name that the loader looks for.
    pub(crate) library: PathBuf,
}

/// Whose module it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of the three libraries of this project, wherever it is.
    Own,
    OpenSc,
    /// p11-kit's: it brings every module that p11-kit is configured with.
    P11KitProxy,
    Other,
}

/// The list's file in a profile.
pub(crate) const MODULES_FILE: &str = "pkcs11.txt";

impl Module {
    pub(crate) fn kind(&self) -> Kind {
        let name = self.library.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        if name.starts_with("jpki-pkcs11") || name.starts_with("libjpki_pkcs11") {
            Kind::Own
        } else if name.contains("opensc-pkcs11") {
            Kind::OpenSc
        } else if name.contains("p11-kit-proxy") {
            Kind::P11KitProxy
        } else {
            Kind::Other
        }
    }

    /// Whether the list names a path at which there is no file.
    pub(crate) fn is_missing(&self) -> bool {
        self.library.is_absolute() && !self.library.exists()
    }
}

/// The modules of a profile. None when the profile has no list yet.
///
/// # Errors
/// The list cannot be read.
pub(crate) fn modules(directory: &Path) -> IoResult<Vec<Module>> {
    match fs::read(directory.join(MODULES_FILE)) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// NSS writes a paragraph for each module, with a line for each property. Keys have any case, and
/// values stand as they are, without quotes.
fn parse(text: &[u8]) -> Vec<Module> {
    let mut modules = Vec::new();
    let (mut name, mut library) = (None, None);
    // The empty line at the end closes the last paragraph.
    for line in text.split(|byte| *byte == b'\n').chain([b"".as_slice()]) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            if let (Some(name), Some(library)) = (name.take(), library.take()) {
                modules.push(Module { name, library });
            }
            (name, library) = (None, None);
        } else if let Some(value) = value(line, b"name") {
            name = Some(String::from_utf8_lossy(value).into_owned());
        } else if let Some(value) = value(line, b"library") {
            library = Some(PathBuf::from(OsStr::from_bytes(value))).filter(|_| !value.is_empty());
        }
    }
    modules
}

/// The value of a line, if it has this key.
fn value<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let (name, rest) = line.split_at_checked(key.len())?;
    name.eq_ignore_ascii_case(key).then(|| rest.strip_prefix(b"=")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, library: &str) -> Module {
        Module { name: name.to_owned(), library: PathBuf::from(library) }
    }

    #[test]
    fn modules_are_read_in_their_order_and_without_the_one_of_nss() {
        let text = "library=\nname=NSS Internal PKCS #11 Module\nparameters=configdir='sql:/home/x' \nNSS=Flags=internal\n\n\
            library=/usr/lib/x86_64-linux-gnu/onepin-opensc-pkcs11.so\nname=OpenSC smartcard framework (0.23)\n\n\
            library=/opt/a dir/プロ=\"x\\/jpki-pkcs11-auth.so\nname=JPKI\nNSS=trustOrder=100 slotParams={0x1=[]}\n";
        let expected = vec![
            module("OpenSC smartcard framework (0.23)", "/usr/lib/x86_64-linux-gnu/onepin-opensc-pkcs11.so"),
            module("JPKI", "/opt/a dir/プロ=\"x\\/jpki-pkcs11-auth.so"),
        ];
        assert_eq!(parse(text.as_bytes()), expected);
        assert_eq!(parse(text.replace('\n', "\r\n").as_bytes()), expected);
        assert_eq!(parse(text.replace("library=", "Library=").as_bytes()), expected);
    }

    #[test]
    fn a_list_that_is_damaged_gives_what_can_be_read() {
        for text in
            ["", "\n\n\n", "name=JPKI\n", "library=/x.so", "nonsense", "=\n=", "\u{0}name=x\nlibrary=y"]
        {
            assert_eq!(parse(text.as_bytes()), [], "{text:?}");
        }
        // A name and a library of two paragraphs are no module.
        assert_eq!(parse(b"name=A\n\nlibrary=/b.so\n\nname=C\nlibrary=/c.so"), [module("C", "/c.so")]);
        assert_eq!(parse(b"name=\xff\nlibrary=/\xff.so").len(), 1);
    }

    #[test]
    fn a_module_is_known_by_its_file() {
        for (library, kind) in [
            ("/usr/lib/x86_64-linux-gnu/pkcs11/jpki-pkcs11-auth.so", Kind::Own),
            ("jpki-pkcs11.so", Kind::Own),
            ("/home/x/target/release/libjpki_pkcs11.so", Kind::Own),
            ("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so", Kind::OpenSc),
            ("onepin-opensc-pkcs11.so", Kind::OpenSc),
            ("/usr/lib64/pkcs11/opensc-pkcs11.so", Kind::OpenSc),
            ("/opt/jpki-pkcs11/libother.so", Kind::Other),
            ("/usr/lib/p11-kit-proxy.so", Kind::P11KitProxy),
            ("/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so.0", Kind::P11KitProxy),
            ("/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so", Kind::Other),
            ("/", Kind::Other),
        ] {
            assert_eq!(module("JPKI", library).kind(), kind, "{library}");
        }
    }

    #[test]
    fn a_file_is_missing_only_where_the_list_says_where_it_is() {
        assert!(module("JPKI", "/nowhere/jpki-pkcs11.so").is_missing());
        assert!(!module("JPKI", "jpki-pkcs11.so").is_missing());
        assert!(!module("JPKI", "/").is_missing());
    }
}
