//! Ctrl-C and other signals that stop a run.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit;
use super::terminal::print_stderr;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user asked to stop.
pub(super) const fn flag() -> &'static AtomicBool {
    &INTERRUPTED
}

/// Makes Ctrl-C, SIGTERM and SIGHUP end the run cleanly: running trials are stopped, finished ones
/// are kept. A second signal ends the process at once. Returns the flag that a signal sets.
pub(super) fn install_handler() -> &'static AtomicBool {
    let watching = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            process::exit(exit::INTERRUPTED.into());
        }
        print_stderr("interrupted: keeping what is finished (again to stop at once)");
    });
    if let Err(error) = watching {
        print_stderr(&format!(
            "warning: Ctrl-C will stop the run without keeping results: {error}"
        ));
    }
    &INTERRUPTED
}
