//! What the applications do, and when: publish, subscribe late, go away and come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::queue::Happening;
use crate::schedule::{Schedule, Timing};
use crate::trial::{ClientSetup, PayloadSize, Setup, StreamSetup};
use qoslab_core::base::draw::Key;
use qoslab_core::base::name::{ClientIndex, StreamIndex, Tag};
use qoslab_core::base::time::{Span, Time};
use qoslab_core::mqtt::packet::{Message, Payload};
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::link::origin;
use qoslab_core::network::settings::Interval;

/// All that the applications have yet to do once the traffic began.
pub(super) struct Workload {
    setup: Arc<Setup>,
    streams: Vec<Stream>,
    plan: Vec<Planned>,
    unfinished: usize,
}

/// One stream at its next message. A message's time and size are drawn by its stream's name and
/// its sequence number, so leaving messages out moves no other.
struct Stream {
    index: StreamIndex,
    /// The stream's luck, which its packets share on every link.
    origin: Key,
    /// When the traffic began.
    began: Time,
    /// The message that is next, or the last one of all, at which the stream ends.
    sequence: u32,
    /// The time of that message.
    at: Time,
    /// How many of [`StreamSetup::only`] are below that message.
    passed: usize,
}

/// What a stream is set to do, and the schedule that says when its messages come and how long they
/// are; without one its luck does.
#[derive(Clone, Copy)]
struct Score<'a> {
    stream: &'a StreamSetup,
    schedule: Option<&'a Schedule>,
}

/// Something that a client's application does once.
struct Planned {
    after: Span,
    client: ClientIndex,
    act: Act,
}

/// A subscription is told by its place.
#[derive(Clone, Copy)]
enum Act {
    Subscribe(usize),
    Unsubscribe(usize),
    Leave,
    Return,
}

/// What a stream does when its time comes.
pub(super) struct Step {
    /// The message to publish, unless it is left out.
    pub(super) publish: Option<Message>,
    /// When the stream's time comes again.
    pub(super) next: Option<Time>,
}

impl Workload {
    pub(super) fn new(setup: &Arc<Setup>, seed: u64) -> Self {
        let root = Key::new(seed);
        let streams = (0..).map(StreamIndex).zip(&setup.streams).map(|(index, stream)| Stream {
            index,
            origin: origin(root, &stream.name),
            began: Time::ZERO,
            sequence: 0,
            at: Time::ZERO,
            passed: 0,
        });
        let publishing = setup.streams.iter().filter(|stream| stream.count > 0).count();
        let plan: Vec<_> = (0..)
            .zip(&setup.clients)
            .flat_map(|(n, client)| plan(ClientIndex(n), client))
            .collect();
        Self {
            streams: streams.collect(),
            unfinished: publishing + plan.len(),
            plan,
            setup: Arc::clone(setup),
        }
    }

    /// When each message comes after the start of the traffic, and how long it is; the last one of
    /// a stream is told even where it is left out, for the stream ends then.
    pub(super) fn timings(setup: &Arc<Setup>, seed: u64) -> BTreeMap<(StreamIndex, u32), Timing> {
        let mut timings = BTreeMap::new();
        for mut stream in Self::new(setup, seed).streams {
            let score = Score::of(stream.index, setup);
            let mut next = (score.stream.count > 0).then(|| stream.begin(score, Time::ZERO));
            while next.is_some() {
                let (at, payload) = (stream.at.since(Time::ZERO), stream.payload_len(score));
                timings.insert((stream.index, stream.sequence), Timing { at, payload });
                next = stream.step(score).next;
            }
        }
        timings
    }

    /// The luck of a stream's messages.
    pub(super) fn origin(&self, stream: StreamIndex) -> Key {
        self.streams[stream.index()].origin
    }

    /// The traffic begins: when each stream's time first comes, and when each planned act is due.
    pub(super) fn begin(&mut self, now: Time) -> Vec<(Time, Happening)> {
        let mut first = Vec::new();
        for (n, stream) in (0..).zip(&mut self.streams) {
            let score = Score::of(stream.index, &self.setup);
            if score.stream.count > 0 {
                first.push((stream.begin(score, now), Happening::Publish(n)));
            }
        }
        let acts = (0..).zip(&self.plan);
        first.extend(acts.map(|(n, act)| (now + act.after, Happening::Act(n))));
        first
    }

    /// A stream's time has come.
    pub(super) fn step(&mut self, stream: u32) -> Step {
        let stream = &mut self.streams[stream as usize];
        let step = stream.step(Score::of(stream.index, &self.setup));
        self.unfinished -= usize::from(step.next.is_none());
        step
    }

    /// A planned act is due.
    pub(super) fn act(&mut self, planned: u32) -> (ClientIndex, Request) {
        self.unfinished -= 1;
        let Planned { client, act, .. } = self.plan[planned as usize];
        (client, act.request(&self.setup.clients[client.index()]))
    }

