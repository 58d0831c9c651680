//! Whole pages of small studies.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::chart::palette;
use qoslab_sim::Trial;
use qoslab_study::choose::Objective;
use qoslab_study::fixtures::{broken_outcome, scenario, study};
use qoslab_study::scenario::Scenario;
use qoslab_study::{Selection, ThreadPool, TrialRunner, plan};

const HOSTILE: &str =
    "<script>alert(1)</script> \" onload=x ::error::y %0A =1+1 \x1b]0;z\x07 \u{202e}desrever";

fn plain_page<'a>(study: &'a Study, charts: &'a [Chart]) -> Page<'a> {
    static OPTIONS: ChartOptions =
        ChartOptions { needs: Vec::new(), objective: Objective::Packets };
    let (options, command) = (&OPTIONS, "qoslab run swept.toml");
    Page { study, charts, options, command, decision: None, baseline: None }
}

/// A study of one cell in which QoS 2 breaks its promise.
fn violated_study(change: impl Fn(&mut Scenario)) -> Study {
    let mut scenario = scenario("need = [\"qos0.lost <= 5%\"]\nsometimes = [\"loss\"]");
    change(&mut scenario);
    let pool = ThreadPool::new(Some(1)).unwrap();
    let plans = plan(vec![scenario], &Selection::default()).unwrap();
    let runner = TrialRunner { pool: &pool, fail_fast: true, interrupt: &AtomicBool::new(false) };
    let result = runner.run(plans, &|trial: &Trial| Ok(broken_outcome(trial)), &()).remove(0);
    let cells = vec![StudyCell { values: Vec::new(), result }];
    Study { axes: Vec::new(), cells, timelines: Vec::new() }
}

fn hostile() -> Study {
    violated_study(|scenario| {
        scenario.name = HOSTILE.to_owned();
        scenario.about = HOSTILE.to_owned();
        scenario.path = HOSTILE.to_owned();
        scenario.source = format!("about = '{HOSTILE}'\n");
    })
}

/// A chart with a line, as it may look.
fn chart() -> Chart {
    Chart {
        id: "delivered".to_owned(),
        title: "QoS 0 loses what the link loses".to_owned(),
        alt: "Delivered share from 0 to 1 over loss from 0 % to 20 %.".to_owned(),
        caption: "Each dot is the mean of a cell.".to_owned(),
        svg: "<svg role=\"img\" aria-label=\"Delivered\" viewBox=\"0 0 640 320\" \
              xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"640\" height=\"320\" \
              fill=\"#4C72B0\"/></svg>"
            .to_owned(),
    }
}

#[test]
fn a_small_page_matches_its_snapshot() {
    let study = study(&[0, 20], &[1]);
    let text = page(&plain_page(&study, &[]));
    let (_, body) = text.split_once("</head>").unwrap();
    insta::assert_snapshot!("page.html", body.replace("><", ">\n<"));
}

#[test]
fn scenario_text_is_never_markup_or_control_characters() {
    let study = hostile();
    let text = page(&Page { command: HOSTILE, ..plain_page(&study, &[]) });
    assert!(!text.contains("<script") && text.contains("&lt;script&gt;alert(1)"), "{text}");
    assert!(text.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\t')));
    assert!(!text.contains('\u{202e}') && text.contains(r"\u{202e}desrever"));
}

#[test]
fn the_content_policy_has_the_hash_of_the_style() {
    use base64::Engine;
    use sha2::Digest;
    let study = study(&[0], &[1]);
    let text = page(&plain_page(&study, &[]));
    let (_, rest) = text.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(
        text.contains(&format!("style-src &#39;sha256-{hash}&#39;"))
            || text.contains(&format!("style-src 'sha256-{hash}'"))
    );
}

#[test]
fn the_page_recolours_what_charts_are_drawn_in() {
    let style = include_str!("style.css");
    let colours = [palette::INK, palette::MUTED, palette::GRID, palette::BACKGROUND];
    for colour in colours.into_iter().chain(palette::QOS).map(palette::hex) {
        for what in ["fill", "stroke"] {
            let rule = format!(".picture [{what}=\"{colour}\" i] {{ {what}: ");
            assert!(style.contains(&rule), "{rule}");
        }
    }
}

#[test]
fn two_axes_make_a_map_of_commands() {
    let study = study(&[0, 20], &[1, 4]);
    let text = page(&plain_page(&study, &[]));
    let (_, map) = text.split_once("id=\"map\"").unwrap();
    let (map, _) = map.split_once("</section>").unwrap();
    assert_eq!(map.matches("qoslab run swept.toml --set link.sensor.loss=").count(), 4);
    assert!(map.contains("</span>QoS 0</strong>"), "{map}");
}

#[test]
fn failures_and_baselines_are_reported() {
    let study = violated_study(|_| {});
    let comparison = BaselineComparison {
        baseline_path: "last week".to_owned(),
        identical: 8,
        ..BaselineComparison::default()
    };
    let text = page(&Page { baseline: Some(&comparison), ..plain_page(&study, &[]) });
    assert!(text.contains("exactly-once broken: message #7 of `sensor` delivered twice"));
    assert!(text.contains("MUST [MQTT-4.3.3-2]"));
    assert!(text.contains("qoslab run by-hand.toml --trial "));
    assert!(text.contains("Identical (same trace hash): 8 trials."));
    assert!(text.contains("A promise or rule is broken"));
}

/// Writes pages for the browser check of `tests/page` to the folder that the environment names.
#[test]
fn pages_are_written_for_a_browser() {
    let Some(folder) = std::env::var_os("QOSLAB_PAGES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let decision = ChoiceSummary {
        caveat: None,
        title: "QoS 1 meets every need at the least cost".to_owned(),
        paragraphs: vec!["QoS 0 loses messages; QoS 2 costs twice as many packets.".to_owned()],
        header: ["QoS", "bytes a message"].map(str::to_owned).to_vec(),
        rows: vec![["1", "301"].map(str::to_owned).to_vec()],
    };
    let studies = [
        ("sweep", study(&[0, 5, 20], &[1, 4])),
        ("run", study(&[5], &[1])),
        ("broken", violated_study(|_| {})),
        ("hostile", hostile()),
    ];
    for (name, study) in &studies {
        let charts = [chart()];
        let page_data = Page { decision: Some(&decision), ..plain_page(study, &charts) };
        std::fs::write(folder.join(format!("{name}.html")), page(&page_data)).unwrap();
    }
}
