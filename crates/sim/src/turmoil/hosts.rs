//! Our own endpoints on simulated hosts: the shell around them, and what stands behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::select;
use turmoil::net::{TcpListener, TcpStream};

use super::datagram::{DatagramEnd, Post};
use super::scene::{Place, Scene, SceneClock, wait_for_turmoil};
use super::socket::{Names, Socket};
use super::{BROKER_HOST, PORT};
use crate::trial::{ClientSetup, Setup};
use qoslab_core::base::event::Close;
use qoslab_core::base::name::{ClientIndex, Connection, Node, Transmission};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::broker::Broker;
use qoslab_core::mqtt::client::Client;
use qoslab_core::mqtt::endpoint::{Backlog, Output};
use qoslab_core::mqtt::packet::Packet;
use qoslab_core::mqtt::settings::{Request, Version};
use qoslab_core::mqtt::wire::MAX_REMAINING;
use qoslab_core::network::settings::Transport;
use qoslab_core::shell::{
    Accept, Audience, Carrier, Datagrams, Dial, Framed, Gone, Limits, Requests, drive_broker,
    drive_client,
};

/// Nothing of what the shell guards against happens here: the simulation bounds what there is.
const LIMITS: Limits = Limits {
    max_packet: MAX_REMAINING,
    topic_alias_maximum: u16::MAX,
    pause_above: usize::MAX,
    close_above: usize::MAX,
    linger: Span::ZERO,
};

/// What a client of ours runs.
pub(super) async fn run_client(
    endpoint: Rc<RefCell<Client>>,
    client: ClientIndex,
    setup: &Setup,
) -> Infallible {
    let ClientSetup { settings, link, .. } = &setup.clients[client.index()];
    let is_stream = matches!(link.transport, Transport::Tcp(_));
    let dial = SceneDial { client, version: settings.version, is_stream };
    drive_client(endpoint, AsksFor(client), dial, SceneClock, Seat(Node::Client(client))).await
}

/// What a broker of ours runs.
pub(super) async fn run_broker(endpoint: Rc<RefCell<Broker>>) -> io::Result<Infallible> {
    let (ears, post) = (Ears::open().await?, Post::open(PORT).await?);
    let accept = SceneAccept { ears, post };
    Err(drive_broker(endpoint, accept, SceneClock, Seat(Node::Broker)).await)
}

/// Tells the simulation what an endpoint did.
struct Seat(Node);

impl Audience for Seat {
    fn told(&mut self, output: Output) {
        if let Some(scene) = Scene::current() {
            scene.with(|stage| stage.told(self.0, output));
        }
    }

    fn settled(&mut self, backlog: Backlog, _: Time) {
        if let Some(scene) = Scene::current() {
            scene.with(|stage| stage.settled(self.0, backlog));
        }
    }
}

/// What a client's application asks for.
struct AsksFor(ClientIndex);

impl Requests for AsksFor {
    fn next(&mut self) -> impl Future<Output = Request> {
        of_scene(|scene, context| scene.with(|stage| stage.request(self.0, context)))
    }
}

/// Waits for something of the scene's.
pub(super) fn of_scene<T>(
    mut what: impl FnMut(&Scene, &mut Context<'_>) -> Option<T>,
) -> impl Future<Output = T> {
    poll_fn(move |context| {
        let Some(scene) = Scene::current() else { return Poll::Pending };
        what(&scene, context).map_or(Poll::Pending, Poll::Ready)
    })
}

// ---- opening ----

struct SceneDial {
    client: ClientIndex,
    version: Version,
    is_stream: bool,
}

impl Dial for SceneDial {
    type Carrier = Line;

    fn dial(&mut self, attempt: u32) -> impl Future<Output = io::Result<Line>> + 'static {
        let Self { client, version, is_stream } = *self;
        async move {
            let connection = open(client, attempt).await?;
            let place = Place { connection, node: Node::Client(client) };
            if is_stream {
                let socket = Socket::own(place, stream_to_broker(connection).await);
                let names = Names::new(place);
                let line = Framed::of_client(socket, version, LIMITS, names);
                return Ok(Line::Stream(Box::new(line)));
            }
            let end = DatagramEnd::new(place, Post::open(0).await?);
            Ok(Line::Datagrams(Datagrams::of_client(end, version, LIMITS, Names::new(place))))
        }
    }
}

