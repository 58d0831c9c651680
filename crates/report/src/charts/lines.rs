//! Charts of one number for each QoS: lines along the axis, or bars without one.

use super::sentences::{self, Deed, at, deeds};
use super::series::{Series, Slice, Spot};
use crate::chart::axis::{Axis, Kind, Range};
use crate::chart::bars::{self, Bar, Bars};
use crate::chart::lines::{self, Line, Lines, Measured, Sample};
use crate::chart::{Chart, Words};
use crate::number;
use qoslab_core::base::time::Span;
use qoslab_study::needs::{Value, measure};
use qoslab_study::scenario::expect::Metric;
use qoslab_study::statistics::Interval;
use qoslab_study::theory::Theory;

/// One number of a spot, as it is drawn.
struct Number {
    value: Measured,
    band: Option<(f64, f64)>,
    theory: Option<f64>,
}

/// A panel or a group of bars: what is shown, and of which number.
struct Shown<'a> {
    title: &'a str,
    kind: Kind,
    range: Range,
    /// A number that the axis has in any case.
    reach: Option<f64>,
    number: &'a dyn Fn(&Spot<'_>) -> Number,
}

/// Where nothing was seen, the interval of that alone would fill a chart, and look like much.
const ONE_OF_HUNDRED: Option<f64> = Some(1.0);

const BAND: &str = "The band (or whisker) holds the true value with 95 % confidence over the \
                    seeds; the thin grey line is what the closed form says, where its assumptions \
                    hold.";

pub(super) fn delivered(slice: &Slice<'_>, series: &[Series<'_>]) -> Chart {
    let number = |spot: &Spot<'_>| {
        per_hundred(spot.figures.delivered, spot.theory.map(|theory| theory.delivered))
    };
    let finding = deeds(series, |spot| {
        let lost = sentences::share(spot.figures.totals.lost, spot.figures.totals.units);
        Deed { one: format!("loses {lost}"), many: format!("lose {lost}") }
    });
    let words = Words {
        id: "delivered".into(),
        title: at(&slice.place_name(), &finding),
        caption: format!("Of 100 units (a message and a subscriber of it), so many arrive. {BAND}"),
        ..Words::default()
    };
    let (title, range) = ("delivered, of 100", Range::UpToHundred);
    let shown = Shown { title, kind: Kind::Plain, range, reach: None, number: &number };
    chart(slice, series, words, &[shown])
}

pub(super) fn duplicates(slice: &Slice<'_>, series: &[Series<'_>]) -> Chart {
    let number = |spot: &Spot<'_>| {
        per_hundred(spot.figures.duplicated_share, spot.theory.map(|theory| theory.duplicated))
    };
    let finding = deeds(series, |spot| {
        let totals = &spot.figures.totals;
        let some = sentences::share(totals.duplicated, totals.units);
        let times = sentences::times(totals.extra_copies, totals.duplicated);
        Deed { one: format!("delivers {some} {times}"), many: format!("deliver {some} {times}") }
    });
    let words = Words {
        id: "duplicates".into(),
        title: at(&slice.place_name(), &finding),
        caption: format!("Of 100 units, so many arrive twice or more often. {BAND}"),
        ..Words::default()
    };
    let shown = Shown {
        title: "delivered more than once, of 100",
        kind: Kind::Plain,
        range: Range::FromZero,
        reach: ONE_OF_HUNDRED,
        number: &number,
    };
    chart(slice, series, words, &[shown])
}

pub(super) fn packets(slice: &Slice<'_>, series: &[Series<'_>]) -> Chart {
    let number = |spot: &Spot<'_>| {
        let per_unit = per_delivered(spot);
        Number {
            value: per_unit.map_or(Measured::Never, |it| Measured::Value(it.value)),
            band: per_unit.and_then(finite),
            theory: spot.theory.map(expected_packets).filter(|it| it.is_finite()),
        }
    };
    let taken: Vec<String> = series
        .iter()
        .filter_map(|one| {
            let packets = per_delivered(one.last())?.value;
            Some(format!("{} packets with {}", sentences::mean(packets), one.name))
        })
        .collect();
    let finding = match taken.as_slice() {
        [] => "nothing is delivered".to_owned(),
        taken => format!("a delivered message takes {}", sentences::row(taken)),
    };
    let words = Words {
        id: "packets".into(),
        title: at(&slice.place_name(), &finding),
        caption: format!(
            "All packets of a message on all hops, PUBLISH to PUBCOMP with resends, for each unit \
             delivered. {BAND}"
        ),
        ..Words::default()
    };
    let (title, range) = ("packets for each message delivered", Range::FromZero);
    let shown = Shown { title, kind: Kind::Plain, range, reach: None, number: &number };
    chart(slice, series, words, &[shown])
}

/// Packets for each unit delivered; `None` if nothing was.
fn per_delivered(spot: &Spot<'_>) -> Option<Interval> {
    let delivered = spot.share_of_units(spot.figures.totals.delivered) * units_a_message(spot);
    let Interval { value, low, high } = spot.figures.packets;
    let by = |number: f64| number / delivered;
    (delivered > 0.0).then(|| Interval { value: by(value), low: by(low), high: by(high) })
}

