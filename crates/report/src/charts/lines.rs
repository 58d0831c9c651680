//! Charts of one number for each QoS: lines along the axis, or bars without one.

use super::findings::{self, Claim, claims_by_qos, sentence_at};
use super::series::{AxisSlice, Series, SeriesPoint};
use crate::chart::axis::{AxisRange, ChartAxis, NumberFormat};
use crate::chart::bars::{self, Bar, BarGroup};
use crate::chart::lines::{self, ChartLine, LinePanel, LinePoint, PlotValue};
use crate::chart::{Chart, ChartText};
use crate::number;
use qoslab_core::base::Span;
use qoslab_core::base::units::trim_zeros;
use qoslab_study::scenario::Metric;
use qoslab_study::statistics::{ConfidenceInterval, to_f64};
use qoslab_study::{MetricValue, Theory, measure_metric};

/// One number of a spot, as it is drawn.
struct PlotNumber {
    value: PlotValue,
    band: Option<(f64, f64)>,
    theory: Option<f64>,
}

/// A panel or a group of bars: what is shown, and of which number.
struct PanelSpec<'a> {
    title: &'a str,
    kind: NumberFormat,
    range: AxisRange,
    /// A number that the axis has in any case.
    min_extent: Option<f64>,
    number: &'a dyn Fn(&SeriesPoint<'_>) -> PlotNumber,
}

/// Where no event was seen, its interval alone would fill a chart and look large.
const ONE_OF_HUNDRED: Option<f64> = Some(1.0);

const BAND_CAPTION: &str = "The band (or whisker) holds the true value with 95 % confidence over \
                    the seeds; the thin grey line is what the closed form says, where its \
                    assumptions hold.";

pub(super) fn delivered(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Chart {
    let number = |spot: &SeriesPoint<'_>| {
        per_hundred(spot.summary.delivered, spot.theory.map(|theory| theory.delivered))
    };
    let finding = claims_by_qos(series, |spot| {
        let lost = findings::share_in_words(spot.summary.totals.lost, spot.summary.totals.units);
        Claim { singular: format!("loses {lost}"), plural: format!("lose {lost}") }
    });
    let words = ChartText {
        id: "delivered".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: format!(
            "Of 100 units (a message and a subscriber of it), how many arrive. {BAND_CAPTION}"
        ),
        ..ChartText::default()
    };
    let (title, range) = ("delivered, of 100", AxisRange::UpToHundred);
    let shown =
        PanelSpec { title, kind: NumberFormat::Plain, range, min_extent: None, number: &number };
    number_chart(slice, series, words, &[shown])
}

pub(super) fn duplicates(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Chart {
    let number = |spot: &SeriesPoint<'_>| {
        per_hundred(spot.summary.duplicated_share, spot.theory.map(|theory| theory.duplicated))
    };
    let finding = claims_by_qos(series, |spot| {
        let totals = &spot.summary.totals;
        let some = findings::share_in_words(totals.duplicated, totals.units);
        let times = findings::times_in_words(totals.extra_copies, totals.duplicated);
        Claim {
            singular: format!("delivers {some} {times}"),
            plural: format!("deliver {some} {times}"),
        }
    });
    let words = ChartText {
        id: "duplicates".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: format!("Of 100 units, how many arrive twice or more often. {BAND_CAPTION}"),
        ..ChartText::default()
    };
    let shown = PanelSpec {
        title: "delivered more than once, of 100",
        kind: NumberFormat::Plain,
        range: AxisRange::FromZero,
        min_extent: ONE_OF_HUNDRED,
        number: &number,
    };
    number_chart(slice, series, words, &[shown])
}

