//! Promises of the loops to an endpoint, checked with one that only records its inputs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{self, Future};
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Duration, sleep};

use super::shell_world::*;
use crate::base::{CloseReason, ConnectionNumber, Span, Time, Transmission};
use crate::mqtt::{Backlog, ClientRequest, Endpoint, Input, Output, Packet, Version};
use crate::shell::{Clock, Dial, Framed, TokioClock, TransportLimits, drive_client};

/// Answers each input with what the test has laid ready.
#[derive(Default)]
struct ScriptedEndpoint {
    inputs: Vec<String>,
    answers: VecDeque<Vec<Output>>,
    outputs: VecDeque<Output>,
    next_timeout: Time,
}

impl Endpoint for ScriptedEndpoint {
    type Request = ClientRequest;

    fn handle(&mut self, now: Time, input: Input<ClientRequest>) {
        let line = match input {
            Input::Opened(connection) => format!("opened {}", connection.0),
            Input::Closed(connection) => format!("closed {}", connection.0),
            Input::Packet { connection, packet, .. } => format!("{packet:?} on {}", connection.0),
            Input::SocketFull(_) | Input::Writable(_) | Input::PartOfPacket(_) => {
                unreachable!("transports take all")
            }
            Input::Application(request) => format!("{request:?}"),
            Input::Timeout => {
                assert!(now >= self.next_timeout, "too early");
                self.next_timeout = Time::NEVER;
                format!("timeout at {now}")
            }
        };
        self.inputs.push(line);
        self.outputs.extend(self.answers.pop_front().unwrap_or_default());
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Time {
        self.next_timeout
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn restart(&mut self, _: Time) {}
}

/// The attempt of each dial, and what it holds while it is under way.
type DialLog = Rc<RefCell<Vec<(u32, Rc<()>)>>>;

/// A dial that ends when the test says so.
struct ManualDial {
    dials: DialLog,
    dial_results: Rc<RefCell<UnboundedReceiver<io::Result<DuplexStream>>>>,
}

impl Dial for ManualDial {
    type Transport = Framed<DuplexStream>;

    fn dial(
        &mut self,
        attempt: u32,
    ) -> impl Future<Output = io::Result<Self::Transport>> + 'static {
        let alive = Rc::new(());
        self.dials.borrow_mut().push((attempt, Rc::clone(&alive)));
        let lines = Rc::clone(&self.dial_results);
        async move {
            let line = future::poll_fn(|cx| lines.borrow_mut().poll_recv(cx)).await.unwrap()?;
            drop(alive);
            Ok(Framed::of_client(line, Version::V311, TransportLimits::default(), ()))
        }
    }
}

/// tokio's clock, whose sleeps end a second early.
#[derive(Clone)]
struct EarlyClock(TokioClock);

impl Clock for EarlyClock {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + 'static {
        let second = Span::from_secs(1).as_nanos();
        let early = Time::from_nanos(at.as_nanos().saturating_sub(second));
        let next = self.0.now() + Span::from_millis(1);
        let at = if at == Time::NEVER { at } else { early.max(next) };
        self.0.sleep_until(at)
    }
}

struct DriveWorld {
    endpoint: Rc<RefCell<ScriptedEndpoint>>,
    requests: UnboundedSender<ClientRequest>,
    dials: DialLog,
    dial_results: UnboundedSender<io::Result<DuplexStream>>,
    output_log: OutputLog,
}

impl DriveWorld {
    fn new(answers: impl IntoIterator<Item = Vec<Output>>) -> Self {
        let answers = answers.into_iter().collect();
        let puppet =
            ScriptedEndpoint { answers, next_timeout: Time::NEVER, ..ScriptedEndpoint::default() };
        let puppet = Rc::new(RefCell::new(puppet));
        let (requests, asked) = unbounded_channel();
        let (lines, waiting) = unbounded_channel();
        let dials = DialLog::default();
        let dial =
            ManualDial { dials: Rc::clone(&dials), dial_results: Rc::new(RefCell::new(waiting)) };
        let diary = OutputLog::default();
        let clock = EarlyClock(TokioClock::start());
        spawn_local(drive_client(Rc::clone(&puppet), asked, dial, clock, diary.clone()));
        Self { endpoint: puppet, requests, dials, dial_results: lines, output_log: diary }
    }