#[expect(clippy::cast_precision_loss, reason = "display only")]
fn units_a_message(spot: &Spot<'_>) -> f64 {
    spot.figures.totals.units as f64 / spot.figures.totals.messages.max(1) as f64
}

/// The closed forms are for one subscriber, so a message is one unit.
fn expected_packets(theory: Theory) -> f64 {
    theory.packets / theory.delivered
}

/// The ratio of what is sent to what was to be told; `None` if nothing is delivered anywhere.
pub(super) fn overhead(slice: &Slice<'_>, series: &[Series<'_>]) -> Option<Chart> {
    let number = |spot: &Spot<'_>| {
        let overhead = spot.figures.overhead;
        Number {
            value: overhead.map_or(Measured::Nothing, |it| Measured::Value(it.value)),
            band: overhead.and_then(finite),
            theory: None,
        }
    };
    let sent: Vec<String> = series
        .iter()
        .filter_map(|one| {
            let overhead = one.last().figures.overhead?.value;
            Some(format!("{}\u{a0}B with {}", sentences::mean(overhead), one.name))
        })
        .collect();
    if sent.is_empty() {
        return None;
    }
    let finding = format!("a payload byte delivered takes {} on the wire", sentences::row(&sent));
    let words = Words {
        id: "overhead".into(),
        title: at(&slice.place_name(), &finding),
        caption: format!(
            "Wire bytes of all packets of messages on all hops, with the transport's headers and \
             resends, for each byte of payload delivered once. Keep alive and connecting are not \
             in it. {BAND}"
        ),
        ..Words::default()
    };
    let title = "bytes sent for each payload byte delivered";
    let range = Range::Wide;
    let shown = Shown { title, kind: Kind::Plain, range, reach: None, number: &number };
    Some(chart(slice, series, words, &[shown]))
}

