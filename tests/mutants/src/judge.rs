//! What notices a change: the first test program that fails, and qoslab's own verdict.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::mutant::Mutant;
use crate::tree::{TestProgram, Tree};

/// A change may make a program slower; past this it is noticed by its time.
const PATIENCE: u64 = 5;
const LEAST_SECONDS: u64 = 20;
/// A change may make a program ask for all memory there is: it gets this much, in KiB.
const MEMORY_KIB: u64 = 12 << 20;

/// The cases of property tests, from `.cargo/config.toml`.
const PROPERTY_SEED: &str = env!("PROPTEST_RNG_SEED");

/// What became of a change.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) compiles: bool,
    /// The test program that failed first.
    pub(crate) test: Option<String>,
    /// How `qoslab run scenarios/` ended, for a change of an endpoint.
    pub(crate) tool: Option<ToolVerdict>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ToolVerdict {
    Passed,
    /// Exit code 1: a promise, a rule or a need is broken.
    Failed,
    /// Exit code 70: qoslab calls it a bug of its own, which puts the blame in the wrong place.
    OwnBug,
    Panicked,
    TimedOut,
    Other,
}

impl Outcome {
    pub(crate) fn is_noticed_by_the_tool(&self) -> bool {
        self.tool.is_some_and(|verdict| verdict != ToolVerdict::Passed)
    }
}

/// The outcomes so far, each on a line of a file.
pub(crate) struct Outcomes {
    file: File,
    by_name: BTreeMap<String, Outcome>,
}

impl Outcomes {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let open = OpenOptions::new().create(true).append(true).read(true).open(path);
        let file = open.with_context(|| format!("cannot open {}", path.display()))?;
        let mut by_name = BTreeMap::new();
        for line in BufReader::new(&file).lines() {
            let outcome: Outcome = serde_json::from_str(&line?)?;
            by_name.insert(outcome.name.clone(), outcome);
        }
        Ok(Self { file, by_name })
    }

    pub(crate) fn of(&self, mutant: &Mutant) -> Option<&Outcome> {
        self.by_name.get(&mutant.name)
    }

    pub(crate) fn is_complete(&self, mutant: &Mutant) -> bool {
        self.of(mutant).is_some()
    }

    pub(crate) fn does_not_compile(&mut self, mutant: &Mutant) -> Result<()> {
        let name = mutant.name.clone();
        self.add(Outcome { name, compiles: false, test: None, tool: None })
    }

    fn add(&mut self, outcome: Outcome) -> Result<()> {
        writeln!(self.file, "{}", serde_json::to_string(&outcome)?)?;
        self.by_name.insert(outcome.name.clone(), outcome);
        Ok(())
    }
}

/// A program, and how long it takes when nothing is changed.
struct Timed<T> {
    program: T,
    seconds: u64,
}

pub(crate) struct Judge {
    tests: Vec<Timed<TestProgram>>,
    /// `qoslab run scenarios/`, with messages as they are and then as bytes.
    tool: Vec<Timed<Vec<&'static str>>>,
    command: PathBuf,
    folder: PathBuf,
    is_woven: bool,
}

impl Judge {
    /// Builds the tree and times it with no change on; the times of one that stands alone are those
    /// of the woven tree.
    pub(crate) fn of(tree: &Tree, woven: Option<&Self>) -> Result<Self> {
        let programs = tree.build()?;
        let mut judge = Self {
            tests: Vec::new(),
            tool: Vec::new(),
            command: tree.command(),
            folder: tree.folder().to_owned(),
            is_woven: woven.is_none(),
        };
        let known: BTreeMap<&str, u64> = woven
            .iter()
            .flat_map(|woven| &woven.tests)
            .map(|test| (test.program.name.as_str(), test.seconds))
            .collect();
        for program in programs {
            let seconds = match known.get(program.name.as_str()) {
                Some(seconds) => *seconds,
                None => time(&program.name, || passes(&program, 0, 3600))?,
            };
            judge.tests.push(Timed { program, seconds });
        }
        judge.tests.sort_by_key(|test| test.seconds);
        for (index, ways) in [vec![], vec!["--wire"]].into_iter().enumerate() {
            let seconds = match woven {
                Some(woven) => woven.tool[index].seconds,
                None => time("qoslab run scenarios/", || {
                    Ok(judge.meet_tool(&ways, 0, 3600)? == ToolVerdict::Passed)
                })?,
            };
            judge.tool.push(Timed { program: ways, seconds });
        }
        Ok(judge)
    }

    pub(crate) fn judge(&self, mutant: &Mutant, outcomes: &mut Outcomes) -> Result<()> {
        if outcomes.is_complete(mutant) {
            return Ok(());
        }
        let number = if self.is_woven { mutant.number } else { 0 };
        let mut tool = None;
        if mutant.is_of_an_endpoint() {
            for ways in &self.tool {
                let verdict = self.meet_tool(&ways.program, number, patience(ways.seconds))?;
                tool = Some(verdict);
                if verdict != ToolVerdict::Passed {
                    break;
                }
            }
        }
        let mut failed = None;
        for test in &self.tests {
            if !passes(&test.program, number, patience(test.seconds))? {
                failed = Some(test.program.name.clone());
                break;
            }
        }
        let noticed = failed.as_deref().unwrap_or("no test");
        eprintln!("{}: {noticed}, {tool:?}", mutant.name);
        outcomes.add(Outcome { name: mutant.name.clone(), compiles: true, test: failed, tool })
    }

    fn meet_tool(&self, ways: &[&str], number: u32, seconds: u64) -> Result<ToolVerdict> {
        let mut command = limited(seconds, number);
        command.arg(&self.command).args(["run", "scenarios/"]).args(ways);
        command.args(["--out", "target/mutant-reports"]).current_dir(&self.folder);
        let status = command.status().context("cannot start qoslab")?;
        Ok(match status.code() {
            Some(0) => ToolVerdict::Passed,
            Some(1) => ToolVerdict::Failed,
            Some(70) => ToolVerdict::OwnBug,
            Some(101) => ToolVerdict::Panicked,
            Some(124 | 137) => ToolVerdict::TimedOut,
            _ => ToolVerdict::Other,
        })
    }
}

/// Whether a test program passes in its time.
fn passes(program: &TestProgram, number: u32, seconds: u64) -> Result<bool> {
    let mut command = limited(seconds, number);
    command.arg(&program.path).arg("--quiet").current_dir(&program.folder);
    command.env("INSTA_UPDATE", "no").env("CARGO_MANIFEST_DIR", &program.folder);
    command.env("PROPTEST_RNG_SEED", PROPERTY_SEED).env("PROPTEST_MAX_SHRINK_ITERS", "0");
    Ok(command.status().context("cannot start a test program")?.success())
}

fn patience(seconds: u64) -> u64 {
    LEAST_SECONDS + seconds * PATIENCE
}

/// The time that a program takes with no change on, which must pass.
#[expect(clippy::disallowed_types, reason = "it decides how long a changed program may take")]
fn time(name: &str, run: impl FnOnce() -> Result<bool>) -> Result<u64> {
    let start = std::time::Instant::now();
    ensure!(run()?, "{name} fails with no change on");
    let seconds = start.elapsed().as_secs() + 1;
    eprintln!("{name}: {seconds} s");
    Ok(seconds)
}

/// What comes after it runs with so much time and memory, with this change on, and says nothing.
fn limited(seconds: u64, number: u32) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &seconds.to_string(), "sh", "-c"]);
    command.arg(format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\""));
    command.env("QOSLAB_MUTANT", number.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
