//! When the simulated TCP agrees with the kernel's.

use super::{Cell, KernelRun, Workload, millis};
use qoslab_core::base::Span;
use qoslab_guarantee::LatencyHistogram;

/// How late 99 of 100 packets of a run may be handed on, at the most, for it to say something about
/// the kernel's TCP and not about a machine that had no time for it: half of what a trickle's
/// figures may differ by, and for bulk, which takes seconds, a fiftieth of it.
const fn max_lateness(workload: Workload) -> Span {
    match workload {
        Workload::Trickle => Span::from_millis(5),
        Workload::OneMessage | Workload::Burst => Span::from_millis(20),
    }
}

/// Quantile of the latencies of a run that is compared, and how far apart it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name in tables.
    pub name: &'static str,
    /// The quantile, from 0 to 1.
    pub quantile: f64,
    /// A share of the kernel's value that the simulated one may differ by.
    pub share: f64,
    /// Milliseconds that it may always differ by.
    pub floor_ms: f64,
}

impl Figure {
    const TRICKLE: [Self; 4] = [
        Self { name: "p50", quantile: 0.5, share: 0.15, floor_ms: 10.0 },
        Self { name: "p90", quantile: 0.9, share: 0.15, floor_ms: 10.0 },
        Self { name: "p95", quantile: 0.95, share: 0.15, floor_ms: 10.0 },
        Self { name: "p99", quantile: 0.99, share: 0.3, floor_ms: 10.0 },
    ];
    const BULK: [Self; 1] = [Self { name: "all", quantile: 1.0, share: 0.2, floor_ms: 0.0 }];

    /// The figures that are compared of a workload.
    #[must_use]
    pub const fn of(workload: Workload) -> &'static [Self] {
        match workload {
            Workload::Trickle => &Self::TRICKLE,
            Workload::OneMessage | Workload::Burst => &Self::BULK,
        }
    }

    /// Its value in milliseconds; infinite if there are no latencies.
    #[must_use]
    pub fn value(&self, latency: &LatencyHistogram) -> f64 {
        latency.quantile(self.quantile, latency.count()).map_or(f64::INFINITY, millis)
    }
}

/// One figure of a cell: what the runs and the simulation came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The figure.
    pub figure: Figure,
    /// The least of the runs under the kernel's TCP, in milliseconds.
    pub least: f64,
    /// The greatest of them.
    pub most: f64,
    /// The simulated one.
    pub simulated: f64,
}

impl Judgement {
    /// Compares a figure of at least one run with the simulated one.
    fn new(figure: Figure, runs: &[f64], simulated: f64) -> Self {
        let least = runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = runs.iter().copied().fold(0.0, f64::max);
        Self { figure, least, most, simulated }
    }

    /// By how many milliseconds the simulated value is above what agrees, or below where negative;
    /// zero if it agrees. The kernel's own spread, from the least run to the greatest, is no
    /// difference.
    #[must_use]
    pub fn excess(&self) -> f64 {
        let allowed = |value: f64| (value * self.figure.share).max(self.figure.floor_ms);
        let lowest = self.least - allowed(self.least);
        let highest = self.most + allowed(self.most);
        // Between its bounds a value is its own nearest neighbour.
        self.simulated - self.simulated.clamp(lowest, highest)
    }
}

/// What a comparison comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// All figures are within their bounds.
    Agrees,
    /// These figures are not.
    Differs(Vec<Judgement>),
    /// Nothing is shown, for this reason.
    Inconclusive(String),
}

/// One cell, simulated and run.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The cell.
    pub cell: Cell,
    /// The figures of [`Figure::of`] its workload; empty if a run failed.
    pub judgements: Vec<Judgement>,
    /// The runs under the kernel's TCP.
    pub runs: Vec<KernelRun>,
    /// Why a run came to nothing, if one did.
    pub failure: Option<String>,
}

