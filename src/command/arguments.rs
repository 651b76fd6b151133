//! What can be typed. Help, manual pages and completions come from the same definition.

mod manual;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;
use jpki_pkcs11::jpki::credential::Credential;

use crate::output::{Exit, Output};
use crate::text::{Language, help};

/// The name of the command.
pub(crate) const NAME: &str = "jpki-pkcs11";

pub(crate) const STATUS: &str = "status";
pub(crate) const REGISTER: &str = "register";
pub(crate) const UNREGISTER: &str = "unregister";
pub(crate) const SSH_KEY: &str = "ssh-key";
pub(crate) const CA_CERTIFICATE: &str = "ca-certificate";
pub(crate) const CHANGE_PIN: &str = "change-pin";
/// Prints a manual page. For packagers, and not listed.
pub(crate) const MANUAL: &str = "manual";
/// Prints the completions of a shell. For packagers, and not listed.
pub(crate) const COMPLETIONS: &str = "completions";

pub(crate) const JSON: &str = "json";
pub(crate) const LOGIN: &str = "login";
pub(crate) const DRY_RUN: &str = "dry-run";
pub(crate) const LIBRARY_DIR: &str = "library-dir";
pub(crate) const REMOVE_OPENSC: &str = "remove-opensc";
pub(crate) const PROGRAM: &str = "program";
const CREDENTIAL: &str = "credential";
const SHELL: &str = "shell";

/// The programs that `register` and `unregister` know.
pub(crate) const PROGRAMS: [&str; 4] = ["firefox", "thunderbird", "chromium", "all"];
/// The words for the two certificates and their PINs.
const CREDENTIALS: [&str; 2] = ["authentication", "signature"];

/// Reads the arguments. Help and errors are printed here.
pub(crate) fn parse(output: &mut Output) -> Result<ArgMatches, Exit> {
    let language = output.language();
    definition(language).try_get_matches().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.bytes(error.render().to_string().as_bytes());
            Exit::Well
        }
        _ => {
            output.remark(&usage_error(language, &error));
            Exit::CannotTell
        }
    })
}

/// What to say about arguments that are wrong.
fn usage_error(language: Language, error: &clap::Error) -> String {
    let values = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => values.as_slice(),
        _ => &[],
    };
    // An argument that is missing is named by what is known of it.
    if may_have_a_pin() && error.kind() != ErrorKind::MissingRequiredArgument {
        return help::hidden_usage_error(language, values);
    }
    help::usage_error(language, &error.render().to_string(), wrong_word(error), values)
}

/// Whether the user may have typed a PIN among the arguments, where it does not belong.
fn may_have_a_pin() -> bool {
    let login = format!("--{LOGIN}");
    let takes_pins =
        |argument: OsString| argument == CHANGE_PIN || argument.to_string_lossy().starts_with(&login);
    env::args_os().skip(1).any(takes_pins)
}

/// The word that is wrong, or the one that is missing.
fn wrong_word(error: &clap::Error) -> Option<String> {
    let kinds = [ContextKind::InvalidSubcommand, ContextKind::InvalidValue, ContextKind::InvalidArg];
    let values = kinds.into_iter().filter_map(|kind| error.get(kind));
    values.map(ToString::to_string).find(|word| !word.is_empty())
}

/// The credential that is named among the arguments.
pub(crate) fn credential(matches: &ArgMatches) -> Option<Credential> {
    match matches.get_one::<String>(CREDENTIAL).map(String::as_str) {
        Some("authentication") => Some(Credential::UserAuthentication),
        Some("signature") => Some(Credential::DigitalSignature),
        _ => None,
    }
}

/// Prints the manual page.
pub(crate) fn print_manual(_: &ArgMatches, output: &mut Output) -> Exit {
    let mut page = Vec::new();
    match manual::write(definition(output.language()), output.language(), &mut page) {
        Ok(()) => {
            output.bytes(&page);
            Exit::Well
        }
        Err(_) => Exit::CannotTell,
    }
}

