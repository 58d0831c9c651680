//! Network namespaces, each on a thread of its own.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, unshare};

use crate::{Process, Program};

type Job = Box<dyn FnOnce() + Send>;

/// New network namespace (see `network_namespaces(7)`), with nothing in it but a loopback device
/// that is down. It needs root.
///
/// A namespace belongs to a thread, and so do the processes in it: they end with it.
#[derive(Debug)]
pub struct Namespace {
    /// Work for the thread; `None` once it is to end.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Starts a thread, and puts it into a new namespace.
    ///
    /// # Errors
    /// If there is no such thread, or it may not have a namespace of its own.
    pub fn new() -> io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        let run = move || work.into_iter().for_each(|job| job());
        let thread = thread::Builder::new().name("namespace".to_owned()).spawn(run)?;
        let namespace = Self { jobs: Some(jobs), thread: Some(thread) };
        namespace.run(|| unshare(CloneFlags::CLONE_NEWNET))?;
        Ok(namespace)
    }

    /// Does a job inside the namespace: sockets and devices that it opens are of there.
    #[expect(clippy::missing_panics_doc, reason = "only if the job itself does")]
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, done) = mpsc::channel();
        let job = Box::new(move || {
            // Its receiver waits below.
            let _ = result.send(job());
        });
        let jobs = self.jobs.as_ref().expect("the thread ends only with its owner");
        jobs.send(job).expect("the thread runs as long as no job panics");
        done.recv().expect("the thread runs as long as no job panics")
    }

    /// Starts a program inside the namespace.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, program: Program) -> io::Result<Process> {
        self.run(|| program.spawn())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A job that panicked has told so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