impl Comparison {
    /// Judges the simulated values of the cell's figures by runs under the kernel's TCP.
    #[must_use]
    pub fn new(cell: Cell, simulated: &[f64], runs: Vec<Result<KernelRun, String>>) -> Self {
        let (runs, failure) = match runs.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(runs) => (runs, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let figures = Figure::of(cell.workload).iter().zip(simulated);
        let judge = |(figure, simulated): (&Figure, &f64)| {
            let values: Vec<f64> = runs.iter().map(|run| figure.value(&run.latency)).collect();
            (!values.is_empty()).then(|| Judgement::new(*figure, &values, *simulated))
        };
        let judgements = figures.filter_map(judge).collect();
        Self { cell, judgements, runs, failure }
    }

    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if let Some(failure) = &self.failure {
            return Verdict::Inconclusive(failure.clone());
        }
        if self.lateness() > max_lateness(self.cell.workload) {
            let millis = millis(self.lateness());
            return Verdict::Inconclusive(format!("the machine was busy: {millis:.1} ms late"));
        }
        let differs = |judgement: &&Judgement| judgement.excess() != 0.0;
        let differing: Vec<Judgement> = self.judgements.iter().filter(differs).copied().collect();
        if differing.is_empty() { Verdict::Agrees } else { Verdict::Differs(differing) }
    }

    /// The greatest of its runs' lateness.
    #[must_use]
    pub fn lateness(&self) -> Span {
        self.runs.iter().map(|run| run.lateness).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(figure: Figure, runs: &[f64], simulated: f64) -> String {
        format!("{:+}", Judgement::new(figure, runs, simulated).excess())
    }

    #[test]
    fn a_value_agrees_up_to_its_bound_and_not_beyond() {
        let [p50, .., p99] = Figure::TRICKLE;
        // 15 % of 200 is 30 and of 40 is less than the floor of 10.
        assert_eq!(judge(p50, &[200.0], 230.0), "+0");
        assert_eq!(judge(p50, &[200.0], 231.0), "+1");
        assert_eq!(judge(p50, &[200.0], 170.0), "+0");
        assert_eq!(judge(p50, &[200.0], 169.0), "-1");
        assert_eq!(judge(p50, &[40.0], 50.0), "+0");
        assert_eq!(judge(p50, &[40.0], 29.0), "-1");
        assert_eq!(judge(p99, &[200.0], 260.0), "+0");
        assert_eq!(judge(p99, &[200.0], 261.0), "+1");
        let [all] = Figure::BULK;
        assert_eq!(judge(all, &[5_000.0], 6_000.0), "+0");
        assert_eq!(judge(all, &[5_000.0], 3_999.0), "-1");
    }

    #[test]
    fn the_spread_of_the_kernel_is_allowed_besides() {
        let [p50, ..] = Figure::TRICKLE;
        let runs = [300.0, 200.0, 250.0];
        assert_eq!(judge(p50, &runs, 345.0), "+0");
        assert_eq!(judge(p50, &runs, 346.0), "+1");
        assert_eq!(judge(p50, &runs, 170.0), "+0");
        assert_eq!(judge(p50, &runs, 168.0), "-2");
    }

    fn run(latency_ms: u64, lateness: Span) -> KernelRun {
        let mut latency = LatencyHistogram::new();
        (0..100).for_each(|_| latency.record(Span::from_millis(latency_ms)));
        KernelRun { latency, lateness, sent: [0; 2], lost: [0; 2] }
    }

    #[test]
    fn a_comparison_says_which_figures_differ() {
        let [cell, ..] = Cell::six()[..] else { panic!("there are six") };
        let runs = || vec![Ok(run(40, Span::ZERO)), Ok(run(44, max_lateness(Workload::Trickle)))];
        let verdict = |simulated: [f64; 4]| Comparison::new(cell, &simulated, runs()).verdict();
        assert_eq!(verdict([40.0; 4]), Verdict::Agrees);
        let Verdict::Differs(differing) = verdict([40.0, 40.0, 55.0, 58.0]) else {
            panic!("two figures are too high")
        };
        assert_eq!(differing.iter().map(|it| it.figure.name).collect::<Vec<_>>(), ["p95", "p99"]);
        assert_eq!(differing[0].excess().to_string(), "1");
    }

    #[test]
    fn a_failed_run_or_a_busy_machine_shows_nothing() {
        let [cell, ..] = Cell::six()[..] else { panic!("there are six") };
        let verdict = |runs| Comparison::new(cell, &[40.0; 4], runs).verdict();
        let late = max_lateness(Workload::Trickle) + Span::from_nanos(1);
        assert!(matches!(verdict(vec![Ok(run(40, late))]), Verdict::Inconclusive(_)));
        let failed = vec![Ok(run(40, Span::ZERO)), Err("no broker".to_owned())];
        assert_eq!(verdict(failed), Verdict::Inconclusive("no broker".to_owned()));
    }
}
