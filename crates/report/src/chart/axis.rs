//! Axes: an axis checks its range, and a value outside it has no position.
//!
//! plotters would draw what is beyond an axis at its end, and what is no number at zero, and hang
//! on an endless range; so its elements take no numbers here, but [`AxisPosition`]s.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use qoslab_core::base::Span;
use qoslab_core::base::units::trim_zeros;

/// The largest absolute value that can be placed on an axis.
const MAX_MAGNITUDE: f64 = 1e15;
/// A positive range with a larger ratio than this gets a logarithmic axis.
const MAX_LINEAR_RATIO: f64 = 100.0;
/// On a logarithmic axis with a smaller ratio, numbers stand at equal steps.
const MIN_LOG_TICK_RATIO: f64 = 4.0;
/// A day in seconds.
const DAY: f64 = 86_400.0;
/// Round steps of more than ten seconds, up to a day.
const LONG_STEPS: [f64; 14] = [
    15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0,
    43_200.0, DAY,
];

/// An axis of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChartAxis {
    /// The quantity, with its unit.
    pub title: String,
    format: NumberFormat,
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

/// A value with its place on an axis. Only an axis gives them out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AxisPosition {
    value: f64,
    /// The position: from 0 at the axis's low end to 1 at its high end.
    share: f64,
}

/// The format of numbers on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberFormat {
    /// As they are; the unit stands in the axis's title.
    Plain,
    /// Seconds, each with its unit.
    Seconds,
}

/// The rule for the range of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AxisRange {
    /// From the least to the greatest value, and no further.
    Tight,
    /// The same, logarithmic if all are positive.
    TightLog,
    /// From zero, up to a round number.
    FromZero,
    /// From a round number up to 100.
    UpToHundred,
    /// Between powers of ten, or what they are for times, if all are positive and span more than
    /// two decades; else from zero.
    Wide,
    /// Logarithmic if all are positive, with some room at both ends; else from zero.
    Log,
}

impl ChartAxis {
    /// An axis on which every one of the values has a place that is finite and not absurd.
    #[must_use]
    pub(crate) fn covering(
        title: impl Into<String>,
        format: NumberFormat,
        range: AxisRange,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        let values: Vec<f64> =
            values.into_iter().filter(|value| value.abs() <= MAX_MAGNITUDE).collect();
        let least = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = values.iter().copied().reduce(f64::max).unwrap_or(1.0);
        let title = title.into();
        let spans_decades = least > 0.0 && most / least > MAX_LINEAR_RATIO;
        if match range {
            AxisRange::Tight | AxisRange::Wide => spans_decades,
            AxisRange::Log => least > 0.0,
            AxisRange::TightLog => least > 0.0 && most > least,
            AxisRange::FromZero | AxisRange::UpToHundred => false,
        } {
            return Self::logarithmic(title, format, range, least, most);
        }
        let (low, high) = match range {
            AxisRange::Tight | AxisRange::TightLog => (least, most),
            AxisRange::FromZero | AxisRange::Wide | AxisRange::Log => (least.min(0.0), most),
            AxisRange::UpToHundred => (least.min(99.0), most.max(100.0)),
        };
        // A range without extent is given one, so that its only value stands on it.
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        let step = tick_step(format, high - low);
        let (low, high) = match range {
            AxisRange::Tight | AxisRange::TightLog => (low, high),
            AxisRange::UpToHundred => (floor_to_step(low, step), high),
            _ => (floor_to_step(low, step), (high / step - 1e-9).ceil() * step),
        };
        Self { title, format, low, high, log: false, ticks: multiples(step, low, high) }
    }

