//! Packet loss: the state of a [`LossModel`] in one direction of one link.

use super::interval::exponential;
use super::settings::LossModel;
use crate::base::draw::{DrawKey, uniform_open_unit};
use crate::base::{LossReason, Span, Time};
use crate::impl_fingerprint;

/// State of the loss model of one direction.
///
/// - **random**: each packet on its own, stateless.
/// - **gemodel**, as tc-netem(8): a packet is lost by the chance of the state it finds, then the
///   state takes a step. It starts good. In the long run the link is bad for `p / (p + r)` of the
///   packets and a bad run is `1 / r` packets long. Because packets drive the chain, a QoS that
///   sends more of them meets other bursts.
/// - **burst**: good and bad times of exponential length that pass whether packets come or not, so
///   every QoS meets the same ones: prefer it when comparing. They begin with the traffic, in
///   either state by its share of time, so that no share is off at the start. Before, the link is
///   good.
///
/// The two directions of a link have bursts of their own.
#[derive(Clone, Debug)]
pub(super) struct LossState {
    /// Draw key of the lengths of good and bad times.
    key: DrawKey,
    /// Whether the link is in its bad state.
    is_bad: bool,
    /// How many times have begun since the traffic did, for `burst`.
    sojourn: u32,
    /// When the present time ends, for `burst`.
    sojourn_ends: Time,
}

impl_fingerprint! {
    struct LossState {
        plain is_bad, sojourn, sojourn_ends;
        skip key: "nothing is drawn at random where states are compared";
    }
}

impl LossState {
    /// In the good state, with no clock running.
    #[must_use]
    pub(super) const fn new(key: DrawKey) -> Self {
        Self { key, is_bad: false, sojourn: 0, sojourn_ends: Time::NEVER }
    }

    /// Starts the clock of `burst`.
    pub(super) fn start_traffic(&mut self, model: &LossModel, now: Time) {
        if let LossModel::Burst { good, bad, .. } = *model {
            let share = bad.as_secs_f64() / (bad + good).as_secs_f64();
            let [state, length, ..] = self.key.draw([0; 4]);
            self.is_bad = uniform_open_unit(state) < share;
            self.sojourn = 0;
            self.sojourn_ends = now + sample_sojourn(if self.is_bad { bad } else { good }, length);
        }
    }

    /// Whether the way loses a packet handed over at `now`, and steps the model. `word` decides
    /// the loss, `transition` the step of a `gemodel`. Calls come in order of time.
    #[inline]
    pub(super) fn sample(
        &mut self,
        model: &LossModel,
        now: Time,
        word: u32,
        transition: impl FnOnce() -> u32,
    ) -> Option<LossReason> {
        let (bad, chance) = match *model {
            LossModel::Random(chance) => (false, chance),
            LossModel::GilbertElliott { p, r, loss_bad, loss_good } => {
                let bad = self.is_bad;
                self.is_bad ^= if bad { r } else { p }.hits(transition());
                (bad, if bad { loss_bad } else { loss_good })
            }
            LossModel::Burst { good, bad, loss_bad, loss_good } => {
                self.advance_to(now, good, bad);
                (self.is_bad, if self.is_bad { loss_bad } else { loss_good })
            }
        };
        chance.hits(word).then_some(if bad { LossReason::Burst } else { LossReason::Random })
    }

    /// Lets good and bad times pass until `now`.
    #[inline]
    fn advance_to(&mut self, now: Time, good: Span, bad: Span) {
        while self.sojourn_ends <= now {
            self.is_bad = !self.is_bad;
            self.sojourn = self.sojourn.wrapping_add(1);
            let [_, length, ..] = self.key.draw([self.sojourn, 0, 0, 0]);
            self.sojourn_ends += sample_sojourn(if self.is_bad { bad } else { good }, length);
        }
    }
}

