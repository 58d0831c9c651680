//! How one trial went over time: its backlog, and the faults that befell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use qoslab_core::base::event::{Close, Dark, Event, Hindrance, Observer, Phase};
use qoslab_core::base::name::Node;
use qoslab_core::base::time::{Span, Time};

/// At most so many steps are kept; of more, those near each other in time are told by the most.
pub const MAX_STEPS: usize = 2_000;
/// With so many troubles, what comes later only lengthens the last of its kind, if there is one.
pub const MAX_TROUBLES: usize = 500;

/// The backlog of one trial over time, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The backlog from each of these moments to the next.
    pub steps: Vec<Step>,
    /// What befell nodes and links while it ran.
    pub troubles: Vec<Trouble>,
    /// When counting ended: with the first calm, or else with the trial.
    pub end: Time,
}

/// The backlog from a moment on, over all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// From when.
    pub at: Time,
    /// Messages awaiting an acknowledgement.
    pub in_flight: u32,
    /// Messages waiting for a window or a connection.
    pub queued: u32,
}

/// A fault that befell a node or a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When it began.
    pub from: Time,
    /// When it was over; the same moment for what strikes at once, such as a cut.
    pub until: Time,
    /// What it was, in a word of `sometimes`: `outage`, `cut`, `crash`.
    pub what: String,
}

/// Watches the backlog and the faults of one trial until its first calm is over.
#[derive(Clone, Debug)]
pub struct TimelineObserver {
    /// In flight and queued, of the broker and then of each client.
    backlogs: Vec<[u32; 2]>,
    /// Their sums.
    level: [u32; 2],
    buckets: Vec<Bucket>,
    /// How long each bucket is; zero as long as each moment has its own.
    width: Span,
    troubles: Vec<Trouble>,
    /// By kind: how many go on, and the place of their trouble.
    lasting: BTreeMap<&'static str, (u32, usize)>,
    end: Option<Time>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    at: Time,
    /// The most of each in it.
    most: [u32; 2],
    /// The level at its end.
    last: [u32; 2],
}

impl TimelineObserver {
    /// Nothing seen yet of a trial with so many clients.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self {
            backlogs: vec![[0; 2]; clients + 1],
            level: [0; 2],
            buckets: vec![Bucket { at: Time::ZERO, most: [0; 2], last: [0; 2] }],
            width: Span::ZERO,
            troubles: Vec::new(),
            lasting: BTreeMap::new(),
            end: None,
        }
    }

    /// What was seen of a trial that ended then.
    #[must_use]
    pub fn finish(mut self, ended_at: Time) -> Timeline {
        let end = self.end.unwrap_or(ended_at);
        // A bucket may become two steps: its most, and where it ends up.
        while self.buckets.len() > MAX_STEPS / 2 {
            self.widen();
        }
        for (count, place) in self.lasting.values() {
            if *count > 0 {
                self.troubles[*place].until = end;
            }
        }
        let mut steps: Vec<Step> = Vec::new();
        for (nth, bucket) in self.buckets.iter().enumerate() {
            let step = |at, [in_flight, queued]: [u32; 2]| Step { at, in_flight, queued };
            steps.push(step(bucket.at, bucket.most));
            let over = bucket.at + self.width;
            let next = self.buckets.get(nth + 1).map_or(end, |next| next.at);
            if bucket.last != bucket.most && over < next {
                steps.push(step(over, bucket.last));
            }
        }
        Timeline { steps, troubles: self.troubles, end }
    }

    fn backlog(&mut self, now: Time, node: Node, backlog: [u32; 2]) {
        let place = match node {
            Node::Broker => 0,
            Node::Client(client) => client.index() + 1,
        };
        let old = std::mem::replace(&mut self.backlogs[place], backlog);
        let [in_flight, queued] = self.level;
        self.level = [in_flight + backlog[0] - old[0], queued + backlog[1] - old[1]];
        let before = self.buckets.last().map_or([0; 2], |bucket| bucket.last);
        let at = start(now, self.width);
        // With buckets of some length, the level before counts for the bucket's beginning.
        let most = if self.width == Span::ZERO { self.level } else { most(before, self.level) };
        push(&mut self.buckets, Bucket { at, most, last: self.level });
        if self.buckets.len() > MAX_STEPS {
            self.widen();
        }
    }

    /// Makes the buckets twice as long, or at first so long that few are left.
    fn widen(&mut self) {
        let last = self.buckets.last().map_or(Time::ZERO, |bucket| bucket.at);
        let whole = last.since(Time::ZERO).as_nanos();
        let least = Span::from_nanos(whole / (MAX_STEPS as u64 / 2) + 1);
        self.width = if self.width == Span::ZERO { least } else { self.width.times(2) };
        let old = std::mem::take(&mut self.buckets);
        let mut before = [0; 2];
        for bucket in old {
            let at = start(bucket.at, self.width);
            push(&mut self.buckets, Bucket { at, most: most(before, bucket.most), ..bucket });
            before = bucket.last;
        }
    }

    fn began(&mut self, now: Time, what: &'static str) {
        let going_on = self.lasting.get(what).map_or(0, |(count, _)| *count);
        if going_on == 0 {
            self.struck(now, what);
        }
        if let Some(place) = self.troubles.iter().rposition(|trouble| trouble.what == what) {
            self.lasting.insert(what, (going_on + 1, place));
        }
    }

    fn ended(&mut self, now: Time, what: &'static str) {
        if let Some((count, place)) = self.lasting.get_mut(what) {
            *count = count.saturating_sub(1);
            self.troubles[*place].until = now;
        }
    }

    fn struck(&mut self, now: Time, what: &'static str) {
        let is_full = self.troubles.len() >= MAX_TROUBLES;
        match self.troubles.iter_mut().rfind(|trouble| trouble.what == what) {
            Some(last) if last.until == now || is_full => last.until = now,
            _ => self.troubles.push(Trouble { from: now, until: now, what: what.to_owned() }),
        }
    }
}

