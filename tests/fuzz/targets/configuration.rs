//! Any text as a configuration.

#![no_main]

use std::ffi::CString;

use jpki_pkcs11::config::Config;
use jpki_pkcs11::transport::ReaderName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let config = Config::parse(text);
    for complaint in &config.complaints {
        assert!(!complaint.to_string().is_empty());
    }
    let name: Vec<u8> = text.bytes().filter(|&byte| byte != 0).take(64).collect();
    let name = CString::new(name).expect("no NUL");
    let _ = config.uses_reader(&ReaderName::from(name));
});
