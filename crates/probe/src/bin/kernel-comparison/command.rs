//! The command: arguments, progress, exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, value_parser};
use qoslab_core::base::Span;
use qoslab_probe::Clock;
use qoslab_probe::kernel_tcp::{
    CellScenario, Cells, Comparison, KernelRun, Machine, Verdict, measure, missing, report,
};

const AGREES: u8 = 0;
const DIFFERS: u8 = 1;
const USAGE: u8 = 2;
const SHOWS_NOTHING: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Seeds of the simulated side: more than the kernel has runs, since they cost next to nothing.
const SEEDS: u64 = 100;

/// From the start of one of the runs that go at once to the next: starting programs is what keeps
/// the machine from handing packets on in time.
const START_APART: Span = Span::from_millis(200);

/// The lines of a page between which the measured part is.
const MEASURED: [&str; 2] = ["<!-- written by kernel-comparison -->\n", "<!-- to here -->\n"];

static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// Compares the simulated TCP with that of this machine's kernel
#[derive(Parser, Debug)]
#[command(name = "kernel-comparison", long_about = LONG_ABOUT, after_help = AFTER_HELP)]
struct Arguments {
    /// Cells of the table: `six`, `all`, or a part of their names, such as loss5-qos1
    #[arg(long, default_value = "six")]
    cells: Cells,
    /// Runs of each cell under the kernel's TCP; their spread is allowed besides the bounds
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Messages of each run of a trickle, one each 100 ms
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=99_999))]
    messages: u32,
    /// Runs that go at once, each with a link and programs of its own; most of the time they wait
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u16).range(1..=1_000))]
    jobs: u16,
    /// Writes the table into this page too, between its lines `<!-- written by kernel-comparison
    /// -->` and `<!-- to here -->`
    #[arg(long, value_name = "PAGE")]
    write: Option<PathBuf>,
}

const LONG_ABOUT: &str = "\
Compares the simulated TCP with that of this machine's kernel

The same messages go over the same link twice: simulated, and from mosquitto_pub to mosquitto \
through the kernel's TCP, with a program between two network namespaces that delays, queues and \
loses IP packets by the simulator's network model. Compared are quantiles of the time from \
publish to delivery, and how long bulk takes.

It needs root, /dev/net/tun, and the Debian packages mosquitto, mosquitto-clients and iproute2.";

const AFTER_HELP: &str = "\
A cell agrees if the simulated p50, p90 and p95 are within 15 % or 10 ms of the kernel's, p99 \
within 30 % or 10 ms, and the time that bulk takes within 20 %; what the runs differ among \
themselves is allowed besides. If the machine was too busy to hand packets on in time, a cell \
shows nothing.

Exit codes:
    0  all cells agree
    1  a cell differs
    2  wrong arguments, a page that cannot be written, or a simulation that fails
    3  skipped, since something is missing here; or a cell shows nothing
  130  interrupted

Examples:
  kernel-comparison                                  six cells, about four minutes
  kernel-comparison --cells all --write docs/kernel-tcp.md
  kernel-comparison --cells trickle-40ms-loss5 --runs 2 --messages 300";

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(missing) = missing() {
        eprintln!("SKIPPED: the simulated TCP was not compared with the kernel's: {missing}");
        return SHOWS_NOTHING.into();
    }
    let code = compare(&arguments).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        USAGE
    });
    if INTERRUPT.load(Ordering::SeqCst) { INTERRUPTED.into() } else { code.into() }
}

fn compare(arguments: &Arguments) -> Result<u8> {
    ctrlc::set_handler(|| INTERRUPT.store(true, Ordering::SeqCst))?;
    let scenarios: Vec<_> = arguments
        .cells
        .0
        .iter()
        .map(|cell| CellScenario::new(*cell, arguments.messages))
        .collect::<Result<_>>()?;
    // Before the runs: it keeps all processors busy.
    let simulate = |scenario: &CellScenario| scenario.simulate(SEEDS, &INTERRUPT);
    let simulated: Vec<_> = scenarios.iter().map(simulate).collect::<Result<_>>()?;
    let measured = measure_all(&scenarios, arguments);
    ensure!(!INTERRUPT.load(Ordering::SeqCst), "interrupted");
    let cells = scenarios.iter().zip(&simulated).zip(measured);
    let comparisons: Vec<_> = cells
        .map(|((scenario, simulated), runs)| Comparison::new(scenario.cell(), simulated, runs))
        .collect();
    let text = report(&machine(arguments)?, &comparisons);
    print!("{text}");
    for comparison in &comparisons {
        if let Some(failure) = &comparison.failure {
            eprintln!("{}: {failure}", comparison.cell);
        }
    }
    if let Some(page) = &arguments.write {
        write_page(page, &text).with_context(|| format!("cannot write {}", page.display()))?;
    }
    Ok(code_of(&comparisons))
}

