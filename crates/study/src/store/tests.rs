//! Stores of real trials: cut off, damaged, resumed, cut into shards and joined again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::thread_pool::ThreadPool;

use super::*;
use crate::baseline::compare;
use crate::judge_trial::judge_trial;
use crate::plan::{Seeds, Selection, SelectionError};
use crate::precision::Precision;
use crate::scenario::{Axis, AxisValue, Scenario, Unit};
use crate::shard::Shard;
use crate::sweep::{Study, StudyPlan};
use crate::trial_runner::TrialRunner;
use qoslab_core::base::Time;
use qoslab_guarantee::BacklogStep;
use qoslab_sim::{EngineKind, EventEngine, JudgeSettings};

const TEXT: &str = r#"
schema = 1
name = "stored"
about = "loss, resends, and a broker that delivers twice"
seeds = { from = 1, count = 3 }
[broker]
quirks = ["no_dedupe"]
[[client]]
name = "sensor"
[[client.publish]]
topic = "t"
qos = [0, 1, 2]
count = 5
every = "1s"
payload = "64B"
[[client]]
name = "dashboard"
[[client.subscribe]]
filter = "t"
qos = 2
[[link]]
between = ["sensor", "broker"]
transport = "datagram"
delay = "40ms"
loss = "0%"
[[link]]
between = ["dashboard", "broker"]
transport = "datagram"
delay = "10ms"
[expect]
need = ["lost <= 50%"]
"#;

fn planned(losses: &[&str], selection: &Selection) -> (StudyPlan, Manifest) {
    let value = |text: &&str| AxisValue {
        text: (*text).to_owned(),
        number: text.trim_end_matches('%').parse().unwrap(),
    };
    let axis = Axis {
        path: "link.sensor.loss".to_owned(),
        unit: Unit::Percent,
        values: losses.iter().map(value).collect(),
    };
    let cells = axis.values.iter().map(|value| {
        let scenario = Scenario::parse_with_settings("stored.toml", TEXT, &[axis.setting(value)]);
        (vec![value.clone()], scenario.unwrap_or_else(|wrong| panic!("{}", wrong.render(false))))
    });
    let plan = StudyPlan::new(vec![axis.clone()], cells.collect(), selection).unwrap();
    let manifest = Manifest::new(&plan, Vec::new(), selection, "qoslab sweep".to_owned());
    (plan, manifest)
}

fn whole_study() -> (StudyPlan, Manifest) {
    planned(&["0%", "20%"], &Selection::default())
}

/// Runs what the store does not have; returns the number of trials that were simulated.
fn run_missing(store: &mut TrialStore, plan: StudyPlan, jobs: u16) -> (Study, usize) {
    let pool = ThreadPool::new(Some(jobs)).unwrap();
    let (never, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &never };
    let judge = |trial: &_| {
        count.fetch_add(1, Ordering::Relaxed);
        judge_trial(&EventEngine, trial, &never)
    };
    let study = runner.run_study(plan, store, &judge, &()).unwrap();
    (study, count.into_inner())
}

/// A finished store of the whole study, and what was found.
fn finished_store(folder: &Path) -> (PathBuf, String) {
    let path = folder.join(FILE_NAME);
    let (plan, manifest) = whole_study();
    let mut store = TrialStore::open(&path).unwrap();
    store.write_manifest(&manifest).unwrap();
    let (study, simulated) = run_missing(&mut store, plan, 1);
    assert_eq!(simulated, 18);
    store.finish().unwrap();
    (path, format!("{study:?}"))
}

fn trial_count(store: &TrialStore) -> usize {
    store.locations.keys().filter(|key| matches!(key, RecordKey::Trial(_))).count()
}