/// Prints the completions of a shell.
pub(crate) fn print_completions(matches: &ArgMatches, output: &mut Output) -> Exit {
    let Some(shell) = matches.get_one::<Shell>(SHELL) else { return Exit::CannotTell };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut definition(output.language()), NAME, &mut script);
    output.bytes(&script);
    Exit::Well
}

/// The command with all that it takes.
fn definition(language: Language) -> Command {
    // Titles of our own, since clap's are English.
    let template = format!(
        "{{about-with-newline}}\n{} {{usage}}\n\n{{all-args}}{{after-help}}",
        help::usage_heading(language)
    );
    let status_options = [flag(JSON, help::json(language)), flag(LOGIN, help::login(language))];
    let programs = || {
        let values = PossibleValuesParser::new(PROGRAMS);
        Arg::new(PROGRAM)
            .value_parser(values)
            .value_name("firefox|thunderbird|chromium|all")
            .default_value("all")
            .hide_possible_values(true)
            .hide_default_value(true)
            .help(help::program(language))
    };
    let credential = |about: &'static str| {
        Arg::new(CREDENTIAL)
            .value_parser(PossibleValuesParser::new(CREDENTIALS))
            .value_name("authentication|signature")
            .hide_possible_values(true)
            .required(true)
            .help(about)
    };
    let subcommand = |name: &'static str, about: &'static str| {
        localized(Command::new(name).about(about), language).help_template(template.clone())
    };
    let library_dir = Arg::new(LIBRARY_DIR)
        .long(LIBRARY_DIR)
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::DirPath)
        .help(help::library_dir(language));
    let dry_run = || flag(DRY_RUN, help::dry_run(language));
    localized(Command::new(NAME), language)
        .version(env!("CARGO_PKG_VERSION"))
        .about(help::about(language))
        .help_template(template.clone())
        .override_usage(help::usage(language))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand_help_heading(help::commands_heading(language))
        .args(status_options.clone())
        .arg(
            Arg::new("version")
                .long("version")
                .short('V')
                .action(ArgAction::Version)
                .help(help::version(language))
                .help_heading(help::options_heading(language)),
        )
        .disable_version_flag(true)
        .subcommand(subcommand(STATUS, help::status(language)).args(status_options))
        .subcommand(
            subcommand(REGISTER, help::register(language))
                .arg(programs())
                .arg(dry_run())
                .arg(library_dir)
                .arg(flag(REMOVE_OPENSC, help::remove_opensc(language))),
        )
        .subcommand(subcommand(UNREGISTER, help::unregister(language)).arg(programs()).arg(dry_run()))
        .subcommand(subcommand(SSH_KEY, help::ssh_key(language)))
        .subcommand(
            subcommand(CA_CERTIFICATE, help::ca_certificate(language))
                .arg(credential(help::certificate(language))),
        )
        .subcommand(
            subcommand(CHANGE_PIN, help::change_pin(language)).arg(credential(help::credential(language))),
        )
        .subcommand(subcommand(MANUAL, "").hide(true))
        .subcommand(
            subcommand(COMPLETIONS, "")
                .hide(true)
                .arg(Arg::new(SHELL).value_parser(value_parser!(Shell)).required(true)),
        )
        .mut_args(|arg| headed(arg, language))
        .mut_subcommands(|command| command.mut_args(|arg| headed(arg, language)))
}

/// A command whose option --help is described in the user's language.
fn localized(command: Command, language: Language) -> Command {
    command
        .disable_help_flag(true)
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::Help).help(help::help(language)))
}

/// An argument under a title in the user's language.
fn headed(arg: Arg, language: Language) -> Arg {
    let heading =
        if arg.is_positional() { help::arguments_heading(language) } else { help::options_heading(language) };
    arg.help_heading(heading)
}

fn flag(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(about)
}
