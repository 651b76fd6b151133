//! The model behind a real pcscd, against OpenSC's own JPKI driver.

use virtual_card::stack::Stack;
use virtual_card::{Credential, Validity};

use crate::programs::{checked, opensc_module, openssl};

fn pkcs11_tool(stack: &Stack, arguments: &[&str]) -> String {
    checked(stack.command("pkcs11-tool").arg("--module").arg(opensc_module()).args(arguments))
}

#[test]
fn it_lists_both_tokens_and_their_objects() {
    let stack = Stack::full().unwrap();
    let slots = pkcs11_tool(&stack, &["-L"]);
    assert!(slots.contains(&stack.reader_name(0)), "{slots}");
    assert!(slots.contains("User Authentication PIN") && slots.contains("Digital Signature PIN"), "{slots}");
    let objects = pkcs11_tool(&stack, &["-O", "--slot-index", "0"]);
    assert!(objects.contains("User Authentication Certificate"), "{objects}");
}

#[test]
fn it_signs_with_either_key() {
    let stack = Stack::full().unwrap();
    let directory = tempfile::tempdir().unwrap();
    stack.card(0).identity().write_certificates(directory.path(), Validity::Current).unwrap();
    std::fs::write(directory.path().join("message"), b"to be signed").unwrap();
    for (credential, slot, id, pin) in
        [(Credential::Authentication, "0", "01", "1234"), (Credential::Signature, "1", "02", "ABC123")]
    {
        let (message, signature) = (directory.path().join("message"), directory.path().join("signature"));
        let files = ["-i", message.to_str().unwrap(), "-o", signature.to_str().unwrap()];
        let key = ["--slot-index", slot, "--id", id, "--login", "--pin", pin];
        pkcs11_tool(&stack, &[&["--sign", "-m", "SHA256-RSA-PKCS"][..], &key, &files].concat());

        let certificate = format!("{}.pem", credential.name());
        let public = openssl(directory.path(), &["x509", "-in", &certificate, "-noout", "-pubkey"]);
        std::fs::write(directory.path().join("public.pem"), public).unwrap();
        let arguments = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message"];
        let verdict = openssl(directory.path(), &arguments);
        assert!(verdict.contains("Verified OK"), "{credential:?}: {verdict}");
        assert_eq!(stack.card(0).ledger().signatures_by(credential), 1);
        assert_eq!(stack.card(0).failed_verifies(credential), 0);
    }
}