fn code_of(comparisons: &[Comparison]) -> u8 {
    let verdicts = comparisons.iter().map(Comparison::verdict);
    let code = |verdict| match verdict {
        Verdict::Agrees => AGREES,
        Verdict::Inconclusive(_) => SHOWS_NOTHING,
        Verdict::Differs(_) => DIFFERS,
    };
    // One that differs says more than one that shows nothing.
    let codes: Vec<u8> = verdicts.map(code).collect();
    let first = [DIFFERS, SHOWS_NOTHING].into_iter().find(|code| codes.contains(code));
    first.unwrap_or(AGREES)
}

/// The runs of each scenario. So many go at once; the others wait for their turn.
fn measure_all(
    scenarios: &[CellScenario],
    arguments: &Arguments,
) -> Vec<Vec<Result<KernelRun, String>>> {
    let runs = || scenarios.iter().enumerate();
    let all: Vec<_> = runs().flat_map(|it| (1..=arguments.runs).map(move |n| (it, n))).collect();
    let waiting = Mutex::new(all.into_iter());
    let next = || waiting.lock().expect("no thread panics in between").next();
    let results = Mutex::new(vec![Vec::new(); scenarios.len()]);
    let work = || {
        while let Some(((place, scenario), run)) = next() {
            let result = measure(scenario, run.into(), &INTERRUPT);
            print_progress(scenario, run, result.as_ref());
            let result = result.map_err(|error| format!("{error:#}"));
            results.lock().expect("no thread panics in between")[place].push(result);
        }
    };
    let (clock, work) = (Clock::start(), &work);
    thread::scope(|scope| {
        for place in 0..arguments.jobs {
            scope.spawn(move || {
                clock.sleep(START_APART.times(place.into()));
                work();
            });
        }
    });
    results.into_inner().expect("no thread panicked")
}

fn print_progress(scenario: &CellScenario, run: u32, result: Result<&KernelRun, &anyhow::Error>) {
    let cell = scenario.cell();
    match result {
        Ok(KernelRun { sent: [up, down], lost: [up_lost, down_lost], lateness, .. }) => eprintln!(
            "{cell}, run {run}: {up} packets up ({up_lost} lost), {down} down ({down_lost} lost), \
             99 % at most {:.2} ms late",
            lateness.as_secs_f64() * 1_000.0
        ),
        Err(error) => eprintln!("{cell}, run {run}: {error:#}"),
    }
}

fn machine(arguments: &Arguments) -> Result<Machine> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let runs = arguments.cells.0.len() * arguments.runs as usize;
    Ok(Machine {
        date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        // What follows the version names a build.
        kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
        processors: thread::available_parallelism()?.get(),
        runs: arguments.runs,
        messages: arguments.messages,
        jobs: runs.min(arguments.jobs.into()),
    })
}

fn write_page(page: &Path, measured: &str) -> Result<()> {
    let text = fs::read_to_string(page)?;
    let text = with_measured_part(&text, measured)
        .with_context(|| format!("it has no lines {MEASURED:?}"))?;
    Ok(fs::write(page, text)?)
}

/// A page with another measured part; `None` if it has no place for it.
fn with_measured_part(page: &str, measured: &str) -> Option<String> {
    let [begin, end] = MEASURED;
    let (head, rest) = page.split_once(begin)?;
    let (_, tail) = rest.split_once(end)?;
    Some(format!("{head}{begin}\n{measured}\n{end}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_part_of_a_page_is_replaced_and_the_rest_stays() {
        let page = format!("# Title\n\n{}{}\nMore.\n", MEASURED[0], MEASURED[1]);
        let first = with_measured_part(&page, "| a |\n").unwrap();
        let second = with_measured_part(&first, "| b |\n").unwrap();
        let expected = format!("# Title\n\n{}\n| b |\n\n{}\nMore.\n", MEASURED[0], MEASURED[1]);
        assert_eq!(second, expected);
        assert_eq!(with_measured_part("# Title\n", "| a |\n"), None);
    }
}
