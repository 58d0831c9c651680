//! Faults and swarms: what they come to, and what is refused.

use proptest::prelude::*;

use super::super::*;
use super::connections::error_lines;
use super::errors::error_text;
use super::{SMALL, over_tcp, parse};
use qoslab_core::base::{ClientIndex, Direction, Impairment, Node, PacketKind, Span};
use qoslab_core::network::{IntervalDistribution, LossModel};
use qoslab_sim::{CrashPoint, FaultAction, PacketAction, PacketTrigger, PeerVisibility, Trigger};

fn fleet() -> String {
    SMALL
        .replace("\"sensor\"", "\"s-{i}\"\ncount = 3\nkeep_alive = \"10s\"")
        .replace("\"t\", qos = [0, 1, 2]", "\"t\", qos = [1, 2]")
}

fn tcp() -> String {
    over_tcp(&fleet())
}

fn faults(text: &str) -> Vec<qoslab_sim::FaultSetup> {
    parse(text).points[0].setup.faults.clone()
}

fn with_fault(base: &str, lines: &str) -> String {
    format!("{base}[[fault]]\n{lines}\n")
}

#[test]
fn a_pattern_makes_one_fault_for_each_client() {
    let text = with_fault(&tcp(), "every = \"exp 5m\"\non = \"s-*\"\ndo = \"cut\"");
    let text = with_fault(&text, "at = \"4s\"\non = \"s-2\"\ndo = \"cut\"");
    let all = faults(&text);
    let names: Vec<_> = all.iter().map(|fault| &*fault.name).collect();
    assert_eq!(names, ["cut s-1", "cut s-2", "cut s-3", "cut s-2/2"]);
    assert_eq!(
        all[2].trigger,
        Trigger::Every(IntervalDistribution::Exponential(Span::from_secs(300)))
    );
    assert_eq!(all[2].action, FaultAction::Cut { client: ClientIndex(2), after: false });
    assert_eq!(all[3].trigger, Trigger::At(Span::from_secs(4)));
}

#[test]
fn a_packet_is_named_by_its_end_and_crashes_its_receiver() {
    let text =
        with_fault(&tcp(), "when = { packet = \"PUBREC\", nth = 3, to = \"s-2\" }\ndo = \"crash\"");
    let text = with_fault(
        &text,
        "when = { packet = \"PUBLISH\", from = \"s-1\" }\n\
         do = { crash = { down = \"1s\", peers = \"silence\", point = \"after-commit\" } }",
    );
    let text = with_fault(
        &text,
        "when = { packet = \"PUBREL\", from = \"s-1\" }\ndo = { cut = \"after\" }",
    );
    let all = faults(&text);
    let (client, second) = (ClientIndex(1), Span::from_secs(1));
    let packet =
        PacketTrigger { client, direction: Direction::Down, kind: PacketKind::PubRec, nth: 3 };
    assert_eq!(all[0].trigger, Trigger::NthPacket(packet));
    assert!(matches!(all[0].action, FaultAction::Crash { node: Node::Client(ClientIndex(1)), .. }));
    let (down, peers) = (IntervalDistribution::Fixed(second), PeerVisibility::Silence);
    let crash =
        FaultAction::Crash { node: Node::Broker, down, peers, point: CrashPoint::AfterCommit };
    assert_eq!(all[1].action, crash);
    assert_eq!(all[2].action, FaultAction::Cut { client: ClientIndex(0), after: true });
}

