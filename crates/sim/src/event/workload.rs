//! Acts of the applications and their times: publish, subscribe late, go away and come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::queue::QueuedEvent;
use crate::schedule::{MessageTiming, Schedule};
use crate::trial::{ClientSetup, PayloadSize, PublisherSetup, Setup};
use qoslab_core::base::draw::DrawKey;
use qoslab_core::base::{ClientIndex, MessageTag, PublisherIndex, Span, Time};
use qoslab_core::impl_fingerprint;
use qoslab_core::mqtt::{ClientRequest, Message, Payload};
use qoslab_core::network::{IntervalDistribution, publisher_key};

/// Everything that the applications have yet to do once the traffic has begun.
pub(super) struct Workload {
    setup: Arc<Setup>,
    publishers: Vec<PublisherState>,
    planned_actions: Vec<PlannedAction>,
    unfinished_count: usize,
}

// The part of the workload that lies ahead.
impl_fingerprint! {
    struct Workload {
        plain publishers, unfinished_count;
        skip planned_actions: "what is planned is in the queue";
        skip setup: "the same in all states of a trial";
    }
}

/// One stream at its next message. A message's time and size are drawn by its stream's name and
/// its sequence number, so leaving messages out moves no other.
struct PublisherState {
    index: PublisherIndex,
    /// The stream's draw key, which its packets share on every link.
    draw_key: DrawKey,
    /// When the traffic began.
    traffic_start: Time,
    /// The message that is next, or the last one of all, at which the stream ends.
    sequence: u32,
    /// The time of that message.
    next_time: Time,
    /// How many of [`PublisherSetup::only_sequences`] are below that message.
    only_passed: usize,
}

impl_fingerprint! {
    struct PublisherState {
        plain sequence, only_passed;
        skip next_time, traffic_start: "the next message is in the queue";
        skip index, draw_key: "the same in all states of a trial";
    }
}

/// A stream's settings, and the schedule that gives times and lengths of its messages; without a
/// schedule they are drawn at random.
#[derive(Clone, Copy)]
struct PublisherPlan<'a> {
    setup: &'a PublisherSetup,
    schedule: Option<&'a Schedule>,
}

/// A one-time act of a client's application.
struct PlannedAction {
    after: Span,
    client: ClientIndex,
    action: ApplicationAction,
}

/// The kind of such an act; a subscription is given by its index.
#[derive(Clone, Copy)]
enum ApplicationAction {
    Subscribe(usize),
    Unsubscribe(usize),
    Disconnect,
    Connect,
}

/// A stream's act when its time comes.
pub(super) struct PublishStep {
    /// The message to publish, unless it is left out.
    pub(super) publish: Option<Message>,
    /// When the stream's time comes again.
    pub(super) next_time: Option<Time>,
}

impl Workload {
    pub(super) fn new(setup: &Arc<Setup>, seed: u64) -> Self {
        let root = DrawKey::new(seed);
        let publishers = (0..).map(PublisherIndex).zip(&setup.publishers).map(|(index, stream)| {
            PublisherState {
                index,
                draw_key: publisher_key(root, &stream.name),
                traffic_start: Time::ZERO,
                sequence: 0,
                next_time: Time::ZERO,
                only_passed: 0,
            }
        });
        let publishing = setup.publishers.iter().filter(|stream| stream.count > 0).count();
        let planned_actions: Vec<_> = (0..)
            .zip(&setup.clients)
            .flat_map(|(n, client)| planned_actions(ClientIndex(n), client))
            .collect();
        Self {
            publishers: publishers.collect(),
            unfinished_count: publishing + planned_actions.len(),
            planned_actions,
            setup: Arc::clone(setup),
        }
    }

    /// When each message comes after the start of the traffic, and how long it is; the last one of
    /// a stream is given even where it is left out, for the stream ends then.
    pub(super) fn message_timings(
        setup: &Arc<Setup>,
        seed: u64,
    ) -> BTreeMap<(PublisherIndex, u32), MessageTiming> {
        let mut timings = BTreeMap::new();
        for mut publisher in Self::new(setup, seed).publishers {
            let plan = PublisherPlan::for_publisher(publisher.index, setup);
            let mut next = (plan.setup.count > 0).then(|| publisher.start(plan, Time::ZERO));
            while next.is_some() {
                let (at, payload) =
                    (publisher.next_time.since(Time::ZERO), publisher.payload_len(plan));
                timings
                    .insert((publisher.index, publisher.sequence), MessageTiming { at, payload });
                next = publisher.next_message(plan).next_time;
            }
        }
        timings
    }

    /// The draw key of a stream's messages.
    pub(super) fn draw_key_of(&self, publisher: PublisherIndex) -> DrawKey {
        self.publishers[publisher.index()].draw_key
    }

    /// The traffic begins: when each stream's time first comes, and when each planned act is due.
    pub(super) fn start(&mut self, now: Time) -> Vec<(Time, QueuedEvent)> {
        let mut first = Vec::new();
        for (n, publisher) in (0..).zip(&mut self.publishers) {
            let score = PublisherPlan::for_publisher(publisher.index, &self.setup);
            if score.setup.count > 0 {
                first.push((publisher.start(score, now), QueuedEvent::Publish(n)));
            }
        }
        let actions = (0..).zip(&self.planned_actions);
        first.extend(actions.map(|(n, act)| (now + act.after, QueuedEvent::ApplicationAction(n))));
        first
    }

    /// A stream's time has come.
    pub(super) fn next_message(&mut self, publisher: u32) -> PublishStep {
        let publisher = &mut self.publishers[publisher as usize];
        let step =
            publisher.next_message(PublisherPlan::for_publisher(publisher.index, &self.setup));
        self.unfinished_count -= usize::from(step.next_time.is_none());
        step
    }

