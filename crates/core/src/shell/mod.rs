//! The async shell: sans-IO endpoints on real streams and datagrams, driven by tokio.
//!
//! [`drive_client`] and [`drive_broker`] stand between an [`Endpoint`] and the world. The endpoint
//! decides; the shell carries packets, keeps the time and numbers the connections, from 0.
//!
//! ```text
//!  application            drive_client              drive_broker
//!  RequestSource ----->  +--------------+          +--------------+  <--- Accept
//!  OutputHandler <----   |   Endpoint   |          |   Endpoint   |  ---> OutputHandler
//!       Dial --------->  +--------------+          +--------------+
//!                           |                          |  one for each client
//!                        PacketTransport            PacketTransport:
//!                        Framed over a stream, or DatagramTransport
//! ```
//!
//! One input is a transaction: when a packet was taken from a transport, the endpoint handles it,
//! all that it wants done is done, and the output handler hears that it has settled, before
//! anything else is read from any connection. A crash, which drops the loop's future, falls between
//! two inputs; the endpoint in its `Rc` is what storage keeps.
//!
//! A peer that does not read is not read from either ([`TransportLimits::pause_reading_above`]),
//! and in the end it is closed ([`TransportLimits::close_above`]). One that sends what is no
//! packet, or too large a one, is closed too. Neither disturbs others.
//!
//! Nothing here draws at random or reads a clock but through [`Clock`], and tasks take turns in a
//! fixed order: what happens is decided by what comes and when.
//!
//! [`Endpoint`]: crate::mqtt::Endpoint

mod application;
mod clock;
mod codec;
mod connection_sources;
mod connections;
mod datagrams;
mod drive;
mod framed;
mod packet_transport;
#[cfg(test)]
mod tests;

pub use self::application::{OutputHandler, RequestSource};
pub use self::clock::{Clock, TokioClock};
pub use self::connection_sources::{Accept, BackoffDialler, Dial};
pub use self::datagrams::{DatagramSocket, DatagramTransport};
pub use self::drive::{drive_broker, drive_client};
pub use self::framed::Framed;
pub use self::packet_transport::{PacketNamer, PacketTransport, TransportClosed, TransportLimits};
