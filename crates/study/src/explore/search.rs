//! The search itself: level by level, in one fixed order, on any number of threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::packet_fault::{InjectedFault, PacketFault};
use super::search_space::{Attempt, AttemptEnd, SearchSpace};
use super::state_set::StateSet;
use super::{Counterexample, ExploreReport, ExploreResult, FaultCountResult, SearchListener};
use crate::scenario::Expectations;
use crate::thread_pool::ThreadPool;
use qoslab_core::base::PacketName;

/// The number of schedules tried at a time, which may know the states of all that were tried
/// before. It does not depend on the number of threads: the answer is the same for any.
const CHUNK: usize = 2048;

/// The parameters of a search.
#[derive(Debug)]
pub struct Search<'a> {
    /// The search space.
    pub space: &'a SearchSpace,
    /// Which broken promises are declared, and so no counterexamples.
    pub expect: &'a Expectations,
    /// The greatest number of faults in one schedule.
    pub faults: usize,
    /// With more schedules than these in sight it is given up.
    pub max_schedules: u64,
    /// The threads to use.
    pub pool: &'a ThreadPool,
    /// Once it is true the search ends soon.
    pub interrupt: &'a AtomicBool,
}

/// A schedule that has children.
struct ParentSchedule {
    schedule: Vec<FaultRef>,
    /// The packets at which its children differ from it.
    choice_points: Vec<u32>,
}

/// A fault by the number of its packet's name.
#[derive(Clone, Copy)]
struct FaultRef {
    packet: u32,
    fault: PacketFault,
}

/// Packet names by number, so that a schedule is small.
#[derive(Default)]
struct PacketNames {
    all: Vec<PacketName>,
    number_by_name: BTreeMap<PacketName, u32>,
}

/// The progress of a search.
struct SearchState {
    names: PacketNames,
    known: StateSet,
    /// By level: the schedules that have children.
    parents: Vec<Vec<ParentSchedule>>,
    report: ExploreReport,
}