pub(super) fn packets(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Chart {
    let number = |spot: &SeriesPoint<'_>| {
        let per_unit = packets_per_delivered(spot);
        PlotNumber {
            value: per_unit.map_or(PlotValue::Never, |it| PlotValue::Value(it.value)),
            band: per_unit.and_then(finite_bounds),
            theory: spot.theory.map(expected_packets).filter(|it| it.is_finite()),
        }
    };
    let packet_texts: Vec<String> = series
        .iter()
        .filter_map(|one| {
            let packets = packets_per_delivered(one.last())?.value;
            Some(format!("{} packets with {}", findings::format_mean(packets), one.name))
        })
        .collect();
    let finding = match packet_texts.as_slice() {
        [] => "nothing is delivered".to_owned(),
        taken => format!("a delivered message takes {}", findings::join_phrases(taken)),
    };
    let words = ChartText {
        id: "packets".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: format!(
            "All packets of a message on all hops, PUBLISH to PUBCOMP with resends, for each unit \
             delivered. {BAND_CAPTION}"
        ),
        ..ChartText::default()
    };
    let (title, range) = ("packets for each message delivered", AxisRange::FromZero);
    let shown =
        PanelSpec { title, kind: NumberFormat::Plain, range, min_extent: None, number: &number };
    number_chart(slice, series, words, &[shown])
}

/// Packets for each unit delivered; `None` if nothing was.
fn packets_per_delivered(spot: &SeriesPoint<'_>) -> Option<ConfidenceInterval> {
    let delivered = spot.share_of_units(spot.summary.totals.delivered) * units_per_message(spot);
    let ConfidenceInterval { value, low, high } = spot.summary.packets;
    let by = |number: f64| number / delivered;
    (delivered > 0.0).then(|| ConfidenceInterval { value: by(value), low: by(low), high: by(high) })
}

fn units_per_message(spot: &SeriesPoint<'_>) -> f64 {
    to_f64(spot.summary.totals.units) / to_f64(spot.summary.totals.messages.max(1))
}

/// The closed forms are for one subscriber, so a message is one unit.
fn expected_packets(theory: Theory) -> f64 {
    theory.packets / theory.delivered
}

/// The ratio of bytes sent to payload delivered; `None` if nothing is delivered anywhere.
pub(super) fn overhead(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Option<Chart> {
    let number = |spot: &SeriesPoint<'_>| {
        let overhead = spot.summary.overhead;
        PlotNumber {
            value: overhead.map_or(PlotValue::Missing, |it| PlotValue::Value(it.value)),
            band: overhead.and_then(finite_bounds),
            theory: None,
        }
    };
    let byte_texts: Vec<String> = series
        .iter()
        .filter_map(|one| {
            let overhead = one.last().summary.overhead?.value;
            Some(format!("{}\u{a0}B with {}", findings::format_mean(overhead), one.name))
        })
        .collect();
    if byte_texts.is_empty() {
        return None;
    }
    let finding = format!(
        "a payload byte delivered takes {} on the wire",
        findings::join_phrases(&byte_texts)
    );
    let words = ChartText {
        id: "overhead".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: format!(
            "Wire bytes of all packets of messages on all hops, with the transport's headers and \
             resends, for each byte of payload delivered once. Keep alive and connecting are not \
             in it. {BAND_CAPTION}"
        ),
        ..ChartText::default()
    };
    let title = "bytes sent for each payload byte delivered";
    let range = AxisRange::Wide;
    let shown =
        PanelSpec { title, kind: NumberFormat::Plain, range, min_extent: None, number: &number };
    Some(number_chart(slice, series, words, &[shown]))
}

