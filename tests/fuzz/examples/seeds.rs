//! Writes the seeds of every target from what a virtual card really holds:
//! `cargo run --example seeds`.

use std::path::Path;
use std::{fs, io};

use virtual_card::{Credential, Identity, Profile, Validity};

/// Bytes of the token information.
const TOKEN_INFO: usize = 160;

fn main() -> io::Result<()> {
    files()?;
    answers()?;
    calls()?;
    templates()?;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/jpki-pkcs11.toml");
    let sample = fs::read_to_string(sample)?;
    write("configuration", "sample", sample.as_bytes())?;
    let all = sample.lines().map(|line| {
        let value = line.strip_prefix('#').filter(|rest| rest.contains(" = ") && !rest.starts_with(' '));
        format!("{}\n", value.unwrap_or(line))
    });
    write("configuration", "everything", all.collect::<String>().as_bytes())
}

fn files() -> io::Result<()> {
    let identity = Identity::shared();
    for (index, name, content) in [
        (0, "signature", identity.certificate(Credential::Signature, Validity::Current)),
        (1, "signature-ca", Identity::ca_certificate(Credential::Signature)),
        (2, "token-info", token_info()),
        (3, "present", vec![0x8f, 0x8f, 0x00]),
        (4, "authentication", identity.certificate(Credential::Authentication, Validity::Current)),
        (4, "authentication-expired", identity.certificate(Credential::Authentication, Validity::Expired)),
        (5, "authentication-ca", Identity::ca_certificate(Credential::Authentication)),
    ] {
        write("files", name, &[&[index], content.as_slice()].concat())?;
    }
    Ok(())
}

/// As the card gives it out.
fn token_info() -> Vec<u8> {
    let card = virtual_card::VirtualCard::full();
    card.transmit(b"\x00\xa4\x04\x0c\x0a\xd3\x92\xf0\x00\x26\x01\x00\x00\x00\x01");
    match card.transmit(&[0x00, 0xb0, 0x86, 0x00, 0xa0]) {
        virtual_card::Reply::Answer(answer) if answer.len() == TOKEN_INFO + 2 => {
            answer[..TOKEN_INFO].to_vec()
        }
        other => panic!("no token information but {other:?}"),
    }
}

fn answers() -> io::Result<()> {
    const LOG_IN_AND_SIGN: [u8; 12] = [0x00, 0x01, 0, 0x03, 0x04, 3, 0x81, 1, 0x83, 0x84, 3, 0x02];
    for (index, profile) in Profile::all().iter().enumerate() {
        let index = u8::try_from(index).expect("few profiles");
        let run = [[index, 0].as_slice(), &LOG_IN_AND_SIGN].concat();
        write("answers", &profile.name.replace(' ', "-"), &run)?;
    }
    let pss = [[0, 2].as_slice(), &LOG_IN_AND_SIGN[..3], &[0x03, 0x04, 6, 0x04, 7]].concat();
    write("answers", "pss", &pss)?;
    write("answers", "change-pin", &[0, 0, 0x05, 0, 0, 0x85, 1, 1, 0x01, 2, 0x01, 2, 0x05, 2, 0])?;
    write("answers", "removal", &[0, 0, 0x06, 0x01, 0, 0x07, 0x03, 0x07, 0x08, 0x03])?;
    let lost_verify = [0, 0, 0x03, 0x0f, 2, 5, 6, 0x01, 0, 0x01, 0, 0x0f, 3, 1, 0x69, 0x84, 0x81, 1];
    write("answers", "lost-verify", &lost_verify)?;
    write(
        "answers",
        "own-answer",
        &[0, 0, 0x0b, 0, 0, 0, 3, 0x41, 0x61, 0xff, 0x00, 0x0b, 4, 3, 0, 3, 0x82, 0x03],
    )
}

fn calls() -> io::Result<()> {
    const LIST: [u8; 6] = [0x00, 1, 0, 8, 16, 0];
    const OPEN: [u8; 3] = [0x01, 6, 0];
    const SEARCH: [u8; 4] = [0x05, 0, 0, 0];
    const READ: [u8; 9] = [0x06, 0, 0, 2, 3, 64, 4, 0xff, 0];
    const LOG_IN: [u8; 5] = [0x03, 0, 0, 0, 0x40];
    let sign = |object: u8, mechanism: u8| {
        let begin = [0x07, 0, object, mechanism, 0, 0, 5];
        let finish = [0x09, 0, 8, 0, 4, b'd', b'a', b't', b'a', 0xfd];
        [begin.as_slice(), &finish].concat()
    };
    let look = [LIST.as_slice(), &OPEN, &SEARCH, &READ].concat();
    for (index, profile) in Profile::all().iter().enumerate() {
        let index = u8::try_from(index).expect("few profiles");
        let mut run = [[index, 0].as_slice(), &look, &LOG_IN, &SEARCH].concat();
        (0..12).for_each(|object| run.extend(sign(object, 3)));
        write("calls", &profile.name.replace(' ', "-"), &run)?;
    }
    let change = [0x03, 0, 2, 0, 0x20];
    let others = [0x0c, 0, 16, 0x0d, 1, 0x0d, 0, 0x0d, 0, 0x01, 6, 1];
    let run = [[0, 1].as_slice(), &look, &change, &others, &LIST].concat();
    write("calls", "change-pin-and-removal", &run)
}

fn templates() -> io::Result<()> {
    let mut query = vec![0x00, 1, 26];
    for kind in 0..26 {
        query.extend([1, 0xff, 0xff, kind]);
    }
    write("templates", "every-attribute", &query)?;
    let class = [2, 1, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0];
    write("templates", "certificates", &class)?;
    write("templates", "mechanisms", &[3, 3, 0, 3, 0x83, 6, 2, 0, 24, 0x50, 2, 0, 0, 0, 0, 0, 0])
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), bytes)
}