impl Search<'_> {
    /// Searches.
    ///
    /// # Errors
    /// If a counterexample is none when it is run as an ordinary trial, which is a bug in qoslab.
    pub fn run(&self, listener: &dyn SearchListener) -> ExploreResult<ExploreReport> {
        let mut standing = SearchState {
            names: PacketNames::default(),
            known: StateSet::default(),
            parents: Vec::new(),
            report: ExploreReport::default(),
        };
        self.run_levels(&mut standing, listener)?;
        Ok(standing.report)
    }

    fn run_levels(
        &self,
        search_state: &mut SearchState,
        listener: &dyn SearchListener,
    ) -> ExploreResult<()> {
        for level in 0..=self.faults {
            let planned = self.planned_count(search_state, level);
            search_state
                .report
                .levels
                .push(FaultCountResult { planned, ..FaultCountResult::default() });
            search_state.parents.push(Vec::new());
            if let Some(estimate) = self.excess_estimate(search_state, level) {
                search_state.report.estimate = Some(estimate);
                return Ok(());
            }
            if self.search_level(search_state, level, listener)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Searches a level; whether the search ends there.
    fn search_level(
        &self,
        search_state: &mut SearchState,
        level: usize,
        listener: &dyn SearchListener,
    ) -> ExploreResult<bool> {
        let mut place = LevelCursor::default();
        loop {
            let chunk = self.next_chunk(search_state, level, &mut place);
            if chunk.is_empty() {
                return Ok(false);
            }
            let tried = self.try_chunk(&chunk, search_state);
            if self.interrupt.load(Ordering::Relaxed) {
                search_state.report.interrupted = true;
                return Ok(true);
            }
            for (schedule, tried) in chunk.into_iter().zip(tried) {
                if self.record_attempt(search_state, level, schedule, tried)? {
                    return Ok(true);
                }
            }
            listener.on_progress(&search_state.report);
        }
    }

    fn try_chunk(
        &self,
        chunk: &[Vec<FaultRef>],
        search_state: &SearchState,
    ) -> Vec<Option<Attempt>> {
        let (names, known) = (&search_state.names, &search_state.known);
        self.pool.map_with_state(
            chunk,
            || (self.space.new_worker(), Vec::new()),
            |(desk, schedule), links| {
                if self.interrupt.load(Ordering::Relaxed) {
                    return None;
                }
                schedule.clear();
                schedule.extend(names.injected_faults(links));
                Some(self.space.try_schedule(desk, schedule, known))
            },
        )
    }

    /// Enters the result of a schedule; returns whether the search ends with it.
    fn record_attempt(
        &self,
        search_state: &mut SearchState,
        level: usize,
        schedule: Vec<FaultRef>,
        attempt: Option<Attempt>,
    ) -> ExploreResult<bool> {
        let Some(Attempt { choice_points: choices, states, end }) = attempt else {
            return Ok(false);
        };
        let report = &mut search_state.report;
        report.levels[level].schedules += 1;
        if level == 0 {
            report.packets = choices.len();
        }
        match end {
            AttemptEnd::KnownState | AttemptEnd::Holds => {}
            AttemptEnd::Inconclusive => report.inconclusive += 1,
            AttemptEnd::Broken | AttemptEnd::Livelock => {
                let chosen: Vec<_> = search_state.names.injected_faults(&schedule).collect();
                let found = Counterexample::replay_and_judge(
                    self.space,
                    chosen,
                    end == AttemptEnd::Livelock,
                )?;
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
            if !search_state.known.insert(state) {
                free = before;
                break;
            }
            search_state.report.levels[level].new_states += 1;
        }
        if free > 0 && level < self.faults {
            let choices =
                choices[..free].iter().map(|name| search_state.names.number_of(name)).collect();
            search_state.parents[level].push(ParentSchedule { schedule, choice_points: choices });
        }
        Ok(false)
    }

    // ---- the order of a level ----

    /// The next schedules of a level, from `cursor` on. First come those with one fault more than a
    /// schedule of the level before, then those with a packet more that counts for two.
    fn next_chunk(
        &self,
        search_state: &SearchState,
        level: usize,
        cursor: &mut LevelCursor,
    ) -> Vec<Vec<FaultRef>> {
        let mut chunk = Vec::new();
        if level == 0 && !std::mem::replace(&mut cursor.is_started, true) {
            chunk.push(Vec::new());
        }
        while chunk.len() < CHUNK && cursor.fault_count < level.min(2) {
            let cost = cursor.fault_count + 1;
            let parents = &search_state.parents[level - cost];
            let Some(parent) = parents.get(cursor.parent) else {
                *cursor = LevelCursor { fault_count: cost, ..LevelCursor::default() };
                continue;
            };
            let Some(&packet) = parent.choice_points.get(cursor.choice) else {
                *cursor = LevelCursor {
                    fault_count: cursor.fault_count,
                    parent: cursor.parent + 1,
                    ..LevelCursor::default()
                };
                continue;
            };
            cursor.choice += 1;
            let name = &search_state.names.all[packet as usize];
            for alternative in self.space.fault_options.faults_for(&self.space.setup, name, cost) {
                let last = FaultRef { packet, fault: alternative };
                chunk.push(parent.schedule.iter().copied().chain([last]).collect());
            }
        }
        chunk
    }

    /// How many schedules a level has.
    fn planned_count(&self, search_state: &SearchState, level: usize) -> u64 {
        if level == 0 {
            return 1;
        }
        let of_cost = |cost: usize| -> u64 {
            let choices =
                search_state.parents[level - cost].iter().flat_map(|it| &it.choice_points);
            let names = choices.map(|packet| &search_state.names.all[*packet as usize]);
            names
                .map(|it| {
                    self.space.fault_options.faults_for(&self.space.setup, it, cost).len() as u64
                })
                .sum()
        };
        (1..=level.min(2)).map(of_cost).sum()
    }

    /// How many schedules there would be, if that is too many: those of this level are counted,
    /// and each further one is taken to grow as this one did.
    fn excess_estimate(&self, search_state: &SearchState, level: usize) -> Option<u64> {
        let levels = &search_state.report.levels;
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
struct LevelCursor {
    is_started: bool,
    fault_count: usize,
    parent: usize,
    choice: usize,
}

impl PacketNames {
    fn number_of(&mut self, name: &PacketName) -> u32 {
        let next = u32::try_from(self.all.len()).expect("fewer names than schedules, and memory");
        let number = *self.number_by_name.entry(*name).or_insert(next);
        if number == next {
            self.all.push(*name);
        }
        number
    }

    fn injected_faults<'a>(
        &'a self,
        links: &'a [FaultRef],
    ) -> impl Iterator<Item = InjectedFault> + 'a {
        links
            .iter()
            .map(|link| InjectedFault { packet: self.all[link.packet as usize], fault: link.fault })
    }
}
