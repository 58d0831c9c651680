//! Charts of real studies and of extreme ones: they show the results, and every text is readable.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use roxmltree::{Document, Node};

use super::lines::format_digits;
use super::{ChartOptions, charts};
use crate::chart::axis::{AxisRange, ChartAxis, NumberFormat};
use crate::chart::font::{Weight, width};
use crate::chart::lines::{ChartLine, LinePanel, LinePoint, PlotValue, draw};
use crate::chart::{Chart, ChartText, palette};
use crate::columns;
use qoslab_core::base::{QoS, Span};
use qoslab_guarantee::BytesByPurpose;
use qoslab_sim::EventEngine;
use qoslab_study::fixtures::{study, study_of};
use qoslab_study::{Study, record_backlogs};

fn all_charts(mut study: Study) -> Vec<Chart> {
    study.timelines = record_backlogs(&EventEngine, &study, &AtomicBool::new(false));
    charts(&study, &ChartOptions::default())
}

fn find_chart<'a>(charts: &'a [Chart], id: &str) -> &'a Chart {
    charts.iter().find(|chart| chart.id == id).unwrap_or_else(|| panic!("no chart {id}"))
}

/// Left, top, right and bottom of a text, by the font.
fn text_box(node: Node<'_, '_>) -> (f64, f64, f64, f64) {
    let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    let weight = if node.has_attribute("font-weight") { Weight::Semibold } else { Weight::Regular };
    let size = number("font-size");
    let wide = width(node.text().unwrap_or_default(), size, weight);
    let left = match node.attribute("text-anchor").unwrap() {
        "start" => number("x"),
        "middle" => number("x") - wide / 2.0,
        _ => number("x") - wide,
    };
    (left, number("y") - size * 0.75, left + wide, number("y") + size * 0.22)
}

/// It is XML with a name and a description, in the palette's colours, and no text leaves the
/// picture or touches another.
#[track_caller]
fn assert_readable(chart: &Chart) {
    let document = Document::parse(&chart.svg).unwrap_or_else(|e| panic!("{}: {e}", chart.id));
    let root = document.root_element();
    assert_eq!((root.attribute("class"), root.attribute("role")), (Some("chart"), Some("img")));
    for id in root.attribute("aria-labelledby").unwrap().split(' ') {
        assert!(id.contains(&chart.id));
        assert!(root.descendants().any(|node| node.attribute("id") == Some(id)), "{id}");
    }
    let size: Vec<f64> =
        root.attribute("viewBox").unwrap().split(' ').map(|it| it.parse().unwrap()).collect();
    let palette: Vec<String> = [palette::INK, palette::MUTED, palette::GRID, palette::BACKGROUND]
        .into_iter()
        .chain(palette::QOS)
        .chain(palette::LAYERS)
        .map(palette::hex)
        .chain(["none".to_owned()])
        .collect();
    for colour in root.descendants().flat_map(|it| [it.attribute("fill"), it.attribute("stroke")]) {
        assert!(colour.is_none_or(|it| palette.contains(&it.to_owned())), "{colour:?}");
    }
    assert!(!chart.svg.contains("NaN") && !chart.svg.contains("inf"), "{}", chart.id);
    let texts: Vec<_> = root.descendants().filter(|node| node.has_tag_name("text")).collect();
    for (nth, text) in texts.iter().enumerate() {
        let (left, top, right, bottom) = text_box(*text);
        let what = || format!("{}: `{}`", chart.id, text.text().unwrap_or_default());
        assert!(left >= 0.0 && top >= 0.0 && right <= size[2] && bottom <= size[3], "{}", what());
        for other in &texts[..nth] {
            let (l, t, r, b) = text_box(*other);
            let apart = right <= l || r <= left || bottom <= t || b <= top;
            assert!(apart, "{} lies on `{}`", what(), other.text().unwrap_or_default());
        }
    }
}

const PLAIN: &str = r#"
    schema = 1
    name = "NAME"
    seeds = { from = 1, count = 3 }
    [[client]]
    name = "sensor"
    [[client.publish]]
    topic = "t"
    qos = [0, 1, 2]
    count = 20
    every = "1s"
    [[client]]
    name = "app"
    [[client.subscribe]]
    filter = "t"
    qos = [0, 1, 2]
    [[link]]
    between = ["*", "broker"]
    transport = "datagram"
    delay = "40ms"
    loss = "LOSS"
    outage = { every = "5s", lasts = "1s" }
"#;

#[test]
fn every_chart_of_real_studies_can_be_read() {
    let plain = PLAIN.replace("NAME", "plain").replace("LOSS", "10%");
    let studies = [
        study(&[0, 5, 10, 20, 30], &[1]),
        study(&[20], &[1]),
        study(&[0, 10, 30], &[1, 2, 5]),
        study_of(&plain),
        study_of(&plain.replace("[0, 1, 2]\n    count", "1\n    count")),
    ];
    for study in studies {
        let charts = all_charts(study);
        assert!(charts.len() >= 8, "{}", charts.len());
        charts.iter().for_each(assert_readable);
    }
}