/// The energy of the clients' radios; `None` without radios. It belongs to whole trials, so the
/// levels of a mixed point share one number.
pub(super) fn energy(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Option<Chart> {
    let of = |metric: Metric, spot: &SeriesPoint<'_>| {
        measure_metric(spot.point, spot.summary.published, metric, false).map(MetricValue::number)
    };
    let number = move |metric: Metric| {
        move |spot: &SeriesPoint<'_>| PlotNumber {
            value: of(metric, spot).map_or(PlotValue::Missing, PlotValue::Value),
            band: None,
            theory: None,
        }
    };
    let any = |metric| series.iter().flat_map(|it| &it.points).any(|it| of(metric, it).is_some());
    if !any(Metric::Energy) {
        return None;
    }
    let energy_texts: Vec<String> = series
        .iter()
        .filter_map(|one| {
            let joules = of(Metric::Energy, one.last())?;
            Some(format!("{}\u{a0}J with {}", findings::format_mean(joules), one.name))
        })
        .collect();
    let finding =
        format!("the radios need {} for a message", findings::join_phrases(&energy_texts));
    let words = ChartText {
        id: "energy".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: "Joules of all clients' radios for each message published, keep alive and \
                  connecting included, and how long their batteries last at that mean power, \
                  where they have some. The states and powers are in the scenario and in \
                  docs/radio.md."
            .to_owned(),
        ..ChartText::default()
    };
    let (joules, years) = (number(Metric::Energy), number(Metric::Battery));
    let panel = |title, number| {
        let (kind, range) = (NumberFormat::Plain, AxisRange::FromZero);
        PanelSpec { title, kind, range, min_extent: None, number }
    };
    let mut shown =
        vec![panel("joules for each message", &joules as &dyn Fn(&SeriesPoint<'_>) -> _)];
    if any(Metric::Battery) {
        shown.push(panel("years that a battery lasts", &years));
    }
    Some(number_chart(slice, series, words, &shown))
}

pub(super) fn latency(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Chart {
    let quantile = |time: Option<Span>, theory: Option<f64>| PlotNumber {
        value: time.map_or(PlotValue::Never, |time| PlotValue::Value(time.as_secs_f64())),
        band: None,
        theory: theory.filter(|seconds| seconds.is_finite()),
    };
    let form = |spot: &SeriesPoint<'_>, share: f64| spot.theory.and_then(|it| it.quantile(share));
    let median_quantile =
        |spot: &SeriesPoint<'_>| quantile(spot.summary.latency.p50, form(spot, 0.5));
    let late_quantile =
        |spot: &SeriesPoint<'_>| quantile(spot.summary.latency.p99, form(spot, 0.99));
    let finding = claims_by_qos(series, |spot| {
        let said = |verb: &str| match spot.summary.latency.p99 {
            None => format!("never {verb} 99 of 100"),
            Some(time) => format!("{verb} 99 of 100 within {}", findings::non_breaking_time(time)),
        };
        Claim { singular: said("delivers"), plural: said("deliver") }
    });
    let words = ChartText {
        id: "latency".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: "From publish() to the first delivery: half of all units are not later than p50, \
                  99 of 100 not later than p99. What never arrives counts as infinitely late, so \
                  a quantile that falls on it is never, shown by an arrow. The thin grey line is \
                  the closed form, where there is one."
            .to_owned(),
        ..ChartText::default()
    };
    let shown = |title, number| {
        let (kind, range) = (NumberFormat::Seconds, AxisRange::Wide);
        PanelSpec { title, kind, range, min_extent: None, number }
    };
    number_chart(
        slice,
        series,
        words,
        &[
            shown("p50: half arrive within", &median_quantile),
            shown("p99: 99 of 100 arrive within", &late_quantile),
        ],
    )
}

fn per_hundred(share: ConfidenceInterval, theory: Option<f64>) -> PlotNumber {
    PlotNumber {
        value: PlotValue::Value(share.value * 100.0),
        band: finite_bounds(share).map(|(low, high)| (low * 100.0, high * 100.0)),
        theory: theory.map(|theory| theory * 100.0),
    }
}

/// The ends of an interval that has some; a single run has none.
fn finite_bounds(interval: ConfidenceInterval) -> Option<(f64, f64)> {
    let ConfidenceInterval { low, high, .. } = interval;
    (low.is_finite() && high.is_finite()).then_some((low.max(0.0), high))
}

fn number_chart(
    slice: &AxisSlice<'_>,
    series: &[Series<'_>],
    words: ChartText,
    shown: &[PanelSpec<'_>],
) -> Chart {
    let mut words = ChartText { subtitle: slice.subtitle(), ..words };
    for panel in shown {
        words.alt += &alt_text(slice, series, panel);
    }
    if let Some(x) = slice.x_axis() {
        let panels: Vec<_> = shown.iter().map(|panel| line_panel(&x, series, panel)).collect();
        lines::draw(words, &panels)
    } else {
        let groups: Vec<_> = shown.iter().map(|panel| bar_group(series, panel)).collect();
        bars::draw(words, &groups)
    }
}

/// The values that an axis must have room for.
fn extent<'a>(
    series: &'a [Series<'_>],
    shown: &'a PanelSpec<'_>,
) -> impl Iterator<Item = f64> + 'a {
    let numbers = series.iter().flat_map(|one| &one.points).flat_map(|spot| {
        let PlotNumber { value, band, theory } = (shown.number)(spot);
        let ends = band.map(<[f64; 2]>::from).into_iter().flatten();
        value.value().into_iter().chain(ends).chain(theory)
    });
    numbers.chain(shown.min_extent)
}

fn line_panel(x: &ChartAxis, series: &[Series<'_>], shown: &PanelSpec<'_>) -> LinePanel {
    let lines = series.iter().map(|one| {
        let number = |spot| (shown.number)(spot);
        let theory = one.points.iter().filter_map(|spot| Some((spot.x, number(spot).theory?)));
        let points = one.points.iter().map(|spot| {
            let PlotNumber { value, band, .. } = number(spot);
            LinePoint { x: spot.x, y: value, band }
        });
        ChartLine {
            label: one.name.clone(),
            qos: one.qos,
            points: points.collect(),
            theory: theory.collect(),
            is_step_line: false,
        }
    });
    let y = ChartAxis::covering(shown.title, shown.kind, shown.range, extent(series, shown));
    LinePanel { x: x.clone(), y, lines: lines.collect() }
}

fn bar_group(series: &[Series<'_>], shown: &PanelSpec<'_>) -> BarGroup {
    let bars = series.iter().map(|one| {
        let PlotNumber { value, band, theory } = (shown.number)(one.last());
        let text = number_text(shown.kind, value, band);
        Bar { label: one.name.clone(), qos: one.qos, value, band, theory, text }
    });
    // A bar is as long as its number: it begins at zero.
    let x = ChartAxis::covering("", shown.kind, AxisRange::FromZero, extent(series, shown));
    BarGroup { title: shown.title.to_owned(), x, bars: bars.collect() }
}

/// A number in words, with its interval.
fn number_text(kind: NumberFormat, value: PlotValue, band: Option<(f64, f64)>) -> String {
    match (value, kind) {
        (PlotValue::Missing, _) => "–".to_owned(),
        (PlotValue::Never, NumberFormat::Seconds) => number::format_time(None),
        (PlotValue::Never, NumberFormat::Plain) => "nothing delivered".to_owned(),
        (PlotValue::Value(seconds), NumberFormat::Seconds) => {
            Span::from_secs_f64(seconds).to_string()
        }
        (PlotValue::Value(value), NumberFormat::Plain) => match band {
            Some((low, high)) => {
                format!("{} ({}–{})", format_digits(value), format_digits(low), format_digits(high))
            }
            None => format_digits(value),
        },
    }
}

pub(super) fn format_digits(number: f64) -> String {
    trim_zeros(&format!("{number:.3}")).to_owned()
}

/// The first and the last number of each QoS.
fn alt_text(slice: &AxisSlice<'_>, series: &[Series<'_>], shown: &PanelSpec<'_>) -> String {
    let said = |spot: &SeriesPoint<'_>| number_text(shown.kind, (shown.number)(spot).value, None);
    let each = series.iter().map(|one| match one.points.first() {
        Some(first) if one.points.len() > 1 => {
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