    fn logarithmic(
        title: String,
        format: NumberFormat,
        range: AxisRange,
        least: f64,
        most: f64,
    ) -> Self {
        let (first, last) = (decade_below(format, least), decade_below(format, most));
        let last = if decade(format, last) < most * (1.0 - 1e-9) { last + 1.0 } else { last };
        let room = libm::pow(10.0, 0.1);
        let (low, high) = match range {
            AxisRange::Wide => (decade(format, first).min(least), decade(format, last).max(most)),
            AxisRange::Log => (least / room, most * room),
            _ => (least, most),
        };
        let ticks = if high / low < MIN_LOG_TICK_RATIO {
            multiples(tick_step(format, high - low), low, high)
        } else {
            // Within few decades their ends alone would leave most of the axis without a number.
            let digits: &[f64] = if high / low > 400.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let stride = ((last - first) / 6.0).ceil().max(1.0);
            let decades = (0..40).map(|nth| first + f64::from(nth) * stride);
            let ticks = decades.flat_map(|nth| {
                let next = decade(format, nth + 1.0) * (1.0 - 1e-9);
                let values = digits.iter().map(move |digit| digit * decade(format, nth));
                values.filter(move |value| *value < next)
            });
            let is_within =
                |tick: &f64| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9);
            ticks.filter(is_within).map(|tick| tick.clamp(low, high)).collect()
        };
        Self { title, format, low, high, log: true, ticks }
    }

    /// The same axis without its title, where that stands elsewhere.
    #[must_use]
    pub(crate) fn untitled(self) -> Self {
        Self { title: String::new(), ..self }
    }

    /// The position of a value; `None` outside the axis and for NaN.
    #[must_use]
    pub(crate) fn position(&self, value: f64) -> Option<AxisPosition> {
        if !(value >= self.low && value <= self.high) {
            return None;
        }
        let share = if self.log {
            let low = libm::log(self.low);
            (libm::log(value) - low) / (libm::log(self.high) - low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        Some(AxisPosition { value, share: share.clamp(0.0, 1.0) })
    }

    /// The nearest position on the axis, for the ends of a band that goes further; `None` for NaN.
    #[must_use]
    pub(crate) fn clamped_position(&self, value: f64) -> Option<AxisPosition> {
        self.position(value.clamp(self.low, self.high))
    }
}

impl Ranged for ChartAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = AxisPosition;

    #[expect(clippy::cast_possible_truncation, reason = "it is between the two limits")]
    fn map(&self, place: &AxisPosition, (low, high): (i32, i32)) -> i32 {
        low + (place.share * f64::from(high - low)).round() as i32
    }

    /// The round values that are written on the axis, or each second or third of them and so on,
    /// as the hint allows.
    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<AxisPosition> {
        let stride = self.ticks.len().div_ceil(hint.max_num_points().max(1)).max(1);
        self.ticks.iter().step_by(stride).filter_map(|tick| self.position(*tick)).collect()
    }

    fn range(&self) -> std::ops::Range<AxisPosition> {
        AxisPosition { value: self.low, share: 0.0 }..AxisPosition { value: self.high, share: 1.0 }
    }
}

impl ValueFormatter<AxisPosition> for ChartAxis {
    /// A value as it is written on the axis.
    fn format_ext(&self, place: &AxisPosition) -> String {
        match self.format {
            NumberFormat::Seconds => Span::from_secs_f64(place.value.max(0.0)).to_string(),
            NumberFormat::Plain => short_number(place.value),
        }
    }
}

