//! The search itself: level by level, in one fixed order, on any number of threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPool;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::alternative::{Alternative, Chosen};
use super::ground::{End, Ground, Tried};
use super::states::States;
use super::{Counterexample, Level, Report, Result, Watching};
use crate::scenario::expect::Expect;
use qoslab_core::base::name::PacketName;

/// So many schedules are tried at a time, and may know the states of all that were tried before.
/// It is no matter of how many threads there are: the answer is the same for any number.
const CHUNK: usize = 2048;

/// How a search goes.
#[derive(Debug)]
pub struct Search<'a> {
    /// What is searched.
    pub ground: &'a Ground,
    /// Which broken promises are declared, and so no counterexamples.
    pub expect: &'a Expect,
    /// At most so many faults in one schedule.
    pub faults: usize,
    /// With more schedules than these in sight it is given up.
    pub max_schedules: u64,
    /// The threads to use.
    pub pool: &'a ThreadPool,
    /// Once it is true the search ends soon.
    pub interrupt: &'a AtomicBool,
}

/// A schedule that has children.
struct Parent {
    schedule: Vec<Link>,
    /// The packets at which its children differ from it.
    choices: Vec<u32>,
}

/// A fault by the number of its packet's name.
#[derive(Clone, Copy)]
struct Link {
    packet: u32,
    alternative: Alternative,
}

/// Packet names by number, so that a schedule is small.
#[derive(Default)]
struct Names {
    all: Vec<PacketName>,
    numbers: BTreeMap<PacketName, u32>,
}

/// Where a search stands.
struct Standing {
    names: Names,
    known: States,
    /// By level: the schedules that have children.
    parents: Vec<Vec<Parent>>,
    report: Report,
}

