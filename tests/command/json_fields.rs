use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::Machine;

/// Every field, with `*` for each entry of a list. Scripts read them: none is removed or renamed.
/// What is added stands here too.
const FIELDS: &[&str] = &[
    "/configuration",
    "/configuration/always_authenticate",
    "/configuration/ca_certificates",
    "/configuration/extended_length",
    "/configuration/files",
    "/configuration/log_file",
    "/configuration/log_level",
    "/configuration/mistakes",
    "/configuration/pss",
    "/configuration/readers",
    "/configuration/readers/*/ignore",
    "/configuration/readers/*/use",
    "/configuration/reserve_tries",
    "/configuration/slots",
    "/in_front",
    "/in_front/*/kind",
    "/in_front/*/library",
    "/in_front/*/module",
    "/in_front/*/place",
    "/in_front/*/program",
    "/logins",
    "/logins/*/certificate",
    "/logins/*/reader",
    "/logins/*/result",
    "/readers",
    "/readers/*/card",
    "/readers/*/card/authentication",
    "/readers/*/card/authentication/pin",
    "/readers/*/card/authentication/pin/max_tries",
    "/readers/*/card/authentication/pin/may_be_none",
    "/readers/*/card/authentication/pin/state",
    "/readers/*/card/authentication/pin/tries_left",
    "/readers/*/card/authentication/pin/unlocked_by",
    "/readers/*/card/authentication/pss",
    "/readers/*/card/authentication/state",
    "/readers/*/card/authentication/validity",
    "/readers/*/card/authentication/validity/days_left",
    "/readers/*/card/authentication/validity/from",
    "/readers/*/card/authentication/validity/phase",
    "/readers/*/card/authentication/validity/renewable_from",
    "/readers/*/card/authentication/validity/renewal_months",
    "/readers/*/card/authentication/validity/until",
    "/readers/*/card/kind",
    "/readers/*/card/serial_number",
    "/readers/*/card/signature",
    "/readers/*/card/signature/pin",
    "/readers/*/card/signature/pin/max_tries",
    "/readers/*/card/signature/pin/may_be_none",
    "/readers/*/card/signature/pin/state",
    "/readers/*/card/signature/pin/tries_left",
    "/readers/*/card/signature/pin/unlocked_by",
    "/readers/*/card/signature/pss",
    "/readers/*/card/signature/state",
    "/readers/*/card/signature/validity",
    "/readers/*/name",
    "/readers/*/state",
    "/registered",
    "/registered/*/library",
    "/registered/*/profile",
    "/registered/*/program",
    "/result",
    "/service",
    "/through_p11_kit",
    "/through_p11_kit/*/library",
    "/through_p11_kit/*/profile",
    "/through_p11_kit/*/program",
    "/version",
];

/// Adds the paths of the fields below a value.
fn collect(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = format!("{path}/{name}");
                fields.insert(path.clone());
                collect(value, &path, fields);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, &format!("{path}/*"), fields)),
        _ => {}
    }
}

/// The card's signature PIN is locked, so that no PIN is asked for.
#[test]
fn the_report_of_a_card_has_every_field_that_scripts_know() {
    let machine = Machine::with_card("blocked-sign").configured("readers = { use = \"*\" }\n");
    let profile = machine.home().join(".pki/nssdb");
    fs::create_dir_all(&profile).unwrap();
    let modules = ["/usr/lib/opensc-pkcs11.so", "/nowhere/jpki-pkcs11-auth.so", "/usr/lib/p11-kit-proxy.so"];
    let list = modules.map(|library| format!("library={library}\nname={library}\n\n"));
    fs::write(profile.join("pkcs11.txt"), list.concat()).unwrap();
    let (report, exit) = machine.json(&["status", "--login", "--json"]);
    let mut fields = BTreeSet::new();
    collect(&report, "", &mut fields);
    let known: BTreeSet<_> = FIELDS.iter().map(ToString::to_string).collect();
    assert_eq!((exit, fields), (1, known), "{report:#}");
}
