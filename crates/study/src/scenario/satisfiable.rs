//! Whether needs can be met: each by itself, and two together.

use super::expect::{Bound, Comparison, Need};

/// Whether there is a value that meets a need.
#[must_use]
pub(crate) fn can_be_met(need: &Need) -> bool {
    let Some((unit, bound)) = bound_number(need) else { return true };
    let most = if unit == 1 { 1.0 } else { f64::INFINITY };
    let range = intersect(satisfying_range(need.comparison, bound), (0.0, most, false));
    !is_empty(range)
}

/// Whether no number meets two needs, which bound the same metric of the same messages; bounds of
/// different units are not compared, but for nothing, which is the same in all.
#[must_use]
pub(crate) fn contradict(one: &Need, other: &Need) -> bool {
    let is_same_qos = one.qos.is_none() || other.qos.is_none() || one.qos == other.qos;
    if !is_same_qos || one.scope != other.scope || one.metric != other.metric {
        return false;
    }
    let (Some((unit, a)), Some((other_unit, b))) = (bound_number(one), bound_number(other)) else {
        return false;
    };
    let range =
        intersect(satisfying_range(one.comparison, a), satisfying_range(other.comparison, b));
    let comparable = unit == other_unit || a <= 0.0 || b <= 0.0;
    comparable && is_empty(range)
}

/// The bound with what it counts; `None` of one that depends on another QoS.
fn bound_number(need: &Need) -> Option<(u8, f64)> {
    match need.bound {
        Bound::Number(number) => Some((0, number)),
        Bound::Share(share) => Some((1, share)),
        Bound::Span(span) => Some((2, span.as_secs_f64())),
        Bound::TimesOther(..) => None,
    }
}

/// The lowest and the highest number that meet a bound, and whether an end is left out.
const fn satisfying_range(comparison: Comparison, bound: f64) -> (f64, f64, bool) {
    match comparison {
        Comparison::Less => (f64::NEG_INFINITY, bound, true),
        Comparison::AtMost => (f64::NEG_INFINITY, bound, false),
        Comparison::AtLeast => (bound, f64::INFINITY, false),
        Comparison::Greater => (bound, f64::INFINITY, true),
        Comparison::Equal => (bound, bound, false),
    }
}

/// What is within both.
const fn intersect(one: (f64, f64, bool), other: (f64, f64, bool)) -> (f64, f64, bool) {
    (one.0.max(other.0), one.1.min(other.1), one.2 || other.2)
}

/// Whether nothing is in a range.
const fn is_empty((low, high, open): (f64, f64, bool)) -> bool {
    low > high || (low >= high && open)
}
