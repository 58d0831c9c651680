//! Times in which a link is down, drawn by their number.

use serde::Serialize;

use super::settings::Outage;
use crate::base::draw::Key;
use crate::base::time::{Span, Time};

/// Where the outages of one link stand.
#[derive(Clone, Debug, Serialize)]
pub struct Outages {
    // Nothing is left to luck where states are compared.
    #[serde(skip)]
    key: Key,
    /// How many were told.
    told: u64,
    /// When the last one told ends, or the traffic began; `None` while there are none to come.
    from: Option<Time>,
    /// When the traffic began.
    began: Time,
    /// When they begin after the start of the traffic, and how long they last, in place of luck.
    script: Option<Vec<(Span, Span)>>,
}

impl Outages {
    /// None before the traffic begins.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key, told: 0, from: None, began: Time::ZERO, script: None }
    }

    /// From now on they come as listed, if a list is given.
    pub fn follow(&mut self, script: Option<Vec<(Span, Span)>>) {
        self.script = script;
    }

    /// From now on there are outages.
    pub const fn traffic_began(&mut self, now: Time) {
        self.from = Some(now);
        self.began = now;
    }

    /// From now on there are no more.
    pub const fn end(&mut self) {
        self.from = None;
    }

    /// When the next outage begins and ends. The first counts from the start of the traffic, every
    /// other from the end of the one before; both lengths are drawn by the outage's number.
    /// `None` for the settings is a link without any, unless some are listed.
    pub fn next(&mut self, settings: Option<&Outage>) -> Option<(Time, Time)> {
        let from = self.from?;
        let (begin, lasts) = if let Some(list) = &self.script {
            let (at, lasts) = *list.get(usize::try_from(self.told).ok()?)?;
            // One listed too early comes when the one before it is over.
            ((self.began + at).max(from), lasts)
        } else {
            let Outage { every, lasts } = settings?;
            let begin = from + every.nth(self.key, 2 * self.told);
            (begin, lasts.nth(self.key, 2 * self.told + 1))
        };
        let end = begin + lasts;
        self.told += 1;
        self.from = Some(end);
        Some((begin, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::settings::Interval;
    use crate::network::testing::assert_mean;

    const fn secs(secs: u64) -> Time {
        Time::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn fixed_outages_come_as_stated() {
        let settings = Outage {
            every: Interval::Fixed(Span::from_secs(60)),
            lasts: Interval::Fixed(Span::from_secs(5)),
        };
        let mut outages = Outages::new(Key::new(1));
        assert_eq!(outages.next(Some(&settings)), None);
        outages.traffic_began(secs(2));
        assert_eq!(outages.next(Some(&settings)), Some((secs(62), secs(67))));
        assert_eq!(outages.next(Some(&settings)), Some((secs(127), secs(132))));
        outages.end();
        assert_eq!(outages.next(Some(&settings)), None);
    }

    #[test]
    fn random_outages_have_their_means() {
        let settings = Outage {
            every: Interval::Exponential(Span::from_secs(300)),
            lasts: Interval::Uniform(Span::from_secs(10), Span::from_secs(50)),
        };
        let mut outages = Outages::new(Key::new(4).child(b"outage"));
        outages.traffic_began(secs(0));
        let mut before = secs(0);
        let (mut waits, mut lengths) = (Vec::new(), Vec::new());
        for _ in 0..20_000 {
            let (begin, end) = outages.next(Some(&settings)).expect("the traffic has begun");
            waits.push(begin.since(before).as_secs_f64());
            lengths.push(end.since(begin).as_secs_f64());
            before = end;
        }
        assert_mean(waits, 300.0, 300.0);
        assert_mean(lengths, 30.0, 40.0 / 12_f64.sqrt());
    }
}
