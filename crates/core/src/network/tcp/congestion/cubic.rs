//! CUBIC: RFC 9438. Times are in seconds, windows in segments.

use crate::base::{Span, Time};
use crate::impl_fingerprint;

/// How steep the curve is (RFC 9438, 5: 0.4).
const C: f64 = 0.4;
/// What is left of the window after a loss (RFC 9438, 4.6: 0.7; Linux has 717 of 1,024).
const BETA: f64 = 0.7;
/// The slope of the window that Reno would have (RFC 9438, 4.3).
const RENO_SLOPE: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The curve on which the window grows after a loss: back to where it was, and then beyond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    /// The window at the last loss; 0 before any.
    plateau: f64,
    epoch: Option<Epoch>,
}

impl_fingerprint! { struct Cubic { plain plateau, epoch; } }

/// The time since congestion avoidance began.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Time,
    /// The time from the start to the curve's plateau (RFC 9438's K).
    to_plateau: f64,
    /// The height of the plateau.
    plateau: f64,
    /// The window that Reno would have by now.
    reno: f64,
}

impl_fingerprint! { struct Epoch { plain start, to_plateau, plateau, reno; } }

impl Cubic {
    pub(super) const fn new() -> Self {
        Self { plateau: 0.0, epoch: None }
    }

    /// The curve starts anew with the next acknowledgement.
    pub(super) const fn forget_epoch(&mut self) {
        self.epoch = None;
    }

    /// What is left of a window after a loss. Who lost below the last plateau leaves room for a
    /// newcomer (RFC 9438, 4.7).
    pub(super) fn reduce(&mut self, window: u32) -> u32 {
        let before = f64::from(window);
        self.plateau = if before < self.plateau { before * (1.0 + BETA) / 2.0 } else { before };
        self.epoch = None;
        whole(before * BETA)
    }

    /// How many acknowledged segments let the window grow by one now; at least 2.
    pub(super) fn acknowledgements_a_step(
        &mut self,
        now: Time,
        window: u32,
        round_trip: Span,
    ) -> u32 {
        let current = f64::from(window);
        let plateau = self.plateau;
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: now,
            to_plateau: libm::cbrt((plateau - current).max(0.0) / C),
            plateau: plateau.max(current),
            reno: current,
        });
        epoch.reno += RENO_SLOPE / current;
        let from_plateau = (now.since(epoch.start) + round_trip).as_secs_f64() - epoch.to_plateau;
        let cubic = epoch.plateau + C * from_plateau * from_plateau * from_plateau;
        let target = cubic.max(epoch.reno).min(1.5 * current);
        let step = if target > current { current / (target - current) } else { 100.0 * current };
        // Linux: before any loss a twentieth of the window each round trip at the least.
        let slowest = if plateau == 0.0 { 20.0 } else { f64::INFINITY };
        whole(step.min(slowest)).max(2)
    }
}

/// The whole part of a number that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn whole(number: f64) -> u32 {
    number as u32
}
