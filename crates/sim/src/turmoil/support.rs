//! Check whether turmoil can carry a trial.

use crate::trial::Setup;
use crate::unsupported::Unsupported;
use qoslab_core::base::Span;
use qoslab_core::network::{DirectionSettings, SocketBuffer, SocketSettings, Transport};

/// Length of a step of turmoil. tokio's timers know no shorter time.
pub const TICK: Span = Span::from_millis(1);

/// Checks that a trial's delays are those of a clock that ticks: whole milliseconds, and at least
/// ten of them, so that an error of a tick is small.
///
/// # Errors
/// The first link that is too fast or too fine, or the first socket that is small.
pub fn check_support(setup: &Setup) -> Result<(), Unsupported> {
    for client in &setup.clients {
        if let Transport::Tcp(tcp) = client.link.transport {
            check_socket(&client.name, &tcp.client)?;
            check_socket("broker", &tcp.broker)?;
        }
        for (way, direction) in [("up", &client.link.up), ("down", &client.link.down)] {
            let DirectionSettings { delay, .. } = *direction;
            let why = if delay < TICK.times(10) {
                "turmoil needs at least 10ms"
            } else if !delay.as_nanos().is_multiple_of(TICK.as_nanos()) {
                "turmoil needs whole milliseconds"
            } else {
                continue;
            };
            return Err(Unsupported::Delay {
                client: client.name.to_string(),
                delay,
                direction: way,
                reason: why,
            });
        }
    }
    Ok(())
}

/// On turmoil a socket takes all that is written: a small one would make a difference.
fn check_socket(node: &str, socket: &SocketSettings) -> Result<(), Unsupported> {
    match socket.send_buffer {
        SocketBuffer::Autotuned => Ok(()),
        SocketBuffer::Bytes(bytes) => Err(Unsupported::Socket { node: node.to_owned(), bytes }),
    }
}
