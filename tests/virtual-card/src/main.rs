//! `virtual-card`: a stack of virtual cards for programs that are not written in Rust. See
//! `--help`.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use virtual_card::stack::{Options, Stack};
use virtual_card::{Identity, Profile, Validity, VirtualCard, control};

const USAGE: &str = "\
virtual-card stack --dir DIR [--readers N] [--profile NAME]... [--identity DIR] [--seed N] [--until-eof]
    Starts a private pcscd with N readers (one unless said otherwise) and a card of each profile in the
    first of them (one full card unless said otherwise; `none` leaves a reader empty). Writes DIR/env, which a
    shell sources to make its PC/SC programs use them, prints `ready`, and ends on SIGTERM, SIGINT or the control
    command `stop`; with --until-eof also at the end of standard input. --identity remembers keys.
virtual-card control DIR COMMAND...
    Sends a command to the stack in DIR; prints the answer. Fails when the command does.
virtual-card identity DIR [--seed N]
    Writes certificates and CAs as PEM and DER.

Profiles: full conservative under-15 under-15-filler blocked-auth blocked-sign expired expiring juki android not-jpki
iphone without-pin ten-years draw-SEED; then +TRAIT=VALUE for each trait to change (see the control command `traits`)
Needs pcscd and vsmartcard-vpcd, unpacked below target/pcsc or named by JPKI_TEST_PCSCD and JPKI_TEST_VPCD.

Control commands (for reader 0; `@N` before one means reader N; CREDENTIAL is auth or sign):
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stack", ref options @ ..] => StackArguments::parse(options).and_then(run_stack),
        ["control", directory, ref command @ ..] => send_control(Path::new(directory), command),
        ["identity", directory] => write_identity(Path::new(directory), "0"),
        ["identity", directory, "--seed", seed] => write_identity(Path::new(directory), seed),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}{}", control::HELP);
            Ok(())
        }
        _ => Err(format!("wrong usage\n{USAGE}{}", control::HELP)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("virtual-card: {reason}");
            ExitCode::FAILURE
        }
    }
}

struct StackArguments {
    directory: PathBuf,
    readers: usize,
    profiles: Vec<Option<Profile>>,
    identity: Identity,
    until_eof: bool,
}

impl StackArguments {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let (mut directory, mut readers, mut profiles) = (None, None, Vec::new());
        let (mut cache, mut seed, mut until_eof) = (None, 0, false);
        let mut words = words.iter().copied();
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} lacks its value"));
            match option {
                "--dir" => directory = Some(PathBuf::from(value()?)),
                "--readers" => readers = Some(number(value()?)?),
                "--profile" => profiles.push(match value()? {
                    "none" => None,
                    name => Some(control::profile(name)?),
                }),
                "--identity" => cache = Some(PathBuf::from(value()?)),
                "--seed" => seed = number(value()?)?,
                "--until-eof" => until_eof = true,
                _ => return Err(format!("no option {option:?}")),
            }
        }
        let directory = directory.ok_or("--dir is missing")?;
        let identity = match cache {
            Some(cache) => Identity::cached_in(&cache, seed).map_err(|error| error.to_string())?,
            None => Identity::from_seed(seed),
        };
        if profiles.is_empty() {
            profiles.push(Some(Profile::full()));
        }
        let readers = readers.unwrap_or(profiles.len());
        Ok(Self { directory, readers, profiles, identity, until_eof })
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}

fn run_stack(arguments: StackArguments) -> Result<(), String> {
    serve_stack(arguments).map_err(|error| error.to_string())
}

fn serve_stack(arguments: StackArguments) -> io::Result<()> {
    let StackArguments { directory, readers, profiles, identity, until_eof } = arguments;
    // Before any thread starts: a signal blocked in all of them waits for the one that asks.
    let signals = Signals::block()?;
    fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    let card = |profile: Profile| VirtualCard::new(profile, identity.clone());
    let mut cards: Vec<_> = profiles.into_iter().map(|profile| profile.map(card)).collect();
    cards.resize(readers.max(cards.len()), None);
    let mut stack = Stack::start(Options { directory: Some(directory.clone()), ..Options::readers(cards) })?;

    let (control, env) = (directory.join("control"), directory.join("env"));
    let _ = fs::remove_file(&control);
    let listener = UnixListener::bind(&control)?;
    stop_when(&control, move || signals.wait());
    if until_eof {
        stop_when(&control, || drop(io::copy(&mut io::stdin(), &mut io::sink())));
    }
    fs::write(&env, environment(&stack, &directory))?;
    println!("ready");
    let served = control::serve(&mut stack, &identity, &listener);
    for path in [control, env] {
        let _ = fs::remove_file(path);
    }
    served
}

/// Sends `stop` once `over` returns.
fn stop_when(control: &Path, over: impl FnOnce() + Send + 'static) {
    let control = control.to_path_buf();
    std::thread::spawn(move || {
        over();
        let _ = control::send(&control, "stop");
    });
}

/// SIGTERM and SIGINT, kept from doing anything by themselves.
struct Signals(libc::sigset_t);

impl Signals {
    fn block() -> io::Result<Self> {
        // SAFETY: a sigset_t is plain memory that sigemptyset makes valid; all pointers are to
        // locals.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            match libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) {
                0 => Ok(Self(set)),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }

    fn wait(&self) {
        let mut signal = 0;
        // SAFETY: the set is valid and `signal` is a local.
        unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
    }
}

fn environment(stack: &Stack, directory: &Path) -> String {
    let quote = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    format!(
        "export PCSCLITE_CSOCK_NAME={}\nexport VIRTUAL_CARD_DIR={}\n",
        quote(&stack.socket()),
        quote(directory)
    )
}

fn send_control(directory: &Path, command: &[&str]) -> Result<(), String> {
    let answer = control::send(&directory.join("control"), &command.join(" "));
    let text = answer.map_err(|error| format!("no stack in {}: {error}", directory.display()))??;
    print!("{text}");
    Ok(())
}

fn write_identity(directory: &Path, seed: &str) -> Result<(), String> {
    let identity = Identity::from_seed(number(seed)?);
    identity.write_certificates(directory, Validity::Current).map_err(|error| error.to_string())
}