/// A number in few letters: `0.05`, `20`, `1.5k`, `2M`.
#[must_use]
pub(crate) fn short_number(value: f64) -> String {
    let (scaled, sign) = match value.abs() {
        1e12.. => (value / 1e12, "T"),
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e4.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let size = scaled.abs();
    let decimals = match size {
        100.0.. => 0,
        10.0.. => 1,
        0.1.. => 2,
        _ if size > 0.0 => 6,
        _ => 0,
    };
    let text = format!("{scaled:.decimals$}");
    let text = trim_zeros(&text);
    format!("{}{sign}", if text == "-0" { "0" } else { text })
}

/// A round step that goes some five times into an extent: 1, 2 or 5 times a power of ten, and for
/// longer times what clocks and calendars have.
fn tick_step(format: NumberFormat, extent: f64) -> f64 {
    match format {
        NumberFormat::Plain => decimal_step(extent / 6.0),
        NumberFormat::Seconds if extent / 5.0 > DAY => decimal_step(extent / 5.0 / DAY) * DAY,
        NumberFormat::Seconds => {
            let long = LONG_STEPS.into_iter().find(|step| *step >= extent / 5.0);
            long.filter(|_| extent / 5.0 > 10.0).unwrap_or_else(|| decimal_step(extent / 5.0))
        }
    }
}

fn decimal_step(rough: f64) -> f64 {
    let rough = rough.max(1e-12);
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let digits = [1.0, 2.0, 5.0, 10.0];
    digits.into_iter().find(|digit| digit * power >= rough * (1.0 - 1e-9)).unwrap_or(10.0) * power
}

/// The next multiple of a step that is not above a value.
fn floor_to_step(value: f64, step: f64) -> f64 {
    (value / step + 1e-9).floor() * step
}

/// The multiples of a step from `low` to `high`.
fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let first = (low / step + 1e-9).floor();
    let slack = (high - low) * 1e-9;
    let all = (0..16).map(|nth| (first + f64::from(nth)) * step);
    all.filter(|tick| *tick >= low - slack && *tick <= high + slack).collect()
}

/// Powers of ten; for times of a minute and more, 1 and 10 minutes, 1 and 10 hours, and days.
fn decade(format: NumberFormat, nth: f64) -> f64 {
    let (unit, from) = match format {
        NumberFormat::Seconds if nth >= 6.0 => (DAY, 6.0),
        NumberFormat::Seconds if nth >= 4.0 => (3_600.0, 4.0),
        NumberFormat::Seconds if nth >= 2.0 => (60.0, 2.0),
        NumberFormat::Seconds | NumberFormat::Plain => (1.0, 0.0),
    };
    unit * libm::pow(10.0, nth - from)
}

