//! Transports, sessions and endpoints: what is assumed, and what is refused.

use std::sync::Arc;

use super::super::*;
use super::errors::error_text;
use super::{SMALL, over_tcp, parse};
use qoslab_core::base::{MessageTag, Span, Time};
use qoslab_core::mqtt::{Backoff, RetryRule, StorePolicy, WhenSocketFull};
use qoslab_core::network::{CongestionControl, SocketBuffer, SocketSettings, Transport};

const OPTIONS: &str = "qos = 2, no_local = true, retain_as_published = true, \
                       retain_handling = \"send\", identifier = 1 ";

/// The small scenario over tcp, with more in its tables.
fn tcp(broker: &str, sensor: &str, link: &str) -> String {
    let text = over_tcp(SMALL) + link + "\n";
    text.replacen("[[client]]\n", &format!("[broker]\n{broker}\n[[client]]\n{sensor}\n"), 1)
}

fn v5(text: &str) -> String {
    text.replace("name = \"small\"", "name = \"small\"\nmqtt = \"5.0\"")
}

/// Only what is wrong and where, without pictures: `LINE: TITLE [LABEL] (HELP)`.
pub(super) fn error_lines(text: &str) -> String {
    let errors = Scenario::parse("test.toml", text).expect_err("this should be refused");
    format_diagnostics(&errors, &errors.errors)
}

fn format_diagnostics(all: &Diagnostics, list: &[Diagnostic]) -> String {
    let lines = list.iter().map(|one| {
        let place = one.span.as_ref().map_or("", |span| &all.source[span.clone()]);
        let place = place.lines().next().unwrap_or_default();
        format!("{place}: {} [{}] ({})\n", one.title, one.label, one.help)
    });
    lines.collect()
}

