//! Processes that do not outlive the code that started them.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Program that is to be started.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// The program of this name, which is looked up in `PATH`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", name]).process_group(0);
        Self { name: name.to_owned(), command }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its arguments, its input and its output are set.
    pub const fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it. It dies with the thread that this is called on.
    pub(crate) fn spawn(mut self) -> io::Result<Process> {
        Ok(Process { program: self.name, child: self.command.spawn()? })
    }
}

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
