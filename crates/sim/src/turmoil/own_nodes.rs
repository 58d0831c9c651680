//! Our own endpoints on simulated hosts: the shell around them, and the application behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::{fmt, io};

use tokio::select;
use turmoil::net::{TcpListener, TcpStream};

use super::datagram::{DatagramConnection, DatagramIo};
use super::sim_context::{ConnectionEnd, SimClock, SimContext, wait_for_turmoil};
use super::socket::{EndpointTags, Socket};
use super::{BROKER_HOST, PORT};
use crate::trial::{ClientSetup, Setup};
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, Node, Span, Time, Transmission,
};
use qoslab_core::mqtt::wire::MAX_REMAINING_LENGTH;
use qoslab_core::mqtt::{Backlog, Broker, Client, ClientRequest, Output, Packet, Version};
use qoslab_core::network::Transport;
use qoslab_core::shell::{
    Accept, DatagramTransport, Dial, Framed, OutputHandler, PacketTransport, RequestSource,
    TransportClosed, TransportLimits, drive_broker, drive_client,
};

/// Limits without effect here: the simulation itself bounds what there is.
const LIMITS: TransportLimits = TransportLimits {
    max_packet_size: MAX_REMAINING_LENGTH,
    topic_alias_maximum: u16::MAX,
    pause_reading_above: usize::MAX,
    close_above: usize::MAX,
    close_timeout: Span::ZERO,
};

/// Runs one of our own clients.
pub(super) async fn run_client(
    endpoint: Rc<RefCell<Client>>,
    client: ClientIndex,
    setup: &Setup,
) -> Infallible {
    let ClientSetup { settings, link, .. } = &setup.clients[client.index()];
    let is_stream = matches!(link.transport, Transport::Tcp(_));
    let connector = ClientConnector { client, version: settings.version, is_stream };
    drive_client(
        endpoint,
        ClientRequests(client),
        connector,
        SimClock,
        OutputReporter(Node::Client(client)),
    )
    .await
}

/// Runs our own broker.
pub(super) async fn run_broker(endpoint: Rc<RefCell<Broker>>) -> io::Result<Infallible> {
    let (ears, post) = (Acceptor::open().await?, DatagramIo::open(PORT).await?);
    let accept = BrokerAcceptor { acceptor: ears, datagram_io: post };
    Err(drive_broker(endpoint, accept, SimClock, OutputReporter(Node::Broker)).await)
}

/// Reports an endpoint's outputs to the simulation.
struct OutputReporter(Node);

impl OutputHandler for OutputReporter {
    fn handle_output(&mut self, output: Output) {
        if let Some(sim_context) = SimContext::current() {
            sim_context.with(|sim| sim.apply_output(self.0, output));
        }
    }

    fn input_done(&mut self, backlog: Backlog, _: Time) {
        if let Some(sim_context) = SimContext::current() {
            sim_context.with(|sim| sim.set_backlog(self.0, backlog));
        }
    }
}

/// Requests of a client's application.
struct ClientRequests(ClientIndex);

impl RequestSource for ClientRequests {
    fn next_request(&mut self) -> impl Future<Output = ClientRequest> {
        poll_sim(|sim_context, context| sim_context.with(|sim| sim.poll_request(self.0, context)))
    }
}

/// Waits for a value of the simulation context.
pub(super) fn poll_sim<T>(
    mut poll: impl FnMut(&SimContext, &mut Context<'_>) -> Option<T>,
) -> impl Future<Output = T> {
    poll_fn(move |context| {
        let Some(sim_context) = SimContext::current() else { return Poll::Pending };
        poll(&sim_context, context).map_or(Poll::Pending, Poll::Ready)
    })
}

// ---- opening ----

struct ClientConnector {
    client: ClientIndex,
    version: Version,
    is_stream: bool,
}

impl Dial for ClientConnector {
    type Transport = SimTransport;

    fn dial(&mut self, attempt: u32) -> impl Future<Output = io::Result<SimTransport>> + 'static {
        let Self { client, version, is_stream } = *self;
        async move {
            let connection = open_connection(client, attempt).await?;
            let end = ConnectionEnd { connection, node: Node::Client(client) };
            if is_stream {
                let socket = Socket::for_endpoint(end, stream_to_broker(connection).await);
                let names = EndpointTags::new(end);
                let transport = Framed::of_client(socket, version, LIMITS, names);
                return Ok(SimTransport::Stream(Box::new(transport)));
            }
            let datagrams = DatagramConnection::new(end, DatagramIo::open(0).await?);
            Ok(SimTransport::Datagrams(DatagramTransport::of_client(
                datagrams,
                version,
                LIMITS,
                EndpointTags::new(end),
            )))
        }
    }
}

