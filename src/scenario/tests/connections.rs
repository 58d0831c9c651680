//! Transports, sessions and endpoints: what is assumed, and what is refused.

use super::super::*;
use super::errors::refused;
use super::{SMALL, parse};
use crate::base::name::Tag;
use crate::base::time::{Span, Time};
use crate::mqtt::settings::{Backoff, Retry, Store};
use crate::network::settings::Transport;

const OPTIONS: &str = "qos = 2, no_local = true, retain_as_published = true, \
                       retain_handling = \"send\", identifier = 1 ";

/// The small scenario over tcp, with more in its tables.
fn tcp(broker: &str, sensor: &str, link: &str) -> String {
    let text = format!("{SMALL}transport = \"tcp\"\n{link}\n");
    text.replacen("[[client]]\n", &format!("[broker]\n{broker}\n[[client]]\n{sensor}\n"), 1)
}

fn v5(text: &str) -> String {
    text.replace("name = \"small\"", "name = \"small\"\nmqtt = \"5.0\"")
}

/// Only what is wrong and where, without pictures: `LINE: TITLE [LABEL] (HELP)`.
pub(super) fn told(text: &str) -> String {
    let errors = Scenario::parse("test.toml", text).expect_err("this should be refused");
    brief(&errors, &errors.list)
}

fn brief(all: &Diagnostics, list: &[diagnostic::Diagnostic]) -> String {
    let lines = list.iter().map(|one| {
        let place = one.span.as_ref().map_or("", |span| &all.source[span.clone()]);
        let place = place.lines().next().unwrap_or_default();
        format!("{place}: {} [{}] ({})\n", one.title, one.label, one.help)
    });
    lines.collect()
}

#[test]
fn what_is_assumed_depends_on_the_transport() {
    let datagram = parse(SMALL);
    let stream = parse(&tcp("", "", ""));
    let of = |scenario: &Scenario| {
        let setup = scenario.points[0].setup.clone();
        let settings = setup.clients[0].settings.clone();
        let timed = [setup.broker.hop.retry, settings.hop.retry]
            .map(|retry| matches!(retry, Retry::Timer(_)));
        (
            timed,
            settings.request_retry,
            settings.connect_timeout,
            setup.judge.order,
            setup.broker.datagram,
        )
    };
    let second = Some(Span::from_secs(1));
    assert_eq!(of(&datagram), ([true; 2], second, None, false, true));
    assert_eq!(of(&stream), ([false; 2], None, Some(Span::from_secs(30)), true, false));
    let Transport::Tcp(tcp) = stream.points[0].setup.clients[0].link.transport else { panic!() };
    assert_eq!((tcp.headers, tcp.mss, tcp.tls, tcp.nat_idle), (40, 1_460, None, None));
    assert_eq!(tcp.rto_min, Span::from_millis(200));
    assert_eq!(tcp.user_timeout, Span::from_millis(924_600));
}

#[test]
fn a_preset_has_its_delays_with_either_transport_and_no_duplicates_over_tcp() {
    let link = |transport: &str| {
        let text = SMALL.replace("delay = \"20ms\"", "preset = \"wifi\"");
        let scenario = parse(&format!("{text}transport = \"{transport}\"\n"));
        scenario.points[0].setup.clients[0].link.clone()
    };
    let (datagram, tcp) = (link("datagram"), link("tcp"));
    assert_eq!((datagram.up.delay, datagram.up.loss), (tcp.up.delay, tcp.up.loss));
    assert!(datagram.up.duplicate.is_possible() && !tcp.up.duplicate.is_possible());
}

