//! The certificates against OpenSSL: chains, extensions and the sizes of real ones.

use std::process::Command;

use virtual_card::{Credential, Identity, Validity};

use crate::programs::openssl;

#[test]
fn openssl_accepts_both_chains() {
    let directory = tempfile::tempdir().unwrap();
    Identity::shared().write_certificates(directory.path(), Validity::Current).unwrap();
    let verify = ["verify", "-x509_strict"];
    for (arguments, name) in
        [(["-purpose", "sslclient"], "authentication"), (["-purpose", "any"], "signature")]
    {
        let (ca, own) = (format!("{name}-ca.pem"), format!("{name}.pem"));
        let text = openssl(directory.path(), &[&verify[..], &arguments, &["-CAfile", &ca, &own]].concat());
        assert!(text.contains(": OK"), "{text}");
    }
}

#[test]
fn the_table_of_extensions_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    Identity::from_seed(3).write_certificates(directory.path(), Validity::Current).unwrap();
    // Without -nameopt it depends on OpenSSL's version how names are written.
    let text = ["x509", "-noout", "-text", "-nameopt", "oneline", "-in"];
    let authentication = openssl(directory.path(), &[&text[..], &["authentication.pem"]].concat());
    let signature = openssl(directory.path(), &[&text[..], &["signature.pem"]].concat());
    // Before OpenSSL 3.4 there are two colons before the value of an otherName.
    let signature = signature.replace("::", ":");
    for expected in [
        "Subject: C = JP, CN = TEST000000000000000003A",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Client Authentication",
        "X509v3 Certificate Policies: critical\n                Policy: 1.2.392.200149.8.5.1.3.30",
        "Issuer: C = JP, O = JPKI, OU = JPKI for user authentication, OU = Japan Agency for Local Authority",
    ] {
        assert!(authentication.contains(expected), "no {expected:?} in {authentication}");
    }
    for expected in [
        "Subject: C = JP, L = TEST-to, L = TEST-shi, CN = TEST00000000000000000000003A",
        "X509v3 Key Usage: critical\n                Digital Signature, Non Repudiation\n",
        "X509v3 Certificate Policies: critical\n                Policy: 1.2.392.200149.8.5.1.1.20",
        "1.2.392.200149.8.5.5.1:試験　太郎",
        "1.2.392.200149.8.5.5.6",
        "OU = JPKI for digital signature",
    ] {
        assert!(signature.contains(expected), "no {expected:?} in {signature}");
    }
    assert!(!signature.contains("Extended Key Usage"));
}

#[test]
fn sizes_come_near_those_of_real_certificates() {
    let identity = Identity::shared();
    let size = |credential| identity.certificate(credential, Validity::Current).len();
    let near = |size: usize, real: usize| size.abs_diff(real) <= 30;
    let (authentication, signature) = (size(Credential::Authentication), size(Credential::Signature));
    assert!(near(authentication, 1570), "authentication: {authentication}");
    assert!(near(signature, 1750), "signature: {signature}");
    for credential in Credential::ALL {
        let ca = Identity::ca_certificate(credential).len();
        assert!(near(ca, 1310), "{}: {ca}", credential.name());
    }
}

#[test]
fn two_seeds_are_two_people_under_the_same_cas() {
    let [one, two] = [Identity::from_seed(1), Identity::from_seed(2)];
    for credential in Credential::ALL {
        assert_ne!(one.public_key(credential), two.public_key(credential));
        assert_ne!(
            one.certificate(credential, Validity::Current),
            two.certificate(credential, Validity::Current)
        );
        assert_eq!(one.public_key(credential), Identity::from_seed(1).public_key(credential));
    }
}

#[test]
fn expired_and_expiring_certificates_end_when_they_should() {
    let directory = tempfile::tempdir().unwrap();
    let ends_within = |validity, seconds: u32| {
        Identity::shared().write_certificates(directory.path(), validity).unwrap();
        let seconds = seconds.to_string();
        let arguments = ["x509", "-in", "authentication.pem", "-noout", "-checkend", &seconds];
        let status = Command::new("openssl").args(arguments).current_dir(directory.path()).output();
        !status.expect("openssl is installed").status.success()
    };
    const THREE_MONTHS: u32 = 90 * 86_400;
    assert!(ends_within(Validity::Expired, 0));
    assert!(!ends_within(Validity::Expiring, 0) && ends_within(Validity::Expiring, THREE_MONTHS));
    assert!(!ends_within(Validity::Current, THREE_MONTHS));
}
