//! How many small changes of the endpoints and the judge do the tests, and qoslab itself, notice?
//!
//! `cargo mutants --list` says what can be changed; a fixed seed draws a sample of it. To build the
//! workspace once for each of them would take days, so all of the sample are woven into one tree
//! (`weave`): each behind a switch that one environment variable turns on. The few that cannot stand
//! beside the others get a build of their own. Then each mutant meets the test programs, the quick
//! ones first, until one fails; and mutants of the endpoints meet `qoslab run scenarios/`, whatever
//! the tests said of them. Each outcome is written down as it comes, so that a run that was stopped
//! goes on where it was.

mod judge;
mod mutant;
mod report;
mod tree;
mod weave;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::judge::{Judge, Outcomes};
use crate::mutant::Mutant;
use crate::tree::Tree;

/// Draws changes of the endpoints and the judge, and counts which of them are noticed.
///
/// Needs `cargo install cargo-mutants --locked` and git. Two cores take some hours; a run that was
/// stopped goes on where it was.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many changes to draw.
    #[arg(long, default_value_t = 300)]
    sample: usize,
    /// Which ones: each seed draws a sample of its own.
    #[arg(long, default_value_t = 16)]
    seed: u64,
    /// A folder for the changed tree, its builds and the outcomes so far; some 20 GB.
    #[arg(long)]
    work: PathBuf,
    /// Writes the result there too, as Markdown.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.work)
        .with_context(|| format!("cannot make {}", arguments.work.display()))?;
    let work = arguments.work.canonicalize()?;
    let tree = Tree::of_head(&work)?;
    let all = mutant::list(tree.folder())?;
    let sample = mutant::draw(&all, arguments.sample, arguments.seed);
    eprintln!("{} of {} mutants are drawn", sample.len(), all.len());
    let name = format!("outcomes-{}.jsonl", tree.commit());
    let mut outcomes = Outcomes::open(&work.join(name))?;
    judge_all(&tree, &sample, &mut outcomes)?;
    let text = report::markdown(all.len(), &sample, &outcomes);
    if let Some(path) = &arguments.out {
        fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{text}");
    Ok(())
}

fn judge_all(tree: &Tree, sample: &[Mutant], outcomes: &mut Outcomes) -> Result<()> {
    if sample.iter().all(|mutant| outcomes.is_complete(mutant)) {
        return Ok(());
    }
    let alone = tree.weave_what_compiles(sample)?;
    let judge = Judge::of(tree, None)?;
    let woven = sample.iter().filter(|mutant| !alone.contains(&mutant.number));
    for mutant in woven {
        judge.judge(mutant, outcomes)?;
    }
    for mutant in sample.iter().filter(|mutant| alone.contains(&mutant.number)) {
        if outcomes.is_complete(mutant) {
            continue;
        }
        if tree.apply_alone(mutant)? {
            Judge::of(tree, Some(&judge))?.judge(mutant, outcomes)?;
        } else {
            outcomes.does_not_compile(mutant)?;
        }
    }
    Ok(())
}