#[test]
fn every_action_can_be_written() {
    let at = |what: &str| with_fault(&tcp(), &format!("at = \"4s\"\non = \"s-1\"\ndo = {what}"));
    let client = ClientIndex(0);
    let lasts = IntervalDistribution::Fixed(Span::from_secs(9));
    let hamper =
        |how, pace| FaultAction::Impair { client, impairment: how, lasts, read_interval: pace };
    for (text, wanted) in [
        ("{ half-open = \"broker\" }", FaultAction::HalfOpen { client, dead_node: Node::Broker }),
        ("{ stall = \"9s\" }", hamper(Impairment::Stall, Span::ZERO)),
        ("{ outage = \"9s\" }", FaultAction::Outage { client, lasts }),
        ("{ partition = { lasts = \"9s\" } }", FaultAction::Outage { client, lasts }),
        (
            "{ partition = { lasts = \"9s\", way = \"up\" } }",
            hamper(Impairment::Partition(Direction::Up), Span::ZERO),
        ),
        (
            "{ slow = { pace = \"1s\", lasts = \"9s\" } }",
            hamper(Impairment::Slow, Span::from_secs(1)),
        ),
    ] {
        assert_eq!(faults(&at(text))[0].action, wanted);
    }
    let when = "when = { packet = \"PUBACK\", to = \"s-1\" }\ndo = ";
    let second = Span::from_secs(1);
    for (text, wanted) in [
        ("\"drop\"", PacketAction::Drop),
        ("{ delay = \"1s\" }", PacketAction::Delay { by: second }),
        ("{ duplicate = \"1s\" }", PacketAction::Duplicate { after: second }),
    ] {
        let all = faults(&with_fault(&fleet(), &format!("{when}{text}")));
        assert_eq!(all[0].action, FaultAction::Packet(wanted));
    }
}

const BOTH: &str = "do = { stall = \"5s\", outage = \"5s\" }";

