//! The course of one trial over time: its backlog, and the faults that were applied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use qoslab_core::base::{
    CloseReason, Event, Impairment, Node, Observer, Phase, SilentDeathCause, Span, Time,
};

/// The greatest number of steps kept; beyond it, steps near each other in time are merged into
/// their maximum.
pub(crate) const MAX_STEPS: usize = 2_000;
/// The greatest number of faults kept; a later one only lengthens the last of its kind, if there is
/// one.
pub(crate) const MAX_FAULTS: usize = 500;

/// The backlog of one trial over time, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogTimeline {
    /// The backlog from each of these moments to the next.
    pub steps: Vec<BacklogStep>,
    /// The faults of nodes and links during the trial.
    pub faults: Vec<FaultInterval>,
    /// When counting ended: with the first calm, or else with the trial.
    pub end: Time,
}

/// The backlog from a moment on, over all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogStep {
    /// From when.
    pub at: Time,
    /// Messages awaiting an acknowledgement.
    pub in_flight: u32,
    /// Messages waiting for a window or a connection.
    pub queued: u32,
}

/// A fault of a node or a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultInterval {
    /// When it began.
    pub from: Time,
    /// When it was over; the same moment for what strikes at once, such as a cut.
    pub until: Time,
    /// What it was, in a word of `sometimes`: `outage`, `cut`, `crash`.
    pub kind: String,
}

/// Watches the backlog and the faults of one trial until its first calm is over.
#[derive(Clone, Debug)]
pub struct BacklogObserver {
    /// In flight and queued, of the broker and then of each client.
    backlogs: Vec<[u32; 2]>,
    /// Their sums.
    total: [u32; 2],
    buckets: Vec<Bucket>,
    /// How long each bucket is; zero as long as each moment has its own.
    width: Span,
    faults: Vec<FaultInterval>,
    /// By kind: how many go on, and the place of their entry.
    ongoing: BTreeMap<&'static str, (u32, usize)>,
    end: Option<Time>,
}

/// An interval of time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    at: Time,
    /// The maximum of each in it.
    peak: [u32; 2],
    /// The level at its end.
    final_level: [u32; 2],
}

