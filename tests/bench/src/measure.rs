//! What is measured, and how: every program is a process of its own, and they take turns.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use virtual_card::VirtualCard;
use virtual_card::stack::Stack;

/// Each figure is the median of so many.
const ROUNDS: usize = 5;

/// How slow the card is.
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    command: Duration,
    signature: Duration,
    byte: Duration,
    /// The most that a list may take of OpenSC's time.
    pub(crate) list_target: f64,
}

/// At 106 kbit/s a byte of ten bits takes 94 µs.
pub(crate) const CONDITIONS: [Condition; 3] = [
    Condition::new("12 ms a command, 300 ms a signature", 12, 300, 0, 0.15),
    Condition::new("30 ms a command, 500 ms a signature", 30, 500, 0, 0.15),
    Condition::new(
        "12 ms a command, 300 ms a signature, 94 µs a byte (Type B at 106 kbit/s)",
        12,
        300,
        94,
        0.22,
    ),
];

/// What a person waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// `pkcs11-tool --list-objects`.
    List,
    /// `pkcs11-tool --login --sign`.
    FirstSignature,
    /// C_SignInit and C_Sign of a program that has signed before.
    FurtherSignature,
}

impl Task {
    pub(crate) const ALL: [Self; 3] = [Self::List, Self::FirstSignature, Self::FurtherSignature];
}

/// By what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Module,
    OpenSc,
    Bare,
}

impl Program {
    pub(crate) const ALL: [Self; 3] = [Self::Module, Self::OpenSc, Self::Bare];
}

/// A median, and what the card got for it.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) task: Task,
    pub(crate) program: Program,
    pub(crate) milliseconds: f64,
    pub(crate) commands: usize,
}

/// All that was measured under one condition.
pub(crate) struct Results {
    pub(crate) condition: &'static Condition,
    pub(crate) figures: Vec<Figure>,
}

/// A process that signs when it is told.
struct Signer {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    said: String,
}

/// A card, and the libraries.
pub(crate) struct Bench {
    stack: Stack,
    libraries: [PathBuf; 2],
}

impl Condition {
    const fn new(name: &'static str, command: u64, signature: u64, byte: u64, list_target: f64) -> Self {
        Self {
            name,
            command: Duration::from_millis(command),
            signature: Duration::from_millis(signature),
            byte: Duration::from_micros(byte),
            list_target,
        }
    }
}

impl Results {
    /// The figure of a task by a program. Bare commands make no list.
    pub(crate) fn of(&self, task: Task, program: Program) -> Option<Figure> {
        self.figures.iter().find(|figure| figure.task == task && figure.program == program).copied()
    }

    /// How long a task takes in proportion to another program.
    pub(crate) fn ratio(&self, task: Task, to: Program) -> Option<f64> {
        Some(self.of(task, Program::Module)?.milliseconds / self.of(task, to)?.milliseconds)
    }
}

impl Bench {
    pub(crate) fn start(libraries: [PathBuf; 2]) -> Self {
        let stack = Stack::full().expect("pcscd and the reader driver are unpacked");
        fs::write(stack.directory().join("message"), [0x5a; 100]).expect("a file");
        Self { stack, libraries }
    }

    pub(crate) fn measure(&self, condition: &'static Condition) -> Results {
        eprintln!("measuring: {}", condition.name);
        let card = self.card();
        card.set_latency(condition.command, condition.signature);
        card.set_byte_latency(condition.byte);
        let mut figures = Vec::new();
        for task in [Task::List, Task::FirstSignature] {
            figures.extend(self.of_processes(task));
        }
        // Other programs end the login that OpenSC's driver leaves on the card, so it has no
        // partner.
        figures.extend(self.further_signatures(&[Program::Module, Program::Bare]));
        figures.extend(self.further_signatures(&[Program::OpenSc]));
        Results { condition, figures }
    }

