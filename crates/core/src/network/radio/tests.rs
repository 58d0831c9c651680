//! The online sums against sums by hand and against a walk over every nanosecond's state.

use proptest::prelude::*;

use super::*;

/// 1 W to send, 0.5 W to receive; 8 bytes take a second either way.
fn settings() -> RadioSettings {
    RadioSettings {
        transmit_nw: 1_000_000_000,
        receive_nw: 500_000_000,
        up: 64,
        down: 64,
        wake: Span::from_secs(2),
        wake_nw: 300_000_000,
        tail: Span::from_secs(10),
        tail_nw: 100_000_000,
        paging: Span::from_secs(20),
        paging_nw: 10_000_000,
        sleep_nw: 1_000_000,
        ..RadioSettings::default()
    }
}

const fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

/// The time in each state in milliseconds, which all tests here keep to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below a day")]
fn millis(used: &RadioUse) -> [u64; 6] {
    used.seconds.map(|seconds| (seconds * 1e3).round() as u64)
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn one_packet_pays_for_waking_up_the_tail_and_paging() {
    let mut radio = Radio::new(Arc::new(settings()));
    radio.send(at(100), 8);
    let used = radio.usage(at(200));
    // Asleep to 100, wakes to 102, sends to 103, tail to 113, paging to 133, asleep to 200.
    assert_eq!(millis(&used), [1_000, 0, 2_000, 10_000, 20_000, 167_000]);
    assert_near(used.energy(), 1.0 + 0.6 + 1.0 + 0.2 + 0.167);
    assert_near(used.mean_watts_per_radio().unwrap(), used.energy() / 200.0);
    assert_eq!(used.wakes, 1);
}

#[test]
fn a_packet_in_the_tail_begins_it_anew_and_one_while_it_is_paged_wakes_it_again() {
    let mut radio = Radio::new(Arc::new(settings()));
    radio.send(at(0), 8);
    radio.receive(at(8), 16);
    // Tail from 3 to 8, receives to 10, tail to 20, paging to 25.
    radio.send(at(25), 8);
    let used = radio.usage(at(28));
    assert_eq!(millis(&used), [2_000, 2_000, 4_000, 15_000, 5_000, 0]);
    assert_eq!(used.wakes, 2);
}

#[test]
fn packets_at_one_time_follow_each_other() {
    let mut radio = Radio::new(Arc::new(settings()));
    radio.send(at(0), 8);
    radio.send(at(0), 8);
    radio.receive(at(1), 8);
    let used = radio.usage(at(3));
    assert_eq!(millis(&used), [2_000, 1_000, 2_000, 0, 0, 0], "begun is counted to its end");
    assert_eq!(used.wakes, 1);
}

#[test]
fn resetting_the_counters_drops_past_costs_and_keeps_the_radio_awake() {
    let mut radio = Radio::new(Arc::new(settings()));
    radio.send(at(0), 8);
    radio.reset_counters(at(5));
    radio.send(at(6), 8);
    let used = radio.usage(at(7));
    assert_eq!(millis(&used), [1_000, 0, 0, 1_000, 0, 0]);
    assert_eq!(used.wakes, 0);
}

#[test]
fn a_sleeping_radio_that_listens_pays_for_it_and_a_battery_self_discharges() {
    let listens = RadioSettings {
        listen_every: Span::from_secs(1),
        listen: Span::from_millis(100),
        battery_uj: Some(1_000_000_000),
        self_discharge: 0.02,
        ..settings()
    };
    let used = Radio::new(Arc::new(listens)).usage(at(1_000));
    assert_near(used.mean_watts_per_radio().unwrap(), 0.001 + 0.499 * 0.1);
    let years = used.battery_years().unwrap();
    let year = 365.0 * 86_400.0;
    assert_near(years, 1_000.0 / (0.0509 * year + 20.0));
}

#[test]
fn a_ping_every_minute_costs_an_nb_iot_radio_more_than_a_message_every_hour() {
    let day = |every: u64| {
        let mut radio = Radio::new(Arc::new(presets::by_name("nb-iot").unwrap()));
        for second in (0..86_400).step_by(usize::try_from(every).unwrap()) {
            radio.send(at(second), 42);
            radio.receive(at(second + 2), 42);
        }
        radio.usage(at(86_400)).energy()
    };
    assert!(day(60) > 40.0 * day(3_600), "{} and {}", day(60), day(3_600));
}

#[test]
fn presets_can_be_simulated() {
    for (name, settings) in presets::ALL {
        let settings = settings();
        assert!(settings.up > 0 && settings.down > 0, "{name}");
        assert!(
            settings.state_watts(RadioState::Sleep) < settings.state_watts(RadioState::Receive),
            "{name}"
        );
    }
}

#[test]
fn a_packet_waits_until_the_radio_is_awake_whoever_sends_it() {
    let mut radio = Radio::new(Arc::new(settings()));
    assert_eq!(radio.send(at(10), 8), at(12), "asleep: it wakes up first");
    assert_eq!(radio.send(at(11), 8), at(12), "it is waking up");
    assert_eq!(radio.receive(at(11), 8), at(12), "it is waking up, and this does not overtake");
    assert_eq!(radio.send(at(14), 8), at(14), "in the tail");
    assert_eq!(radio.receive(at(24), 8), at(24), "in the tail");
    assert_eq!(radio.receive(at(60), 8), at(62), "asleep again: it is called, and wakes up");
    assert_eq!(radio.receive(at(61), 8), at(62), "it is waking up");
    assert_eq!(radio.send(at(61), 8), at(62), "it is waking up for what comes down");
    assert_eq!(radio.usage(at(90)).wakes, 2);
}

#[test]
fn what_comes_down_is_counted_when_it_arrives_and_the_wake_up_before() {
    let mut radio = Radio::new(Arc::new(settings()));
    // Handed over long before it arrives: asleep to 100, wakes to 102, receives to 103, tail to
    // 113, paging to 133, asleep to 200.
    assert_eq!(radio.receive(at(100), 8), at(102));
    let used = radio.clone().usage(at(99));
    assert_eq!(millis(&used), [0, 0, 0, 0, 0, 99_000], "nothing has come yet");
    let used = radio.usage(at(200));
    assert_eq!(millis(&used), [0, 1_000, 2_000, 10_000, 20_000, 167_000]);
}

#[test]
fn what_is_sent_while_something_comes_down_finds_its_own_way() {
    let mut radio = Radio::new(Arc::new(settings()));
    assert_eq!(radio.receive(at(10), 8), at(12), "it will be called at 10");
    assert_eq!(radio.send(at(5), 8), at(7), "and wakes up by itself at 5");
    // Wakes 5 to 7, sends to 8, tail to 12, receives to 13, tail to 23.
    let used = radio.usage(at(23));
    assert_eq!(millis(&used), [1_000, 1_000, 2_000, 14_000, 0, 5_000]);
    assert_eq!(used.wakes, 1);
}

/// A packet at the radio: when the client hands it over or it is called for, when it goes or
/// arrives, whether it goes up, and its bytes.
type AtRadio = (u64, u64, bool, u32);

/// One step of the walk: in which state each millisecond is, from the packets alone.
fn simulate_by_millisecond(packets: &[AtRadio], end: u64) -> ([u64; 6], u64) {
    let settings = settings();
    let millis = |span: Span| span.as_nanos() / 1_000_000;
    let (mut busy, mut wakes): (Vec<(u64, RadioState)>, u64) = (Vec::new(), 0);
    let mut rest = packets.to_vec();
    while !rest.is_empty() {
        let free = busy.last().map_or(0, |(last, _)| last + 1);
        let sleeps = |at: u64| busy.is_empty() || at > free + millis(settings.tail);
        let begins = |&(called, at, ..): &AtRadio| if sleeps(called) { called } else { at };
        let (place, next) =
            rest.iter().enumerate().min_by_key(|(place, one)| (begins(one), *place)).unwrap();
        let (begins, &(_, _, up, bytes)) = (begins(next), next);
        let mut busy_at = free.max(begins);
        if sleeps(begins) {
            wakes += 1;
            busy.extend((0..millis(settings.wake)).map(|nth| (busy_at + nth, RadioState::Wake)));
            busy_at += millis(settings.wake);
        }
        let state = if up { RadioState::Transmit } else { RadioState::Receive };
        busy.extend((0..u64::from(bytes) * 125).map(|nth| (busy_at + nth, state)));
        rest.remove(place);
    }
    let end = end.max(busy.last().map_or(0, |(last, _)| last + 1));
    let mut sums = [0; 6];
    let mut busy = busy.into_iter().peekable();
    let mut quiet_since: Option<u64> = None;
    for milli in 0..end {
        let state = match (busy.next_if(|(at, _)| *at == milli), quiet_since) {
            (Some((_, state)), _) => {
                quiet_since = Some(milli + 1);
                state
            }
            (None, Some(since)) if milli < since + millis(settings.tail) => RadioState::Tail,
            (None, Some(since)) if milli < since + millis(settings.tail + settings.paging) => {
                RadioState::Paging
            }
            (None, _) => RadioState::Sleep,
        };
        sums[state as usize] += 1;
    }
    (sums, wakes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_sums_match_a_millisecond_by_millisecond_simulation(
        gaps in prop::collection::vec((0_u64..40_000, any::<bool>(), 1_u32..40), 0..12),
        under_way in 0_u64..5_000,
        rest in 0_u64..50_000,
    ) {
        let time = |millis: u64| Time::from_nanos(millis * 1_000_000);
        let in_millis = |time: Time| time.as_nanos() / 1_000_000;
        let mut radio = Radio::new(Arc::new(settings()));
        let mut at_radio: Vec<AtRadio> = Vec::new();
        let (mut now, mut latest_down) = (0, 0);
        for (gap, up, bytes) in gaps {
            now += gap;
            if up {
                let leaves = in_millis(radio.send(time(now), bytes));
                prop_assert!(leaves == now || leaves <= now + 2_000);
                at_radio.push((now, now, true, bytes));
            } else {
                let due = now + under_way;
                let at = in_millis(radio.receive(time(due), bytes));
                prop_assert!((due..=due + 2_000).contains(&at));
                prop_assert!(at >= latest_down, "a way of one delay keeps its order");
                latest_down = at;
                let called = if at == due + 2_000 { due } else { at };
                at_radio.push((called, at, false, bytes));
            }
        }
        // All that was handed over has come, but for what a trial's end cuts off.
        let end = now.max(latest_down) + rest;
        let used = radio.usage(time(end));
        let (sums, wakes) = simulate_by_millisecond(&at_radio, end);
        prop_assert_eq!(millis(&used), sums);
        prop_assert_eq!(used.wakes, wakes);
        let span: u64 = sums.iter().sum();
        prop_assert!(span >= end);
        let joules: f64 =
            RadioState::ALL.iter().map(|s| settings().state_watts(*s) * to_f64(sums[*s as usize]) / 1e3).sum();
        prop_assert!((used.energy() - joules).abs() < 1e-9);
    }
}
