use proptest::prelude::*;

use super::*;

#[test]
fn spans_are_read_in_every_unit_and_as_sums() {
    for (text, nanos) in [
        ("40ms", 40_000_000),
        ("1.5s", 1_500_000_000),
        ("2m", 120_000_000_000),
        ("1h 30m", 5_400_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("3d", 259_200_000_000_000),
        ("0.5us", 500),
        (" 41 ms ", 41_000_000),
        ("0s", 0),
    ] {
        assert_eq!(parse_span(text), Ok(Span::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn an_error_suggests_a_fix() {
    let errors = ["40", "40 parsecs", "fast", "", "-1s", "1e3s", "40000d", "1.2.3s", "1s 2"]
        .map(|text| parse_span(text).unwrap_err().to_string());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    `40` has no unit: write "40ms" or "40s"
    `parsecs` is no unit of a time: use one of ns, us, µs, ms, s, m, min, h, d, w
    `fast` is not a time: write it as in "40ms" or "40s"
    `` is not a time: write it as in "40ms" or "40s"
    `-1s` is not a time: write it as in "40ms" or "40s"
    `e` is no unit of a time: use one of ns, us, µs, ms, s, m, min, h, d, w
    `40000d` is too large: at most 100 years (36500d)
    `1.2.3s` is not a time: write it as in "40ms" or "40s"
    `2` has no unit: write "2ms" or "2s"
    "#);
    assert_eq!(
        parse_percent("2"),
        Err(UnitError::NoUnit { number: "2".to_owned(), quantity: Quantity::Percent })
    );
    assert_eq!(
        parse_rate("9kB/s"),
        Err(UnitError::UnknownUnit { unit: "kB/s".to_owned(), quantity: Quantity::Rate })
    );
}

#[test]
fn other_quantities_are_read() {
    assert_eq!(parse_percent("2%"), Ok(2.0));
    assert_eq!(parse_percent("0.1 %"), Ok(0.1));
    assert_eq!(parse_bytes("1.5KB"), Ok(1_500));
    assert_eq!(parse_bytes("1KiB"), Ok(1_024));
    assert_eq!(parse_rate("256kbit/s"), Ok(256_000));
}

#[test]
fn formatted_numbers_are_short_and_never_round_over_a_unit() {
    let millis = |millis| format_span(Span::from_millis(millis));
    let spans = [0, 1, 41, 999, 1_300, 9_949, 9_950, 59_499, 59_500, 125_000, 3_599_600];
    assert_eq!(
        spans.map(millis).join(", "),
        "0 s, 1 ms, 41 ms, 999 ms, 1.3 s, 9.9 s, 10 s, 59 s, 1m, 2m 5s, 1h"
    );
    assert_eq!(format_span(Span::from_secs(5_400)), "1h 30m");
    assert_eq!(format_span(Span::from_secs(86_400 * 3 + 4 * 3_600)), "3d 4h");
    assert_eq!(format_span(Span::from_nanos(350)), "350 ns");
    assert_eq!(format_span(Span::from_nanos(999_500)), "1 ms");
    assert_eq!([0, 999, 1_000, 100_000].map(format_count).join(" "), "0 999 1,000 100,000");
    assert_eq!(
        [640, 1_500, 999_999, 12_000_000].map(format_bytes).join(", "),
        "640 B, 1.5 kB, 1 MB, 12 MB"
    );
}

#[test]
fn a_share_never_pretends_to_be_all_or_nothing() {
    assert_eq!(format_share(0.951, 1), "95.1 %");
    assert_eq!(format_share(0.0, 1), "0.0 %");
    assert_eq!(format_share(1.0, 1), "100.0 %");
    assert_eq!(format_share(0.000_01, 1), "<0.1 %");
    assert_eq!(format_share(0.999_99, 1), ">99.9 %");
}

proptest! {
    #[test]
    fn written_quantities_parse_to_the_same_value(
        nanos in prop_oneof![0..10_000_u64, 0..=Span::LIMIT.as_nanos()],
        unit in prop::sample::select(vec![1, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000]),
        bytes in 0..=BYTES_LIMIT,
        bits in 0..=RATE_LIMIT,
        millionths in 0..=100_000_000_u32,
    ) {
        for span in [Span::from_nanos(nanos), Span::from_nanos(nanos / unit * unit)] {
            prop_assert_eq!(parse_span(&span_literal(span)), Ok(span));
        }
        prop_assert_eq!(parse_bytes(&bytes_literal(bytes)).map(u64::from), Ok(bytes));
        prop_assert_eq!(parse_rate(&rate_literal(bits)), Ok(bits));
        prop_assert_eq!(parse_rate(&rate_literal(bits / 1000 * 1000)), Ok(bits / 1000 * 1000));
        let percent = f64::from(millionths) / 1e6;
        prop_assert_eq!(parse_percent(&percent_literal(percent)), Ok(percent));
    }

    /// Two digits at least are shown: the error is below 5 percent.
    #[test]
    fn formatted_spans_are_near_the_value(nanos in 1..=Span::LIMIT.as_nanos()) {
        let shown = parse_span(&format_span(Span::from_nanos(nanos)).replace("36500d", "36499d"));
        let shown = shown.unwrap().as_nanos();
        prop_assert!(shown.abs_diff(nanos) <= nanos / 20, "{nanos} shown as {shown}");
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", near in "[0-9.]{0,30}[a-zµ%/ ]{0,6}") {
        for text in [&text, &near] {
            let _ = (parse_span(text), parse_percent(text), parse_bytes(text), parse_rate(text));
        }
    }
}

#[test]
fn powers_and_energies_are_written_as_they_are_read() {
    for (text, nanowatts) in [("388.5mW", 388_500_000), ("10µW", 10_000), ("1.5W", 1_500_000_000)]
    {
        assert_eq!(parse_power(text), Ok(nanowatts));
        assert_eq!(power_literal(nanowatts), text);
    }
    for (text, microjoules) in [("5400mWh", 19_440_000_000), ("50mJ", 50_000), ("7J", 7_000_000)] {
        assert_eq!(parse_energy(text), Ok(microjoules));
        assert_eq!(parse_energy(&energy_literal(microjoules)), Ok(microjoules), "{text}");
    }
    assert_eq!(parse_power("10uW"), Ok(10_000));
    let wrong = [parse_power("10mA"), parse_energy("5"), parse_power("2000W")];
    insta::assert_snapshot!(wrong.map(|it| it.unwrap_err().to_string()).join("\n"), @r#"
    `mA` is no unit of a power: use one of nW, uW, µW, mW, W
    `5` has no unit: write "5mJ" or "5mWh"
    `2000W` is too large: at most 1000W
    "#);
}
