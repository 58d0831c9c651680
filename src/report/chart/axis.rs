//! The one way to an axis: its range is checked, and what is not within it has no place.

use crate::base::time::Span;

/// Numbers beyond this are no quantities of ours, and have no place on an axis.
const MOST: f64 = 1e15;
/// A positive range with a larger ratio than this gets a logarithmic axis.
const MOST_LINEAR: f64 = 100.0;

/// An axis of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it counts, with its unit.
    pub title: String,
    kind: Kind,
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

/// How numbers are written on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As they are; the unit stands in the axis's title.
    Plain,
    /// Seconds, each with its unit.
    Seconds,
}

/// Which range an axis has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From the least to the greatest value, and no further.
    Tight,
    /// From zero, up to a round number.
    FromZero,
    /// From a round number up to 100.
    UpToHundred,
    /// Powers of ten if all are positive and span more than two decades; else from zero.
    Wide,
    /// Logarithmic if all are positive, with some room at both ends; else from zero.
    Log,
}

impl Axis {
    /// An axis on which every one of the values has a place that is finite and not absurd.
    #[must_use]
    pub fn covering(
        title: impl Into<String>,
        kind: Kind,
        range: Range,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|value| value.abs() <= MOST).collect();
        let least = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = values.iter().copied().reduce(f64::max).unwrap_or(1.0);
        let title = title.into();
        let spans_decades = least > 0.0 && most / least > MOST_LINEAR;
        if match range {
            Range::Tight | Range::Wide => spans_decades,
            Range::Log => least > 0.0,
            Range::FromZero | Range::UpToHundred => false,
        } {
            return Self::logarithmic(title, kind, range, least, most);
        }
        let (low, high) = match range {
            Range::Tight => (least, most),
            Range::FromZero | Range::Wide | Range::Log => (least.min(0.0), most),
            Range::UpToHundred => (least.min(99.0), most.max(100.0)),
        };
        // A range without extent is given one, so that its only value stands on it.
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        let step = step(high - low, if kind == Kind::Seconds { 5.0 } else { 6.0 });
        let first = (low / step + 1e-9).floor();
        let (low, high) = match range {
            Range::Tight => (low, high),
            Range::UpToHundred => (first * step, high),
            _ => (first * step, (high / step - 1e-9).ceil() * step),
        };
        let ticks = (0..16).map(|nth| (first + f64::from(nth)) * step);
        let slack = (high - low) * 1e-9;
        let ticks = ticks.filter(|tick| *tick >= low - slack && *tick <= high + slack).collect();
        Self { title, kind, low, high, log: false, ticks }
    }

    fn logarithmic(title: String, kind: Kind, range: Range, least: f64, most: f64) -> Self {
        let (first, last) = (libm::log10(least), libm::log10(most));
        let (first, last) = match range {
            Range::Wide => ((first + 1e-9).floor(), (last - 1e-9).ceil()),
            Range::Log => (first - 0.1, last + 0.1),
            _ => (first, last),
        };
        let (low, high) = (libm::pow(10.0, first), libm::pow(10.0, last));
        let stride = ((last - first) / 6.0).ceil().max(1.0);
        // Within few decades a power of ten alone would leave most of the axis without a number.
        let digits: &[f64] = if last - first > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = (0..40).map(|nth| libm::pow(10.0, first.floor() + f64::from(nth) * stride));
        let ticks = decades.flat_map(|decade| digits.iter().map(move |digit| digit * decade));
        let ticks =
            ticks.filter(|tick| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9));
        let (low, high) = (low.min(least), high.max(most));
        let ticks = ticks.map(|tick| tick.clamp(low, high)).collect();
        Self { title, kind, low, high, log: true, ticks }
    }

    /// The same axis without its title, where that stands elsewhere.
    #[must_use]
    pub fn untitled(self) -> Self {
        Self { title: String::new(), ..self }
    }

    /// Where a value stands, as a share of the axis; `None` off the axis and for what is no
    /// number.
    #[must_use]
    pub fn place(&self, value: f64) -> Option<f64> {
        if !(value >= self.low && value <= self.high) {
            return None;
        }
        let share = if self.log {
            let low = libm::log(self.low);
            (libm::log(value) - low) / (libm::log(self.high) - low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        Some(share.clamp(0.0, 1.0))
    }

    /// The nearest value on the axis, for the ends of a band that goes further.
    #[must_use]
    pub fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    /// The round values that are written on the axis: each with its place and its text.
    pub fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        self.ticks.iter().filter_map(|tick| Some((self.place(*tick)?, self.write(*tick))))
    }

    /// A value as it is written on the axis.
    #[must_use]
    pub fn write(&self, value: f64) -> String {
        match self.kind {
            Kind::Seconds => Span::from_secs_f64(value.max(0.0)).to_string(),
            Kind::Plain => plain(value),
        }
    }
}