#[test]
fn defaults_depend_on_the_transport() {
    let datagram = parse(SMALL);
    let stream = parse(&tcp("", "", ""));
    let of = |scenario: &Scenario| {
        let setup = scenario.points[0].setup.clone();
        let settings = setup.clients[0].settings.clone();
        let timed = [setup.broker.hop.retry, settings.hop.retry]
            .map(|retry| matches!(retry, RetryRule::Timer(_)));
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
    assert_eq!((tcp.client, tcp.broker), (SocketSettings::LINUX, SocketSettings::LINUX));
    assert_eq!(tcp.congestion, CongestionControl::Cubic);
}

/// TCP with a socket at the broker and one at the client, `rest` in the link.
fn with_sockets(broker: &str, client: &str, rest: &str) -> String {
    let socket = |fields: &str| match fields {
        "" => String::new(),
        fields => format!("socket = {{ {fields} }}"),
    };
    tcp(&socket(broker), &socket(client), rest)
}

#[test]
fn settings_of_tcp_are_read_and_written_out() {
    let client = "nodelay = false, send_buffer = \"esp-idf\", receive_buffer = \"lwip\", \
                  when_full = \"wait\", read_every = \"50ms\"";
    let broker = "send_buffer = \"20kB\", when_full = \"drop\"";
    let text = with_sockets(broker, client, "congestion = \"reno\"");
    for text in [text.clone(), parse(&text).to_full_toml()] {
        let setup = &parse(&text).points[0].setup;
        let Transport::Tcp(tcp) = setup.clients[0].link.transport else { panic!("{text}") };
        assert_eq!(tcp.congestion, CongestionControl::Reno);
        let client = SocketSettings {
            nodelay: false,
            send_buffer: SocketBuffer::Bytes(5_760),
            receive_buffer: SocketBuffer::Bytes(4 * 1_460),
            read_interval: Span::from_millis(50),
        };
        assert_eq!(tcp.client, client);
        let send_buffer = SocketBuffer::Bytes(20_000);
        assert_eq!(tcp.broker, SocketSettings { send_buffer, ..SocketSettings::LINUX });
        assert_eq!(setup.clients[0].settings.hop.when_socket_full, WhenSocketFull::Wait);
        assert_eq!(setup.broker.hop.when_socket_full, WhenSocketFull::Drop);
    }
}

#[test]
fn clients_that_share_a_link_and_a_table_share_its_settings() {
    let text = with_sockets("", "nodelay = false", "");
    let text = text.replace("name = \"sensor\"", "name = \"sensor-{i}\"\ncount = 2");
    let text = text.replace("\"sensor\", \"broker\"", "\"sensor-*\", \"broker\"");
    let setup = &parse(&text).points[0].setup;
    assert!(Arc::ptr_eq(&setup.clients[0].link, &setup.clients[1].link));
}

#[test]
fn sockets_that_cannot_be_are_refused_at_their_places() {
    let refused =
        |broker: &str, client: &str, link: &str| error_lines(&with_sockets(broker, client, link));
    insta::assert_snapshot!(refused("", "receive_buffer = \"1000B\"", ""), @r#""1000B": a receive buffer holds a segment at least [1,000 B, and a segment has up to 1,460 B] (make it larger, or the link's `mss` smaller)"#);
    parse(&with_sockets("", "receive_buffer = \"1000B\"", "mss = 500"));
    insta::assert_snapshot!(refused("send_buffer = \"0B\"", "", ""), @r#""0B": a send buffer holds a segment at least [0 B, and a segment has up to 1,460 B] (make it larger, or the link's `mss` smaller)"#);
    insta::assert_snapshot!(refused("", "send_buffer = \"windows\"", ""), @r#""windows": send_buffer is not a known buffer [not a known system] (write "linux", "esp-idf", "lwip" or bytes such as "5.7kB")"#);
    insta::assert_snapshot!(refused("", "when_full = \"block\"", ""), @r#""block": when_full cannot be `block` [unknown word] (known here: queue, drop, wait)"#);
    insta::assert_snapshot!(refused("when_full = \"wait\", read_every = \"1s\"", "", ""), @r#"
    "wait": a broker has no application that could wait [] (write "queue", and how many may wait in `max_queued`, or "drop")
    "1s": `read_every` is a client's [the broker reads at once] (write it in the `socket` of a client, or leave it out)
    "#);
    let socket = "socket = { nodelay = false }";
    let tables = format!("[broker]\n{socket}\n[[client]]\n{socket}");
    let text = SMALL.replacen("[[client]]", &tables, 1);
    insta::assert_snapshot!(error_lines(&format!("{text}congestion = \"reno\"\n")), @r#"
    { nodelay = false }: `socket` needs tcp [a datagram is sent at once, or is lost] (add `transport = "tcp"` to the link, or leave this out)
    { nodelay = false }: `socket` needs tcp [a datagram is sent at once, or is lost] (add `transport = "tcp"` to the link, or leave this out)
    "reno": `congestion` needs tcp [this link carries datagrams] (add `transport = "tcp"` to the link, or leave this out)
    "#);
}

#[test]
fn a_profile_over_datagrams_has_no_socket_and_is_written_out_so() {
    let tables = "[broker]\nprofile = \"mosquitto-2.0\"\n[[client]]\nprofile = \"paho-python-2\"";
    let shown = parse(&SMALL.replacen("[[client]]", tables, 1)).to_full_toml();
    assert!(!shown.contains("socket"), "{shown}");
    assert_eq!(parse(&shown).to_full_toml(), shown);
}

#[test]
fn a_preset_has_its_delays_with_either_transport_and_no_duplicates_over_tcp() {
    let link = |transport: &str| {
        let text = SMALL.replace("delay = \"20ms\"", "preset = \"wifi\"");
        let scenario = parse(&text.replace("\"datagram\"", &format!("\"{transport}\"")));
        scenario.points[0].setup.clients[0].link.clone()
    };
    let (datagram, tcp) = (link("datagram"), link("tcp"));
    assert_eq!((datagram.up.delay, datagram.up.loss), (tcp.up.delay, tcp.up.loss));
    assert!(datagram.up.duplicate.is_possible() && !tcp.up.duplicate.is_possible());
}

#[test]
fn fields_of_the_other_transport_are_refused() {
    let text = tcp("", "", "duplicate = \"1%\"\nup = { reorder = \"2%\" }\nnat_idle = \"0s\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: `duplicate` cannot happen over tcp
      --> test.toml:17:13
       |
    17 | duplicate = "1%"
       |             ^^^^ TCP repairs this unseen
       |
    help: to make endpoints repeat themselves, cut the connection: a [[fault]] with `do = "cut"`; or write `transport = "datagram"`

    error: `reorder` cannot happen over tcp
      --> test.toml:18:18
       |
    18 | up = { reorder = "2%" }
       |                  ^^^^ TCP repairs this unseen
       |
    help: for a delay that varies, give it `jitter`; or write `transport = "datagram"`

    error: nat_idle must be more than zero
      --> test.toml:19:12
       |
    19 | nat_idle = "0s"
       |            ^^^^ this is no time at all
    "#);
    let text =
        format!("{SMALL}mss = 1400\ntls = \"1.3\"\nrto_min = \"1s\"\nuser_timeout = \"1m\"\n");
    insta::assert_snapshot!(error_lines(&format!("{text}nat_idle = \"1m\"\n")), @r#"
    1400: `mss` needs tcp [this link carries datagrams] (add `transport = "tcp"` to the link, or leave this out)
    "1.3": `tls` needs tcp [this link carries datagrams] (add `transport = "tcp"` to the link, or leave this out)
    "1s": `rto_min` needs tcp [this link carries datagrams] (add `transport = "tcp"` to the link, or leave this out)
    "1m": `user_timeout` needs tcp [this link carries datagrams] (add `transport = "tcp"` to the link, or leave this out)
    "1m": `nat_idle` needs tcp [this link carries datagrams] (add `transport = "tcp"` to the link, or leave this out)
    "#);
    insta::assert_snapshot!(error_lines(&tcp("", "", "tls = \"1.4\"\nmss = 0")), @r#"
    "1.4": tls cannot be `1.4` [unknown word] (did you mean `1.2`?)
    0: mss must be from 1 to 65,495 [this is 0] ()
    "#);
    let text = SMALL.replacen("[[client]]\n", "[[client]]\nconnect_timeout = \"1s\"\n", 1);
    insta::assert_snapshot!(error_lines(&text), @r#""1s": `connect_timeout` needs tcp [over datagrams CONNECT is repeated] (set `retry`, after which CONNECT is sent again, or leave this out)"#);
}

#[test]
fn mixed_transports_need_a_retry_that_is_written() {
    let mixed = SMALL.replace("\"*\"", "\"sensor\"")
        + "[[link]]\nbetween = [\"dashboard\", \"broker\"]\ndelay = \"1ms\"\ntransport = \"tcp\"\n";
    insta::assert_snapshot!(error_text(&mixed), @r#"
    error: the broker needs a `retry`
      --> test.toml:12:13
       |
    12 | transport = "datagram"
       |             ^^^^^^^^^^ datagrams here, and tcp on another link
       |
    help: write `transport = "tcp"` here too, if this is MQTT as it is. Else the broker, which has one retry rule for all its sessions, needs `retry = "1s"` or `retry = "reconnect"`. To compare the two transports, give each a scenario of its own
    "#);
    let scenario = parse(&mixed.replacen("[[client]]", "[broker]\nretry = \"1s\"\n[[client]]", 1));
    let setup = &scenario.points[0].setup;
    assert!(setup.broker.datagram && !setup.judge.order);
    assert_eq!(setup.clients[1].settings.hop.retry, RetryRule::Reconnect);
    let fleet = SMALL.replace("\"sensor\"", "\"s-{i}\"\ncount = 2").replace("\"*\"", "\"s-1\"")
        + "[[link]]\nbetween = [\"s-2\", \"broker\"]\ndelay = \"1ms\"\ntransport = \"tcp\"\n\
           [[link]]\nbetween = [\"dashboard\", \"broker\"]\ndelay = \"1ms\"\n\
           transport = \"tcp\"\n";
    let fleet = fleet.replacen("[[client]]", "[broker]\nretry = \"1s\"\n[[client]]", 1);
    insta::assert_snapshot!(error_lines(&fleet), @r#""s-{i}": `s-{i}` needs a `retry` [some of these have tcp and some datagrams] (write `retry = "1s"` or `retry = "reconnect"`, or make two clients of it)"#);
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
    assert_eq!(own.store, StorePolicy::Snapshot(Span::from_secs(30)));
    let backoff = Backoff { min: Span::from_secs(2), max: Span::from_secs(60), jitter: true };
    assert_eq!(own.settings.reconnect, backoff);
    assert!(own.settings.on_demand && !own.settings.resubscribe);
    assert_eq!(own.settings.limits.receive_maximum, 5);
    assert_eq!(own.settings.hop.quirks.iter().count(), 2);
    assert_eq!(setup.broker_store, StorePolicy::Volatile);
    assert_eq!(
        (setup.broker.limits.max_packet_size, setup.broker.limits.topic_alias_maximum),
        (1_000, 3)
    );
    assert_eq!(setup.broker.denied_filters.len(), 1);
    // The will is a stream of its own, and travels under its name.
    let will = own.settings.will.as_ref().unwrap();
    let parts = will.message.tag.message_id().unwrap();
    let stream = &setup.publishers[parts.publisher.index()];
    assert_eq!((&*stream.name, stream.is_will, stream.count), ("sensor/will", true, 0));
    assert_eq!((&stream.topic, stream.qos, stream.retain), (&will.message.topic, will.qos, true));
    assert_eq!((will.delay, will.message.payload.len()), (3, 9));
    assert_eq!(will.message.tag, MessageTag::new(parts.publisher, 0, will.qos, Time::ZERO));
    // And it does not make the QoS of a point doubtful.
    assert_eq!(scenario.points[2].label(), "qos 2");
}

#[test]
fn fields_of_mqtt_5_are_refused_in_earlier_versions() {
    let sensor = "session = { expiry = \"10m\" }\nreceive_maximum = 5\n\
                  will = { topic = \"dead\", qos = 1, delay = \"3s\" }";
    let text = tcp("max_packet_size = \"1KB\"\ntopic_alias_maximum = 3", sensor, "")
        .replace("count = 3", "count = 3, expiry = \"5s\"")
        .replace("qos = 2 ", OPTIONS);
    insta::assert_snapshot!(error_lines(&text), @r#"
    "1KB": `max_packet_size` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    3: `topic_alias_maximum` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    { expiry = "10m" }: `expiry` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    5: `receive_maximum` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    "3s": `delay` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    "5s": `expiry` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    true: `no_local` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    true: `retain_as_published` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    "send": `retain_handling` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    1: `identifier` needs MQTT 5.0 [earlier versions do not have it] (write `mqtt = "5.0"`, or leave it out)
    "#);
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
    insta::assert_snapshot!(error_lines(&text), @r#"
    0: receive_maximum must not be 0 [a Protocol Error (MQTT 5.0, section 3.2.2.3.3)] (with 0 nothing could ever be sent: write 1 to 65535)
    "0B": max_packet_size must not be 0 [a Protocol Error (MQTT 5.0, section 3.2.2.3.6)] (leave it out for no limit)
    "a/#/b": the topic filter has a '#' that is not the whole of the last level [MQTT-4.7.1-2] [not a topic filter] ()
    { expiry = "0s" }: this session ends with its connection [it expires at once] (write `session = "clean"`)
    0: receive_maximum must not be 0 [a Protocol Error (MQTT 5.0, section 3.1.2.11.3)] (with 0 nothing could ever be sent: write 1 to 65535)
    { snapshot = "0s" }: a snapshot needs some time [less than 1 ms] (for a store that is never behind write "durable")
    { min = "2m", max = "1m" }: the first pause must be between zero and the longest [] (write it as in `reconnect = { min = "1s", max = "60s" }`)
    "0s": connect_timeout must be more than zero [no attempt could succeed] ()
    "dead/#": the topic contains a wildcard, which only a filter may [MQTT-4.7.1-1] [not a topic name] ()
    "3.5s": delay must be whole seconds, less than 4294967295s [this is 3.5 s] ()
    "70KB": a will can have 65,535 bytes [this has 70,000 bytes] ()
    "1.5s": expiry must be whole seconds, less than 4294967295s [this is 1.5 s] ()
    "$share/g": the topic filter is no shared subscription: write $share/GROUP/FILTER [MQTT-4.8.2-1] [not a topic filter] ()
    "#);
}

#[test]
fn over_tcp_a_message_can_be_as_long_as_mqtt_allows() {
    let text = |payload: &str| {
        tcp("", "", "").replace("count = 3", &format!("count = 3, payload = \"{payload}\""))
    };
    parse(&text("200MB"));
    insta::assert_snapshot!(error_lines(&text("268435450B")), @r#"
    "268435450B": the message does not fit a packet [up to 268,435,450 bytes] (a PUBLISH can have 268,435,455 bytes in all)
    "#);
}

#[test]
fn a_shared_subscription_cannot_have_no_local() {
    let text =
        v5(&tcp("", "", "")).replace("\"t\", qos = 2", "\"$share/g/t\", qos = 2, no_local = true");
    insta::assert_snapshot!(error_lines(&text), @r"true: a shared subscription cannot have `no_local` [a Protocol Error] (see [MQTT-3.8.3-4])");
}

#[test]
fn a_client_that_connects_per_report_cannot_be_away() {
    let text = tcp("", "connect = \"per-report\"\naway = [{ at = \"1s\", lasts = \"1s\" }]", "");
    insta::assert_snapshot!(error_lines(&text), @r#"{ at = "1s", lasts = "1s" }: a client that connects per report is away by itself [and here too] (leave `away` out, or write `connect = "always"`)"#);
}

#[test]
fn unknown_keywords_get_suggestions() {
    let text =
        tcp("store = \"durabel\"\non_full = \"drop\"", "session = 3\nconnect = \"allways\"", "");
    insta::assert_snapshot!(error_lines(&text), @r#"
    "durabel": store cannot be `durabel` [unknown word] (did you mean `durable`?)
    "drop": on_full cannot be `drop` [unknown word] (known here: drop-newest, drop-oldest, reject)
    3: session cannot be `3` [unknown word] (known here: persistent, clean)
    "allways": connect cannot be `allways` [unknown word] (did you mean `always`?)
    "#);
}

#[test]
fn quirks_and_profiles_of_the_other_side_or_unknown() {
    let broker = "quirks = [\"no_dedup\", \"ignore_session_present\"]\nprofile = \"paho-python-2\"";
    let sensor = "quirks = [\"no_qos_cap\"]\nprofile = \"esp-mqtt\"";
    insta::assert_snapshot!(error_lines(&tcp(broker, sensor, "")), @r#"
    "no_dedup": there is no quirk `no_dedup` [unknown word] (did you mean `no_dedupe`?)
    "ignore_session_present": `ignore_session_present` is a quirk of a client [this is the broker] (set it on a client)
    "paho-python-2": `paho-python-2` is the profile of a client [not of this end] (known here: mosquitto-2.0, emqx-5.0)
    "no_qos_cap": `no_qos_cap` is a quirk of the broker [this is a client] (set it on the broker)
    "esp-mqtt": there is no profile `esp-mqtt` [not a known product] (did you mean `esp-mqtt-5`?)
    "#);
}

#[test]
fn a_timer_under_mqtt_5_is_warned_of_and_runs() {
    let declared = parse(&v5(&tcp("retry = \"1s\"", "", "")));
    insta::assert_snapshot!(declared.warnings.render(false), @r#"
    warning: MQTT 5.0 forbids to send again by a timer
     --> test.toml:6:9
      |
    6 | retry = "1s"
      |         ^^^^ it is simulated all the same
      |
    help: clients and servers must not resend messages but when a client reconnects [MQTT-4.4.0-1]: write `retry = "reconnect"`, or another version of MQTT
    "#);
    let profile = parse(&v5(&tcp("profile = \"emqx-5.0\"", "", "")));
    insta::assert_snapshot!(format_diagnostics(&profile.warnings, &profile.warnings.warnings), @r#""emqx-5.0": MQTT 5.0 forbids to send again by a timer [it is simulated all the same] (clients and servers must not resend messages but when a client reconnects [MQTT-4.4.0-1]: write `retry = "reconnect"`, or another version of MQTT)"#);
    // Where it is no choice, or where it is allowed, nothing is said.
    for text in [v5(SMALL), v5(&tcp("", "", "")), tcp("retry = \"1s\"", "", "")] {
        assert!(parse(&text).warnings.warnings.is_empty());
    }
}
