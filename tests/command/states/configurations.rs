//! Configurations and mistakes in them.

use serde_json::{Value, json};

use super::{SIGNATURE, State, with_card};

/// States of the configuration.
pub(super) fn configurations() -> Vec<State> {
    vec![
        with_card("a configuration", "reader=READER;card=full", 0)
            .configured("slots = \"authentication\"\npss = \"off\"\n")
            .says(
                &["Configuration: /", ".config/jpki-pkcs11.toml", "In force: slots = \"authentication\", pss = \"off\""],
                &["設定: /", "有効な設定: slots = \"authentication\", pss = \"off\""],
            )
            .tells("/configuration/slots", "authentication")
            .tells("/configuration/pss", "off")
            .tells(SIGNATURE, Value::Null)
            .tells("/readers/0/card/authentication/pss", false),
        with_card("a configuration of readers and of the log", "reader=READER;card=full", 0)
            .configured(
                "readers = { use = [\"Virtual*\", \"*ACS*\"], ignore = \"*TPM*\", extended_length = false }\n\
                 log = { level = \"error\", file = \"/dev/null\" }\n",
            )
            .says(
                &["In force: readers.use = [\"Virtual*\", \"*ACS*\"], readers.ignore = [\"*TPM*\"], \
                   readers.extended_length = false, log.level = \"error\", log.file = \"/dev/null\"\n"],
                &["有効な設定: readers.use = [\"Virtual*\", \"*ACS*\"], readers.ignore = [\"*TPM*\"], \
                   readers.extended_length = false, log.level = \"error\", log.file = \"/dev/null\"\n"],
            )
            .tells("/configuration/readers", json!([{"use": ["Virtual*", "*ACS*"], "ignore": ["*TPM*"]}]))
            .tells("/configuration/extended_length", false)
            .tells("/configuration/log_file", "/dev/null"),
        with_card("a configuration with mistakes", "reader=READER;card=full", 1)
            .configured("slots = \"all\"\ncolour = 1\nreserve_tries = \"x\"\n[log]\nfile = \"here\"\n")
            .says(
                &[
                    "! /",
                    ": wrong value of slots: it must be one of \"both\" | \"authentication\" | \"signature\"",
                    ": no key colour",
                    ": wrong value of reserve_tries: 1 is taken",
                    ": wrong value of log.file: it must be an absolute path",
                ],
                &[
                    ": slots の値が正しくありません(\"both\"、\"authentication\"、\"signature\"のどれかにしてください)",
                    ": colour というキーはありません",
                    ": reserve_tries の値が正しくありません(1 とみなします)",
                    ": log.file の値が正しくありません(絶対パスにしてください)",
                ],
            )
            .tells("/configuration/reserve_tries", 1),
        with_card("a configuration that is not TOML", "reader=READER;card=full", 1)
            .configured("slots = \"both\"\npin = 4649x\n")
            .says(
                &["a syntax error in line 2; the whole file is ignored, and one try of each PIN is kept in reserve"],
                &["2 行目に文法の誤りがあります。このファイル全体を無視し、各暗証番号の最後の1回は使いません"],
            )
            .tells("/configuration/reserve_tries", 1),
    ]
}