/// Length of a good or bad time; at least 1 ns, so that a clock with means of zero advances.
fn sample_sojourn(mean: Span, word: u32) -> Span {
    exponential(mean, word).max(Span::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::draw::Chance;
    use crate::network::test_support::{assert_mean, assert_share, chance};

    const N: u32 = 200_000;

    fn gilbert_elliott(p: f64, r: f64) -> LossModel {
        LossModel::GilbertElliott {
            p: chance(p),
            r: chance(r),
            loss_bad: Chance::ALWAYS,
            loss_good: Chance::NEVER,
        }
    }

    /// The losses of packets `spacing` apart from the start of the traffic on.
    fn losses(model: LossModel, spacing: Span) -> Vec<bool> {
        let mut state = LossState::new(DrawKey::new(5).child(b"burst"));
        state.start_traffic(&model, Time::ZERO);
        (0..N)
            .map(|n| {
                let [word, transition, ..] = DrawKey::new(9).draw([n, 0, 0, 0]);
                let now = Time::ZERO + spacing.times(u64::from(n));
                state.sample(&model, now, word, || transition).is_some()
            })
            .collect()
    }

    /// The lengths of runs of losses.
    fn runs(losses: &[bool]) -> Vec<f64> {
        losses
            .chunk_by(|a, b| a == b)
            .filter(|run| run[0])
            .map(|run| f64::from(u32::try_from(run.len()).expect("there are fewer packets")))
            .collect()
    }

    #[test]
    fn random_loss_has_its_rate() {
        for rate in [0.0, 0.01, 0.3, 1.0] {
            let losses = losses(LossModel::Random(chance(rate)), Span::ZERO);
            assert_share(&losses, rate, 1.0);
        }
    }

    #[test]
    fn gemodel_has_its_stationary_loss_and_mean_run() {
        let (p, r) = (0.02, 0.25);
        let losses = losses(gilbert_elliott(p, r), Span::ZERO);
        // A two-state chain's share has the variance of independent packets times
        // (1 + c) / (1 - c), with the correlation c = 1 - p - r of neighbours.
        assert_share(&losses, p / (p + r), (2.0 - p - r) / (p + r));
        let runs = runs(&losses);
        assert_mean(runs, 1.0 / r, (1.0 - r).sqrt() / r);
    }

    #[test]
    fn gemodel_loses_by_the_chance_of_its_state() {
        let model = LossModel::GilbertElliott {
            p: chance(0.05),
            r: chance(0.2),
            loss_bad: chance(0.5),
            loss_good: chance(0.1),
        };
        // Bad for 0.05 / 0.25 of the packets; the inflation is that of the state, an upper bound.
        assert_share(&losses(model, Span::ZERO), 0.2 * 0.5 + 0.8 * 0.1, 7.0);
    }

    #[test]
    fn gemodel_starts_good_and_samples_before_it_steps() {
        let mut state = LossState::new(DrawKey::new(1));
        let model = gilbert_elliott(1.0, 1.0);
        let fates = [0; 4].map(|word| state.sample(&model, Time::ZERO, word, || 0));
        assert_eq!(fates, [None, Some(LossReason::Burst), None, Some(LossReason::Burst)]);
    }

    #[test]
    fn burst_has_its_share_of_bad_time_and_its_mean_length() {
        let (good, bad) = (Span::from_secs(20), Span::from_secs(1));
        let model =
            LossModel::Burst { good, bad, loss_bad: Chance::ALWAYS, loss_good: Chance::NEVER };
        let losses = losses(model, Span::from_millis(100));
        // The state is correlated over 1 / (1/20 + 1) s, which is 9.52 packets.
        assert_share(&losses, 1.0 / 21.0, 2.0 * 9.52 + 1.0);
        // A run seen every 0.1 s counts its marks: the mean of those that are seen at all is
        // 1 / (1 - e^-0.1), geometric.
        let runs = runs(&losses);
        let expected = 1.0 / (1.0 - libm::exp(-0.1));
        assert_mean(runs, expected, expected);
    }

    #[test]
    fn burst_begins_in_either_state_by_its_share() {
        let model = LossModel::Burst {
            good: Span::from_secs(3),
            bad: Span::from_secs(1),
            loss_bad: Chance::ALWAYS,
            loss_good: Chance::NEVER,
        };
        let began_bad = (0..20_000)
            .map(|seed| {
                let mut state = LossState::new(DrawKey::new(seed));
                state.start_traffic(&model, Time::ZERO);
                state.sample(&model, Time::ZERO, 0, || 0).is_some()
            })
            .collect::<Vec<_>>();
        assert_share(&began_bad, 0.25, 1.0);
    }

    #[test]
    fn burst_is_good_until_the_traffic_begins() {
        let model = LossModel::Burst {
            good: Span::from_nanos(1),
            bad: Span::from_secs(1_000_000),
            loss_bad: Chance::ALWAYS,
            loss_good: Chance::NEVER,
        };
        let mut state = LossState::new(DrawKey::new(2));
        let hour = Time::ZERO + Span::from_secs(3_600);
        assert_eq!(state.sample(&model, hour, 0, || 0), None);
        state.start_traffic(&model, hour);
        let later = hour + Span::from_millis(1);
        assert_eq!(state.sample(&model, later, 0, || 0), Some(LossReason::Burst));
    }

    #[test]
    fn burst_is_the_same_for_any_packets() {
        let model = LossModel::Burst {
            good: Span::from_secs(2),
            bad: Span::from_secs(1),
            loss_bad: Chance::ALWAYS,
            loss_good: Chance::NEVER,
        };
        let every = losses(model, Span::from_millis(10));
        let some = losses(model, Span::from_millis(70));
        for (n, lost) in some.iter().enumerate().take(every.len() / 7) {
            assert_eq!(*lost, every[n * 7], "packet {n}");
        }
    }
}
