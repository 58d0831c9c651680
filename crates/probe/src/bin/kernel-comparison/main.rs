//! Holds the simulated TCP to the kernel's; `--help` says how.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod command;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    let code = command::main();
    #[cfg(not(target_os = "linux"))]
    let code = {
        eprintln!("SKIPPED: the kernel's TCP is Linux's, and this is another system");
        ExitCode::from(3)
    };
    code
}
