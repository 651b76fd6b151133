//! What a host does to its own process.

use std::io;

/// What changes the process itself.
pub(super) fn surroundings(words: &[&str]) -> String {
    let done = match *words {
        ["exit"] => {
            // SAFETY: the call has no preconditions.
            unsafe { libc::exit(0) }
        }
        ["_exit"] => {
            // SAFETY: the call has no preconditions.
            unsafe { libc::_exit(0) }
        }
        ["exec", program] => {
            use std::os::unix::process::CommandExt;
            return std::process::Command::new(program).exec().to_string();
        }
        ["exit-in-handler"] => return exit_in_handler(),
        ["linger"] => {
            // It outlives its parent, and not for long if a test fails.
            // SAFETY: the call has no preconditions.
            unsafe { libc::alarm(60) };
            // SAFETY: as above.
            unsafe { libc::pause() }
        }
        ["pause"] => {
            // A test that fails leaves no forks behind.
            // SAFETY: the call takes numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // SAFETY: the call has no preconditions.
            unsafe { libc::pause() }
        }
        ["user", id] => {
            let id = id.parse().expect("a number");
            // SAFETY: the call has no preconditions.
            unsafe { libc::setresuid(id, id, id) }
        }
        ["default-signals"] => {
            for signal in [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU] {
                // SAFETY: the default is what every program begins with.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            0
        }
        ["pid"] => return std::process::id().to_string(),
        ["remember-hash", pin] => {
            super::fingerprint::remember(pin);
            0
        }
        ["remember", text] => {
            // On the heap, for as long as the process lives.
            text.to_owned().leak();
            0
        }
        ["secure"] => {
            // SAFETY: the call reads what the kernel handed over at the start; it has no
            // preconditions.
            return unsafe { libc::getauxval(libc::AT_SECURE) }.to_string();
        }
        ["limit", "locked-memory", count] => limit(libc::RLIMIT_MEMLOCK, count),
        ["limit", "core", size] => limit(libc::RLIMIT_CORE, size),
        ["limit", "descriptors", count] => limit(libc::RLIMIT_NOFILE, count),
        ["limit", "file-size", count] => {
            // SAFETY: the signal would end the process; ignoring it is what a host with this limit
            // does.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            limit(libc::RLIMIT_FSIZE, count)
        }
        ["close-descriptor", number] => {
            // SAFETY: nothing of this program uses the descriptor afterwards.
            unsafe { libc::close(number.parse().expect("a number")) }
        }
        ["open-descriptor", path] => {
            let path = std::ffi::CString::new(path).expect("no NUL");
            // SAFETY: the path is a string.
            return unsafe { libc::open(path.as_ptr(), libc::O_RDWR) }.to_string();
        }
        _ => panic!("a child does not know {words:?}"),
    };
    if done == 0 { "done".to_owned() } else { io::Error::last_os_error().to_string() }
}

/// Has SIGUSR1 end the process by exit(). Tells the id of this thread, which runs the next line
/// too.
fn exit_in_handler() -> String {
    extern "C" fn handler(_: libc::c_int) {
        // SAFETY: what such a host does is not allowed by POSIX, and done.
        unsafe { libc::exit(0) }
    }
    let handler: extern "C" fn(libc::c_int) = handler;
    // SAFETY: the handler has the type of one.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    // SAFETY: the call has no preconditions.
    unsafe { libc::gettid() }.to_string()
}

/// Sets a limit below which it can be raised again.
fn limit(resource: libc::__rlimit_resource_t, count: &str) -> libc::c_int {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure can be written.
    let read = unsafe { libc::getrlimit(resource, &raw mut limits) };
    limits.rlim_cur = if count == "most" { limits.rlim_max } else { count.parse().expect("a number") };
    // SAFETY: the structure can be read.
    read | unsafe { libc::setrlimit(resource, &raw const limits) }
}
