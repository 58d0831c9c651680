//! The changed tree: a clone of the commit, woven, checked and built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::mutant::Mutant;
use crate::weave::{self, SWITCH};

/// The roots of the crates that are changed.
const ROOTS: [&str; 2] = ["crates/core/src/lib.rs", "crates/guarantee/src/lib.rs"];

/// The test program that reads how the sources are written, which the switches break.
const READS_SOURCES: &str = "layers";

pub(crate) struct Tree {
    folder: PathBuf,
    commit: String,
}

impl Tree {
    /// A clone of the commit that this program's own checkout stands at, in the work folder; what a
    /// run before this one changed there is put back.
    pub(crate) fn of_head(work: &Path) -> Result<Self> {
        let origin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let folder = work.join("tree");
        if !folder.exists() {
            let mut clone = Command::new("git");
            run(clone.args(["clone", "--quiet"]).arg(&origin).arg(&folder))?;
        }
        let mut head = Command::new("git");
        let head = head.current_dir(&origin).args(["rev-parse", "HEAD"]).output()?;
        let commit = String::from_utf8(head.stdout)?.trim().to_owned();
        let tree = Self { folder, commit };
        tree.restore()?;
        for arguments in [["fetch", "--quiet", "origin"], ["checkout", "--quiet", &tree.commit]] {
            run(Command::new("git").current_dir(&tree.folder).args(arguments))?;
        }
        Ok(tree)
    }

    /// The commit, in hexadecimal digits.
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn restore(&self) -> Result<()> {
        run(Command::new("git").current_dir(&self.folder).args(["checkout", "--quiet", "."]))
    }

    /// Weaves in all changes that compile beside each other, and tells which do not.
    pub(crate) fn weave_what_compiles(&self, sample: &[Mutant]) -> Result<BTreeSet<u32>> {
        let mut alone = BTreeSet::new();
        loop {
            self.restore()?;
            let together = |mutant: &&Mutant| !alone.contains(&mutant.number);
            self.weave(&sample.iter().filter(together).collect::<Vec<_>>())?;
            let failing = self.failing_switches()?;
            if failing.is_empty() {
                return Ok(alone);
            }
            eprintln!("{} cannot stand beside the others: {failing:?}", failing.len());
            let before = alone.len();
            alone.extend(failing);
            ensure!(alone.len() > before, "the woven tree does not compile");
        }
    }

    fn weave(&self, mutants: &[&Mutant]) -> Result<()> {
        let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
        for mutant in mutants {
            by_file.entry(&mutant.file).or_default().push(mutant);
        }
        for (file, mutants) in by_file {
            self.rewrite(file, |text| weave::weave(text, &mutants))?;
        }
        for root in ROOTS {
            self.rewrite(root, |text| Ok(format!("{text}{SWITCH}")))?;
        }
        Ok(())
    }

    fn rewrite(&self, file: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let changed = change(&text).with_context(|| format!("in {file}"))?;
        fs::write(&path, changed).with_context(|| format!("cannot write {file}"))
    }

    /// The numbers of the switches that the compiler's errors are at, or come after.
    fn failing_switches(&self) -> Result<BTreeSet<u32>> {
        let mut command = self.cargo();
        command.args(["check", "--message-format=json", "-p", "qoslab", "--keep-going"]);
        let output = command.output().context("cannot start cargo")?;
        let mut failing = BTreeSet::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            let message = &message["message"];
            if message["level"] != "error" {
                continue;
            }
            for span in message["spans"].as_array().into_iter().flatten() {
                failing.extend(self.switch_at(span)?);
            }
        }
        ensure!(
            output.status.success() || !failing.is_empty(),
            "the woven tree does not compile, and no change is near the errors:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(failing)
    }

    /// The last switch of the file before the end of a compiler's span.
    fn switch_at(&self, span: &Value) -> Result<Option<u32>> {
        let (Some(file), Some(line)) = (span["file_name"].as_str(), span["line_end"].as_u64())
        else {
            return Ok(None);
        };
        let Ok(text) = fs::read_to_string(self.folder.join(file)) else { return Ok(None) };
        let lines = text.lines().take(usize::try_from(line)?);
        let numbers = lines.flat_map(|line| line.split("crate::mutant(").skip(1));
        let last = numbers.last().and_then(|rest| rest.split(')').next());
        Ok(last.and_then(|number| number.parse().ok()))
    }

    /// Makes this change alone, as cargo-mutants writes it, and tells whether it compiles.
    pub(crate) fn apply_alone(&self, mutant: &Mutant) -> Result<bool> {
        self.restore()?;
        self.rewrite(&mutant.file, |text| Ok(weave::apply(text, mutant)))?;
        let mut command = self.cargo();
        command.args(["check", "--quiet", "-p", "qoslab"]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(status.context("cannot start cargo")?.success())
    }

    /// Builds the tests and the command, and tells where the test programs are: the name of each,
    /// and the folder that it runs in.
    pub(crate) fn build(&self) -> Result<Vec<TestProgram>> {
        run(self.cargo().args(["build", "--quiet", "--release", "-p", "qoslab"]))?;
        let mut command = self.cargo();
        command.args(["test", "--no-run", "--message-format=json"]);
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("the changed tree's tests do not build");
        }
        let mut programs = Vec::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            let (Some(path), Some(manifest)) =
                (message["executable"].as_str(), message["manifest_path"].as_str())
            else {
                continue;
            };
            if message["profile"]["test"] == true {
                let target = message["target"]["name"].as_str().unwrap_or_default();
                if target == READS_SOURCES {
                    continue;
                }
                let package = Path::new(manifest).parent().context("a manifest has a folder")?;
                let folder = package.file_name().context("a package has a name")?;
                programs.push(TestProgram {
                    name: format!("{}: {target}", folder.to_string_lossy()),
                    path: PathBuf::from(path),
                    folder: package.to_owned(),
                });
            }
        }
        ensure!(!programs.is_empty(), "the changed tree has no tests");
        Ok(programs)
    }

    pub(crate) fn command(&self) -> PathBuf {
        self.folder.join("target/release/qoslab")
    }

    /// Cargo in the tree, with the tree's own folder of builds.
    fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", self.folder.join("target"));
        command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("RUSTFLAGS", "-A warnings");
        command
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TestProgram {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "failed: {command:?}");
    Ok(())
}