/// What the clients' radios need; `None` without radios. It belongs to whole trials, so the
/// levels of a mixed point have one number.
pub(super) fn energy(slice: &Slice<'_>, series: &[Series<'_>]) -> Option<Chart> {
    let of = |metric: Metric, spot: &Spot<'_>| {
        measure(spot.point, spot.figures.published, metric, false).map(Value::number)
    };
    let number = move |metric: Metric| {
        move |spot: &Spot<'_>| Number {
            value: of(metric, spot).map_or(Measured::Nothing, Measured::Value),
            band: None,
            theory: None,
        }
    };
    let any = |metric| series.iter().flat_map(|it| &it.spots).any(|it| of(metric, it).is_some());
    if !any(Metric::Energy) {
        return None;
    }
    let told: Vec<String> = series
        .iter()
        .filter_map(|one| {
            let joules = of(Metric::Energy, one.last())?;
            Some(format!("{}\u{a0}J with {}", sentences::mean(joules), one.name))
        })
        .collect();
    let finding = format!("the radios need {} for a message", sentences::row(&told));
    let words = Words {
        id: "energy".into(),
        title: at(&slice.place_name(), &finding),
        caption: "Joules of all clients' radios for each message published, keep alive and \
                  connecting included, and how long their batteries last at that mean power, \
                  where they have some. The states and powers are in the scenario and in \
                  docs/radio.md."
            .to_owned(),
        ..Words::default()
    };
    let (joules, years) = (number(Metric::Energy), number(Metric::Battery));
    let panel = |title, number| {
        let (kind, range) = (Kind::Plain, Range::FromZero);
        Shown { title, kind, range, reach: None, number }
    };
    let mut shown = vec![panel("joules for each message", &joules as &dyn Fn(&Spot<'_>) -> _)];
    if any(Metric::Battery) {
        shown.push(panel("years that a battery lasts", &years));
    }
    Some(chart(slice, series, words, &shown))
}

pub(super) fn latency(slice: &Slice<'_>, series: &[Series<'_>]) -> Chart {
    let quantile = |time: Option<Span>, theory: Option<f64>| Number {
        value: time.map_or(Measured::Never, |time| Measured::Value(time.as_secs_f64())),
        band: None,
        theory: theory.filter(|seconds| seconds.is_finite()),
    };
    let form = |spot: &Spot<'_>, share: f64| spot.theory.and_then(|it| it.quantile(share));
    let half = |spot: &Spot<'_>| quantile(spot.figures.latency.p50, form(spot, 0.5));
    let most = |spot: &Spot<'_>| quantile(spot.figures.latency.p99, form(spot, 0.99));
    let finding = deeds(series, |spot| {
        let said = |verb: &str| match spot.figures.latency.p99 {
            None => format!("never {verb} 99 of 100"),
            Some(time) => format!("{verb} 99 of 100 within {}", sentences::time(time)),
        };
        Deed { one: said("delivers"), many: said("deliver") }
    });
    let words = Words {
        id: "latency".into(),
        title: at(&slice.place_name(), &finding),
        caption: "From publish() to the first delivery: half of all units are not later than p50, \
                  99 of 100 not later than p99. What never arrives counts as infinitely late, so \
                  a quantile that falls on it is never, shown by an arrow. The thin grey line is \
                  the closed form, where there is one."
            .to_owned(),
        ..Words::default()
    };
    let shown = |title, number| {
        let (kind, range) = (Kind::Seconds, Range::Wide);
        Shown { title, kind, range, reach: None, number }
    };
    chart(
        slice,
        series,
        words,
        &[shown("p50: half arrive within", &half), shown("p99: 99 of 100 arrive within", &most)],
    )
}

fn per_hundred(share: Interval, theory: Option<f64>) -> Number {
    Number {
        value: Measured::Value(share.value * 100.0),
        band: finite(share).map(|(low, high)| (low * 100.0, high * 100.0)),
        theory: theory.map(|theory| theory * 100.0),
    }
}

/// The ends of an interval that has some; a single run has none.
fn finite(interval: Interval) -> Option<(f64, f64)> {
    let Interval { low, high, .. } = interval;
    (low.is_finite() && high.is_finite()).then_some((low.max(0.0), high))
}

fn chart(slice: &Slice<'_>, series: &[Series<'_>], words: Words, shown: &[Shown<'_>]) -> Chart {
    let mut words = Words { subtitle: slice.subtitle(), ..words };
    for panel in shown {
        words.alt += &alt(slice, series, panel);
    }
    if let Some(x) = slice.scale() {
        let panels: Vec<_> = shown.iter().map(|panel| lines_of(&x, series, panel)).collect();
        lines::draw(words, &panels)
    } else {
        let groups: Vec<_> = shown.iter().map(|panel| bars_of(series, panel)).collect();
        bars::draw(words, &groups)
    }
}

/// What an axis must have room for.
fn extent<'a>(series: &'a [Series<'_>], shown: &'a Shown<'_>) -> impl Iterator<Item = f64> + 'a {
    let numbers = series.iter().flat_map(|one| &one.spots).flat_map(|spot| {
        let Number { value, band, theory } = (shown.number)(spot);
        let ends = band.map(<[f64; 2]>::from).into_iter().flatten();
        value.value().into_iter().chain(ends).chain(theory)
    });
    numbers.chain(shown.reach)
}

fn lines_of(x: &Axis, series: &[Series<'_>], shown: &Shown<'_>) -> Lines {
    let lines = series.iter().map(|one| {
        let number = |spot| (shown.number)(spot);
        let theory = one.spots.iter().filter_map(|spot| Some((spot.x, number(spot).theory?)));
        let points = one.spots.iter().map(|spot| {
            let Number { value, band, .. } = number(spot);
            Sample { x: spot.x, y: value, band }
        });
        Line {
            label: one.name.clone(),
            qos: one.qos,
            points: points.collect(),
            theory: theory.collect(),
            stairs: false,
        }
    });
    let y = Axis::covering(shown.title, shown.kind, shown.range, extent(series, shown));
    Lines { x: x.clone(), y, lines: lines.collect() }
}

fn bars_of(series: &[Series<'_>], shown: &Shown<'_>) -> Bars {
    let bars = series.iter().map(|one| {
        let Number { value, band, theory } = (shown.number)(one.last());
        let text = text(shown.kind, value, band);
        Bar { label: one.name.clone(), qos: one.qos, value, band, theory, text }
    });
    // A bar is as long as its number: it begins at zero.
    let x = Axis::covering("", shown.kind, Range::FromZero, extent(series, shown));
    Bars { title: shown.title.to_owned(), x, bars: bars.collect() }
}

/// A number in words, with its interval.
fn text(kind: Kind, value: Measured, band: Option<(f64, f64)>) -> String {
    match (value, kind) {
        (Measured::Nothing, _) => "–".to_owned(),
        (Measured::Never, Kind::Seconds) => number::time(None),
        (Measured::Never, Kind::Plain) => "nothing delivered".to_owned(),
        (Measured::Value(seconds), Kind::Seconds) => Span::from_secs_f64(seconds).to_string(),
        (Measured::Value(value), Kind::Plain) => match band {
            Some((low, high)) => format!("{} ({}–{})", digits(value), digits(low), digits(high)),
            None => digits(value),
        },
    }
}

fn digits(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first and the last number of each QoS.
fn alt(slice: &Slice<'_>, series: &[Series<'_>], shown: &Shown<'_>) -> String {
    let said = |spot: &Spot<'_>| text(shown.kind, (shown.number)(spot).value, None);
    let each = series.iter().map(|one| match one.spots.first() {
        Some(first) if one.spots.len() > 1 => {
            format!("{} from {} to {}", one.name, said(first), said(one.last()))
        }
        _ => format!("{} {}", one.name, said(one.last())),
    });
    let each = each.collect::<Vec<_>>().join(", ");
    let along = slice.axis.map(|axis| {
        let ends = slice.cells.first().zip(slice.cells.last());
        let ends = ends.map(|(a, b)| format!(" from {} to {}", a.values[0].text, b.values[0].text));
        format!(" along {}{}", axis.path, ends.unwrap_or_default())
    });
    format!("{}{}: {each}. ", shown.title, along.unwrap_or_default())
}
