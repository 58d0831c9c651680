//! Charts of one cell: how late its messages are, and how one trial of it went over time.

use super::sentences::{self, Deed};
use super::series::subtitle;
use crate::chart::axis::{Axis, Kind, Range};
use crate::chart::lines::{self, Line, Lines, Measured, Sample};
use crate::chart::steps::{self, Steps};
use crate::chart::{Chart, Words};
use crate::figures::Figures;
use qoslab_core::base::time::{Span, Time};
use qoslab_guarantee::timeline::Timeline;
use qoslab_study::result::PointResult;
use qoslab_study::sweep::{Cell, Study};

/// Into so many steps a distribution is cut; its tail, into as many again.
const STEPS: u32 = 200;

/// The cell's values: `link.sensor.loss 5%`.
fn values_of(study: &Study, cell: &Cell) -> Vec<String> {
    let named = study.axes.iter().zip(&cell.values);
    named.map(|(axis, value)| format!("{} {}", axis.path, value.text)).collect()
}

pub(super) fn latency_cdf(study: &Study) -> Option<Chart> {
    let cell = study.cells.get(study.middle())?;
    let levels: Vec<_> = cell
        .result
        .points
        .iter()
        .flat_map(|point| Figures::of(point).map(move |figures| (point, figures)))
        .collect();
    let stairs: Vec<_> =
        levels.iter().map(|(point, figures)| distribution(point, figures)).collect();
    if stairs.iter().all(Vec::is_empty) {
        return None;
    }
    let times = || stairs.iter().flatten().map(|(time, _)| *time);
    let x = Axis::covering(
        "time from publish() to the first delivery",
        Kind::Seconds,
        Range::Log,
        times(),
    );
    let end = times().fold(0.0, f64::max);
    let lines = levels.iter().zip(&stairs).map(|((_, figures), stairs)| {
        // The line stays on the level of what arrives at all.
        let plateau = stairs.last().map(|(_, share)| (end, *share));
        let sample = |(x, y): (f64, f64)| Sample { x, y: Measured::Value(y), band: None };
        Line {
            label: label(figures),
            qos: figures.published,
            points: stairs.iter().copied().chain(plateau).map(sample).collect(),
            theory: Vec::new(),
            stairs: true,
        }
    });
    let lines: Vec<Line> = lines.collect();
    let shares = stairs.iter().flatten().map(|(_, share)| *share);
    let y = Axis::covering("arrived, of 100", Kind::Plain, Range::FromZero, shares.chain([100.0]));
    let said = sentences::clauses(
        levels.iter().map(|(_, figures)| (format!("QoS {}", figures.name()), told(figures))),
    );
    let words = Words {
        id: "latency-cdf".into(),
        title: said.clone(),
        subtitle: subtitle(&[cell], &values_of(study, cell)),
        alt: format!("Share of units that have arrived, over time. {said}."),
        caption:
            "Of 100 units, so many have arrived within this time, over all seeds. A line that \
                  ends below 100 stays there: the rest never arrives."
                .to_owned(),
    };
    Some(lines::draw(words, &[Lines { x, y, lines }]))
}

fn label(figures: &Figures) -> String {
    let share = figures.delivered.value * 100.0;
    let name = figures.name();
    if figures.totals.lost == 0 {
        format!("QoS {name}")
    } else {
        // No rounding makes all of what is not all.
        format!("QoS {name}: {:.1} %", (share * 10.0).floor() / 10.0)
    }
}

fn told(figures: &Figures) -> Deed {
    let totals = &figures.totals;
    let end = match figures.latency.max {
        None => format!("{} never", sentences::share(totals.lost, totals.units)),
        Some(max) => format!("all within {}", sentences::time(max)),
    };
    let half = figures.latency.p50.map(|half| format!("half within {}, ", sentences::time(half)));
    let what = half.unwrap_or_default() + &end;
    Deed { one: format!("delivers {what}"), many: format!("deliver {what}") }
}

/// Seconds, and how many of 100 units have arrived by then.
fn distribution(point: &PointResult, figures: &Figures) -> Vec<(f64, f64)> {
    let latency = &point.times[figures.published.index()].latency;
    let by = |share: f64| latency.quantile(share, figures.totals.units).filter(|_| share > 0.0);
    let body = (1..STEPS).map(|nth| f64::from(nth) / f64::from(STEPS));
    let rest = |nth| (1.0 - f64::from(nth) / f64::from(STEPS)) / f64::from(STEPS);
    let tail = (0..STEPS).map(|nth| 1.0 - rest(nth));
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
    let panels: Vec<Steps> = study
        .timelines
        .iter()
        .map(|it| Steps {
            title: format!("QoS {}, seed {}", it.qos, it.seed),
            qos: it.qos,
            steps: it
                .timeline
                .steps
                .iter()
                .map(|step| (seconds(step.at), step.in_flight.into(), step.queued.into()))
                .collect(),
            troubles: it
                .timeline
                .troubles
                .iter()
                .map(|it| (seconds(it.from), seconds(it.until), it.what.clone()))
                .collect(),
            end: seconds(it.timeline.end),
        })
        .collect();
    let said = study.timelines.iter().map(|it| {
        let peak = peak(&it.timeline);
        format!("{peak} with QoS {}", it.qos)
    });
    let said = said.collect::<Vec<_>>().join(", ");
    let words = Words {
        id: "backlog".into(),
        title: format!("At most so many messages wait at one time: {said}"),
        subtitle: subtitle(&[cell], &values_of(study, cell)),
        alt: format!("Messages in flight and queued over the time of one trial. Most: {said}."),
        caption: "One trial of each QoS, the first seed: messages that await an acknowledgement, \
                  and messages that wait for a window or a connection, over all nodes. Shaded is \
                  when a fault was on."
            .to_owned(),
    };
    Some(steps::draw(words, &panels))
}

fn peak(timeline: &Timeline) -> u32 {
    timeline.steps.iter().map(|step| step.in_flight.saturating_add(step.queued)).max().unwrap_or(0)
}

fn seconds(at: Time) -> f64 {
    Span::as_secs_f64(at.since(Time::ZERO))
}
