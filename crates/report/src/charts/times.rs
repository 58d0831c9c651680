//! Charts of one cell: how late its messages are, and how one trial of it went over time.

use super::findings::{self, Claim};
use super::series::subtitle;
use crate::chart::axis::{AxisRange, ChartAxis, NumberFormat};
use crate::chart::lines::{self, ChartLine, LinePanel, LinePoint, PlotValue};
use crate::chart::steps::{self, StepPanel};
use crate::chart::{Chart, ChartText};
use crate::point_summary::PointSummary;
use qoslab_core::base::{Span, Time};
use qoslab_guarantee::BacklogTimeline;
use qoslab_study::{PointResult, Study, StudyCell};

/// The number of steps into which a distribution is cut; its tail is cut into as many again.
const CDF_STEPS: u32 = 200;

/// The cell's values: `link.sensor.loss 5%`.
fn axis_value_texts(study: &Study, cell: &StudyCell) -> Vec<String> {
    let named = study.axes.iter().zip(&cell.values);
    named.map(|(axis, value)| format!("{} {}", axis.path, value.text)).collect()
}

pub(super) fn latency_cdf(study: &Study) -> Option<Chart> {
    let cell = study.cells.get(study.middle_cell())?;
    let levels: Vec<_> = cell
        .result
        .points
        .iter()
        .flat_map(|point| PointSummary::for_point(point).map(move |figures| (point, figures)))
        .collect();
    let distributions: Vec<_> =
        levels.iter().map(|(point, figures)| distribution(point, figures)).collect();
    if distributions.iter().all(Vec::is_empty) {
        return None;
    }
    let times = || distributions.iter().flatten().map(|(time, _)| *time);
    let x = ChartAxis::covering(
        "time from publish() to the first delivery",
        NumberFormat::Seconds,
        AxisRange::Log,
        times(),
    );
    let end = times().fold(0.0, f64::max);
    let lines = levels.iter().zip(&distributions).map(|((_, figures), stairs)| {
        // The line stays on the level of what arrives at all.
        let plateau = stairs.last().map(|(_, share)| (end, *share));
        let sample = |(x, y): (f64, f64)| LinePoint { x, y: PlotValue::Value(y), band: None };
        ChartLine {
            label: line_label(figures),
            qos: figures.published,
            points: stairs.iter().copied().chain(plateau).map(sample).collect(),
            theory: Vec::new(),
            is_step_line: true,
        }
    });
    let lines: Vec<ChartLine> = lines.collect();
    let shares = distributions.iter().flatten().map(|(_, share)| *share);
    let y = ChartAxis::covering(
        "arrived, of 100",
        NumberFormat::Plain,
        AxisRange::FromZero,
        shares.chain([100.0]),
    );
    let summary = findings::join_claims(
        levels
            .iter()
            .map(|(_, figures)| (format!("QoS {}", figures.name()), latency_claim(figures))),
    );
    let words = ChartText {
        id: "latency-cdf".into(),
        title: summary.clone(),
        subtitle: subtitle(&[cell], &axis_value_texts(study, cell)),
        alt: format!("Share of units that have arrived, over time. {summary}."),
        caption:
            "Of 100 units, so many have arrived within this time, over all seeds. A line that \
                  ends below 100 stays there: the rest never arrives."
                .to_owned(),
    };
    Some(lines::draw(words, &[LinePanel { x, y, lines }]))
}

fn line_label(figures: &PointSummary) -> String {
    let share = figures.delivered.value * 100.0;
    let name = figures.name();
    if figures.totals.lost == 0 {
        format!("QoS {name}")
    } else {
        // Rounding never turns a share below all into all.
        format!("QoS {name}: {:.1} %", (share * 10.0).floor() / 10.0)
    }
}

fn latency_claim(figures: &PointSummary) -> Claim {
    let totals = &figures.totals;
    let end = match figures.latency.max {
        None => format!("{} never", findings::share_in_words(totals.lost, totals.units)),
        Some(max) => format!("all within {}", findings::non_breaking_time(max)),
    };
    let half = figures
        .latency
        .p50
        .map(|half| format!("half within {}, ", findings::non_breaking_time(half)));
    let what = half.unwrap_or_default() + &end;
    Claim { singular: format!("delivers {what}"), plural: format!("deliver {what}") }
}

/// Seconds, and how many of 100 units have arrived by then.
fn distribution(point: &PointResult, figures: &PointSummary) -> Vec<(f64, f64)> {
    let latency = &point.times[figures.published.index()].latency;
    let by = |share: f64| latency.quantile(share, figures.totals.units).filter(|_| share > 0.0);
    let body = (1..CDF_STEPS).map(|nth| f64::from(nth) / f64::from(CDF_STEPS));
    let rest = |nth| (1.0 - f64::from(nth) / f64::from(CDF_STEPS)) / f64::from(CDF_STEPS);
    let tail = (0..CDF_STEPS).map(|nth| 1.0 - rest(nth));
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut before: Option<(Span, f64)> = None;
    for share in body.chain(tail).chain([figures.delivered.value]) {
        let Some(time) = by(share) else { continue };
        if let Some((earlier, least)) = before.filter(|(earlier, _)| *earlier < time) {
            // Where the step really ends, between the two shares.
            let (mut low, mut high) = (least, share);
            for _ in 0..10 {
                let middle = f64::midpoint(low, high);
                if by(middle) <= Some(earlier) { low = middle } else { high = middle }
            }
            points.push((earlier.as_secs_f64(), low * 100.0));
        }
        before = Some((time, before.map_or(share, |(_, most)| most.max(share))));
    }
    let last = before.map(|(time, _)| (time.as_secs_f64(), figures.delivered.value * 100.0));
    // It rises from the axis.
    let first = points.first().copied().or(last).map(|(time, _)| (time, 0.0));
    first.into_iter().chain(points).chain(last).collect()
}

pub(super) fn backlog(study: &Study) -> Option<Chart> {
    let first = study.timelines.first()?;
    let cell = study.cells.get(first.cell)?;
    let panels: Vec<StepPanel> = study
        .timelines
        .iter()
        .map(|it| StepPanel {
            title: format!("QoS {}, seed {}", it.qos, it.seed),
            qos: it.qos,
            steps: it
                .timeline
                .steps
                .iter()
                .map(|step| (seconds(step.at), step.in_flight.into(), step.queued.into()))
                .collect(),
            faults: it
                .timeline
                .faults
                .iter()
                .map(|it| (seconds(it.from), seconds(it.until), it.kind.clone()))
                .collect(),
            end: seconds(it.timeline.end),
        })
        .collect();
    let said = study.timelines.iter().map(|it| {
        let peak = peak(&it.timeline);
        format!("{peak} with QoS {}", it.qos)
    });
    let said = said.collect::<Vec<_>>().join(", ");
    let words = ChartText {
        id: "backlog".into(),
        title: format!("The most messages that wait at one time: {said}"),
        subtitle: subtitle(&[cell], &axis_value_texts(study, cell)),
        alt: format!("Messages in flight and queued over the time of one trial. Most: {said}."),
        caption: "One trial of each QoS, the first seed: messages that await an acknowledgement, \
                  and messages that wait for a window or a connection, over all nodes. Shaded is \
                  when a fault was on."
            .to_owned(),
    };
    Some(steps::draw(words, &panels))
}

fn peak(timeline: &BacklogTimeline) -> u32 {
    timeline.steps.iter().map(|step| step.in_flight.saturating_add(step.queued)).max().unwrap_or(0)
}

fn seconds(at: Time) -> f64 {
    Span::as_secs_f64(at.since(Time::ZERO))
}