#[test]
fn a_study_from_the_store_is_the_study_that_was_run() {
    let folder = tempfile::tempdir().unwrap();
    let (path, found) = finished_store(folder.path());
    let mut store = TrialStore::read(&path).unwrap();
    let plan = store.manifest().unwrap().unwrap().plan().unwrap();
    let pool = ThreadPool::new(Some(2)).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
    let study = runner.load_study(plan, &mut store).unwrap();
    assert!(format!("{study:?}") == found, "another study");
    let broken = study.points().filter(|(_, point)| !point.violations.is_empty()).count();
    assert!(broken > 0, "a store of nothing but good days shows little");
}

#[test]
fn a_run_goes_on_from_any_prefix_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, found) = finished_store(folder.path());
    let bytes = fs::read(&path).unwrap();
    for (nth, cut) in (0..=bytes.len()).step_by(bytes.len() / 9).enumerate() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let (plan, manifest) = whole_study();
        let mut store = TrialStore::open(&path).unwrap();
        store.write_manifest(&manifest).unwrap();
        let had = trial_count(&store);
        let (study, simulated) = run_missing(&mut store, plan, 1 + u16::try_from(nth % 2).unwrap());
        store.finish().unwrap();
        assert_eq!(simulated, 18 - had);
        assert!(format!("{study:?}") == found, "another study");
        assert!(fs::read(&path).unwrap() == bytes, "other bytes after a cut at {cut}");
    }
}

#[test]
fn a_file_cut_off_at_any_byte_opens_with_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let seeds = Some(Seeds::Count(1));
    let (plan, manifest) = planned(&["20%"], &Selection { seeds, ..Selection::default() });
    let mut store = TrialStore::open(&path).unwrap();
    store.write_manifest(&manifest).unwrap();
    run_missing(&mut store, plan, 1);
    store.finish().unwrap();

    let bytes = fs::read(&path).unwrap();
    let mut most = 0;
    for end in 0..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        let trials = trial_count(&TrialStore::open(&path).unwrap());
        assert!((most..3).contains(&trials), "{trials} trials after {end} bytes");
        most = trials;
        let is_torn = TrialStore::open(&path).unwrap().truncated_bytes > 0;
        assert!(!is_torn, "what was torn at {end} is cut off");
    }
    assert_eq!(most, 2);
}

#[test]
fn a_flipped_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = finished_store(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(TrialStore::open(&path).is_err(), "byte {at} of {}", bytes.len());
        assert!(fs::read(&path).unwrap() == bytes, "a damaged file is left alone");
        bytes[at] ^= 1 << (at % 8);
    }
}

#[test]
fn a_store_of_another_model_or_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let mut other = Header { model: 1, ..Header::current() }.encode();
    fs::write(&path, &other).unwrap();
    let error = TrialStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("model 1") && error.contains("--fresh"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), other);
    assert_eq!(TrialStore::read_any_model(&path).unwrap().model(), 1);

    other[8] = 99;
    let checked = other.len() - 8;
    let checksum = xxhash_rust::xxh3::xxh3_64(&other[..checked]).to_le_bytes();
    other[checked..].copy_from_slice(&checksum);
    fs::write(&path, &other).unwrap();
    let error = TrialStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("format 99") && error.contains("format 4"), "{error}");

    fs::write(&path, "schema = 1").unwrap();
    assert!(matches!(TrialStore::open(&path), Err(StoreError::NotAStore(_))));
    drop(TrialStore::create(&path).unwrap());
    assert_eq!(trial_count(&TrialStore::open(&path).unwrap()), 0);
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let first = TrialStore::open(&path).unwrap();
    assert!(matches!(TrialStore::open(&path), Err(StoreError::InUse(_))));
    assert!(matches!(TrialStore::create(&path), Err(StoreError::InUse(_))));
    assert!(TrialStore::read(&path).is_ok());
    drop(first);
    assert!(TrialStore::open(&path).is_ok());
}

/// A disk with room for that many bytes.
struct FullDisk {
    written: Vec<u8>,
    capacity: usize,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.capacity - self.written.len());
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.extend(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_full_disk_kept_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = finished_store(folder.path());
    let bytes = fs::read(&path).unwrap();
    let mut disk = FullDisk { written: Vec::new(), capacity: bytes.len() / 2 };
    let error = disk.write_all(&bytes).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    fs::write(&path, &disk.written).unwrap();
    let store = TrialStore::open(&path).unwrap();
    assert!((1..18).contains(&trial_count(&store)));
    assert!(store.truncated_bytes > 0);
}

