//! Ctrl-C.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit;
use super::terminal::note;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user asked to stop.
pub(super) const fn flag() -> &'static AtomicBool {
    &INTERRUPTED
}

/// Asks that Ctrl-C, SIGTERM and SIGHUP end the run cleanly: what runs is stopped, what is
/// finished is kept. A second one ends the process at once. Gives the flag that says so.
pub(super) fn watch() -> &'static AtomicBool {
    let watching = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            process::exit(exit::INTERRUPTED.into());
        }
        note("interrupted: keeping what is finished (again to stop at once)");
    });
    if let Err(error) = watching {
        note(&format!("warning: Ctrl-C will stop the run without keeping results: {error}"));
    }
    &INTERRUPTED
}