/// The decade that begins at or below a value.
fn decade_below(format: NumberFormat, value: f64) -> f64 {
    let nth = libm::floor(libm::log10(value) + 1e-9);
    if decade(format, nth + 1.0) <= value * (1.0 + 1e-9) { nth + 1.0 } else { nth }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(range: AxisRange, values: &[f64]) -> Vec<String> {
        ticks_of(NumberFormat::Plain, range, values)
    }

    fn ticks_of(format: NumberFormat, range: AxisRange, values: &[f64]) -> Vec<String> {
        let axis = ChartAxis::covering("", format, range, values.iter().copied());
        tick_texts(&axis, usize::MAX)
    }

    /// The round values, without the spaces before their units.
    fn tick_texts(axis: &ChartAxis, max_points: usize) -> Vec<String> {
        let texts = axis.key_points(max_points).into_iter().map(|place| axis.format_ext(&place));
        texts.map(|text| text.replace(['\u{a0}', ' '], "")).collect()
    }

    #[test]
    fn ticks_are_few_and_round() {
        assert_eq!(ticks(AxisRange::Tight, &[0.0, 30.0]), ["0", "5", "10", "15", "20", "25", "30"]);
        assert_eq!(ticks(AxisRange::FromZero, &[4.1, 9.3]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            ticks(AxisRange::UpToHundred, &[99.9]),
            ["99", "99.2", "99.4", "99.6", "99.8", "100"]
        );
        assert_eq!(ticks(AxisRange::Wide, &[0.04, 31.0]), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(ticks(AxisRange::Tight, &[7.0]), ["8", "10", "12", "14"]);
    }

    #[test]
    fn times_are_at_round_times() {
        let times =
            |range, values: &[f64]| ticks_of(NumberFormat::Seconds, range, values).join(" ");
        let linear = |end| times(AxisRange::Tight, &[0.0, end]);
        assert_eq!(linear(0.05), "0s 10ms 20ms 30ms 40ms 50ms");
        assert_eq!(linear(100.0), "0s 30s 1m 1m30s");
        assert_eq!(linear(386.0), "0s 2m 4m 6m");
        assert_eq!(linear(10_000.0), "0s 1h 2h");
        assert_eq!(linear(700_000.0), "0s 2d 4d 6d 8d");
        assert_eq!(times(AxisRange::Wide, &[0.06, 423.0]), "10ms 100ms 1s 10s 1m 10m");
        assert_eq!(times(AxisRange::Log, &[5.0, 200.0]), "5s 10s 20s 50s 1m 2m");
        assert_eq!(times(AxisRange::Log, &[0.06, 0.06]), "50ms 60ms 70ms");
    }

    #[test]
    fn values_off_the_axis_have_no_position() {
        let axis = ChartAxis::covering("", NumberFormat::Plain, AxisRange::FromZero, [3.0, 10.0]);
        assert_eq!(axis.position(5.0).map(|place| place.share), Some(0.5));
        for nowhere in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 10.1] {
            assert_eq!(axis.position(nowhere), None, "{nowhere}");
        }
        let log = ChartAxis::covering("", NumberFormat::Seconds, AxisRange::Wide, [0.001, 10.0]);
        assert_eq!(log.position(0.0), None);
        assert!((log.position(0.1).unwrap().share - 0.5).abs() < 1e-9);
    }

    #[test]
    fn positions_are_between_the_limits_that_plotters_gives() {
        let axis = ChartAxis::covering("", NumberFormat::Seconds, AxisRange::FromZero, [3.0, 10.0]);
        let mapped = |value, limits| axis.map(&axis.position(value).unwrap(), limits);
        assert_eq!([0.0, 2.5, 10.0].map(|value| mapped(value, (100, 1_100))), [100, 350, 1_100]);
        assert_eq!([0.0, 2.5, 10.0].map(|value| mapped(value, (900, 100))), [900, 700, 100]);
        let ends = axis.range();
        assert_eq!((axis.map(&ends.start, (7, 9)), axis.map(&ends.end, (7, 9))), (7, 9));
        assert_eq!(axis.clamped_position(1e9), Some(ends.end));
        assert_eq!(axis.clamped_position(f64::NAN), None);
    }

    #[test]
    fn an_axis_labels_as_many_round_values_as_plotters_asks_for() {
        let axis = ChartAxis::covering("", NumberFormat::Seconds, AxisRange::Tight, [0.0, 100.0]);
        assert_eq!(tick_texts(&axis, usize::MAX), ["0s", "30s", "1m", "1m30s"]);
        assert_eq!(tick_texts(&axis, 3), ["0s", "1m"]);
        assert_eq!(tick_texts(&axis, 1), ["0s"]);
    }

    #[test]
    fn any_values_make_a_finite_axis() {
        let wild =
            [&[][..], &[0.0], &[0.0, 0.0], &[f64::NAN], &[f64::INFINITY, 1.0], &[1e300, 2.0]];
        let wild = wild.into_iter().chain([&[-1e15, 1e15][..], &[1e-300, 1e15], &[1e-9, 1e-9]]);
        for values in wild {
            for range in [
                AxisRange::Tight,
                AxisRange::TightLog,
                AxisRange::FromZero,
                AxisRange::UpToHundred,
                AxisRange::Wide,
                AxisRange::Log,
            ] {
                let axis =
                    ChartAxis::covering("", NumberFormat::Plain, range, values.iter().copied());
                assert!(axis.low < axis.high, "{values:?} {range:?}");
                assert!(axis.low.is_finite() && axis.high.is_finite());
                assert!(axis.ticks.len() <= 16, "{values:?} {range:?}: {:?}", axis.ticks);
                for value in values.iter().filter(|value| value.abs() <= MAX_MAGNITUDE) {
                    assert!(axis.position(*value).is_some(), "{value} of {values:?} on {range:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_in_few_letters() {
        let written = [0.0, 0.05, 2.5, 20.0, 1234.0, 15_000.0, 2e6, 1e9, -3.0].map(short_number);
        assert_eq!(written, ["0", "0.05", "2.5", "20", "1234", "15k", "2M", "1G", "-3"]);
    }
}