#[test]
fn a_fault_without_a_trigger_a_target_or_an_action_is_refused() {
    let text = with_fault(&tcp(), "on = \"s-1\"\ndo = \"cut\"");
    let text = with_fault(&text, "at = \"1s\"\nevery = \"1s\"\non = \"s-1\"\ndo = \"cut\"");
    let text = with_fault(&text, "at = \"1s\"\ndo = \"cut\"");
    let text = with_fault(&text, "at = \"2h\"\non = \"s-1\"\ndo = \"cut\"");
    let text = with_fault(&text, "every = \"2h\"\non = \"sensor\"\ndo = \"cut\"");
    let text = with_fault(&text, "at = \"1s\"\non = \"broker\"\ndo = \"cut\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: a fault comes in one way
      --> test.toml:16:1
       |
    16 | [[fault]]
       | ^^^^^^^^^ none is said
       |
    help: write one of `at = "4m"`, `every = "exp 5m"` and `when = { packet = "PUBREC", nth = 3, to = "meter-7" }`

    error: a fault comes in one way
      --> test.toml:19:1
       |
    19 | [[fault]]
       | ^^^^^^^^^ several are said
       |
    help: write one of `at = "4m"`, `every = "exp 5m"` and `when = { packet = "PUBREC", nth = 3, to = "meter-7" }`

    error: a fault applies to a node or a link
      --> test.toml:24:1
       |
    24 | [[fault]]
       | ^^^^^^^^^ `on` is needed here
       |
    help: write `on = "broker"`, or a client's name, with `*` for any letters

    error: this comes after the deadline of 1h
      --> test.toml:28:6
       |
    28 | at = "2h"
       |      ^^^^ this is 2h after the start
       |
    help: raise `deadline`, or let it come earlier

    error: this comes after the deadline of 1h
      --> test.toml:32:9
       |
    32 | every = "2h"
       |         ^^^^ this is 2h after the start
       |
    help: raise `deadline`, or let it come earlier

    error: there is no client `sensor`
      --> test.toml:33:6
       |
    33 | on = "sensor"
       |      ^^^^^^^^ nobody has such a name
       |
    help: known here: s-1, s-2, s-3, dashboard, broker

    error: this applies to a link
      --> test.toml:38:6
       |
    38 | do = "cut"
       |      ^^^^^ the broker has one to each client
       |
    help: write a client's name, or `on = "*"` for all; the broker can crash
    "#);
    let actions =
        ["do = \"cutt\"", "do = { cutt = \"before\" }", "do = { stall = 5 }", "", "do = {}", BOTH];
    let actions = actions.map(|deed| {
        error_lines(&with_fault(&tcp(), &format!("at = \"1s\"\non = \"s-1\"\n{deed}")))
    });
    insta::assert_snapshot!(actions.concat(), @r#"
    "cutt": do cannot be `cutt` [unknown word] (did you mean `cut`?)
    cutt: there is no `cutt` here [unknown word] (did you mean `cut`?)
    5: stall needs a unit [`5` has no unit] (write "5ms" or "5s")
    [[fault]]: the field `do` is missing [`do` is needed here] ()
    {}: do must say one thing [this is not one known word or entry] (write it as in `do = { WORD = .. }`, with one word)
    { stall = "5s", outage = "5s" }: do must say one thing [there are several entries] (leave all but one out)
    "#);
}

#[test]
fn packets_that_are_never_sent() {
    let when = |text: &str| with_fault(&tcp(), &format!("when = {{ {text} }}\ndo = \"cut\""));
    let all: String = [
        "packet = \"PUBREK\", to = \"s-1\"",
        "packet = \"CONNECT\", to = \"s-1\"",
        "packet = \"PUBREC\", from = \"s-1\"",
        "packet = \"PUBREC\", to = \"dashboard\"",
        "packet = \"UNSUBSCRIBE\", from = \"dashboard\"",
        "packet = \"PINGREQ\", from = \"dashboard\"",
        "packet = \"DISCONNECT\", to = \"dashboard\"",
        "packet = \"PUBREC\", nth = 0, to = \"s-1\"",
        "packet = \"PUBREC\", to = \"s-1\", from = \"s-1\"",
        "packet = \"PUBREC\", to = \"broker\"",
        "packet = \"PUBREC\", to = \"s-9\"",
    ]
    .map(|text| error_lines(&when(text)))
    .concat();
    insta::assert_snapshot!(all, @r#"
    "PUBREK": there is no packet `PUBREK` [unknown kind] (did you mean `PUBREC`?)
    "CONNECT": only clients send CONNECT [this one never goes that way] (write `from` and the client)
    "PUBREC": `s-1` never sends PUBREC [so this fault would never come] (it receives nothing with QoS 2)
    "PUBREC": `dashboard` is never sent PUBREC [so this fault would never come] (it publishes nothing with QoS 2)
    "UNSUBSCRIBE": `dashboard` never sends UNSUBSCRIBE [so this fault would never come] (none of its subscriptions has an `until`)
    "PINGREQ": `dashboard` never sends PINGREQ [so this fault would never come] (it has no `keep_alive`)
    "DISCONNECT": `dashboard` is never sent DISCONNECT [so this fault would never come] (before MQTT 5.0 the broker just closes a connection)
    0: nth must be from 1 to 1,000,000,000 [this is 0] ()
    { packet = "PUBREC", to = "s-1", from = "s-1" }: a packet goes one way [`to` or `from` is needed, not both] (write `to` and a client for what the broker sends, `from` for what it is sent)
    "broker": say which client [the broker has a link to each] (write `to` and a client for what the broker sends, `from` for what it is sent)
    "s-9": there is no client `s-9` [nobody has such a name] (did you mean `s-1`?)
    "#);
    // Of an axis one value is enough.
    for (packet, end) in [("PUBREC", "to = \"s-1\""), ("PUBACK", "from = \"dashboard\"")] {
        parse(&when(&format!("packet = \"{packet}\", {end}")));
    }
}

#[test]
fn faults_impossible_over_a_transport_are_refused() {
    let packet = "when = { packet = \"PUBACK\", to = \"s-1\" }\ndo = ";
    let at = "at = \"1s\"\non = \"s-1\"\ndo = ";
    let over_tcp = ["\"drop\"", "{ delay = \"1s\" }", "{ duplicate = \"1s\" }"];
    let over_tcp =
        over_tcp.map(|what| error_lines(&with_fault(&tcp(), &format!("{packet}{what}"))));
    let over_datagrams = [
        "\"cut\"",
        "{ half-open = \"client\" }",
        "{ stall = \"1s\" }",
        "{ slow = { pace = \"1s\", lasts = \"1s\" } }",
    ];
    let over_datagrams =
        over_datagrams.map(|what| error_lines(&with_fault(&fleet(), &format!("{at}{what}"))));
    insta::assert_snapshot!(over_tcp.concat() + &over_datagrams.concat(), @r#"
    "drop": `drop` of one packet cannot happen over tcp [this is an ordered stream of bytes] (TCP repairs it unseen: use `do = "cut"`, or `transport = "datagram"`)
    { delay = "1s" }: `delay` of one packet cannot happen over tcp [this is an ordered stream of bytes] (use `do = { stall = "5s" }`, or `transport = "datagram"`)
    { duplicate = "1s" }: `duplicate` of one packet cannot happen over tcp [this is an ordered stream of bytes] (TCP repairs it unseen: use `do = "cut"`, or `transport = "datagram"`)
    "cut": `cut` needs a connection of tcp [this link carries datagrams] (use `do = { outage = "30s" }`, or `transport = "tcp"`)
    { half-open = "client" }: `half-open` needs a connection of tcp [this link carries datagrams] (use `do = { outage = "30s" }`, or `transport = "tcp"`)
    { stall = "1s" }: `stall` needs a connection of tcp [this link carries datagrams] (use `do = { outage = "30s" }` or, at a packet, `do = { delay = "5s" }`; or `transport = "tcp"`)
    { slow = { pace = "1s", lasts = "1s" } }: `slow` needs a connection of tcp [this link carries datagrams] (a datagram that nobody reads is lost: use `do = { partition = { lasts = "30s", way = "down" } }`, or `transport = "tcp"`)
    "#);
    let lost = ["\"drop\"", "{ cut = \"after\" }"];
    let lost = lost.map(|what| {
        error_lines(&with_fault(
            if what.contains("cut") { tcp() } else { fleet() }.as_str(),
            &format!("{at}{what}"),
        ))
    });
    insta::assert_snapshot!(lost.concat(), @r#"
    "drop": `drop` needs a packet here [there is only a time] (write `when = { packet = "PUBREC", to = "meter-7" }` in place of the time)
    { cut = "after" }: `cut` needs a packet here [there is only a time] (write `when = { packet = "PUBREC", to = "meter-7" }` in place of the time)
    "#);
}

/// A line that applies to each of a fleet at each one's packet is quadratic.
#[test]
fn more_faults_than_a_trial_can_hold() {
    let each = "do = { crash = { down = \"1s\" } }";
    let squared = format!("when = {{ packet = \"PUBACK\", to = \"s-*\" }}\non = \"s-*\"\n{each}");
    let linear = format!("every = \"1m\"\non = \"s-*\"\n{each}");
    let fleet = |count: u32| {
        let named = format!("name = \"s-{{i}}\"\ncount = {count}");
        tcp().replace("name = \"s-{i}\"\ncount = 3", &named)
    };
    let alone = error_lines(&with_fault(&fleet(1_001), &squared));
    let after_others = error_lines(&with_fault(&with_fault(&fleet(1_000), &linear), &squared));
    let too_many_lines = (0..11).fold(fleet(90_910), |text, _| with_fault(&text, &linear));
    let errors = format!("{alone}{after_others}{}", error_lines(&too_many_lines));
    insta::assert_snapshot!(errors, @"
    [[fault]]: a trial has at most 1,000,000 faults [these are 1,002,001] (`on` applies to each of its nodes at each client's packet: name one client, or leave `on` out)
    [[fault]]: a trial has at most 1,000,000 faults [these are 1,000,000, after 1,000 before them] (`on` applies to each of its nodes at each client's packet: name one client, or leave `on` out)
    [[fault]]: a trial has at most 1,000,000 faults [these are 90,910, after 909,100 before them] (name fewer clients, or let a `[swarm]` choose what goes wrong)
    ");
    assert_eq!(faults(&with_fault(&fleet(999), &squared)).len(), 999 * 999);
}

#[test]
fn a_client_that_connects_per_report_pings_for_waiting_messages() {
    let text =
        tcp().replace("name = \"dashboard\"", "name = \"dashboard\"\nconnect = \"per-report\"");
    let text =
        with_fault(&text, "when = { packet = \"PINGREQ\", from = \"dashboard\" }\ndo = \"crash\"");
    assert_eq!(faults(&text).len(), 1);
}

#[test]
fn crashes_that_contradict_themselves() {
    let text =
        with_fault(&tcp(), "at = \"1s\"\non = \"broker\"\ndo = { crash = { down = \"10s\" } }");
    let text = with_fault(&text, "at = \"5s\"\non = \"broker\"\ndo = \"crash\"");
    let text = with_fault(&text, "every = \"3s\"\non = \"s-1\"\ndo = \"crash\"");
    let text = with_fault(
        &text,
        "at = \"5s\"\non = \"s-2\"\ndo = { crash = { point = \"before-commit\" } }",
    );
    let when = "when = { packet = \"PUBACK\", to = \"s-1\" }\non = \"broker\"\n";
    let text =
        with_fault(&text, &format!("{when}do = {{ crash = {{ point = \"before-commit\" }} }}"));
    let text = with_fault(&text, &format!("{when}do = \"cut\""));
    insta::assert_snapshot!(error_lines(&text), @r#"
    "crash": two crashes of one node overlap [it crashed at 1 s and is down until 11 s] (let it crash again after 11 s)
    "crash": a node that is down cannot crash again [it would still be down, for 3 s] (make `every` longer than 3 s)
    { crash = { point = "before-commit" } }: a point in the work on a packet needs a packet [there is none] (write `when = { packet = .. }` in place of the time, or leave `point` out)
    { crash = { point = "before-commit" } }: only the receiver works on a packet [another node crashes] (leave `on` out, or leave `point` out)
    "broker": at a packet it is known whom a fault applies to [whose link it is on] (leave `on` out; only a crash can be another's than the receiver's)
    "#);
    let text = with_fault(&tcp(), "at = \"1s\"\non = \"*\"\ndo = \"crash\"");
    assert_eq!(faults(&with_fault(&text, "at = \"1s\"\non = \"broker\"\ndo = \"crash\"")).len(), 5);
}

fn swarm() -> String {
    format!(
        "{}[swarm]\nloss = \"20%\"\ncut = \"20s\"\nhalf-open = \"1m\"\nstall = \"1m\"\n\
         outage = \"1m\"\ncrash-broker = \"1m\"\ncrash-clients = \"1m\"\n",
        tcp()
    )
}

#[test]
fn impossible_swarms_are_refused() {
    let stream = ["", "duplicate = \"1%\"\njitter = \"1ms\"\ncut = \"0s\""];
    let stream = stream.map(|lines| error_lines(&format!("{}[swarm]\n{lines}\n", tcp())));
    let datagram = "cut = \"1s\"\nhalfopen = \"1s\"\nstall = \"1s\"";
    let datagram = error_lines(&format!("{}[swarm]\n{datagram}\n", fleet()));
    insta::assert_snapshot!(stream.concat() + &datagram, @r#"
    [swarm]: a swarm needs a class of faults [there is none] (write for instance `loss = "20%"` or `crash-broker = "1m"`)
    "1%": `duplicate` needs datagrams [all links are tcp] (use `loss`, `stall` or `cut`, or `transport = "datagram"` on a link)
    "1ms": `jitter` needs datagrams [all links are tcp] (use `loss`, `stall` or `cut`, or `transport = "datagram"` on a link)
    "0s": cut needs a time of at least 1 ms [the shortest mean time between two] ()
    halfopen: there is no field `halfopen` here [unknown field] (did you mean `half-open`?)
    "1s": `cut` needs a connection of tcp [all links carry datagrams] (use `outage`, or `transport = "tcp"` on a link)
    "1s": `stall` needs a connection of tcp [all links carry datagrams] (use `outage`, or `transport = "tcp"` on a link)
    "#);
}

#[test]
fn each_class_of_a_swarm_is_on_for_half_of_the_seeds_and_within_its_bounds() {
    let scenario = parse(&swarm());
    let point = &scenario.points[0];
    let seeds = 1..=2_000_u64;
    let (mut cuts, mut losses, mut both) = (0_u32, 0_u32, 0_u32);
    let mut means = Vec::new();
    for seed in seeds {
        let setup = point.trial(seed).setup;
        let cut = setup.faults.iter().find(|fault| &*fault.name == "swarm cut s-1");
        let LossModel::Random(loss) = setup.clients[0].link.up.loss else { panic!() };
        cuts += u32::from(cut.is_some());
        losses += u32::from(loss.is_possible());
        both += u32::from(cut.is_some() && loss.is_possible());
        assert!(loss.share() <= 0.2);
        if let Some(cut) = cut {
            let Trigger::Every(IntervalDistribution::Exponential(mean)) = cut.trigger else {
                panic!()
            };
            means.push(mean.as_secs_f64());
        }
    }
    // Five standard deviations of a binomial with n = 2,000 and p = 1/2, and p = 1/4.
    assert!((888..=1_112).contains(&cuts) && (888..=1_112).contains(&losses), "{cuts} {losses}");
    assert!((403..=597).contains(&both), "{both}");
    assert!(means.iter().all(|mean| (20.0..=200.0).contains(mean)));
    // Log-uniform: half lie below 20 times the root of ten.
    let low = means.iter().filter(|mean| **mean < 20.0 * 10_f64.sqrt()).count();
    let cuts = usize::try_from(cuts).unwrap();
    assert!(low.abs_diff(cuts / 2) < 90, "{low} of {cuts}");
}

#[test]
fn a_swarm_is_part_of_the_name_and_of_the_worst_case() {
    let (plain, swarm) = (parse(&tcp()), parse(&swarm()));
    assert_ne!(plain.points[0].trial(1).name, swarm.points[0].trial(1).name);
    assert!(swarm.points[0].setup.faults.is_empty());
    // Three sensors and a dashboard with five classes each, and the broker.
    assert_eq!(swarm.points[0].worst_case().faults.len(), 4 * 5 + 1);
    let again = parse(&swarm.to_full_toml());
    for seed in 1..20 {
        let (one, two) = (swarm.points[1].trial(seed), again.points[1].trial(seed));
        assert_eq!(one.name, two.name);
        assert_eq!(format!("{:?}", one.setup), format!("{:?}", two.setup));
    }
}

#[test]
fn faults_survive_being_written_in_full() {
    let text = with_fault(&swarm(), "at = \"4s\"\non = \"s-*\"\ndo = \"crash\"");
    let text =
        with_fault(&text, "when = { packet = \"PUBACK\", to = \"s-1\" }\ndo = { cut = \"after\" }");
    let scenario = parse(&text);
    let again = parse(&scenario.to_full_toml());
    assert_eq!(scenario.points[0].setup.faults, again.points[0].setup.faults);
    assert_eq!(scenario.points[0].content_hash, again.points[0].content_hash);
}

const TRIGGERS: &[&str] = &[
    "at = \"1s\"",
    "every = \"exp 1s\"",
    "when = { packet = \"PUBREC\", to = \"s-1\" }",
    "when = { packet = \"SUBACK\", from = \"*\" }",
    "nth = 1",
];
const TARGETS: &[&str] = &["", "on = \"broker\"", "on = \"*\"", "on = \"x\"", "on = 1"];
const ACTIONS: &[&str] = &[
    "\"cut\"",
    "\"crash\"",
    "\"drop\"",
    "{ delay = \"1s\" }",
    "{ slow = {} }",
    "{ crash = { down = \"exp 1s\" } }",
    "{ partition = { lasts = \"1s\" } }",
    "{}",
    "[]",
    "{ cut = \"after\", stall = \"1s\" }",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any text in a fault is either read or refused.
    #[test]
    fn no_fault_makes_the_reader_panic(
        when in prop::sample::select(TRIGGERS),
        on in prop::sample::select(TARGETS),
        what in prop::sample::select(ACTIONS),
        tcp_link: bool,
    ) {
        let base = if tcp_link { tcp() } else { fleet() };
        let text = with_fault(&base, &format!("{when}\n{on}\ndo = {what}"));
        if let Err(errors) = Scenario::parse("x.toml", &text) {
            prop_assert!(!errors.errors.is_empty());
            prop_assert!(!errors.render(false).is_empty());
        }
    }
}
