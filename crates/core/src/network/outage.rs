//! Times in which a link is down, drawn by their number.

use super::settings::OutageModel;
use crate::base::draw::DrawKey;
use crate::base::{Span, Time};

/// State of the outages of one link.
#[derive(Clone, Debug)]
pub(super) struct Outages {
    key: DrawKey,
    /// The number of outages generated.
    generated: u64,
    /// End of the last one generated, or start of the traffic; `None` while there are none to come.
    counts_from: Option<Time>,
    /// When the traffic began.
    traffic_began_at: Time,
    /// Recorded starts after the start of the traffic, and lengths, in place of random draws.
    recorded: Option<Vec<(Span, Span)>>,
}

impl Outages {
    /// None before the traffic begins.
    #[must_use]
    pub(super) const fn new(key: DrawKey) -> Self {
        Self { key, generated: 0, counts_from: None, traffic_began_at: Time::ZERO, recorded: None }
    }

    /// From now on they come as listed, if a list is given.
    pub(super) fn set_recorded(&mut self, recorded: Option<Vec<(Span, Span)>>) {
        self.recorded = recorded;
    }

    /// From now on there are outages.
    pub(super) const fn start_traffic(&mut self, now: Time) {
        self.counts_from = Some(now);
        self.traffic_began_at = now;
    }

    /// From now on there are no more.
    pub(super) const fn stop(&mut self) {
        self.counts_from = None;
    }

    /// When the next outage begins and ends. The first counts from the start of the traffic, every
    /// other from the end of the one before; both lengths are drawn by the outage's number.
    /// `None` for the settings is a link without any, unless some are listed.
    pub(super) fn next(&mut self, settings: Option<&OutageModel>) -> Option<(Time, Time)> {
        let from = self.counts_from?;
        let (begin, lasts) = if let Some(list) = &self.recorded {
            let (at, lasts) = *list.get(usize::try_from(self.generated).ok()?)?;
            // One listed too early comes when the one before it is over.
            ((self.traffic_began_at + at).max(from), lasts)
        } else {
            let OutageModel { every, lasts } = settings?;
            let begin = from + every.sample_at(self.key, 2 * self.generated);
            (begin, lasts.sample_at(self.key, 2 * self.generated + 1))
        };
        let end = begin + lasts;
        self.generated += 1;
        self.counts_from = Some(end);
        Some((begin, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::settings::IntervalDistribution;
    use crate::network::test_support::assert_mean;

    const fn secs(secs: u64) -> Time {
        Time::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn fixed_outages_come_as_stated() {
        let settings = OutageModel {
            every: IntervalDistribution::Fixed(Span::from_secs(60)),
            lasts: IntervalDistribution::Fixed(Span::from_secs(5)),
        };
        let mut outages = Outages::new(DrawKey::new(1));
        assert_eq!(outages.next(Some(&settings)), None);
        outages.start_traffic(secs(2));
        assert_eq!(outages.next(Some(&settings)), Some((secs(62), secs(67))));
        assert_eq!(outages.next(Some(&settings)), Some((secs(127), secs(132))));
        outages.stop();
        assert_eq!(outages.next(Some(&settings)), None);
    }

    #[test]
    fn random_outages_have_their_means() {
        let settings = OutageModel {
            every: IntervalDistribution::Exponential(Span::from_secs(300)),
            lasts: IntervalDistribution::Uniform(Span::from_secs(10), Span::from_secs(50)),
        };
        let mut outages = Outages::new(DrawKey::new(4).child(b"outage"));
        outages.start_traffic(secs(0));
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