impl BacklogObserver {
    /// An observer before any event, for a trial with that many clients.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self {
            backlogs: vec![[0; 2]; clients + 1],
            total: [0; 2],
            buckets: vec![Bucket { at: Time::ZERO, peak: [0; 2], final_level: [0; 2] }],
            width: Span::ZERO,
            faults: Vec::new(),
            ongoing: BTreeMap::new(),
            end: None,
        }
    }

    /// Returns what was seen of a trial that ended then.
    #[must_use]
    pub fn finish(mut self, ended_at: Time) -> BacklogTimeline {
        let end = self.end.unwrap_or(ended_at);
        // A bucket may become two steps: its most, and where it ends up.
        while self.buckets.len() > MAX_STEPS / 2 {
            self.widen();
        }
        for (count, place) in self.ongoing.values() {
            if *count > 0 {
                self.faults[*place].until = end;
            }
        }
        let mut steps: Vec<BacklogStep> = Vec::new();
        for (nth, bucket) in self.buckets.iter().enumerate() {
            let step = |at, [in_flight, queued]: [u32; 2]| BacklogStep { at, in_flight, queued };
            steps.push(step(bucket.at, bucket.peak));
            let over = bucket.at + self.width;
            let next = self.buckets.get(nth + 1).map_or(end, |next| next.at);
            if bucket.final_level != bucket.peak && over < next {
                steps.push(step(over, bucket.final_level));
            }
        }
        BacklogTimeline { steps, faults: self.faults, end }
    }

    fn on_backlog(&mut self, now: Time, node: Node, backlog: [u32; 2]) {
        let place = match node {
            Node::Broker => 0,
            Node::Client(client) => client.index() + 1,
        };
        let old = std::mem::replace(&mut self.backlogs[place], backlog);
        let [in_flight, queued] = self.total;
        self.total = [in_flight + backlog[0] - old[0], queued + backlog[1] - old[1]];
        let before = self.buckets.last().map_or([0; 2], |bucket| bucket.final_level);
        let at = bucket_start(now, self.width);
        // With buckets of some length, the level before counts for the bucket's beginning.
        let peak =
            if self.width == Span::ZERO { self.total } else { elementwise_max(before, self.total) };
        push_bucket(&mut self.buckets, Bucket { at, peak, final_level: self.total });
        if self.buckets.len() > MAX_STEPS {
            self.widen();
        }
    }

    /// Makes the buckets twice as long, or at first so long that few are left.
    fn widen(&mut self) {
        let last = self.buckets.last().map_or(Time::ZERO, |bucket| bucket.at);
        let total_nanos = last.since(Time::ZERO).as_nanos();
        let min_width = Span::from_nanos(total_nanos / (MAX_STEPS as u64 / 2) + 1);
        self.width = if self.width == Span::ZERO { min_width } else { self.width.times(2) };
        let old = std::mem::take(&mut self.buckets);
        let mut before = [0; 2];
        for bucket in old {
            let at = bucket_start(bucket.at, self.width);
            push_bucket(
                &mut self.buckets,
                Bucket { at, peak: elementwise_max(before, bucket.peak), ..bucket },
            );
            before = bucket.final_level;
        }
    }

    fn on_fault_began(&mut self, now: Time, kind: &'static str) {
        let ongoing_count = self.ongoing.get(kind).map_or(0, |(count, _)| *count);
        if ongoing_count == 0 {
            self.on_instant_fault(now, kind);
        }
        if let Some(place) = self.faults.iter().rposition(|trouble| trouble.kind == kind) {
            self.ongoing.insert(kind, (ongoing_count + 1, place));
        }
    }

    fn on_fault_ended(&mut self, now: Time, kind: &'static str) {
        if let Some((count, place)) = self.ongoing.get_mut(kind) {
            *count = count.saturating_sub(1);
            self.faults[*place].until = now;
        }
    }

    fn on_instant_fault(&mut self, now: Time, kind: &'static str) {
        let is_full = self.faults.len() >= MAX_FAULTS;
        match self.faults.iter_mut().rfind(|trouble| trouble.kind == kind) {
            Some(last) if last.until == now || is_full => last.until = now,
            _ => self.faults.push(FaultInterval { from: now, until: now, kind: kind.to_owned() }),
        }
    }
}

/// The beginning of the bucket in which a moment is.
fn bucket_start(at: Time, width: Span) -> Time {
    if width == Span::ZERO {
        return at;
    }
    let nanos = at.as_nanos();
    Time::from_nanos(nanos - nanos % width.as_nanos())
}

/// Adds to the last bucket if that is the same stretch of time, or else a new one.
fn push_bucket(buckets: &mut Vec<Bucket>, new: Bucket) {
    match buckets.last_mut() {
        Some(last) if last.at == new.at => {
            last.peak = elementwise_max(last.peak, new.peak);
            last.final_level = new.final_level;
        }
        _ => buckets.push(new),
    }
}

fn elementwise_max(one: [u32; 2], other: [u32; 2]) -> [u32; 2] {
    [one[0].max(other[0]), one[1].max(other[1])]
}

impl Observer for BacklogObserver {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        if self.end.is_some() {
            return;
        }
        match *event {
            Event::Phase(Phase::ReconnectDrain | Phase::Over) => self.end = Some(now),
            Event::Backlog { node, in_flight, queued } => {
                self.on_backlog(now, node, [in_flight, queued]);
            }
            Event::OutageBegan { .. } => self.on_fault_began(now, "outage"),
            Event::OutageEnded { .. } => self.on_fault_ended(now, "outage"),
            Event::Impaired { impairment: how, .. } => {
                self.on_fault_began(now, impairment_name(how));
            }
            Event::ImpairmentEnded { impairment: how, .. } => {
                self.on_fault_ended(now, impairment_name(how));
            }
            Event::Crashed { .. } => self.on_fault_began(now, "crash"),
            Event::Restarted { .. } => self.on_fault_ended(now, "crash"),
            Event::Closed { why: CloseReason::Cut, .. } => self.on_instant_fault(now, "cut"),
            Event::DiedSilently { why: SilentDeathCause::HalfOpen(_), .. } => {
                self.on_instant_fault(now, "half-open");
            }
            Event::DiedSilently { why: SilentDeathCause::NatTimeout, .. } => {
                self.on_instant_fault(now, "nat-forgot");
            }
            _ => {}
        }
    }
}