#[test]
fn what_cannot_apply_to_a_transport() {
    let text = tcp("", "", "duplicate = \"1%\"\nup = { reorder = \"2%\" }\nnat_idle = \"0s\"");
    insta::assert_snapshot!(refused(&text), @"");
    let text =
        format!("{SMALL}mss = 1400\ntls = \"1.3\"\nrto_min = \"1s\"\nuser_timeout = \"1m\"\n");
    insta::assert_snapshot!(told(&format!("{text}nat_idle = \"1m\"\n")), @"");
    insta::assert_snapshot!(told(&tcp("", "", "tls = \"1.4\"\nmss = 0")), @"");
    let text = SMALL.replacen("[[client]]\n", "[[client]]\nconnect_timeout = \"1s\"\n", 1);
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn mixed_transports_need_a_retry_that_is_written() {
    let mixed = SMALL.replace("\"*\"", "\"sensor\"")
        + "[[link]]\nbetween = [\"dashboard\", \"broker\"]\ndelay = \"1ms\"\ntransport = \"tcp\"\n";
    insta::assert_snapshot!(refused(&mixed), @"");
    let scenario = parse(&mixed.replacen("[[client]]", "[broker]\nretry = \"1s\"\n[[client]]", 1));
    let setup = &scenario.points[0].setup;
    assert!(setup.broker.datagram && !setup.judge.order);
    assert_eq!(setup.clients[1].settings.hop.retry, Retry::Reconnect);
    let fleet = SMALL.replace("\"sensor\"", "\"s-{i}\"\ncount = 2").replace("\"*\"", "\"s-1\"")
        + "[[link]]\nbetween = [\"s-2\", \"broker\"]\ndelay = \"1ms\"\ntransport = \"tcp\"\n\
           [[link]]\nbetween = [\"dashboard\", \"broker\"]\ndelay = \"1ms\"\n";
    let fleet = fleet.replacen("[[client]]", "[broker]\nretry = \"1s\"\n[[client]]", 1);
    insta::assert_snapshot!(told(&fleet), @"");
}

#[test]
fn sessions_stores_and_limits_reach_the_endpoints() {
    let sensor = "session = { expiry = \"10m\" }\nstore = { snapshot = \"30s\" }\n\
                  connect = \"per-report\"\nreconnect = { min = \"2s\" }\nresubscribe = false\n\
                  quirks = [\"no_dedupe\", \"ignore_session_present\"]\nreceive_maximum = 5\n\
                  will = { topic = \"dead\", qos = 1, payload = \"9B\", retain = true, \
                  delay = \"3s\" }";
    let broker = "store = \"volatile\"\ndeny = [\"secret/#\"]\non_full = \"reject\"\n\
                  max_packet_size = \"1KB\"\ntopic_alias_maximum = 3\nquirks = [\"no_qos_cap\"]";
    let scenario = parse(&v5(&tcp(broker, sensor, "")));
    let setup = &scenario.points[2].setup;
    let own = &setup.clients[0];
    assert_eq!((own.settings.clean, own.settings.session_expiry), (false, 600));
    assert_eq!(own.store, Store::Snapshot(Span::from_secs(30)));
    let backoff = Backoff { min: Span::from_secs(2), max: Span::from_secs(60) };
    assert_eq!(own.settings.reconnect, backoff);
    assert!(own.settings.on_demand && !own.settings.resubscribe);
    assert_eq!(own.settings.limits.receive_maximum, 5);
    assert_eq!(own.settings.hop.quirks.iter().count(), 2);
    assert_eq!(setup.broker_store, Store::Volatile);
    assert_eq!(
        (setup.broker.limits.max_packet_size, setup.broker.limits.topic_alias_maximum),
        (1_000, 3)
    );
    assert_eq!(setup.broker.deny.len(), 1);
    // The will is a stream of its own, and travels under its name.
    let will = own.settings.will.as_ref().unwrap();
    let parts = will.message.tag.parts().unwrap();
    let stream = &setup.streams[parts.stream.index()];
    assert_eq!((&*stream.name, stream.will, stream.count), ("sensor/will", true, 0));
    assert_eq!((&stream.topic, stream.qos, stream.retain), (&will.message.topic, will.qos, true));
    assert_eq!((will.delay, will.message.payload.len()), (3, 9));
    assert_eq!(will.message.tag, Tag::new(parts.stream, 0, will.qos, Time::ZERO));
    // And it does not make the QoS of a point doubtful.
    assert_eq!(scenario.points[2].label(), "qos 2");
}

#[test]
fn what_only_mqtt_5_has() {
    let sensor = "session = { expiry = \"10m\" }\nreceive_maximum = 5\n\
                  will = { topic = \"dead\", qos = 1, delay = \"3s\" }";
    let text = tcp("max_packet_size = \"1KB\"\ntopic_alias_maximum = 3", sensor, "")
        .replace("count = 3", "count = 3, expiry = \"5s\"")
        .replace("qos = 2 ", OPTIONS);
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn limits_of_zero_and_times_that_cannot_be_written() {
    let sensor = "session = { expiry = \"0s\" }\nreceive_maximum = 0\n\
                  store = { snapshot = \"0s\" }\n\
                  reconnect = { min = \"2m\", max = \"1m\" }\nconnect_timeout = \"0s\"\n\
                  will = { topic = \"dead/#\", qos = 1, delay = \"3.5s\", payload = \"70KB\" }";
    let text =
        v5(&tcp("receive_maximum = 0\nmax_packet_size = \"0B\"\ndeny = [\"a/#/b\"]", sensor, ""))
            .replace("count = 3", "count = 3, expiry = \"1.5s\"")
            .replace("\"t\", qos = 2", "\"$share/g\", qos = 2");
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn a_shared_subscription_cannot_leave_out_its_own() {
    let text =
        v5(&tcp("", "", "")).replace("\"t\", qos = 2", "\"$share/g/t\", qos = 2, no_local = true");
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn a_client_that_comes_and_goes_by_itself_is_not_sent_away() {
    let text = tcp("", "connect = \"per-report\"\naway = [{ at = \"1s\", lasts = \"1s\" }]", "");
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn unknown_words_and_what_was_perhaps_meant() {
    let text =
        tcp("store = \"durabel\"\non_full = \"drop\"", "session = 3\nconnect = \"allways\"", "");
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn quirks_and_profiles_of_the_other_side_or_unknown() {
    let broker = "quirks = [\"no_dedup\", \"ignore_session_present\"]\nprofile = \"paho-python-2\"";
    let sensor = "quirks = [\"no_qos_cap\"]\nprofile = \"esp-mqtt\"";
    insta::assert_snapshot!(told(&tcp(broker, sensor, "")), @"");
}

#[test]
fn a_timer_under_mqtt_5_is_warned_of_and_runs() {
    let declared = parse(&v5(&tcp("retry = \"1s\"", "", "")));
    insta::assert_snapshot!(declared.warnings.render(false), @"");
    let profile = parse(&v5(&tcp("profile = \"emqx-5.0\"", "", "")));
    insta::assert_snapshot!(brief(&profile.warnings, &profile.warnings.warnings), @"");
    // Where it is no choice, or where it is allowed, nothing is said.
    for text in [v5(SMALL), v5(&tcp("", "", "")), tcp("retry = \"1s\"", "", "")] {
        assert!(parse(&text).warnings.warnings.is_empty());
    }
}