#[test]
fn an_incomplete_grid_has_no_map() {
    let mut study = study(&[0, 10, 30], &[1, 2]);
    let whole = charts(&study, &ChartOptions::default());
    assert!(whole.iter().any(|chart| chart.id == "map"));
    study.cells.pop();
    let rest = charts(&study, &ChartOptions::default());
    assert!(rest.iter().all(|chart| chart.id != "map"));
    rest.iter().for_each(assert_readable);
}

#[test]
fn the_numbers_are_those_of_the_csv_file() {
    // One with losses, and one with a radio.
    let radio = PLAIN.replace("NAME", "plain").replace("LOSS", "10%");
    let radio = radio.replacen("name = \"sensor\"", "name = \"sensor\"\nradio = \"nb-iot\"", 1);
    let radio = radio.replace("qos = [0, 1, 2]\n    [[link]]", "qos = 2\n    [[link]]");
    let study = study(&[20], &[1]);
    for study in [Study::from_result(study.cells[0].result.clone()), study_of(&radio)] {
        let charts = charts(&study, &ChartOptions::default());
        let studies = [study];
        let bytes = columns::points(&studies).csv();
        let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
        for row in reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap) {
            let number = |column: &str| row[column].parse::<f64>().unwrap();
            let percent = |part: &str| 100.0 * number(part) / number("units");
            let a_message_delivered = number("delivered") / number("messages");
            let time = |column: &str| match row[column].as_str() {
                "inf" => "never".to_owned(),
                _ => Span::from_secs_f64(number(column)).to_string(),
            };
            let mut expected = vec![
                ("delivered", format_digits(percent("delivered"))),
                ("duplicates", format_digits(percent("duplicated"))),
                ("packets", format_digits(number("packets_per_message") / a_message_delivered)),
                ("overhead", format_digits(number("overhead"))),
                ("latency", time("latency_p50_s")),
                ("latency", time("latency_p99_s")),
            ];
            if !row["energy_per_message_j"].is_empty() {
                expected.push(("energy", format_digits(number("energy_per_message_j"))));
            }
            let name = format!("QoS {} ", row["published_qos"]);
            for (id, text) in expected {
                let alt = &find_chart(&charts, id).alt;
                assert!(alt.contains(&(name.clone() + &text)), "{id} {name}{text}: {alt}");
            }
            let purposes = BytesByPurpose::PURPOSES.map(|(purpose, ..)| {
                let bytes = number(&format!("all_{purpose}_bytes_per_message"));
                (bytes > 0.0).then(|| format!("{} {bytes:.2}", purpose.replace('_', " ")))
            });
            let bytes = &find_chart(&charts, "bytes").alt;
            for told in purposes.into_iter().flatten() {
                assert!(bytes.contains(&told), "{told}: {bytes}");
            }
        }
    }
}

#[test]
fn hostile_names_are_escaped() {
    let mut study = study_of(&PLAIN.replace("NAME", "x").replace("LOSS", "5%"));
    let evil = "</title><script>alert(1)</script>&\u{1b}[31m\u{202e}".repeat(20);
    study.cells[0].result.scenario.name = evil.clone();
    study.axes.push(qoslab_study::scenario::Axis {
        path: evil.clone(),
        unit: qoslab_study::scenario::Unit::Plain,
        values: vec![qoslab_study::scenario::AxisValue { text: evil.clone(), number: 1.0 }],
    });
    study.cells[0].values = study.axes[0].values.clone();
    let charts = all_charts(study);
    for chart in &charts {
        assert_readable(chart);
        assert!(!chart.svg.contains("<script") && !chart.svg.contains('\u{1b}'));
        assert!(!chart.svg.contains('\u{202e}'));
    }
}

fn line_chart(values: &[PlotValue]) -> Chart {
    let numbers = || values.iter().filter_map(|value| value.value());
    let places = (0..u32::try_from(values.len()).unwrap()).map(f64::from);
    let points: Vec<LinePoint> = places
        .zip(values)
        .map(|(x, y)| LinePoint { x, y: *y, band: y.value().map(|it| (it - 1.0, it + 1.0)) })
        .collect();
    let line = |qos| ChartLine {
        label: format!("QoS {qos}"),
        qos,
        points: points.clone(),
        theory: Vec::new(),
        is_step_line: false,
    };
    let x = ChartAxis::covering(
        "x",
        NumberFormat::Plain,
        AxisRange::Tight,
        points.iter().map(|point| point.x),
    );
    let y = ChartAxis::covering("y", NumberFormat::Plain, AxisRange::Wide, numbers());
    let lines = QoS::ALL.map(line).to_vec();
    draw(ChartText { id: "extreme".into(), ..ChartText::default() }, &[LinePanel { x, y, lines }])
}

#[test]
fn extreme_numbers_are_drawn_or_left_out() {
    use PlotValue::{Missing, Never, Value};
    let many: Vec<_> = (0..1_000_u32).map(|nth| Value(f64::from(nth % 7))).collect();
    let cases: [&[PlotValue]; 9] = [
        &[],
        &[Value(0.0)],
        &[Value(0.0), Value(0.0)],
        &[Never, Never],
        &[Value(1.0), Never, Missing, Value(2.0)],
        &[Value(f64::NAN), Value(f64::INFINITY), Value(1e300)],
        &[Value(1e14), Value(-1e14)],
        &[Value(1e-12), Value(1e12)],
        &many,
    ];
    for values in cases {
        assert_readable(&line_chart(values));
    }
}