/// The beginning of the bucket in which a moment is.
fn start(at: Time, width: Span) -> Time {
    if width == Span::ZERO {
        return at;
    }
    let nanos = at.as_nanos();
    Time::from_nanos(nanos - nanos % width.as_nanos())
}

/// Adds to the last bucket if that is the same stretch of time, or else a new one.
fn push(buckets: &mut Vec<Bucket>, new: Bucket) {
    match buckets.last_mut() {
        Some(last) if last.at == new.at => {
            last.most = most(last.most, new.most);
            last.last = new.last;
        }
        _ => buckets.push(new),
    }
}

fn most(one: [u32; 2], other: [u32; 2]) -> [u32; 2] {
    [one[0].max(other[0]), one[1].max(other[1])]
}

impl Observer for TimelineObserver {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        if self.end.is_some() {
            return;
        }
        match *event {
            Event::Phase(Phase::CalmTwo | Phase::Over) => self.end = Some(now),
            Event::Backlog { node, in_flight, queued } => {
                self.backlog(now, node, [in_flight, queued]);
            }
            Event::OutageBegan { .. } => self.began(now, "outage"),
            Event::OutageEnded { .. } => self.ended(now, "outage"),
            Event::Hampered { how, .. } => self.began(now, hindrance(how)),
            Event::Unhampered { how, .. } => self.ended(now, hindrance(how)),
            Event::Crashed { .. } => self.began(now, "crash"),
            Event::Restarted { .. } => self.ended(now, "crash"),
            Event::Closed { why: Close::Cut, .. } => self.struck(now, "cut"),
            Event::WentDark { why: Dark::HalfOpen(_), .. } => self.struck(now, "half-open"),
            Event::WentDark { why: Dark::NatForgot, .. } => self.struck(now, "nat-forgot"),
            _ => {}
        }
    }
}

const fn hindrance(how: Hindrance) -> &'static str {
    match how {
        Hindrance::Partition(_) => "partition",
        Hindrance::Stall => "stall",
        Hindrance::Slow => "slow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qoslab_core::base::name::ClientIndex;

    const BROKER: Node = Node::Broker;
    const CLIENT: ClientIndex = ClientIndex(0);

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::from_millis(millis)
    }

    fn backlog(observer: &mut TimelineObserver, millis: u64, node: Node, in_flight: u32) {
        observer.observe(at(millis), &Event::Backlog { node, in_flight, queued: 0 });
    }

    #[test]
    fn the_backlog_is_the_sum_over_all_nodes() {
        let mut observer = TimelineObserver::new(1);
        backlog(&mut observer, 1, BROKER, 2);
        backlog(&mut observer, 2, Node::Client(CLIENT), 3);
        backlog(&mut observer, 3, BROKER, 0);
        observer.observe(at(4), &Event::Phase(Phase::CalmTwo));
        backlog(&mut observer, 5, BROKER, 9);
        let timeline = observer.finish(at(6));
        let steps: Vec<_> = timeline.steps.iter().map(|it| (it.at, it.in_flight)).collect();
        assert_eq!(steps, [(at(0), 0), (at(1), 2), (at(2), 5), (at(3), 3)]);
        assert_eq!(timeline.end, at(4), "what comes in the second calm does not count");
    }

    #[test]
    fn a_long_trial_is_told_by_the_most_of_each_stretch() {
        let mut observer = TimelineObserver::new(0);
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
    fn faults_that_overlap_are_one_trouble() {
        let mut observer = TimelineObserver::new(2);
        let other = ClientIndex(1);
        observer.observe(at(10), &Event::OutageBegan { client: CLIENT });
        observer.observe(at(12), &Event::OutageBegan { client: other });
        observer.observe(at(15), &Event::OutageEnded { client: CLIENT });
        observer.observe(at(20), &Event::OutageEnded { client: other });
        observer.observe(at(30), &Event::Crashed { node: BROKER });
        let timeline = observer.finish(at(40));
        let troubles: Vec<_> =
            timeline.troubles.iter().map(|it| (it.from, it.until, it.what.as_str())).collect();
        assert_eq!(troubles, [(at(10), at(20), "outage"), (at(30), at(40), "crash")]);
    }

    #[test]
    fn troubles_are_bounded() {
        let mut observer = TimelineObserver::new(1);
        for millis in 1..10_000 {
            observer.observe(at(millis * 2), &Event::OutageBegan { client: CLIENT });
            observer.observe(at(millis * 2 + 1), &Event::OutageEnded { client: CLIENT });
        }
        let timeline = observer.finish(at(30_000));
        assert_eq!(timeline.troubles.len(), MAX_TROUBLES);
        assert_eq!(timeline.troubles.last().unwrap().until, at(19_999));
    }
}