/// Opens a connection in the simulation.
pub(super) async fn open_connection(
    client: ClientIndex,
    attempt: u32,
) -> io::Result<ConnectionNumber> {
    if let Some(sim_context) = SimContext::current() {
        sim_context.with(|sim| sim.connect(client, attempt));
    }
    let opened =
        poll_sim(|sim_context, context| sim_context.with(|sim| sim.poll_opened(client, context)));
    opened.await.map_err(|_| io::ErrorKind::ConnectionRefused.into())
}

/// The stream of turmoil's that carries a connection; `None` if the broker's host crashed just now.
pub(super) async fn stream_to_broker(connection: ConnectionNumber) -> Option<TcpStream> {
    let stream = wait_for_turmoil(TcpStream::connect((BROKER_HOST, PORT))).await.ok()?;
    SimContext::current()?.set_address(connection, stream.local_addr().ok()?);
    Some(stream)
}

/// A broker's listener.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: DebugListener,
    /// Streams on which no CONNECT has come, by where they come from.
    unclaimed_streams: BTreeMap<SocketAddr, TcpStream>,
    /// A connection whose stream has not come.
    incoming: Option<ConnectionNumber>,
}

/// turmoil's listener has nothing to show.
struct DebugListener(TcpListener);

impl fmt::Debug for DebugListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Acceptor {
    pub(super) async fn open() -> io::Result<Self> {
        let listener = DebugListener(TcpListener::bind(("0.0.0.0", PORT)).await?);
        Ok(Self { listener, unclaimed_streams: BTreeMap::new(), incoming: None })
    }

    /// The next connection on which a CONNECT came, with its stream if turmoil carries it as one.
    pub(super) async fn accept(&mut self) -> io::Result<(ConnectionNumber, Option<TcpStream>)> {
        loop {
            if let Some(connection) = self.incoming.take() {
                let address =
                    SimContext::current().and_then(|sim_context| sim_context.address(connection));
                let stream = address.and_then(|address| self.unclaimed_streams.remove(&address));
                return Ok((connection, stream));
            }
            let incoming =
                poll_sim(|sim_context, context| sim_context.with(|sim| sim.poll_incoming(context)));
            select! {
                biased;
                accepted = self.listener.0.accept() => {
                    let (stream, from) = accepted?;
                    self.unclaimed_streams.insert(from, stream);
                }
                connection = incoming => self.incoming = Some(connection),
            }
        }
    }
}

struct BrokerAcceptor {
    acceptor: Acceptor,
    datagram_io: Rc<DatagramIo>,
}

impl Accept for BrokerAcceptor {
    type Transport = SimTransport;

    async fn accept(&mut self) -> io::Result<SimTransport> {
        let (connection, stream) = self.acceptor.accept().await?;
        let end = ConnectionEnd { connection, node: Node::Broker };
        Ok(if stream.is_some() {
            let socket = Socket::for_endpoint(end, stream);
            SimTransport::Stream(Box::new(Framed::of_broker(
                socket,
                LIMITS,
                EndpointTags::new(end),
            )))
        } else {
            let datagrams = DatagramConnection::new(end, Rc::clone(&self.datagram_io));
            SimTransport::Datagrams(DatagramTransport::of_broker(
                datagrams,
                LIMITS,
                EndpointTags::new(end),
            ))
        })
    }
}

// ---- carrying ----

/// A connection over either transport.
enum SimTransport {
    Stream(Box<Framed<Socket, EndpointTags>>),
    Datagrams(DatagramTransport<DatagramConnection, EndpointTags>),
}

impl PacketTransport for SimTransport {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Packet, Transmission), TransportClosed>> {
        match self {
            Self::Stream(line) => line.poll_receive(context),
            Self::Datagrams(line) => line.poll_receive(context),
        }
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) -> Result<(), TransportClosed> {
        match self {
            Self::Stream(line) => line.send(packet, transmission),
            Self::Datagrams(line) => line.send(packet, transmission),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportClosed>> {
        match self {
            Self::Stream(line) => line.poll_flush(context),
            Self::Datagrams(line) => line.poll_flush(context),
        }
    }

    fn on_local_close(&mut self, why: CloseReason) {
        match self {
            Self::Stream(line) => line.on_local_close(why),
            Self::Datagrams(line) => line.on_local_close(why),
        }
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Stream(line) => line.poll_close(context),
            Self::Datagrams(line) => line.poll_close(context),
        }
    }

    fn close_timeout(&self) -> Span {
        match self {
            Self::Stream(line) => line.close_timeout(),
            Self::Datagrams(line) => line.close_timeout(),
        }
    }
}