/// Opens a connection in the simulation.
pub(super) async fn open(client: ClientIndex, attempt: u32) -> io::Result<Connection> {
    if let Some(scene) = Scene::current() {
        scene.with(|stage| stage.dial(client, attempt));
    }
    let opened = of_scene(|scene, context| scene.with(|stage| stage.opened(client, context)));
    opened.await.map_err(|_| io::ErrorKind::ConnectionRefused.into())
}

/// The stream of turmoil's that carries a connection; `None` if the broker's host crashed just now.
pub(super) async fn stream_to_broker(connection: Connection) -> Option<TcpStream> {
    let stream = wait_for_turmoil(TcpStream::connect((BROKER_HOST, PORT))).await.ok()?;
    Scene::current()?.set_address(connection, stream.local_addr().ok()?);
    Some(stream)
}

/// What a broker hears with.
#[derive(Debug)]
pub(super) struct Ears {
    listener: Listener,
    /// Streams on which no CONNECT has come, by where they come from.
    waiting: BTreeMap<SocketAddr, TcpStream>,
    /// A connection whose stream has not come.
    called: Option<Connection>,
}

/// turmoil's listener has nothing to show.
struct Listener(TcpListener);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Ears {
    pub(super) async fn open() -> io::Result<Self> {
        let listener = Listener(TcpListener::bind(("0.0.0.0", PORT)).await?);
        Ok(Self { listener, waiting: BTreeMap::new(), called: None })
    }

    /// The next connection on which a CONNECT came, with its stream if turmoil carries it as one.
    pub(super) async fn next(&mut self) -> io::Result<(Connection, Option<TcpStream>)> {
        loop {
            if let Some(connection) = self.called.take() {
                let address = Scene::current().and_then(|scene| scene.address(connection));
                let stream = address.and_then(|address| self.waiting.remove(&address));
                return Ok((connection, stream));
            }
            let called = of_scene(|scene, context| scene.with(|stage| stage.called(context)));
            select! {
                biased;
                accepted = self.listener.0.accept() => {
                    let (stream, from) = accepted?;
                    self.waiting.insert(from, stream);
                }
                connection = called => self.called = Some(connection),
            }
        }
    }
}

struct SceneAccept {
    ears: Ears,
    post: Rc<Post>,
}

impl Accept for SceneAccept {
    type Carrier = Line;

    async fn accept(&mut self) -> io::Result<Line> {
        let (connection, stream) = self.ears.next().await?;
        let place = Place { connection, node: Node::Broker };
        Ok(if stream.is_some() {
            let socket = Socket::own(place, stream);
            Line::Stream(Box::new(Framed::of_broker(socket, LIMITS, Names::new(place))))
        } else {
            let end = DatagramEnd::new(place, Rc::clone(&self.post));
            Line::Datagrams(Datagrams::of_broker(end, LIMITS, Names::new(place)))
        })
    }
}

// ---- carrying ----

/// A connection over either transport.
enum Line {
    Stream(Box<Framed<Socket, Names>>),
    Datagrams(Datagrams<DatagramEnd, Names>),
}

impl Carrier for Line {
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Packet, Transmission), Gone>> {
        match self {
            Self::Stream(line) => line.poll_receive(context),
            Self::Datagrams(line) => line.poll_receive(context),
        }
    }

    fn send(&mut self, packet: &Packet, transmission: Transmission) -> Result<(), Gone> {
        match self {
            Self::Stream(line) => line.send(packet, transmission),
            Self::Datagrams(line) => line.send(packet, transmission),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        match self {
            Self::Stream(line) => line.poll_flush(context),
            Self::Datagrams(line) => line.poll_flush(context),
        }
    }

    fn closes(&mut self, why: Close) {
        match self {
            Self::Stream(line) => line.closes(why),
            Self::Datagrams(line) => line.closes(why),
        }
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Stream(line) => line.poll_close(context),
            Self::Datagrams(line) => line.poll_close(context),
        }
    }

    fn linger(&self) -> Span {
        match self {
            Self::Stream(line) => line.linger(),
            Self::Datagrams(line) => line.linger(),
        }
    }
}
