//! A broker and its clients on pipes within one thread, in tokio's paused time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{Duration, sleep, timeout};

use crate::base::event::{Close, SubscriptionOptions, SubscriptionRequest};
use crate::base::name::{Kind, Tag, Transmission};
use crate::base::qos::QoS;
use crate::base::time::Time;
use crate::mqtt::broker::Broker;
use crate::mqtt::client::Client;
use crate::mqtt::endpoint::{Backlog, Endpoint, Output};
use crate::mqtt::packet::{Message, Packet, Payload};
use crate::mqtt::settings::{BrokerSettings, ClientSettings, Request};
use crate::shell::{
    Accept, Audience, Dialler, Framed, Limits, Marks, TokioClock, drive_broker, drive_client,
};

/// Runs a test on one thread. No test takes a day of virtual time.
pub(super) fn play<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let day = Duration::from_hours(24);
    LocalSet::new().block_on(&runtime, async { timeout(day, test).await.expect("it ends") });
}

/// Waits until nothing happens any more but in a minute of virtual time.
pub(super) async fn settle() {
    sleep(Duration::from_mins(1)).await;
}

pub(super) type Log = Rc<RefCell<Vec<String>>>;

/// Writes down what it is told.
#[derive(Clone, Default)]
pub(super) struct Diary {
    pub(super) log: Log,
    pub(super) backlog: Rc<Cell<Backlog>>,
}

impl Audience for Diary {
    fn told(&mut self, output: Output) {
        let line = match output {
            Output::Deliver { message, .. } => match message.payload {
                Payload::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Payload::Filler(bytes) => format!("{bytes} bytes"),
            },
            Output::Complete(_) => "complete".into(),
            other => format!("{other:?}"),
        };
        self.log.borrow_mut().push(line);
    }

    fn settled(&mut self, backlog: Backlog, _: Time) {
        self.backlog.set(backlog);
    }
}

/// Which packet a connection is cut at, once, instead of its being sent; and what the broker's
/// carriers were told on closing.
#[derive(Clone, Default)]
pub(super) struct Faults {
    pub(super) cut: Rc<Cell<Option<(Side, Kind)>>>,
    pub(super) closes: Rc<RefCell<Vec<(Side, Close)>>>,
}