    async fn ask(&self, request: ClientRequest) {
        self.requests.send(request).unwrap();
        run_until_idle().await;
    }

    /// The attempts, and whether each is under way.
    fn dials(&self) -> Vec<(u32, bool)> {
        let dials = self.dials.borrow();
        dials.iter().map(|(attempt, alive)| (*attempt, Rc::strong_count(alive) > 1)).collect()
    }

    fn inputs(&self) -> Vec<String> {
        std::mem::take(&mut self.endpoint.borrow_mut().inputs)
    }
}

const fn connect(attempt: u32) -> Output {
    Output::Connect { attempt }
}

const fn ping(connection: u32) -> Output {
    Output::Send {
        connection: ConnectionNumber(connection),
        packet: Packet::PingReq,
        transmission: Transmission { attempt: 0, duplicate_index: 0 },
    }
}

const fn close(connection: u32) -> Output {
    Output::Close { connection: ConnectionNumber(connection), why: CloseReason::Requested }
}

#[test]
fn a_later_connect_request_replaces_the_dial_under_way() {
    run_test(async {
        let stage = DriveWorld::new([vec![connect(0)], vec![connect(3)]]);
        stage.ask(ClientRequest::Connect).await;
        stage.ask(ClientRequest::Reconnect).await;
        assert_eq!(stage.dials(), [(0, false), (3, true)]);
        stage.ask(ClientRequest::Disconnect).await;
        assert_eq!(stage.dials(), [(0, false), (3, false)]);
        assert_eq!(stage.inputs(), ["Connect", "Reconnect", "Disconnect"]);
    });
}

#[test]
fn a_dial_that_fails_closes_the_connection_that_it_would_have_opened() {
    run_test(async {
        let stage = DriveWorld::new([vec![connect(0)], vec![connect(1)]]);
        stage.dial_results.send(Err(io::ErrorKind::ConnectionRefused.into())).unwrap();
        let (line, mut peer) = duplex(64);
        stage.dial_results.send(Ok(line)).unwrap();
        stage.ask(ClientRequest::Connect).await;
        peer.write_all(&[0xD0, 0]).await.unwrap();
        drop(peer);
        run_until_idle().await;
        assert_eq!(
            stage.inputs(),
            ["Connect", "closed 0", "opened 1", "PingResp on 1", "closed 1"]
        );
    });
}

#[test]
fn what_was_sent_goes_out_before_a_close_while_the_next_connection_opens() {
    run_test(async {
        let pings = (0..5).map(|_| ping(0));
        let stage = DriveWorld::new([
            vec![connect(0)],
            vec![],
            pings.chain([close(0), connect(0)]).collect(),
        ]);
        let ((line, mut peer), (other, _next)) = (duplex(2), duplex(64));
        stage.dial_results.send(Ok(line)).unwrap();
        stage.ask(ClientRequest::Connect).await;
        stage.dial_results.send(Ok(other)).unwrap();
        stage.requests.send(ClientRequest::Reconnect).unwrap();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(stage.inputs(), ["Connect", "opened 0", "Reconnect", "opened 1"]);
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, [0xC0, 0].repeat(5));
    });
}

#[test]
fn a_closed_connection_whose_peer_does_not_read_is_dropped_in_the_end() {
    run_test(async {
        let stage = DriveWorld::new([vec![connect(0)], vec![], vec![ping(0), ping(0), close(0)]]);
        let (line, mut peer) = duplex(2);
        stage.dial_results.send(Ok(line)).unwrap();
        stage.ask(ClientRequest::Connect).await;
        stage.ask(ClientRequest::Reconnect).await;
        assert!(peer.write_all(&[0xD0, 0]).await.is_err());
    });
}

