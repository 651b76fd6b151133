//! `jpki-pkcs11`: says how reader, card and certificates stand, puts the module into programs, and
//! changes PINs.
//!
//! The top layer, over [`jpki_pkcs11::module`]: it uses a [`Module`](jpki_pkcs11::module::Module)
//! as every client does, and has no way of its own to the card.
//!
//! | module | what it owns |
//! |---|---|
//! | [`arguments`] | what can be typed; manual pages and completions come from it |
//! | [`text`] | every message, in English and in Japanese |
//! | [`output`] | what is printed, and the exit status |
//! | [`client`], [`pin`] | the module, the terminal |
//! | [`status`], [`ssh_key`], [`ca_certificate`], [`change_pin`], [`register`] | the subcommands |

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

mod arguments;
mod ca_certificate;
mod change_pin;
mod client;
mod output;
mod pin;
mod profiles;
mod register;
mod ssh_key;
mod status;
mod text;

use std::process::ExitCode;

use self::output::{Exit, Output};
use self::text::Language;

fn main() -> ExitCode {
    let language = Language::of_environment();
    let mut output = Output::new(language);
    let exit = run(&mut output);
    output.finish(exit).into()
}

fn run(output: &mut Output) -> Exit {
    let matches = match arguments::parse(output) {
        Ok(matches) => matches,
        Err(exit) => return exit,
    };
    match matches.subcommand() {
        None => status::run(&matches, output),
        Some((arguments::STATUS, of)) => status::run(of, output),
        Some((arguments::REGISTER, of)) => register::register(of, output),
        Some((arguments::UNREGISTER, of)) => register::unregister(of, output),
        Some((arguments::SSH_KEY, _)) => ssh_key::run(output),
        Some((arguments::CA_CERTIFICATE, of)) => ca_certificate::run(of, output),
        Some((arguments::CHANGE_PIN, of)) => change_pin::run(of, output),
        Some((arguments::MANUAL, of)) => arguments::print_manual(of, output),
        Some((arguments::COMPLETIONS, of)) => arguments::print_completions(of, output),
        Some(_) => Exit::CannotTell,
    }
}
