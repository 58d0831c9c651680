//! Processes that do not outlive the code that started them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Process that is killed, with all that it started, when this is dropped.
///
/// Ctrl-C does not reach it, since it is in a process group of its own: whoever started it decides
/// when it ends. If its owner is killed and can drop nothing, the kernel kills it, but not what it
/// started (`PR_SET_PDEATHSIG`, prctl(2)).
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Child,
}

impl Process {
    /// A command to hand to [`Process::spawn`].
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).process_group(0);
        command
    }

    /// Starts it. It dies with the thread that this is called on.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn spawn(mut command: Command) -> io::Result<Self> {
        let program = command.get_args().nth(3).unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { program, child: command.spawn()? })
    }

    /// The name of the program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Its standard input, if it is piped and was not taken before.
    pub const fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, if it is piped and was not taken before.
    pub const fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until it is waited for, its group's number cannot be another's. That it has ended already
        // is no error.
        let group = i32::try_from(self.child.id()).expect("Linux has no process above 2^22");
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
