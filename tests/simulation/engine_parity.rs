//! The two engines give the same results: every shipped scenario and point that turmoil can carry.
//!
//! Both run each trial, and must agree on how it ends, on broken promises and rules with their
//! counts and blame, on what is delivered to whom and how often, and on what is completed. First
//! deliveries may come later on turmoil by as much as its ticks explain (`parity/lag.rs`), and not
//! earlier. Any other difference is listed in [`KNOWN_DIFFERENCES`] with its reason, and an entry
//! there that does not occur is an error.
//!
//! With `QOSLAB_SEEDS=5` it is a survey: that many seeds of each point, and the long trials too.
//! Where many clients use one broker, much is decided by which of two packets comes first, so
//! there only verdicts must be the same, and what else differs is printed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use qoslab::base::{ClientIndex, Ending, Event, Observer, PublisherIndex, Span, Time};
use qoslab::guarantee::{Outcome, RuleViolationKind, Violation};
use qoslab::scenario;
use qoslab::scenario::{Point, Scenario, Setting};
use qoslab::sim::Unsupported;
use qoslab::sim::turmoil::TICK;
use qoslab::sim::{Engine, EngineKind, EventEngine, SharedObserver, Trial, TurmoilEngine};
use qoslab::sim::{Options, RunSummary};
use qoslab::study::judge_trial;
use rayon::prelude::*;

use lag::LagBounds;

mod lag;

/// A message for a subscriber.
type UnitKey = (ClientIndex, PublisherIndex, u32);

/// The differences that are allowed in a scenario of this name, and why.
struct KnownDifference {
    scenario: &'static str,
    differences: &'static [Difference],
    why: &'static str,
}

const KNOWN_DIFFERENCES: &[KnownDifference] = &[
    KnownDifference {
        scenario: "bugs/10-resends-out-of-order",
        differences: &[Difference::Copies, Difference::Earlier],
        why: "the PUBACK of #14 and the cut come to `meter` at the same instant; at ticks the \
              PUBACK is read before the cut, so nothing has to come again",
    },
    KnownDifference {
        scenario: "swarm/datagrams-3.1.1",
        differences: &[Difference::Later],
        why: "the broker's crash is exact and a PUBREC is 2 ms late: it comes before the one and \
              after the other, so the message comes once more when the broker is back",
    },
    KnownDifference {
        scenario: "broker-restart-durable",
        differences: &[Difference::Earlier, Difference::Later],
        why: BURST,
    },
    KnownDifference {
        scenario: "broker-restart-snapshot",
        differences: &[Difference::Earlier, Difference::Later],
        why: BURST,
    },
    KnownDifference {
        scenario: "broker-restart-volatile",
        differences: &[Difference::Earlier, Difference::Later],
        why: BURST,
    },
    KnownDifference { scenario: "long-outage", differences: &[Difference::Earlier], why: BURST },
    KnownDifference { scenario: "per-report", differences: &[Difference::Earlier], why: BURST },
    KnownDifference { scenario: "swarm/tcp-3.1", differences: &[Difference::Earlier], why: BURST },
    KnownDifference { scenario: "swarm/tcp-5.0", differences: &[Difference::Earlier], why: BURST },
    KnownDifference {
        scenario: "swarm/tcp-3.1.1",
        differences: &[Difference::Later],
        why: "two messages come to the broker within a tick and are sent on in the other order; \
              over TCP the second waits for the first",
    },
];

/// Over TCP, what waits is cut into segments when an acknowledgement lets it go.
const BURST: &str = "more waits than the congestion window lets go; at ticks the acknowledgements come \
                     a little later, and so what waits is cut into other segments";

/// The default number of seeds of each point.
const SEEDS: u64 = 3;

/// Trials of more events are compared only where `QOSLAB_SEEDS` asks for seeds: they take long.
const MAX_EVENTS: u64 = 12_000;

/// The limit for all seeds but the first.
const MAX_EVENTS_OTHER_SEEDS: u64 = 600;

/// The delay of links that are too fast for turmoil.
const SLOWED_DELAY: &str = "10ms";

/// The ways in which two runs of a trial can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// How it ended, which promises and rules were broken, by whom.
    Verdict,
    /// How often promises were broken.
    Violations,
    /// How often rules were broken.
    Rules,
    Delivered,
    Copies,
    Completed,
    Earlier,
    Later,
}

