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

use crate::base::{
    CloseReason, MessageTag, PacketKind, QoS, SubscriptionOptions, SubscriptionRequest, Time,
    Transmission,
};
use crate::mqtt::{
    Backlog, Broker, BrokerSettings, Client, ClientRequest, ClientSettings, Endpoint, Message,
    Output, Packet, Payload,
};
use crate::shell::{
    Accept, BackoffDialler, Framed, OutputHandler, PacketNamer, TokioClock, TransportLimits,
    drive_broker, drive_client,
};

/// Runs a test on one thread. No test takes a day of virtual time.
pub(super) fn run_test<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let day = Duration::from_hours(24);
    LocalSet::new().block_on(&runtime, async { timeout(day, test).await.expect("it ends") });
}

/// Waits until nothing happens any more but in a minute of virtual time.
pub(super) async fn run_until_idle() {
    sleep(Duration::from_mins(1)).await;
}

pub(super) type LogLines = Rc<RefCell<Vec<String>>>;

/// Records all that is reported to it.
#[derive(Clone, Default)]
pub(super) struct OutputLog {
    pub(super) log: LogLines,
    pub(super) backlog: Rc<Cell<Backlog>>,
}

impl OutputHandler for OutputLog {
    fn handle_output(&mut self, output: Output) {
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

    fn input_done(&mut self, backlog: Backlog, _: Time) {
        self.backlog.set(backlog);
    }
}

/// Packet at which a connection is cut, once, instead of its being sent; and the calls that the
/// broker's transports got on closing.
#[derive(Clone, Default)]
pub(super) struct TestFaults {
    pub(super) cut: Rc<Cell<Option<(ConnectionEnd, PacketKind)>>>,
    pub(super) closes: Rc<RefCell<Vec<(ConnectionEnd, CloseReason)>>>,
}

impl TestFaults {
    fn pipe_end(&self, pipe: DuplexStream, side: ConnectionEnd) -> (PipeEnd, FaultHooks) {
        let is_cut = Rc::new(Cell::new(false));
        let marker = FaultHooks { side, faults: self.clone(), is_cut: Rc::clone(&is_cut) };
        (PipeEnd { pipe: Some(pipe), is_cut }, marker)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    Client(&'static str),
    Broker(&'static str),
}

pub(super) struct FaultHooks {
    side: ConnectionEnd,
    faults: TestFaults,
    is_cut: Rc<Cell<bool>>,
}

impl PacketNamer for FaultHooks {
    fn on_receive(&mut self, _: &mut Packet) -> Transmission {
        Transmission::default()
    }

    fn on_send(&mut self, packet: &Packet, _: Transmission) {
        if self.faults.cut.get() == Some((self.side, packet.kind())) {
            self.faults.cut.set(None);
            self.is_cut.set(true);
        }
    }

    fn on_local_close(&mut self, why: CloseReason) {
        self.faults.closes.borrow_mut().push((self.side, why));
    }
}

/// One end of a pipe, which is gone once it is cut.
pub(super) struct PipeEnd {
    pipe: Option<DuplexStream>,
    is_cut: Rc<Cell<bool>>,
}

impl PipeEnd {
    fn pipe(&mut self) -> io::Result<Pin<&mut DuplexStream>> {
        if self.is_cut.get() {
            self.pipe = None;
        }
        self.pipe.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for PipeEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipe()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for PipeEnd {
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

pub(super) type BrokerTransport = Framed<PipeEnd, FaultHooks>;

/// Connections that wait to be accepted.
pub(super) struct AcceptQueue<C>(pub(super) UnboundedReceiver<C>);

impl<C: crate::shell::PacketTransport> Accept for AcceptQueue<C> {
    type Transport = C;

    async fn accept(&mut self) -> io::Result<C> {
        self.0.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// A broker that can be stopped, and what clients need to reach it.
pub(super) struct ShellWorld {
    pub(super) faults: TestFaults,
    pub(super) limits: TransportLimits,
    pub(super) output_log: OutputLog,
    broker: Rc<RefCell<Broker>>,
    /// Where connections are handed in, while the broker runs.
    accept_queue: Rc<RefCell<Option<UnboundedSender<BrokerTransport>>>>,
    broker_task: Option<AbortHandle>,
}

impl ShellWorld {
    pub(super) fn new(limits: TransportLimits) -> Self {
        let broker = Rc::new(RefCell::new(Broker::new(BrokerSettings::default())));
        let mut world = Self {
            faults: TestFaults::default(),
            limits,
            output_log: OutputLog::default(),
            broker,
            accept_queue: Rc::default(),
            broker_task: None,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let (accept_sender, waiting) = unbounded_channel();
        *self.accept_queue.borrow_mut() = Some(accept_sender);
        let broker = Rc::clone(&self.broker);
        let driven = drive_broker(
            broker,
            AcceptQueue(waiting),
            TokioClock::start(),
            self.output_log.clone(),
        );
        self.broker_task = Some(spawn_local(driven).abort_handle());
    }

    /// Drops the broker's shell.
    pub(super) fn crash(&mut self) {
        self.broker_task.take().unwrap().abort();
        *self.accept_queue.borrow_mut() = None;
    }

    pub(super) fn restart(&mut self) {
        self.broker.borrow_mut().restart(Time::ZERO);
        self.start();
    }

    /// A peer of the broker's that is no client of ours.
    pub(super) fn raw_peer(&self, name: &'static str, room: usize) -> DuplexStream {
        let (here, there) = duplex(room);
        let (stream, marks) = self.faults.pipe_end(there, ConnectionEnd::Broker(name));
        let transport = Framed::of_broker(stream, self.limits, marks);
        assert!(self.accept_queue.borrow().as_ref().unwrap().send(transport).is_ok());
        here
    }
}

/// A client under way.
pub(super) struct TestClient {
    pub(super) requests: UnboundedSender<ClientRequest>,
    pub(super) output_log: OutputLog,
}

impl TestClient {
    pub(super) fn start(world: &ShellWorld, settings: ClientSettings, name: &'static str) -> Self {
        let (requests, asked) = unbounded_channel();
        let diary = OutputLog::default();
        let (faults, limits) = (world.faults.clone(), world.limits);
        let accept_sender = Rc::clone(&world.accept_queue);
        let version = settings.version;
        let backoff = settings.reconnect;
        let open = move || {
            let (faults, accept_sender) = (faults.clone(), Rc::clone(&accept_sender));
            async move {
                let (here, there) = duplex(256);
                let (stream, marks) = faults.pipe_end(there, ConnectionEnd::Broker(name));
                let transport = Framed::of_broker(stream, limits, marks);
                let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
                let accept_sender = accept_sender.borrow().clone().ok_or_else(refused)?;
                accept_sender.send(transport).map_err(|_| refused())?;
                let (stream, marks) = faults.pipe_end(here, ConnectionEnd::Client(name));
                Ok(Framed::of_client(stream, version, limits, marks))
            }
        };
        let clock = TokioClock::start();
        let dial = BackoffDialler { open, backoff, clock };
        let client = Rc::new(RefCell::new(Client::new(Arc::new(settings))));
        spawn_local(drive_client(client, asked, dial, clock, diary.clone()));
        let peer = Self { requests, output_log: diary };
        peer.ask(ClientRequest::Connect);
        peer
    }

    pub(super) fn ask(&self, request: ClientRequest) {
        self.requests.send(request).unwrap();
    }

    pub(super) fn publish(&self, payload: &str, qos: QoS) {
        self.ask(publish("t", payload.as_bytes(), qos));
    }

    pub(super) fn subscribe(&self, filter: &str, qos: QoS) {
        self.ask(ClientRequest::Subscribe(vec![subscription(filter, qos)]));
    }

    pub(super) fn take_log(&self) -> Vec<String> {
        self.output_log.log.take()
    }
}

pub(super) fn publish(topic: &str, payload: &[u8], qos: QoS) -> ClientRequest {
    let message = Message {
        topic: topic.into(),
        payload: Payload::Bytes(payload.into()),
        tag: MessageTag::NONE,
    };
    ClientRequest::Publish { message, qos, retain: false, expiry: None }
}

pub(super) fn subscription(filter: &str, qos: QoS) -> SubscriptionRequest {
    SubscriptionRequest { filter: filter.into(), qos, options: SubscriptionOptions::default() }
}