#[test]
fn all_outputs_of_an_input_are_handled_before_the_next_packet() {
    run_test(async {
        let told = |n: u8| Output::SessionExpired { client_id: n.to_string().into() };
        let stage = DriveWorld::new([
            vec![connect(0)],
            vec![],
            vec![told(1), ping(0), told(2)],
            vec![told(3)],
        ]);
        let (line, mut peer) = duplex(64);
        stage.dial_results.send(Ok(line)).unwrap();
        stage.ask(ClientRequest::Connect).await;
        peer.write_all(&[0xD0, 0, 0xD0, 0]).await.unwrap();
        for _ in 0..1000 {
            if stage.endpoint.borrow().inputs.len() < 3 {
                tokio::task::yield_now().await;
            }
        }
        // The first packet was handled, and with it all is done; the second waits for its turn.
        assert_eq!(stage.endpoint.borrow().inputs.len(), 3);
        assert_eq!(stage.output_log.log.borrow().len(), 2);
        assert_eq!(peer.read(&mut [0; 9]).await.unwrap(), 2);
        run_until_idle().await;
        assert_eq!(stage.output_log.log.borrow().len(), 3);
    });
}

#[test]
fn a_timeout_is_delivered_on_time_however_early_the_clock_wakes() {
    run_test(async {
        let stage = DriveWorld::new([]);
        stage.endpoint.borrow_mut().next_timeout = Time::from_nanos(90_000_000_000);
        stage.ask(ClientRequest::Connect).await;
        assert_eq!(stage.inputs(), ["Connect"]);
        run_until_idle().await;
        assert_eq!(stage.inputs(), ["timeout at 90.000s"]);
    });
}

#[test]
fn a_timeout_that_is_set_by_a_packet_wakes_the_loop() {
    run_test(async {
        let stage = DriveWorld::new([vec![connect(0)]]);
        let (line, mut peer) = duplex(64);
        stage.dial_results.send(Ok(line)).unwrap();
        stage.ask(ClientRequest::Connect).await;
        stage.endpoint.borrow_mut().next_timeout = Time::from_nanos(70_000_000_000);
        peer.write_all(&[0xD0, 0]).await.unwrap();
        run_until_idle().await;
        assert_eq!(stage.inputs().last().unwrap(), "timeout at 70.000s");
    });
}

#[test]
#[should_panic(expected = "too early")]
fn a_panic_in_a_connection_task_panics_the_shell() {
    run_test(async {
        let puppet = ScriptedEndpoint { next_timeout: Time::NEVER, ..ScriptedEndpoint::default() };
        let (lines, waiting) = unbounded_channel();
        let dial =
            ManualDial { dials: Rc::default(), dial_results: Rc::new(RefCell::new(waiting)) };
        let (line, mut peer) = duplex(64);
        lines.send(Ok(line)).unwrap();
        let (requests, asked) = unbounded_channel();
        let answers = VecDeque::from([vec![connect(0)]]);
        let puppet = Rc::new(RefCell::new(ScriptedEndpoint { answers, ..puppet }));
        requests.send(ClientRequest::Connect).unwrap();
        let broken = PanickingHandler(Cell::new(2));
        let clock = TokioClock::start();
        let driven = spawn_local(drive_client(puppet, asked, dial, clock, broken));
        peer.write_all(&[0xD0, 0]).await.unwrap();
        std::panic::resume_unwind(driven.await.unwrap_err().into_panic());
    });
}

/// An output handler that panics after this number of inputs.
struct PanickingHandler(Cell<u32>);

impl crate::shell::OutputHandler for PanickingHandler {
    fn handle_output(&mut self, _: Output) {}

    fn input_done(&mut self, _: Backlog, _: Time) {
        assert!(self.0.get() > 0, "too early");
        self.0.set(self.0.get() - 1);
    }
}
