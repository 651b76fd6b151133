//! `ca-certificate`: the certificate of the CA, which programs that check signatures want to have.

use base64ct::{Base64, Encoding};
use clap::ArgMatches;

use crate::arguments;
use crate::client::{Client, Finding};
use crate::output::{Exit, Output};
use crate::text;

/// How many bytes a line of PEM has (RFC 7468, 3).
const BYTES_IN_LINE: usize = 48;

/// Prints the CA certificate of each card, each one once.
pub(crate) fn run(matches: &ArgMatches, output: &mut Output) -> Exit {
    let Some(credential) = arguments::credential(matches) else { return Exit::CannotTell };
    let client = Client::start();
    let language = output.language();
    let readers = client.readers().unwrap_or_default();
    let mut printed = Vec::new();
    let mut failed = false;
    for reader in readers.iter().filter(|reader| matches!(reader.finding, Finding::Card(_))) {
        match client.ca_certificate(&reader.listing, credential) {
            Ok(Some(certificate)) => {
                let text = pem(certificate.der());
                if !printed.contains(&text) {
                    output.line(&text);
                    printed.push(text);
                }
                continue;
            }
            Ok(None) => output.remark(text::ca_certificate::none(language)),
            Err(_) => output.remark(text::pin::no_card(language)),
        }
        failed = true;
    }
    if printed.is_empty() && !failed {
        output.remark(text::pin::no_card(language));
    }
    if printed.is_empty() || failed { Exit::ToDo } else { Exit::Well }
}

/// A certificate as text (RFC 7468, 5), without the last line's end.
fn pem(der: &[u8]) -> String {
    let lines = der.chunks(BYTES_IN_LINE).map(|part| format!("{}\n", Base64::encode_string(part)));
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----", lines.collect::<String>())
}