impl Faults {
    fn end(&self, pipe: DuplexStream, side: Side) -> (End, Marker) {
        let is_cut = Rc::new(Cell::new(false));
        let marker = Marker { side, faults: self.clone(), is_cut: Rc::clone(&is_cut) };
        (End { pipe: Some(pipe), is_cut }, marker)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client(&'static str),
    Broker(&'static str),
}

pub(super) struct Marker {
    side: Side,
    faults: Faults,
    is_cut: Rc<Cell<bool>>,
}

impl Marks for Marker {
    fn arrived(&mut self, _: &mut Packet) -> Transmission {
        Transmission::default()
    }

    fn leaves(&mut self, packet: &Packet, _: Transmission) {
        if self.faults.cut.get() == Some((self.side, packet.kind())) {
            self.faults.cut.set(None);
            self.is_cut.set(true);
        }
    }

    fn closes(&mut self, why: Close) {
        self.faults.closes.borrow_mut().push((self.side, why));
    }
}

/// One end of a pipe, which is gone once it is cut.
pub(super) struct End {
    pipe: Option<DuplexStream>,
    is_cut: Rc<Cell<bool>>,
}

impl End {
    fn pipe(&mut self) -> io::Result<Pin<&mut DuplexStream>> {
        if self.is_cut.get() {
            self.pipe = None;
        }
        self.pipe.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipe()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for End {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe()?.poll_shutdown(cx)
    }
}

pub(super) type Pipe = Framed<End, Marker>;

/// Connections that wait to be accepted.
pub(super) struct Door<C>(pub(super) UnboundedReceiver<C>);

impl<C: crate::shell::Carrier> Accept for Door<C> {
    type Carrier = C;

    async fn accept(&mut self) -> io::Result<C> {
        self.0.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// A broker that can be stopped, and what clients need to reach it.
pub(super) struct World {
    pub(super) faults: Faults,
    pub(super) limits: Limits,
    pub(super) diary: Diary,
    broker: Rc<RefCell<Broker>>,
    /// Where connections are handed in, while the broker runs.
    door: Rc<RefCell<Option<UnboundedSender<Pipe>>>>,
    running: Option<AbortHandle>,
}

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        let broker = Rc::new(RefCell::new(Broker::new(BrokerSettings::default())));
        let mut world = Self {
            faults: Faults::default(),
            limits,
            diary: Diary::default(),
            broker,
            door: Rc::default(),
            running: None,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let (door, waiting) = unbounded_channel();
        *self.door.borrow_mut() = Some(door);
        let broker = Rc::clone(&self.broker);
        let driven = drive_broker(broker, Door(waiting), TokioClock::start(), self.diary.clone());
        self.running = Some(spawn_local(driven).abort_handle());
    }

    /// Drops the broker's shell.
    pub(super) fn crash(&mut self) {
        self.running.take().unwrap().abort();
        *self.door.borrow_mut() = None;
    }

    pub(super) fn restart(&mut self) {
        self.broker.borrow_mut().restart(Time::ZERO);
        self.start();
    }

    /// A peer of the broker's that is no client of ours.
    pub(super) fn raw(&self, name: &'static str, room: usize) -> DuplexStream {
        let (here, there) = duplex(room);
        let (stream, marks) = self.faults.end(there, Side::Broker(name));
        let carrier = Framed::of_broker(stream, self.limits, marks);
        assert!(self.door.borrow().as_ref().unwrap().send(carrier).is_ok());
        here
    }
}

/// A client under way.
pub(super) struct Peer {
    pub(super) requests: UnboundedSender<Request>,
    pub(super) diary: Diary,
}

impl Peer {
    pub(super) fn start(world: &World, settings: ClientSettings, name: &'static str) -> Self {
        let (requests, asked) = unbounded_channel();
        let diary = Diary::default();
        let (faults, limits) = (world.faults.clone(), world.limits);
        let door = Rc::clone(&world.door);
        let version = settings.version;
        let backoff = settings.reconnect;
        let open = move || {
            let (faults, door) = (faults.clone(), Rc::clone(&door));
            async move {
                let (here, there) = duplex(256);
                let (stream, marks) = faults.end(there, Side::Broker(name));
                let carrier = Framed::of_broker(stream, limits, marks);
                let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
                let door = door.borrow().clone().ok_or_else(refused)?;
                door.send(carrier).map_err(|_| refused())?;
                let (stream, marks) = faults.end(here, Side::Client(name));
                Ok(Framed::of_client(stream, version, limits, marks))
            }
        };
        let clock = TokioClock::start();
        let dial = Dialler { open, backoff, clock };
        let client = Rc::new(RefCell::new(Client::new(Arc::new(settings))));
        spawn_local(drive_client(client, asked, dial, clock, diary.clone()));
        let peer = Self { requests, diary };
        peer.ask(Request::Connect);
        peer
    }

    pub(super) fn ask(&self, request: Request) {
        self.requests.send(request).unwrap();
    }

    pub(super) fn publish(&self, payload: &str, qos: QoS) {
        self.ask(publish("t", payload.as_bytes(), qos));
    }

    pub(super) fn subscribe(&self, filter: &str, qos: QoS) {
        self.ask(Request::Subscribe(vec![subscription(filter, qos)]));
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.diary.log.take()
    }
}

pub(super) fn publish(topic: &str, payload: &[u8], qos: QoS) -> Request {
    let message =
        Message { topic: topic.into(), payload: Payload::Bytes(payload.into()), tag: Tag::NONE };
    Request::Publish { message, qos, retain: false, expiry: None }
}

pub(super) fn subscription(filter: &str, qos: QoS) -> SubscriptionRequest {
    SubscriptionRequest { filter: filter.into(), qos, options: SubscriptionOptions::default() }
}