/// When each subscriber got each message, and what publishers completed.
#[derive(Default)]
struct DeliveryObserver {
    delivered: BTreeMap<UnitKey, Vec<Time>>,
    completed: BTreeSet<(PublisherIndex, u32)>,
}

impl Observer for DeliveryObserver {
    fn observe(&mut self, now: Time, event: &Event<'_>) {
        match event {
            Event::Delivered { client, tag, .. } => {
                let parts = tag.message_id().unwrap();
                let unit = (*client, parts.publisher, parts.sequence);
                self.delivered.entry(unit).or_default().push(now);
            }
            Event::Completed { tag } => {
                let parts = tag.message_id().unwrap();
                self.completed.insert((parts.publisher, parts.sequence));
            }
            _ => {}
        }
    }
}

/// The result of a trial on one engine.
struct EngineRun {
    outcome: Outcome,
    units: DeliveryObserver,
}

impl EngineRun {
    fn run_trial<E: Engine>(engine: &E, trial: &Trial) -> Self {
        let watched = ObservedEngine { engine, units: Mutex::default() };
        let outcome = judge_trial(&watched, trial, &AtomicBool::new(false)).unwrap();
        Self { outcome, units: watched.units.into_inner().unwrap() }
    }
}

/// An engine, and the units of the trial that it ran last.
struct ObservedEngine<'a, E> {
    engine: &'a E,
    units: Mutex<DeliveryObserver>,
}

impl<E: Engine> Engine for ObservedEngine<'_, E> {
    fn run_shared(
        &self,
        trial: &Trial,
        observer: SharedObserver,
        options: Options<'_>,
    ) -> RunSummary {
        let both = (observer, DeliveryObserver::default());
        let (summary, (_, units)) = self.engine.run(trial, both, options);
        *self.units.lock().unwrap() = units;
        summary
    }
}

/// A trial on both engines.
#[derive(Debug, Default)]
struct EngineComparison {
    /// The number of delivered units.
    units: usize,
    /// The largest delay of a first delivery, in nanoseconds, and the delay that was allowed.
    latest: (u64, u64),
    differences: BTreeMap<Difference, String>,
}

impl EngineComparison {
    /// `None` if the trial has more events than this.
    fn compare_engines(trial: &Trial, max_events: u64) -> Option<Self> {
        let event = EngineRun::run_trial(&EventEngine, trial);
        if event.outcome.events > max_events {
            return None;
        }
        let turmoil = EngineRun::run_trial(&TurmoilEngine, trial);
        let (_, lags) = EventEngine.run(trial, LagBounds::new(&trial.setup), Options::default());
        let mut compared = Self { units: event.units.delivered.len(), ..Self::default() };
        let (one, two) = (&event.outcome, &turmoil.outcome);
        compared.compare_value(Difference::Verdict, &verdict(one), &verdict(two));
        compared.compare_value(Difference::Violations, &one.violations, &two.violations);
        compared.compare_value(Difference::Rules, &one.rule_violations, &two.rule_violations);
        compared.compare_set(
            Difference::Delivered,
            event.units.delivered.keys(),
            turmoil.units.delivered.keys(),
        );
        compared.compare_set(
            Difference::Completed,
            event.units.completed.iter(),
            turmoil.units.completed.iter(),
        );
        for (unit, times) in &event.units.delivered {
            let Some(others) = turmoil.units.delivered.get(unit) else { continue };
            if times.len() != others.len() {
                let text = format!("{unit:?}: {times:?}, {others:?}");
                compared.differences.entry(Difference::Copies).or_insert(text);
            }
            let (first, other) = (times[0].as_nanos(), others[0].as_nanos());
            let bound = lags.units[unit] * TICK.as_nanos();
            let late = other.saturating_sub(first);
            if other < first {
                let text = format!("{unit:?}: {times:?}, {others:?}");
                compared.differences.entry(Difference::Earlier).or_insert(text);
            } else if late > bound {
                let text = format!("{unit:?}: {times:?}, {others:?}, allowed {bound} ns");
                compared.differences.entry(Difference::Later).or_insert(text);
            } else if late > compared.latest.0 {
                compared.latest = (late, bound);
            }
        }
        Some(compared)
    }