impl Search<'_> {
    /// Searches.
    ///
    /// # Errors
    /// If a counterexample is none when it is run as an ordinary trial, which is a bug in qoslab.
    pub fn run(&self, watching: &dyn Watching) -> Result<Report> {
        let mut standing = Standing {
            names: Names::default(),
            known: States::default(),
            parents: Vec::new(),
            report: Report::default(),
        };
        self.pool.install(|| self.run_on(&mut standing, watching))?;
        Ok(standing.report)
    }

    fn run_on(&self, standing: &mut Standing, watching: &dyn Watching) -> Result<()> {
        for level in 0..=self.faults {
            let planned = self.planned(standing, level);
            standing.report.levels.push(Level { planned, ..Level::default() });
            standing.parents.push(Vec::new());
            if let Some(estimate) = self.too_many(standing, level) {
                standing.report.estimate = Some(estimate);
                return Ok(());
            }
            if self.search(standing, level, watching)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Searches a level; whether the search ends there.
    fn search(
        &self,
        standing: &mut Standing,
        level: usize,
        watching: &dyn Watching,
    ) -> Result<bool> {
        let mut place = Place::default();
        loop {
            let chunk = self.next_chunk(standing, level, &mut place);
            if chunk.is_empty() {
                return Ok(false);
            }
            let tried = self.attempt_all(&chunk, standing);
            if self.interrupt.load(Ordering::Relaxed) {
                standing.report.interrupted = true;
                return Ok(true);
            }
            for (schedule, tried) in chunk.into_iter().zip(tried) {
                if self.file(standing, level, schedule, tried)? {
                    return Ok(true);
                }
            }
            watching.see(&standing.report);
        }
    }

    fn attempt_all(&self, chunk: &[Vec<Link>], standing: &Standing) -> Vec<Option<Tried>> {
        let (names, known) = (&standing.names, &standing.known);
        let tried = chunk.par_iter().map_init(
            || (self.ground.desk(), Vec::new()),
            |(desk, schedule), links| {
                if self.interrupt.load(Ordering::Relaxed) {
                    return None;
                }
                schedule.clear();
                schedule.extend(names.chosen(links));
                Some(self.ground.attempt(desk, schedule, known))
            },
        );
        tried.collect()
    }

    /// Enters what became of a schedule; whether the search ends with it.
    fn file(
        &self,
        standing: &mut Standing,
        level: usize,
        schedule: Vec<Link>,
        tried: Option<Tried>,
    ) -> Result<bool> {
        let Some(Tried { choices, states, end }) = tried else { return Ok(false) };
        let report = &mut standing.report;
        report.levels[level].schedules += 1;
        if level == 0 {
            report.packets = choices.len();
        }
        match end {
            End::Known | End::Fine => {}
            End::Inconclusive => report.inconclusive += 1,
            End::Broken | End::Livelock => {
                let chosen: Vec<_> = standing.names.chosen(&schedule).collect();
                let found = Counterexample::of(self.ground, chosen, end == End::Livelock)?;
                if found.is_declared(self.expect) {
                    report.declared += 1;
                } else {
                    report.counterexample = Some(Box::new(found));
                    return Ok(true);
                }
            }
        }
        let mut free = choices.len();
        for (state, before) in states {
            if !standing.known.insert(state) {
                free = before;
                break;
            }
            standing.report.levels[level].states += 1;
        }
        if free > 0 && level < self.faults {
            let choices = choices[..free].iter().map(|name| standing.names.number(name)).collect();
            standing.parents[level].push(Parent { schedule, choices });
        }
        Ok(false)
    }

    // ---- the order of a level ----

    /// The next schedules of a level, from `place` on. First come those with one fault more than a
    /// schedule of the level before, then those with a packet more that counts for two.
    fn next_chunk(&self, standing: &Standing, level: usize, place: &mut Place) -> Vec<Vec<Link>> {
        let mut chunk = Vec::new();
        if level == 0 && !std::mem::replace(&mut place.is_begun, true) {
            chunk.push(Vec::new());
        }
        while chunk.len() < CHUNK && place.cost < level.min(2) {
            let cost = place.cost + 1;
            let parents = &standing.parents[level - cost];
            let Some(parent) = parents.get(place.parent) else {
                *place = Place { cost, ..Place::default() };
                continue;
            };
            let Some(&packet) = parent.choices.get(place.choice) else {
                *place = Place { cost: place.cost, parent: place.parent + 1, ..Place::default() };
                continue;
            };
            place.choice += 1;
            let name = &standing.names.all[packet as usize];
            for alternative in self.ground.menu.of(&self.ground.setup, name, cost) {
                let last = Link { packet, alternative };
                chunk.push(parent.schedule.iter().copied().chain([last]).collect());
            }
        }
        chunk
    }

    /// How many schedules a level has.
    fn planned(&self, standing: &Standing, level: usize) -> u64 {
        if level == 0 {
            return 1;
        }
        let of_cost = |cost: usize| -> u64 {
            let choices = standing.parents[level - cost].iter().flat_map(|it| &it.choices);
            let names = choices.map(|packet| &standing.names.all[*packet as usize]);
            names.map(|it| self.ground.menu.of(&self.ground.setup, it, cost).len() as u64).sum()
        };
        (1..=level.min(2)).map(of_cost).sum()
    }

    /// How many schedules there would be, if that is too many: those of this level are counted,
    /// and each further one is taken to grow as this one did.
    fn too_many(&self, standing: &Standing, level: usize) -> Option<u64> {
        let levels = &standing.report.levels;
        let done: u64 = levels[..level].iter().map(|level| level.schedules).sum();
        let planned = levels[level].planned;
        let before = level.checked_sub(1).map_or(1, |before| levels[before].planned.max(1));
        let growth = planned.div_ceil(before).max(1);
        let mut estimate = done + planned;
        if level >= 2 {
            let mut next = planned;
            for _ in level..self.faults {
                next = next.saturating_mul(growth);
                estimate = estimate.saturating_add(next);
            }
        }
        (estimate > self.max_schedules).then_some(estimate)
    }
}

/// The next schedule of a level: whose child it is, and at which packet.
#[derive(Clone, Copy, Default)]
struct Place {
    is_begun: bool,
    cost: usize,
    parent: usize,
    choice: usize,
}

impl Names {
    fn number(&mut self, name: &PacketName) -> u32 {
        let next = u32::try_from(self.all.len()).expect("fewer names than schedules, and memory");
        let number = *self.numbers.entry(*name).or_insert(next);
        if number == next {
            self.all.push(*name);
        }
        number
    }

    fn chosen<'a>(&'a self, links: &'a [Link]) -> impl Iterator<Item = Chosen> + 'a {
        links.iter().map(|link| Chosen {
            packet: self.all[link.packet as usize],
            alternative: link.alternative,
        })
    }
}