#[test]
fn a_timeline_is_kept_beside_its_trial() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let key = TrialKey {
        content: 7,
        seed: 3,
        judge: JudgeSettings::default(),
        engine: EngineKind::Event,
    };
    let step = BacklogStep { at: Time::from_nanos(5), in_flight: 2, queued: 1 };
    let timeline = BacklogTimeline { steps: vec![step], ..BacklogTimeline::default() };
    let mut store = TrialStore::open(&path).unwrap();
    store.append_timeline(key, QoS::AtLeastOnce, &timeline).unwrap();
    store.finish().unwrap();
    let mut store = TrialStore::open(&path).unwrap();
    assert_eq!(store.timeline(key).unwrap(), Some((QoS::AtLeastOnce, timeline)));
    assert!(!store.has_trial(key));
}

/// The finished stores of a study's shards.
fn shards(folder: &Path, count: u32) -> Vec<PathBuf> {
    let shard = |number: u32| {
        let path = folder.join(format!("{number}-of-{count}.store"));
        let (plan, mut manifest) = whole_study();
        manifest.shard = Some(Shard::new(number.into(), count).unwrap());
        let plan = plan.with_precision_or_shard(None, manifest.shard).unwrap();
        let mut store = TrialStore::open(&path).unwrap();
        store.write_manifest(&manifest).unwrap();
        run_missing(&mut store, plan, 2);
        store.finish().unwrap();
        path
    };
    (1..=count).map(shard).collect()
}

#[test]
fn shards_make_the_store_of_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = finished_store(folder.path());
    for count in [1, 2, 5, 20] {
        let mut stores = shards(folder.path(), count);
        stores.reverse();
        let merged = folder.path().join("merged.store");
        merge(&stores, &merged).unwrap();
        assert!(fs::read(&merged).unwrap() == fs::read(&path).unwrap(), "{count} shards");
    }
}

#[test]
fn shards_with_gaps_or_of_other_studies_are_not_merged() {
    let folder = tempfile::tempdir().unwrap();
    let stores = shards(folder.path(), 3);
    let to = folder.path().join("merged.store");
    let refused = |stores: &[&PathBuf]| {
        let stores: Vec<PathBuf> = stores.iter().map(|path| (*path).clone()).collect();
        let error = merge(&stores, &to).unwrap_err();
        assert!(!to.exists(), "nothing is written");
        error.to_string()
    };
    let [one, two, three] = &stores[..] else { panic!("three shards") };
    assert!(refused(&[one, three]).contains("2/3"));
    assert!(refused(&[one, two, three, two]).contains("both are shard 2/3"));
    assert!(refused(&[]).contains("no store"));

    let of_two = shards(folder.path(), 2);
    assert!(refused(&[one, &of_two[1]]).contains("differ"));

    let other = folder.path().join("other.store");
    let seeds = Some(Seeds::Count(2));
    let (_, mut manifest) = planned(&["0%", "20%"], &Selection { seeds, ..Selection::default() });
    manifest.shard = Some(Shard::new(2, 3).unwrap());
    TrialStore::open(&other).unwrap().write_manifest(&manifest).unwrap();
    assert!(refused(&[one, &other, three]).contains("the seeds differ"));

    let empty = folder.path().join("empty.store");
    let (_, mut manifest) = whole_study();
    manifest.shard = Some(Shard::new(2, 3).unwrap());
    TrialStore::open(&empty).unwrap().write_manifest(&manifest).unwrap();
    let error = refused(&[one, &empty, three]);
    assert!(
        error.contains("6 of the trials") && error.contains("loss 0%, qos 0, seed 2"),
        "{error}"
    );

    let mut again = TrialStore::open(&empty).unwrap();
    let plan = whole_study().0.with_precision_or_shard(None, Shard::new(1, 3).ok()).unwrap();
    run_missing(&mut again, plan, 1);
    drop(again);
    assert!(refused(&[one, &empty, three]).contains("both have the trial"));
}