    fn compare_value<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: Difference,
        one: &T,
        two: &T,
    ) {
        if one != two {
            self.differences.insert(what, format!("{one:?}, {two:?}"));
        }
    }

    fn compare_set<'u, T: Ord + std::fmt::Debug + 'u>(
        &mut self,
        what: Difference,
        one: impl Iterator<Item = &'u T>,
        two: impl Iterator<Item = &'u T>,
    ) {
        let (one, two): (BTreeSet<_>, BTreeSet<_>) = (one.collect(), two.collect());
        let odd: Vec<_> = one.symmetric_difference(&two).collect();
        if let Some(first) = odd.first() {
            let side = if one.contains(*first) { "event" } else { "turmoil" };
            self.differences.insert(what, format!("{} such as {first:?} on {side}", odd.len()));
        }
    }
}

fn verdict(outcome: &Outcome) -> (Ending, Vec<&Violation>, Vec<&RuleViolationKind>) {
    let Outcome { ending, violations, rule_violations: rules, .. } = outcome;
    (*ending, violations.keys().collect(), rules.keys().collect())
}

/// A scenario that both engines can run, perhaps after some of its links were slowed down.
struct ShippedScenario {
    name: String,
    scenario: Scenario,
    slowed_links: Vec<String>,
    unsupported: Option<Unsupported>,
}

impl ShippedScenario {
    fn load(path: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let name = path.strip_prefix(root).unwrap().with_extension("");
        let name = name.display().to_string();
        let mut scenario = Scenario::load(path).unwrap_or_else(|wrong| panic!("{wrong}"));
        let links = links(&scenario.source);
        let mut slowed = Vec::new();
        loop {
            let not_carried =
                scenario.points.iter().find_map(|it| EngineKind::Turmoil.check(&it.setup).err());
            let link = not_carried.as_ref().and_then(|it| match it {
                Unsupported::Delay { client, .. } => {
                    links.iter().find(|link| is_for(link, client) && !slowed.contains(*link))
                }
                Unsupported::Socket { .. } => None,
            });
            let Some(link) = link else {
                return Self { name, scenario, slowed_links: slowed, unsupported: not_carried };
            };
            let (path, value) = (format!("link.{link}.delay"), SLOWED_DELAY.to_owned());
            scenario = scenario.with_settings(&[Setting { path, value }]).unwrap();
            slowed.push(link.clone());
        }
    }

    /// All trials of these seeds on both engines, each with its name; without those of more events.
    fn compare(
        &self,
        seeds: u64,
        max_events: &(impl Fn(u64) -> u64 + Sync),
    ) -> Vec<(String, EngineComparison)> {
        let points = self.scenario.points.iter().filter(|_| self.unsupported.is_none());
        let trials = points.flat_map(|point| (1..=seeds).map(move |seed| (point, seed)));
        let trials: Vec<(&Point, u64)> = trials.collect();
        let compared = trials.par_iter().filter_map(|(point, seed)| {
            let compared =
                EngineComparison::compare_engines(&point.trial(*seed), max_events(*seed))?;
            Some((format!("{}, seed {seed}", point.label()), compared))
        });
        compared.collect()
    }

    /// Its row in the table.
    fn row(&self, compared: &[(String, EngineComparison)], seeds: u64) -> String {
        let points = self.scenario.points.len();
        let carried = match (&self.unsupported, &self.slowed_links[..]) {
            (Some(why), _) => format!("no: {why}"),
            (None, []) => "yes".to_owned(),
            (None, slowed) => format!("with {SLOWED_DELAY} for `{}`", slowed.join("`, `")),
        };
        let all = points * usize::try_from(seeds).unwrap();
        let trials = match compared.len() {
            some if some < all => format!("{some} of {all}"),
            _ => all.to_string(),
        };
        let units: usize = compared.iter().map(|(_, it)| it.units).sum();
        let latest = compared.iter().map(|(_, it)| it.latest).max().unwrap_or_default();
        let [latest, bound] =
            [latest.0, latest.1].map(|it| Span::from_nanos(it).as_secs_f64() * 1e3);
        let later = if units == 0 { "-".to_owned() } else { format!("{latest:.2} of {bound:.0}") };
        let exception = KNOWN_DIFFERENCES.iter().find(|it| it.scenario == self.name);
        let differs = exception.map_or("", |it| it.why);
        let name = &self.name;
        format!("| {name} | {points} | {carried} | {trials} | {units} | {later} | {differs} |\n")
    }