    /// What of it is still to come: the next message of each stream that has not ended, and how
    /// many of the chosen ones were before it. What is planned is in the queue.
    pub(super) fn rest(&self) -> impl Serialize + use<> {
        let streams = self.streams.iter();
        let next: Vec<_> = streams.map(|it| (it.sequence, it.passed)).collect();
        (next, self.unfinished)
    }

    /// Whether everything is published and every planned act done.
    pub(super) const fn is_done(&self) -> bool {
        self.unfinished == 0
    }
}

impl<'a> Score<'a> {
    fn of(stream: StreamIndex, setup: &'a Setup) -> Self {
        Self { stream: &setup.streams[stream.index()], schedule: setup.schedule.as_deref() }
    }
}

impl Stream {
    fn begin(&mut self, score: Score<'_>, now: Time) -> Time {
        let spread = Interval::Uniform(Span::ZERO, score.stream.spread);
        self.began = now;
        self.at = now + spread.nth(self.origin.child(b"spread"), 0);
        let first = self.next_stop(score, 0).unwrap_or(0);
        self.go_to(score, first);
        self.at
    }

    fn step(&mut self, score: Score<'_>) -> Step {
        let publish = self.is_chosen(score).then(|| self.message(score));
        let stop = self.next_stop(score, self.sequence + 1);
        let next = stop.map(|sequence| {
            self.go_to(score, sequence);
            self.at
        });
        Step { publish, next }
    }

    /// The first message from `sequence` on that is not left out. The last of all is a stop in
    /// any case: the workload ends when it always ended.
    fn next_stop(&mut self, score: Score<'_>, sequence: u32) -> Option<u32> {
        let last = score.stream.count - 1;
        if sequence > last {
            return None;
        }
        let Some(only) = &score.stream.only else { return Some(sequence) };
        while only.get(self.passed).is_some_and(|&chosen| chosen < sequence) {
            self.passed += 1;
        }
        Some(only.get(self.passed).map_or(last, |&chosen| chosen.min(last)))
    }

    fn is_chosen(&self, score: Score<'_>) -> bool {
        let only = score.stream.only.as_ref();
        only.is_none_or(|only| only.get(self.passed) == Some(&self.sequence))
    }

    fn go_to(&mut self, score: Score<'_>, sequence: u32) {
        let messages = self.sequence..sequence;
        match score.stream.every {
            _ if let Some(schedule) = score.schedule => {
                let timing = schedule.timing(self.index, score.stream, sequence);
                // Messages come in their order, whatever is listed.
                self.at = self.at.max(self.began + timing.at);
            }
            Interval::Fixed(every) => self.at += every.times(messages.len() as u64),
            every => {
                let luck = self.origin.child(b"interval");
                for before in messages {
                    self.at += every.nth(luck, u64::from(before));
                }
            }
        }
        self.sequence = sequence;
    }

    fn message(&self, score: Score<'_>) -> Message {
        Message {
            topic: Arc::clone(&score.stream.topic),
            payload: Payload::Filler(self.payload_len(score)),
            tag: Tag::new(self.index, self.sequence, score.stream.qos, self.at),
        }
    }

    fn payload_len(&self, score: Score<'_>) -> u32 {
        if let Some(schedule) = score.schedule {
            return schedule.timing(self.index, score.stream, self.sequence).payload;
        }
        match score.stream.payload {
            PayloadSize::Fixed(len) => len,
            PayloadSize::Uniform(low, high) => {
                let [word, ..] = self.origin.child(b"payload").draw([self.sequence, 0, 0, 0]);
                let lengths = u64::from(high.saturating_sub(low)) + 1;
                low + ((u64::from(word) * lengths) >> 32) as u32
            }
        }
    }
}

fn plan(client: ClientIndex, setup: &ClientSetup) -> impl Iterator<Item = Planned> {
    let subscriptions = setup.subscriptions.iter().enumerate().flat_map(|(n, subscription)| {
        let from = subscription.from.map(|after| (after, Act::Subscribe(n)));
        let until = subscription.until.map(|after| (after, Act::Unsubscribe(n)));
        from.into_iter().chain(until)
    });
    let absences = setup
        .absences
        .iter()
        .flat_map(|absence| [(absence.at, Act::Leave), (absence.at + absence.lasts, Act::Return)]);
    subscriptions.chain(absences).map(move |(after, act)| Planned { after, client, act })
}

impl Act {
    fn request(self, client: &ClientSetup) -> Request {
        let asked = |n: usize| &client.subscriptions[n].request;
        match self {
            Self::Subscribe(n) => Request::Subscribe(vec![asked(n).clone()]),
            Self::Unsubscribe(n) => Request::Unsubscribe(vec![Arc::clone(&asked(n).filter)]),
            Self::Leave => Request::Disconnect,
            Self::Return => Request::Connect,
        }
    }
}
