//! The programs of a run: mosquitto, its publisher and its subscriber.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use qoslab_core::base::{Span, Time};

use super::Cell;
use super::line::line_number;
use crate::link::{BROKER_ADDRESS, Namespace, PacketLink};
use crate::{Clock, Process, Program};

/// What has to be installed.
pub(super) const PROGRAMS: [&str; 5] =
    ["mosquitto", "mosquitto_pub", "mosquitto_sub", "ip", "setpriv"];

const PORT: &str = "1883";
const TOPIC: &str = "probe";
/// How long the broker may take to start.
const START: Span = Span::from_secs(10);
/// How often it is looked whether a program has ended, or the user asked to stop.
const LOOK: Duration = Duration::from_millis(100);

/// A running broker with a publisher and a subscriber.
pub(super) struct Programs<'a> {
    clock: Clock,
    interrupt: &'a AtomicBool,
    folder: &'a Path,
    /// The broker first: the others depend on it.
    running: Vec<Process>,
    /// Each line is published as a message.
    pub(super) input: Option<ChildStdin>,
    /// The number of each message that was delivered, and when.
    arrivals: Receiver<(u32, Time)>,
}

impl<'a> Programs<'a> {
    /// Starts the programs at the ends of a link. Their files are in `folder`.
    pub(super) fn start(
        cell: &Cell,
        link: &PacketLink,
        clock: Clock,
        interrupt: &'a AtomicBool,
        folder: &'a Path,
    ) -> Result<Self> {
        let socket = folder.join("broker.socket");
        let mut broker = start(&link.broker, broker(cell, folder, &socket)?, folder)?;
        wait_for_broker(&socket, &mut broker, clock, interrupt)?;
        let mut subscriber = start(&link.broker, subscriber(&socket), folder)?;
        let output = subscriber.take_stdout().expect("its output is piped");
        let (sender, arrivals) = mpsc::channel();
        thread::spawn(move || {
            for arrival in numbered_lines(output, clock) {
                if sender.send(arrival).is_err() {
                    return;
                }
            }
        });
        let mut publisher = start(&link.client, publisher(cell), folder)?;
        let input = publisher.take_stdin();
        let running = vec![broker, subscriber, publisher];
        Ok(Self { clock, interrupt, folder, running, input, arrivals })
    }

    /// The next message that is delivered; `None` if none is until then.
    pub(super) fn next_arrival(&mut self, until: Time) -> Result<Option<(u32, Time)>> {
        loop {
            let wait = self.clock.until(until).min(LOOK);
            match self.arrivals.recv_timeout(wait) {
                Ok(arrival) => return Ok(Some(arrival)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("no more output{}", self.logs()),
            }
            self.look()?;
            if self.clock.now() >= until {
                return Ok(None);
            }
        }
    }

    /// Whether all is as it should be.
    fn look(&mut self) -> Result<()> {
        if self.interrupt.load(Ordering::SeqCst) {
            bail!("interrupted");
        }
        for process in &mut self.running {
            if let Some(status) = process.ended()? {
                let program = process.program().to_owned();
                bail!("{program} ended with {status}{}", self.logs());
            }
        }
        Ok(())
    }

    /// The last lines that each program wrote about itself.
    pub(super) fn logs(&self) -> String {
        let mut all = String::new();
        for process in &self.running {
            let log = fs::read_to_string(log_path(self.folder, process.program()));
            let lines: Vec<_> = log.as_deref().unwrap_or_default().lines().collect();
            for line in &lines[lines.len().saturating_sub(5)..] {
                let _ = write!(all, "\n  {}: {line}", process.program());
            }
        }
        all
    }
}

/// Starts a program with a log of its own.
fn start(namespace: &Namespace, mut program: Program, folder: &Path) -> Result<Process> {
    let name = program.name().to_owned();
    program.command().stderr(File::create(log_path(folder, &name))?);
    namespace.spawn(program).with_context(|| format!("{name} does not start"))
}

fn log_path(folder: &Path, program: &str) -> PathBuf {
    folder.join(format!("{program}.log"))
}

/// The broker listens on the link, and on a Unix socket for the subscriber, which thus has no TCP.
fn broker(cell: &Cell, folder: &Path, socket: &Path) -> Result<Program> {
    let settings = folder.join("mosquitto.conf");
    // As another user it would lose the signal that ends it with its owner.
    fs::write(
        &settings,
        format!(
            "user root\n\
             log_dest stderr\n\
             allow_anonymous true\n\
             max_queued_messages 0\n\
             set_tcp_nodelay {}\n\
             listener {PORT} {BROKER_ADDRESS}\n\
             listener 0 {}\n",
            cell.nodelay,
            socket.display()
        ),
    )?;
    let mut program = Program::new("mosquitto");
    let command = program.command();
    command.arg("-c").arg(settings).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(program)
}

fn subscriber(socket: &Path) -> Program {
    let mut program = Program::new("mosquitto_sub");
    let command = program.command();
    command.arg("--unix").arg(socket).args(["-t", TOPIC, "-q", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    program
}

fn publisher(cell: &Cell) -> Program {
    let mut program = Program::new("mosquitto_pub");
    let command = program.command();
    command.args(["-h", &BROKER_ADDRESS.to_string(), "-p", PORT, "-t", TOPIC, "-l"]);
    command.args(["-q", &cell.qos.index().to_string()]);
    // No ping comes between the messages.
    command.args(["-k", "3600"]);
    if cell.nodelay {
        command.arg("--nodelay");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    program
}

fn wait_for_broker(
    socket: &Path,
    broker: &mut Process,
    clock: Clock,
    interrupt: &AtomicBool,
) -> Result<()> {
    let deadline = clock.now() + START;
    while UnixStream::connect(socket).is_err() {
        if let Some(status) = broker.ended()? {
            bail!("{} ended with {status}", broker.program());
        }
        if interrupt.load(Ordering::SeqCst) || clock.now() > deadline {
            bail!("{} did not start to listen", broker.program());
        }
        clock.sleep(Span::from_millis(20));
    }
    Ok(())
}

/// The numbers of the lines that come out of a program, each with the time.
fn numbered_lines(output: ChildStdout, clock: Clock) -> impl Iterator<Item = (u32, Time)> {
    let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
    lines.filter_map(move |line| Some((line_number(&line)?, clock.now())))
}
