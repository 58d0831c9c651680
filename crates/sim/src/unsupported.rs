//! Error for trials that an engine cannot run.

use thiserror::Error;

use qoslab_core::base::Span;
use qoslab_core::base::units::format_count;

/// Reason why turmoil cannot carry a trial.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsupported {
    /// A link is too fast, or its delay too fine.
    #[error("the link of `{client}` has a delay of {delay} {direction}: {reason}")]
    Delay {
        /// The client whose link it is.
        client: String,
        /// Its delay.
        delay: Span,
        /// `up` or `down`.
        direction: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// A socket has a send buffer of a fixed size.
    #[error(
        "the socket of `{node}` has a `send_buffer` of {} B, and this engine's sockets have no \
         limit: write \"linux\", or use the engine `event`",
        format_count(u64::from(*bytes))
    )]
    Socket {
        /// The node: a client's name, or `broker`.
        node: String,
        /// The buffer's size.
        bytes: u32,
    },
}
