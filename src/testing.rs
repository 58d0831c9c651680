//! SKELETON: the interface that the adapters are written against. The real one comes with a merge.
#![allow(missing_docs, clippy::all, clippy::pedantic, unused)]

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::mqtt::settings::{BrokerSettings, ClientSettings};
use crate::base::qos::QoS;

/// One trial's run of a client under test. Cheap to clone, `Send`.
#[derive(Clone, Debug)]
pub struct ClientSeat;

/// What the application behind the client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Publish; the payload names the message and must arrive as it is.
    Publish { topic: String, payload: Vec<u8>, qos: QoS, retain: bool, expiry: Option<u32> },
    Subscribe { filter: String, qos: QoS },
    Unsubscribe { filter: String },
    /// Send DISCONNECT and stay away.
    Leave,
    /// Connect again.
    Return,
}

impl ClientSeat {
    /// The client's name in the scenario.
    pub fn name(&self) -> &str { unimplemented!() }
    /// Client id, version, clean, session expiry, keep alive, window (`hop.max_inflight`), limits, will.
    pub fn settings(&self) -> &ClientSettings { unimplemented!() }
    /// Opens a connection to the broker: takes as long as the scenario's link does.
    pub async fn connect(&self) -> io::Result<Socket> { unimplemented!() }
    /// The next thing that the application wants; waits for ever when there is nothing more.
    pub async fn wish(&self) -> Wish { unimplemented!() }
    /// The client handed a message to its application.
    pub fn deliver(&self, payload: &[u8], qos: QoS, retain: bool) { unimplemented!() }
    /// How often it has started before: it crashed and is back.
    pub fn starts(&self) -> u32 { unimplemented!() }
}

/// One trial's run of a broker under test.
#[derive(Clone, Debug)]
pub struct BrokerSeat;

impl BrokerSeat {
    pub fn settings(&self) -> &BrokerSettings { unimplemented!() }
    /// The next connection of a client.
    pub async fn accept(&self) -> io::Result<Socket> { unimplemented!() }
    pub fn starts(&self) -> u32 { unimplemented!() }
}

/// One end of a connection: `AsyncRead + AsyncWrite + Send + Unpin`.
#[derive(Debug)]
pub struct Socket;

impl tokio::io::AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut tokio::io::ReadBuf<'_>) -> Poll<io::Result<()>> { unimplemented!() }
}
impl tokio::io::AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> { unimplemented!() }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { unimplemented!() }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { unimplemented!() }
}

/// What a product's future ends with; one that ends while the trial runs is a finding.
pub type Ran = Result<(), Box<dyn Error>>;

/// A test of a client or a broker: a scenario, with products in some of its places.
pub struct Test;

impl Test {
    /// Reads a scenario file. Panics with its errors.
    pub fn load(path: &str) -> Self { unimplemented!() }
    /// Sets a field, as `--set PATH=VALUE` does.
    pub fn set(self, path: &str, value: &str) -> Self { unimplemented!() }
    pub fn seeds(self, seeds: std::ops::RangeInclusive<u64>) -> Self { unimplemented!() }
    pub fn qos(self, levels: &[u8]) -> Self { unimplemented!() }
    /// Puts a product in the place of the clients whose names match (`*` for all).
    pub fn client<F, Fut>(self, names: &str, start: F) -> Self
    where F: Fn(ClientSeat) -> Fut + Send + Sync + 'static, Fut: Future<Output = Ran> + 'static { unimplemented!() }
    pub fn broker<F, Fut>(self, start: F) -> Self
    where F: Fn(BrokerSeat) -> Fut + Send + Sync + 'static, Fut: Future<Output = Ran> + 'static { unimplemented!() }
    pub fn run(self) -> Tested { unimplemented!() }
}

/// What came of it. `Display` is what `qoslab run` prints.
pub struct Tested;
impl Tested {
    pub fn holds(&self) -> bool { unimplemented!() }
    /// Panics with what `qoslab run` prints unless everything holds.
    pub fn assert_holds(&self) { unimplemented!() }
}