    /// The calls that begin and end a program's use of a library, in milliseconds.
    pub(crate) fn calls(&self, program: Program) -> [(&'static str, f64); 3] {
        let said: String = (0..ROUNDS).map(|_| Signer::start(self.signer(program)).end()).collect();
        ["load", "initialize", "finalize"].map(|call| (call, median(times(&said, call))))
    }

    fn card(&self) -> VirtualCard {
        self.stack.card(0)
    }

    /// A task that is a process: all programs in turn, several times.
    fn of_processes(&self, task: Task) -> Vec<Figure> {
        let takes_part = |program: &Program| task != Task::List || *program != Program::Bare;
        let programs: Vec<Program> = Program::ALL.into_iter().filter(takes_part).collect();
        self.in_turn(task, &programs, |_, program| {
            let start = Instant::now();
            if program == Program::Bare {
                let mut signer = Signer::start(self.signer(program));
                signer.sign();
                signer.end();
            } else {
                run(self.tool(task, program));
            }
            start.elapsed().as_secs_f64() * 1000.0
        })
    }

    /// Of processes that have signed before, in turn. So none signs without a pause, in which the
    /// module would leave the card to others now and then.
    fn further_signatures(&self, programs: &[Program]) -> Vec<Figure> {
        let mut signers: Vec<Signer> =
            programs.iter().map(|program| Signer::start(self.signer(*program))).collect();
        for signer in &mut signers {
            signer.sign();
        }
        let figures = self.in_turn(Task::FurtherSignature, programs, |index, _| signers[index].sign());
        for signer in signers {
            signer.end();
        }
        figures
    }

    /// Has programs do a task in turn, several times. `act` says how long it took.
    fn in_turn(
        &self,
        task: Task,
        programs: &[Program],
        mut act: impl FnMut(usize, Program) -> f64,
    ) -> Vec<Figure> {
        let mut figures = vec![(Vec::new(), 0); programs.len()];
        for _ in 0..ROUNDS {
            for (index, (program, (times, commands))) in programs.iter().zip(&mut figures).enumerate() {
                let mark = self.card().mark();
                times.push(act(index, *program));
                *commands = self.card().commands_since(mark);
            }
        }
        let figure = |(program, (times, commands)): (&Program, (Vec<f64>, usize))| Figure {
            task,
            program: *program,
            milliseconds: median(times),
            commands,
        };
        programs.iter().zip(figures).map(figure).collect()
    }

    /// pkcs11-tool with a library.
    fn tool(&self, task: Task, program: Program) -> Command {
        let mut command = self.command("pkcs11-tool");
        command.arg("--module").arg(self.library(program)).args(["--slot-index", "0"]);
        if task == Task::List {
            command.arg("--list-objects");
        } else {
            let [message, signature] = ["message", "signature"].map(|name| self.stack.directory().join(name));
            command.args([
                "--login",
                "--pin",
                "1234",
                "--sign",
                "--mechanism",
                "SHA256-RSA-PKCS",
                "--id",
                "01",
            ]);
            command.arg("--input-file").arg(message).arg("--output-file").arg(signature);
        }
        command
    }

    /// This program, as one that signs when it is told.
    fn signer(&self, program: Program) -> Command {
        let mut command = self.command(env::current_exe().expect("the program has a path"));
        match program {
            Program::Bare => command.arg("bare"),
            Program::Module | Program::OpenSc => command.arg("client").arg(self.library(program)),
        };
        command
    }

    fn library(&self, program: Program) -> &Path {
        &self.libraries[usize::from(program == Program::OpenSc)]
    }

    /// A program in a home without settings and caches.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.stack.command(program);
        for variable in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "JPKI_PKCS11_CONF", "JPKI_PKCS11_LOG"] {
            command.env_remove(variable);
        }
        command.env("HOME", self.stack.directory());
        command
    }
}

impl Signer {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the program can be started");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, input, output, said: String::new() }
    }

    /// How long one signature takes.
    fn sign(&mut self) -> f64 {
        writeln!(self.input.as_ref().expect("it runs")).expect("it listens");
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).expect("text"), 0, "it has ended");
            if let [time] = times(&line, "sign")[..] {
                return time;
            }
            self.said.push_str(&line);
        }
    }

    /// Ends it. Gives all that it printed besides.
    fn end(mut self) -> String {
        drop(self.input.take());
        self.output.read_to_string(&mut self.said).expect("text");
        assert!(self.process.wait().expect("it is a child").success());
        self.said
    }
}

fn run(mut command: Command) {
    let output = command.output().expect("the program can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The times that a process printed for one kind of call, in milliseconds.
fn times(said: &str, call: &str) -> Vec<f64> {
    let words = said.lines().filter_map(|line| line.split_once(' '));
    let own = words.filter(|(name, _)| *name == call);
    own.map(|(_, time)| time.parse::<f64>().expect("microseconds") / 1000.0).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