/// A number in few letters: `0.05`, `20`, `1.5k`, `2M`.
#[must_use]
pub fn plain(value: f64) -> String {
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
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{}{sign}", if text == "-0" { "0" } else { text })
}

/// A round step that goes at most so often into an extent: 1, 2 or 5 times a power of ten.
fn step(extent: f64, most: f64) -> f64 {
    let rough = (extent / most).max(1e-12);
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let digits = [1.0, 2.0, 5.0, 10.0];
    digits.into_iter().find(|digit| digit * power >= rough * (1.0 - 1e-9)).unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(range: Range, values: &[f64]) -> Vec<String> {
        let axis = Axis::covering("", Kind::Plain, range, values.iter().copied());
        axis.ticks().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_few_and_round() {
        assert_eq!(ticks(Range::Tight, &[0.0, 30.0]), ["0", "5", "10", "15", "20", "25", "30"]);
        assert_eq!(ticks(Range::FromZero, &[4.1, 9.3]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            ticks(Range::UpToHundred, &[99.9]),
            ["99", "99.2", "99.4", "99.6", "99.8", "100"]
        );
        assert_eq!(ticks(Range::Wide, &[0.04, 31.0]), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(ticks(Range::Tight, &[7.0]), ["8", "10", "12", "14"]);
    }

    #[test]
    fn what_is_off_the_axis_has_no_place() {
        let axis = Axis::covering("", Kind::Plain, Range::FromZero, [3.0, 10.0]);
        assert_eq!(axis.place(5.0), Some(0.5));
        for nowhere in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 10.1] {
            assert_eq!(axis.place(nowhere), None, "{nowhere}");
        }
        let log = Axis::covering("", Kind::Seconds, Range::Wide, [0.001, 10.0]);
        assert_eq!(log.place(0.0), None);
        assert!((log.place(0.1).unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn any_values_make_a_finite_axis() {
        let wild =
            [&[][..], &[0.0], &[0.0, 0.0], &[f64::NAN], &[f64::INFINITY, 1.0], &[1e300, 2.0]];
        let wild = wild.into_iter().chain([&[-1e15, 1e15][..], &[1e-300, 1e15], &[1e-9, 1e-9]]);
        for values in wild {
            for range in
                [Range::Tight, Range::FromZero, Range::UpToHundred, Range::Wide, Range::Log]
            {
                let axis = Axis::covering("", Kind::Plain, range, values.iter().copied());
                assert!(axis.low < axis.high, "{values:?} {range:?}");
                assert!(axis.low.is_finite() && axis.high.is_finite());
                assert!(axis.ticks.len() <= 16, "{values:?} {range:?}: {:?}", axis.ticks);
                for value in values.iter().filter(|value| value.abs() <= MOST) {
                    assert!(axis.place(*value).is_some(), "{value} of {values:?} on {range:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_in_few_letters() {
        let written = [0.0, 0.05, 2.5, 20.0, 1234.0, 15_000.0, 2e6, 1e9, -3.0].map(plain);
        assert_eq!(written, ["0", "0.05", "2.5", "20", "1234", "15k", "2M", "1G", "-3"]);
    }
}