    /// A planned act is due.
    pub(super) fn take_action(&mut self, index: u32) -> (ClientIndex, ClientRequest) {
        self.unfinished_count -= 1;
        let PlannedAction { client, action: act, .. } = self.planned_actions[index as usize];
        (client, act.to_request(&self.setup.clients[client.index()]))
    }

    /// Whether everything is published and every planned act done.
    pub(super) const fn is_done(&self) -> bool {
        self.unfinished_count == 0
    }
}

impl<'a> PublisherPlan<'a> {
    fn for_publisher(publisher: PublisherIndex, setup: &'a Setup) -> Self {
        Self { setup: &setup.publishers[publisher.index()], schedule: setup.schedule.as_deref() }
    }
}

impl PublisherState {
    fn start(&mut self, plan: PublisherPlan<'_>, now: Time) -> Time {
        let spread = IntervalDistribution::Uniform(Span::ZERO, plan.setup.spread);
        self.traffic_start = now;
        self.next_time = now + spread.sample_at(self.draw_key.child(b"spread"), 0);
        let first = self.next_sequence(plan, 0).unwrap_or(0);
        self.advance_to(plan, first);
        self.next_time
    }

    fn next_message(&mut self, plan: PublisherPlan<'_>) -> PublishStep {
        let publish = self.is_chosen(plan).then(|| self.message(plan));
        let next_sequence = self.next_sequence(plan, self.sequence + 1);
        let next = next_sequence.map(|sequence| {
            self.advance_to(plan, sequence);
            self.next_time
        });
        PublishStep { publish, next_time: next }
    }

    /// The first message from `sequence` on that is not left out. The last of all is a stop in
    /// any case: the workload ends when it always ended.
    fn next_sequence(&mut self, plan: PublisherPlan<'_>, sequence: u32) -> Option<u32> {
        let last = plan.setup.count - 1;
        if sequence > last {
            return None;
        }
        let Some(only) = &plan.setup.only_sequences else { return Some(sequence) };
        while only.get(self.only_passed).is_some_and(|&chosen| chosen < sequence) {
            self.only_passed += 1;
        }
        Some(only.get(self.only_passed).map_or(last, |&chosen| chosen.min(last)))
    }

    fn is_chosen(&self, plan: PublisherPlan<'_>) -> bool {
        let only = plan.setup.only_sequences.as_ref();
        only.is_none_or(|only| only.get(self.only_passed) == Some(&self.sequence))
    }

    fn advance_to(&mut self, plan: PublisherPlan<'_>, sequence: u32) {
        let messages = self.sequence..sequence;
        match plan.setup.every {
            _ if let Some(schedule) = plan.schedule => {
                let timing = schedule.timing(self.index, plan.setup, sequence);
                // Messages come in their order, whatever is listed.
                self.next_time = self.next_time.max(self.traffic_start + timing.at);
            }
            IntervalDistribution::Fixed(every) => {
                self.next_time += every.times(messages.len() as u64);
            }
            every => {
                let interval_key = self.draw_key.child(b"interval");
                for sequence in messages {
                    self.next_time += every.sample_at(interval_key, u64::from(sequence));
                }
            }
        }
        self.sequence = sequence;
    }

    fn message(&self, plan: PublisherPlan<'_>) -> Message {
        Message {
            topic: Arc::clone(&plan.setup.topic),
            payload: Payload::Filler(self.payload_len(plan)),
            tag: MessageTag::new(self.index, self.sequence, plan.setup.qos, self.next_time),
        }
    }

    fn payload_len(&self, plan: PublisherPlan<'_>) -> u32 {
        if let Some(schedule) = plan.schedule {
            return schedule.timing(self.index, plan.setup, self.sequence).payload;
        }
        match plan.setup.payload {
            PayloadSize::Fixed(len) => len,
            PayloadSize::Uniform(low, high) => {
                let [word, ..] = self.draw_key.child(b"payload").draw([self.sequence, 0, 0, 0]);
                let lengths = u64::from(high.saturating_sub(low)) + 1;
                low + ((u64::from(word) * lengths) >> 32) as u32
            }
        }
    }
}

fn planned_actions(
    client: ClientIndex,
    setup: &ClientSetup,
) -> impl Iterator<Item = PlannedAction> {
    let subscriptions = setup.subscriptions.iter().enumerate().flat_map(|(n, subscription)| {
        let from = subscription.from.map(|after| (after, ApplicationAction::Subscribe(n)));
        let until = subscription.until.map(|after| (after, ApplicationAction::Unsubscribe(n)));
        from.into_iter().chain(until)
    });
    let absence_actions = setup.offline_periods.iter().flat_map(|absence| {
        [
            (absence.at, ApplicationAction::Disconnect),
            (absence.at + absence.lasts, ApplicationAction::Connect),
        ]
    });
    subscriptions.chain(absence_actions).map(move |(after, act)| PlannedAction {
        after,
        client,
        action: act,
    })
}

impl ApplicationAction {
    fn to_request(self, client: &ClientSetup) -> ClientRequest {
        let request_at = |n: usize| &client.subscriptions[n].request;
        match self {
            Self::Subscribe(n) => ClientRequest::Subscribe(vec![request_at(n).clone()]),
            Self::Unsubscribe(n) => {
                ClientRequest::Unsubscribe(vec![Arc::clone(&request_at(n).filter)])
            }
            Self::Disconnect => ClientRequest::Disconnect,
            Self::Connect => ClientRequest::Connect,
        }
    }
}