/// Numbers in a string, such as the data of a path.
fn parse_numbers(text: &str) -> Vec<f64> {
    let parts = text.split(|char: char| !(char.is_ascii_digit() || matches!(char, '.' | '-')));
    parts.filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

#[test]
fn nothing_outside_the_axes_is_drawn() {
    let axis =
        |values: [f64; 2]| ChartAxis::covering("", NumberFormat::Plain, AxisRange::Tight, values);
    let inside = [(0.0, 4.0), (10.0, 5.0)];
    let outside = [(-1.0, 4.5), (5.0, 7.0), (5.0, f64::NAN), (11.0, 4.5), (f64::INFINITY, 5.0)];
    let all: Vec<_> = [&inside[..1], &outside, &inside[1..]].concat();
    let sample = |(x, y)| LinePoint { x, y: PlotValue::Value(y), band: Some((y - 9.0, y + 9.0)) };
    let drawn = |points: &[(f64, f64)]| {
        let line = ChartLine {
            label: "QoS 2".to_owned(),
            qos: QoS::ExactlyOnce,
            points: points.iter().copied().map(sample).collect(),
            theory: points.to_vec(),
            is_step_line: false,
        };
        let panel = LinePanel { x: axis([0.0, 10.0]), y: axis([4.0, 5.0]), lines: vec![line] };
        draw(ChartText { id: "beyond".into(), ..ChartText::default() }, &[panel])
    };
    let (some, whole) = (drawn(&inside), drawn(&all));
    let but_bands = |chart: &Chart| -> Vec<String> {
        let shapes = chart.svg.lines().filter(|shape| !shape.contains("fill-opacity"));
        shapes.map(str::to_owned).collect()
    };
    assert_eq!(but_bands(&whole), but_bands(&some));
    // A band that goes further ends where the axis does.
    let bounds = |chart: &Chart| {
        let band = chart.svg.lines().find(|shape| shape.contains("fill-opacity")).unwrap();
        let corners = parse_numbers(band.split('"').nth(1).unwrap());
        [0, 1].map(|from| {
            let of = || corners.iter().skip(from).step_by(2).copied();
            (of().fold(f64::MAX, f64::min), of().fold(f64::MIN, f64::max))
        })
    };
    assert_eq!(bounds(&whole), bounds(&some));
}

#[test]
fn a_value_that_is_never_has_an_arrow_and_no_number() {
    let chart = line_chart(&[PlotValue::Value(1.0), PlotValue::Never]);
    assert!(chart.svg.contains(">QoS 0: never<"));
    let chart = line_chart(&[PlotValue::Value(1.0), PlotValue::Value(2.0)]);
    assert!(!chart.svg.contains("never"));
}

#[test]
fn values_that_grow_by_factors_are_equally_spaced() {
    let places = |losses: &[u32]| -> Vec<f64> {
        let charts = charts(&study(losses, &[1]), &ChartOptions::default());
        let document = Document::parse(&find_chart(&charts, "delivered").svg).unwrap();
        let marks = document.descendants().filter(|it| it.has_tag_name("circle"));
        marks.map(|it| it.attribute("cx").unwrap().parse().unwrap()).collect()
    };
    let gaps = |places: &[f64]| -> Vec<f64> {
        places.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect()
    };
    let by_factors = gaps(&places(&[2, 4, 8, 16]));
    assert!(by_factors.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1.5), "{by_factors:?}");
    let by_steps = gaps(&places(&[0, 10, 20, 30]));
    assert!(by_steps.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1.5), "{by_steps:?}");
    let uneven = gaps(&places(&[0, 2, 4, 8, 16]));
    assert!(uneven[3] > 3.0 * uneven[0], "from zero there are no factors: {uneven:?}");
}

#[test]
fn a_title_says_the_finding() {
    let charts = charts(&study(&[0, 30], &[1]), &ChartOptions::default());
    let title = &find_chart(&charts, "delivered").title;
    assert!(title.starts_with("At loss 30%, QoS 0 loses "), "{title}");
    assert!(title.ends_with("; QoS 1 and 2 lose none of 60"), "{title}");
}

#[cfg(feature = "png")]
#[test]
fn a_chart_becomes_a_png_of_twice_its_size() {
    use crate::png::png;

    let charts = charts(&study(&[0, 30], &[1]), &ChartOptions::default());
    let bytes = png(&find_chart(&charts, "delivered").svg).unwrap();
    let pixels = resvg::tiny_skia::Pixmap::decode_png(&bytes).unwrap();
    assert_eq!(pixels.width(), 1_600);
    let blue =
        pixels.pixels().iter().filter(|it| (it.red(), it.green(), it.blue()) == (76, 114, 176));
    assert!(blue.count() > 50, "the line of QoS 0 is there");
    assert!(png("no picture").is_err());
}
