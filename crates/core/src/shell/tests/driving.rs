//! What the loops promise an endpoint, seen by one that only writes down what it is told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{self, Future};
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Duration, sleep};

use super::world::*;
use crate::base::event::Close;
use crate::base::name::{Connection, Transmission};
use crate::base::time::{Span, Time};
use crate::mqtt::endpoint::{Backlog, Endpoint, Input, Output};
use crate::mqtt::packet::Packet;
use crate::mqtt::settings::{Request, Version};
use crate::shell::{Clock, Dial, Framed, Limits, TokioClock, drive_client};

/// Answers each input with what the test has laid ready.
#[derive(Default)]
struct Puppet {
    inputs: Vec<String>,
    answers: VecDeque<Vec<Output>>,
    outputs: VecDeque<Output>,
    due: Time,
}

impl Endpoint for Puppet {
    type Request = Request;

    fn handle(&mut self, now: Time, input: Input<Request>) {
        let line = match input {
            Input::Opened(connection) => format!("opened {}", connection.0),
            Input::Closed(connection) => format!("closed {}", connection.0),
            Input::Packet { connection, packet, .. } => format!("{packet:?} on {}", connection.0),
            Input::Application(request) => format!("{request:?}"),
            Input::Timeout => {
                assert!(now >= self.due, "too early");
                self.due = Time::NEVER;
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
        self.due
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn restart(&mut self, _: Time) {}
}

/// The attempt of each dial, and what it holds while it is under way.
type Dials = Rc<RefCell<Vec<(u32, Rc<()>)>>>;

/// A dial that ends when the test says so.
struct Switchboard {
    dials: Dials,
    lines: Rc<RefCell<UnboundedReceiver<io::Result<DuplexStream>>>>,
}

impl Dial for Switchboard {
    type Carrier = Framed<DuplexStream>;

    fn dial(&mut self, attempt: u32) -> impl Future<Output = io::Result<Self::Carrier>> + 'static {
        let alive = Rc::new(());
        self.dials.borrow_mut().push((attempt, Rc::clone(&alive)));
        let lines = Rc::clone(&self.lines);
        async move {
            let line = future::poll_fn(|cx| lines.borrow_mut().poll_recv(cx)).await.unwrap()?;
            drop(alive);
            Ok(Framed::of_client(line, Version::V311, Limits::default(), ()))
        }
    }
}

/// tokio's clock, whose sleeps end a second early.
#[derive(Clone)]
struct Hasty(TokioClock);

impl Clock for Hasty {
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

struct Stage {
    puppet: Rc<RefCell<Puppet>>,
    requests: UnboundedSender<Request>,
    dials: Dials,
    lines: UnboundedSender<io::Result<DuplexStream>>,
    diary: Diary,
}

impl Stage {
    fn new(answers: impl IntoIterator<Item = Vec<Output>>) -> Self {
        let answers = answers.into_iter().collect();
        let puppet = Puppet { answers, due: Time::NEVER, ..Puppet::default() };
        let puppet = Rc::new(RefCell::new(puppet));
        let (requests, asked) = unbounded_channel();
        let (lines, waiting) = unbounded_channel();
        let dials = Dials::default();
        let dial = Switchboard { dials: Rc::clone(&dials), lines: Rc::new(RefCell::new(waiting)) };
        let diary = Diary::default();
        let clock = Hasty(TokioClock::start());
        spawn_local(drive_client(Rc::clone(&puppet), asked, dial, clock, diary.clone()));
        Self { puppet, requests, dials, lines, diary }
    }

    async fn ask(&self, request: Request) {
        self.requests.send(request).unwrap();
        settle().await;
    }

    /// The attempts, and whether each is still under way.
    fn dials(&self) -> Vec<(u32, bool)> {
        let dials = self.dials.borrow();
        dials.iter().map(|(attempt, alive)| (*attempt, Rc::strong_count(alive) > 1)).collect()
    }

    fn inputs(&self) -> Vec<String> {
        std::mem::take(&mut self.puppet.borrow_mut().inputs)
    }
}

const fn connect(attempt: u32) -> Output {
    Output::Connect { attempt }
}

const fn ping(connection: u32) -> Output {
    Output::Send {
        connection: Connection(connection),
        packet: Packet::PingReq,
        transmission: Transmission { attempt: 0, echo: 0 },
    }
}

const fn close(connection: u32) -> Output {
    Output::Close { connection: Connection(connection), why: Close::Asked }
}

#[test]
fn a_later_wish_for_a_connection_replaces_the_dial_under_way() {
    play(async {
        let stage = Stage::new([vec![connect(0)], vec![connect(3)]]);
        stage.ask(Request::Connect).await;
        stage.ask(Request::Reconnect).await;
        assert_eq!(stage.dials(), [(0, false), (3, true)]);
        stage.ask(Request::Disconnect).await;
        assert_eq!(stage.dials(), [(0, false), (3, false)]);
        assert_eq!(stage.inputs(), ["Connect", "Reconnect", "Disconnect"]);
    });
}

#[test]
fn a_dial_that_fails_closes_the_connection_that_it_would_have_opened() {
    play(async {
        let stage = Stage::new([vec![connect(0)], vec![connect(1)]]);
        stage.lines.send(Err(io::ErrorKind::ConnectionRefused.into())).unwrap();
        let (line, mut peer) = duplex(64);
        stage.lines.send(Ok(line)).unwrap();
        stage.ask(Request::Connect).await;
        peer.write_all(&[0xD0, 0]).await.unwrap();
        drop(peer);
        settle().await;
        assert_eq!(
            stage.inputs(),
            ["Connect", "closed 0", "opened 1", "PingResp on 1", "closed 1"]
        );
    });
}

#[test]
fn what_was_sent_goes_out_before_a_close_while_the_next_connection_opens() {
    play(async {
        let pings = (0..5).map(|_| ping(0));
        let stage =
            Stage::new([vec![connect(0)], vec![], pings.chain([close(0), connect(0)]).collect()]);
        let ((line, mut peer), (other, _next)) = (duplex(2), duplex(64));
        stage.lines.send(Ok(line)).unwrap();
        stage.ask(Request::Connect).await;
        stage.lines.send(Ok(other)).unwrap();
        stage.requests.send(Request::Reconnect).unwrap();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(stage.inputs(), ["Connect", "opened 0", "Reconnect", "opened 1"]);
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, [0xC0, 0].repeat(5));
    });
}

#[test]
fn a_closed_connection_whose_peer_does_not_read_is_dropped_in_the_end() {
    play(async {
        let stage = Stage::new([vec![connect(0)], vec![], vec![ping(0), ping(0), close(0)]]);
        let (line, mut peer) = duplex(2);
        stage.lines.send(Ok(line)).unwrap();
        stage.ask(Request::Connect).await;
        stage.ask(Request::Reconnect).await;
        assert!(peer.write_all(&[0xD0, 0]).await.is_err());
    });
}

#[test]
fn all_that_follows_from_an_input_comes_before_the_next_packet() {
    play(async {
        let told = |n: u8| Output::SessionExpired { client_id: n.to_string().into() };
        let stage =
            Stage::new([vec![connect(0)], vec![], vec![told(1), ping(0), told(2)], vec![told(3)]]);
        let (line, mut peer) = duplex(64);
        stage.lines.send(Ok(line)).unwrap();
        stage.ask(Request::Connect).await;
        peer.write_all(&[0xD0, 0, 0xD0, 0]).await.unwrap();
        for _ in 0..1000 {
            if stage.puppet.borrow().inputs.len() < 3 {
                tokio::task::yield_now().await;
            }
        }
        // The first packet was handled, and with it all is done; the second waits for its turn.
        assert_eq!(stage.puppet.borrow().inputs.len(), 3);
        assert_eq!(stage.diary.log.borrow().len(), 2);
        assert_eq!(peer.read(&mut [0; 9]).await.unwrap(), 2);
        settle().await;
        assert_eq!(stage.diary.log.borrow().len(), 3);
    });
}

#[test]
fn a_timeout_is_told_at_its_time_however_early_the_clock_wakes() {
    play(async {
        let stage = Stage::new([]);
        stage.puppet.borrow_mut().due = Time::from_nanos(90_000_000_000);
        stage.ask(Request::Connect).await;
        assert_eq!(stage.inputs(), ["Connect"]);
        settle().await;
        assert_eq!(stage.inputs(), ["timeout at 90.000s"]);
    });
}

#[test]
fn a_timeout_that_is_set_by_a_packet_wakes_the_loop() {
    play(async {
        let stage = Stage::new([vec![connect(0)]]);
        let (line, mut peer) = duplex(64);
        stage.lines.send(Ok(line)).unwrap();
        stage.ask(Request::Connect).await;
        stage.puppet.borrow_mut().due = Time::from_nanos(70_000_000_000);
        peer.write_all(&[0xD0, 0]).await.unwrap();
        settle().await;
        assert_eq!(stage.inputs().last().unwrap(), "timeout at 70.000s");
    });
}

#[test]
#[should_panic(expected = "too early")]
fn what_breaks_a_connection_s_task_breaks_the_shell() {
    play(async {
        let puppet = Puppet { due: Time::NEVER, ..Puppet::default() };
        let (lines, waiting) = unbounded_channel();
        let dial = Switchboard { dials: Rc::default(), lines: Rc::new(RefCell::new(waiting)) };
        let (line, mut peer) = duplex(64);
        lines.send(Ok(line)).unwrap();
        let (requests, asked) = unbounded_channel();
        let answers = VecDeque::from([vec![connect(0)]]);
        let puppet = Rc::new(RefCell::new(Puppet { answers, ..puppet }));
        requests.send(Request::Connect).unwrap();
        let broken = Broken(Cell::new(2));
        let clock = TokioClock::start();
        let driven = spawn_local(drive_client(puppet, asked, dial, clock, broken));
        peer.write_all(&[0xD0, 0]).await.unwrap();
        std::panic::resume_unwind(driven.await.unwrap_err().into_panic());
    });
}

/// An audience that breaks after so many inputs.
struct Broken(Cell<u32>);

impl crate::shell::Audience for Broken {
    fn told(&mut self, _: Output) {}

    fn settled(&mut self, _: Backlog, _: Time) {
        assert!(self.0.get() > 0, "too early");
        self.0.set(self.0.get() - 1);
    }
}