#[test]
fn a_precision_stops_at_the_same_seed_for_any_jobs_and_after_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = Some(Seeds::Count(200));
    let selection = Selection { seeds, ..Selection::default() };
    let plan = |share: f64| {
        let (plan, _) = planned(&["0%", "20%"], &selection);
        plan.with_precision_or_shard(Precision::new(share), None).unwrap()
    };
    let studied = |name: &str, share: f64, jobs: u16| {
        let mut store = TrialStore::open(&folder.path().join(name)).unwrap();
        let (study, simulated) = run_missing(&mut store, plan(share), jobs);
        (format!("{study:?}"), study, simulated)
    };
    let (text, study, _) = studied("one", 0.1, 1);
    assert!(studied("two", 0.1, 2).0 == text, "another study with two jobs");
    let (resumed, _, simulated) = studied("one", 0.1, 2);
    assert!(resumed == text && simulated == 0, "another study after a resume");
    let seeds = |cell: usize| study.cells[cell].result.planned / 3;
    assert_eq!(seeds(0), 20);
    assert!((30..200).contains(&seeds(1)), "{}", seeds(1));
    assert!(!study.cells[1].result.was_interrupted());
    let narrower = studied("one", 0.05, 1).1.cells[1].result.planned / 3;
    assert!(narrower > seeds(1));
}

#[test]
fn a_study_is_compared_with_an_earlier_one_trial_by_trial() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = finished_store(folder.path());
    let compared = |(plan, _): (StudyPlan, Manifest)| {
        let mut own = TrialStore::create(&folder.path().join("own.store")).unwrap();
        let (study, _) = run_missing(&mut own, plan, 1);
        compare(&study, &mut TrialStore::read(&path).unwrap()).unwrap()
    };
    let same = compared(whole_study());
    assert!(same.is_identical());
    assert_eq!(same.identical, 18);

    let seeds = Some(Seeds::Count(4));
    let more = compared(planned(&["20%"], &Selection { seeds, ..Selection::default() }));
    assert_eq!((more.identical, more.added, more.missing), (9, 3, 9));
    assert!(more.differences.is_empty());
}

#[test]
fn a_point_of_other_content_is_matched_by_its_cell_its_name_and_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = finished_store(folder.path());
    let (plan, _) = whole_study();
    let cells = plan.cells.into_iter().map(|(values, cell)| {
        let text = TEXT.replace("40ms", "50ms");
        let scenario = Scenario::parse_with_settings("stored.toml", &text, &cell.scenario.settings);
        (values, scenario.unwrap())
    });
    let plan = StudyPlan::new(plan.axes, cells.collect(), &Selection::default()).unwrap();
    let mut own = TrialStore::create(&folder.path().join("own.store")).unwrap();
    let (study, _) = run_missing(&mut own, plan, 1);
    let found = compare(&study, &mut TrialStore::read(&path).unwrap()).unwrap();
    assert_eq!((found.identical, found.added, found.missing), (0, 0, 0));
    assert_eq!(found.differences.len(), 6);
    let first = &found.differences[0];
    assert_eq!((first.point.as_str(), first.trials), ("loss 0%, qos 0", 3));
    let median = first.metrics.iter().find(|(name, ..)| name == "qos0.latency.p50").unwrap();
    assert!((median.2 - median.1 - 0.01).abs() < 1e-3, "{median:?}");
    assert!(first.metrics.iter().all(|(name, ..)| !name.contains("packets")));
}

#[test]
fn a_shard_cannot_see_when_a_precision_is_reached() {
    let limited =
        whole_study().0.with_precision_or_shard(Precision::new(0.1), Shard::new(1, 2).ok());
    assert!(matches!(limited, Err(SelectionError::PrecisionWithShard)));
}
