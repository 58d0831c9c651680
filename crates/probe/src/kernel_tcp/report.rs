//! The page of a comparison, as Markdown.

use std::fmt::Write as _;

use super::{Bottleneck, Comparison, Judgement, Verdict, Workload, millis};
use qoslab_core::base::Span;
use qoslab_core::base::units::format_count;

/// Where and when a comparison was made.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Year, month and day.
    pub date: String,
    /// The kernel's release.
    pub kernel: String,
    /// How many processors it has.
    pub processors: usize,
    /// How many runs there were of each cell.
    pub runs: u32,
    /// Messages of a trickle's run.
    pub messages: u32,
    /// How many runs went at once.
    pub jobs: usize,
}

const HEAD: &str = "\
| messages | link | QoS | Nagle | kernel, ms | simulated, ms | verdict |
|---|---|---|---|---|---|---|
";

/// The table of all comparisons, below where it was made, with a sum at its end.
#[must_use]
pub fn report(machine: &Machine, comparisons: &[Comparison]) -> String {
    let Machine { date, kernel, processors, runs, messages, jobs } = machine;
    let lateness = comparisons.iter().map(Comparison::lateness).max().unwrap_or(Span::ZERO);
    let rows: String = comparisons.iter().map(row).collect();
    let count = |is: fn(&Verdict) -> bool| {
        comparisons.iter().filter(|comparison| is(&comparison.verdict())).count()
    };
    let agree = count(|verdict| *verdict == Verdict::Agrees);
    let differ = count(|verdict| matches!(verdict, Verdict::Differs(_)));
    format!(
        "Measured on {date}, Linux {kernel}, {processors} processors: {runs} runs of each cell, \
         {jobs} at a time; a trickle has {} messages. Of the packets of each run 99 % were \
         handed on at most {:.1} ms after they were due.\n\n{HEAD}{rows}\n{agree} of {} agree, \
         {differ} differ, {} show nothing.\n",
        format_count((*messages).into()),
        millis(lateness),
        comparisons.len(),
        comparisons.len() - agree - differ,
    )
}

/// The line of one comparison in the table.
fn row(comparison: &Comparison) -> String {
    let cell = &comparison.cell;
    let workload = match cell.workload {
        Workload::Trickle => "trickle",
        Workload::OneMessage => "one of 300 kB",
        Workload::Burst => "300 of 1 kB",
    };
    let mut link = format!("{} ms, {} %", cell.delay_ms, cell.loss_percent);
    if let Some(Bottleneck { rate_kbit, queue }) = cell.bottleneck {
        let _ = write!(link, ", {rate_kbit} kbit/s, queue {queue}");
    }
    let each = |value: fn(&Judgement) -> String| {
        comparison.judgements.iter().map(value).collect::<Vec<_>>().join(", ")
    };
    format!(
        "| {workload} | {link} | {} | {} | {} | {} | {} |\n",
        cell.qos.index(),
        if cell.nodelay { "off" } else { "on" },
        each(|it| format!("{:.0}\u{2013}{:.0}", it.least, it.most)),
        each(|it| format!("{:.0}", it.simulated)),
        verdict(&comparison.verdict()),
    )
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Agrees => "agrees".to_owned(),
        Verdict::Differs(figures) => {
            let each = figures.iter().map(|it| {
                let side = if it.excess() > 0.0 { "above" } else { "below" };
                format!("{} {:.1} ms {side} its bound", it.figure.name, it.excess().abs())
            });
            format!("**differs**: {}", each.collect::<Vec<_>>().join(", "))
        }
        // Only the first line: a table has no place for a log.
        Verdict::Inconclusive(why) => {
            format!("shows nothing: {}", why.lines().next().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_tcp::{Cell, KernelRun};
    use qoslab_guarantee::LatencyHistogram;

    fn comparison(cell: usize, kernel_ms: &[u64], simulated: &[f64]) -> Comparison {
        let run = |ms: &u64| {
            let mut latency = LatencyHistogram::new();
            (0..100).for_each(|_| latency.record(Span::from_millis(*ms)));
            Ok(KernelRun { latency, lateness: Span::from_millis(1), sent: [9; 2], lost: [0; 2] })
        };
        Comparison::new(Cell::six()[cell], simulated, kernel_ms.iter().map(run).collect())
    }

    #[test]
    fn a_page_has_a_row_for_each_cell_and_their_sum() {
        let failure = vec![Err("no broker\n  a log".to_owned())];
        let failed = Comparison::new(Cell::six()[5], &[5_000.0], failure);
        let comparisons = [
            comparison(0, &[40, 41], &[40.0; 4]),
            comparison(2, &[40, 41], &[40.0, 60.5, 50.0, 50.0]),
            failed,
        ];
        let machine = Machine {
            date: "2026-01-31".to_owned(),
            kernel: "6.18".to_owned(),
            processors: 2,
            runs: 5,
            messages: 2_000,
            jobs: 30,
        };
        let expected = "\
Measured on 2026-01-31, Linux 6.18, 2 processors: 5 runs of each cell, 30 at a time; a trickle has \
2,000 messages. Of the packets of each run 99 % were handed on at most 1.0 ms after they were due.

| messages | link | QoS | Nagle | kernel, ms | simulated, ms | verdict |
|---|---|---|---|---|---|---|
| trickle | 40 ms, 0 % | 0 | on | 40\u{2013}41, 40\u{2013}41, 40\u{2013}41, 40\u{2013}41 \
| 40, 40, 40, 40 | agrees |
| trickle | 40 ms, 5 % | 1 | on | 40\u{2013}41, 40\u{2013}41, 40\u{2013}41, 40\u{2013}41 \
| 40, 60, 50, 50 | **differs**: p90 9.5 ms above its bound |
| 300 of 1 kB | 50 ms, 0 %, 512 kbit/s, queue 100 | 1 | on |  |  | shows nothing: no broker |

1 of 3 agree, 1 differ, 1 show nothing.
";
        assert_eq!(report(&machine, &comparisons), expected);
    }
}