    /// The differences that are not allowed, and the allowed ones that do not occur.
    fn unexpected_differences(&self, compared: &[(String, EngineComparison)]) -> Vec<String> {
        let exception = KNOWN_DIFFERENCES.iter().find(|it| it.scenario == self.name);
        let excused = exception.map_or(&[][..], |it| it.differences);
        let name = &self.name;
        let mut wrong = Vec::new();
        for (trial, compared) in compared {
            let unexcused = compared.differences.iter().filter(|it| !excused.contains(it.0));
            wrong.extend(unexcused.map(|(what, how)| format!("{name}, {trial}: {what:?}: {how}")));
        }
        let unneeded = excused.iter().filter(|what| {
            !compared.iter().any(|(_, compared)| compared.differences.contains_key(what))
        });
        wrong.extend(
            unneeded.map(|what| format!("{name}: {what:?} is excused and does not happen")),
        );
        wrong
    }
}

/// The clients of a file's links, as it writes them.
fn links(source: &str) -> Vec<String> {
    let file: toml::Table = source.parse().unwrap();
    let links = file["link"].as_array().unwrap().iter();
    let ends = links.flat_map(|link| link["between"].as_array().unwrap());
    let ends = ends.map(|end| end.as_str().unwrap().to_owned());
    ends.filter(|end| end != "broker").collect()
}

fn is_for(link: &str, client: &str) -> bool {
    match link.split_once('*') {
        Some((head, tail)) => client.starts_with(head) && client.ends_with(tail),
        None => link == client,
    }
}

/// Run with `QOSLAB_UPDATE=1` to write the table anew.
#[test]
fn both_engines_agree() {
    let asked: Option<u64> = std::env::var("QOSLAB_SEEDS").ok().map(|it| it.parse().unwrap());
    let seeds = asked.unwrap_or(SEEDS);
    let max_events = |seed| match (asked, seed) {
        (Some(_), _) => u64::MAX,
        (None, 1) => MAX_EVENTS,
        (None, _) => MAX_EVENTS_OTHER_SEEDS,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<PathBuf> = scenario::find_scenarios(&root.join("scenarios")).unwrap();
    let all: Vec<_> = files
        .par_iter()
        .map(|path| {
            let shipped = ShippedScenario::load(path);
            let compared = shipped.compare(seeds, &max_events);
            (shipped, compared)
        })
        .collect();
    let wrong = if asked.is_some() {
        survey(&all)
    } else {
        all.iter()
            .flat_map(|(shipped, compared)| shipped.unexpected_differences(compared))
            .collect()
    };
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if asked.is_none() {
        let rows = all.iter().map(|(shipped, compared)| shipped.row(compared, seeds));
        compare_table(&rows.collect::<String>());
    }
}

/// Prints the differences, and returns those in verdicts.
fn survey(all: &[(ShippedScenario, Vec<(String, EngineComparison)>)]) -> Vec<String> {
    let (mut trials, mut differ, mut wrong) = (0, 0, Vec::new());
    for (shipped, (trial, compared)) in
        all.iter().flat_map(|(shipped, compared)| compared.iter().map(move |it| (shipped, it)))
    {
        trials += 1;
        differ += usize::from(!compared.differences.is_empty());
        for (what, how) in &compared.differences {
            let line = format!("{}, {trial}: {what:?}: {how}", shipped.name);
            println!("{line}");
            if *what == Difference::Verdict {
                wrong.push(line);
            }
        }
    }
    println!("{differ} of {trials} trials differ, {} in their verdicts", wrong.len());
    wrong
}

/// Compares the table of the manual with the results.
fn compare_table(rows: &str) {
    const BEGIN: &str = "<!-- written by tests/simulation/engine_parity.rs -->\n";
    const END: &str = "<!-- to here -->";
    const HEAD: &str = "| scenario | points | carried | trials | units | later by up to, ms | \
                        what differs and why |\n|---|--:|---|--:|--:|--:|---|\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/engines.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}{HEAD}{rows}{END}{after}");
    if std::env::var_os("QOSLAB_UPDATE").is_some() {
        fs::write(path, &fresh).unwrap();
    } else {
        assert!(page == fresh, "docs/engines.md is stale: run this test with QOSLAB_UPDATE=1");
    }
}