const fn impairment_name(how: Impairment) -> &'static str {
    match how {
        Impairment::Partition(_) => "partition",
        Impairment::Stall => "stall",
        Impairment::Slow => "slow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_core::base::ClientIndex;

    const BROKER: Node = Node::Broker;
    const CLIENT: ClientIndex = ClientIndex(0);

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::from_millis(millis)
    }

    fn backlog(observer: &mut BacklogObserver, millis: u64, node: Node, in_flight: u32) {
        observer.observe(at(millis), &Event::Backlog { node, in_flight, queued: 0 });
    }

    #[test]
    fn the_backlog_is_the_sum_over_all_nodes() {
        let mut observer = BacklogObserver::new(1);
        backlog(&mut observer, 1, BROKER, 2);
        backlog(&mut observer, 2, Node::Client(CLIENT), 3);
        backlog(&mut observer, 3, BROKER, 0);
        observer.observe(at(4), &Event::Phase(Phase::ReconnectDrain));
        backlog(&mut observer, 5, BROKER, 9);
        let timeline = observer.finish(at(6));
        let steps: Vec<_> = timeline.steps.iter().map(|it| (it.at, it.in_flight)).collect();
        assert_eq!(steps, [(at(0), 0), (at(1), 2), (at(2), 5), (at(3), 3)]);
        assert_eq!(timeline.end, at(4), "what comes in the second calm does not count");
    }

    #[test]
    fn a_long_trial_is_summarised_by_the_peak_of_each_bucket() {
        let mut observer = BacklogObserver::new(0);
        for millis in 1..100_000 {
            let level = if millis == 77_777 { 500 } else { u32::try_from(millis % 3).unwrap() };
            backlog(&mut observer, millis, BROKER, level);
        }
        backlog(&mut observer, 100_000, BROKER, 0);
        backlog(&mut observer, 900_000, BROKER, 7);
        let timeline = observer.finish(at(1_000_000));
        assert!(timeline.steps.len() <= MAX_STEPS && timeline.steps.len() > 100);
        assert!(timeline.steps.is_sorted_by(|one, other| one.at < other.at));
        let peak = timeline.steps.iter().find(|step| step.in_flight == 500).unwrap();
        assert!(peak.at <= at(77_777));
        let quiet = timeline.steps.iter().rfind(|step| step.at <= at(800_000)).unwrap();
        assert_eq!(quiet.in_flight, 0, "the level between the stretches is the true one");
    }

    #[test]
    fn overlapping_faults_are_one_interval() {
        let mut observer = BacklogObserver::new(2);
        let other = ClientIndex(1);
        observer.observe(at(10), &Event::OutageBegan { client: CLIENT });
        observer.observe(at(12), &Event::OutageBegan { client: other });
        observer.observe(at(15), &Event::OutageEnded { client: CLIENT });
        observer.observe(at(20), &Event::OutageEnded { client: other });
        observer.observe(at(30), &Event::Crashed { node: BROKER });
        let timeline = observer.finish(at(40));
        let troubles: Vec<_> =
            timeline.faults.iter().map(|it| (it.from, it.until, it.kind.as_str())).collect();
        assert_eq!(troubles, [(at(10), at(20), "outage"), (at(30), at(40), "crash")]);
    }

    #[test]
    fn fault_intervals_are_bounded() {
        let mut observer = BacklogObserver::new(1);
        for millis in 1..10_000 {
            observer.observe(at(millis * 2), &Event::OutageBegan { client: CLIENT });
            observer.observe(at(millis * 2 + 1), &Event::OutageEnded { client: CLIENT });
        }
        let timeline = observer.finish(at(30_000));
        assert_eq!(timeline.faults.len(), MAX_FAULTS);
        assert_eq!(timeline.faults.last().unwrap().until, at(19_999));
    }
}
