//! Faults and swarms: what they come to, and what is refused.

use proptest::prelude::*;

use super::super::*;
use super::connections::told;
use super::errors::refused;
use super::{SMALL, parse};
use crate::base::event::Hindrance;
use crate::base::name::{ClientIndex, Kind, Node, Way};
use crate::base::time::Span;
use crate::network::settings::{Interval, LossModel};
use trial::{Action, CrashPoint, PacketAction, PacketTrigger, PeersSee, Trigger};

fn fleet() -> String {
    SMALL
        .replace("\"sensor\"", "\"s-{i}\"\ncount = 3\nkeep_alive = \"10s\"")
        .replace("\"t\", qos = [0, 1, 2]", "\"t\", qos = [1, 2]")
}

fn tcp() -> String {
    format!("{}transport = \"tcp\"\n", fleet())
}

fn faults(text: &str) -> Vec<trial::FaultSetup> {
    parse(text).points[0].setup.faults.clone()
}

fn fault(base: &str, lines: &str) -> String {
    format!("{base}[[fault]]\n{lines}\n")
}

#[test]
fn a_pattern_makes_one_fault_for_each_client() {
    let text = fault(&tcp(), "every = \"exp 5m\"\non = \"s-*\"\ndo = \"cut\"");
    let text = fault(&text, "at = \"4s\"\non = \"s-2\"\ndo = \"cut\"");
    let all = faults(&text);
    let names: Vec<_> = all.iter().map(|fault| &*fault.name).collect();
    assert_eq!(names, ["cut s-1", "cut s-2", "cut s-3", "cut s-2/2"]);
    assert_eq!(all[2].trigger, Trigger::Every(Interval::Exponential(Span::from_secs(300))));
    assert_eq!(all[2].action, Action::Cut { client: ClientIndex(2), after: false });
    assert_eq!(all[3].trigger, Trigger::At(Span::from_secs(4)));
}

#[test]
fn a_packet_is_named_by_its_end_and_crashes_its_receiver() {
    let text =
        fault(&tcp(), "when = { packet = \"PUBREC\", nth = 3, to = \"s-2\" }\ndo = \"crash\"");
    let text = fault(
        &text,
        "when = { packet = \"PUBLISH\", from = \"s-1\" }\n\
         do = { crash = { down = \"1s\", peers = \"silence\", point = \"after-commit\" } }",
    );
    let text =
        fault(&text, "when = { packet = \"PUBREL\", from = \"s-1\" }\ndo = { cut = \"after\" }");
    let all = faults(&text);
    let (client, second) = (ClientIndex(1), Span::from_secs(1));
    let packet = PacketTrigger { client, way: Way::Down, kind: Kind::PubRec, nth: 3 };
    assert_eq!(all[0].trigger, Trigger::Packet(packet));
    assert!(matches!(all[0].action, Action::Crash { node: Node::Client(ClientIndex(1)), .. }));
    let (down, peers) = (Interval::Fixed(second), PeersSee::Silence);
    let crash = Action::Crash { node: Node::Broker, down, peers, point: CrashPoint::AfterCommit };
    assert_eq!(all[1].action, crash);
    assert_eq!(all[2].action, Action::Cut { client: ClientIndex(0), after: true });
}

#[test]
fn every_action_can_be_written() {
    let at = |what: &str| fault(&tcp(), &format!("at = \"4s\"\non = \"s-1\"\ndo = {what}"));
    let client = ClientIndex(0);
    let lasts = Interval::Fixed(Span::from_secs(9));
    let hamper = |how, pace| Action::Hamper { client, how, lasts, pace };
    for (text, wanted) in [
        ("{ half-open = \"broker\" }", Action::HalfOpen { client, dead: Node::Broker }),
        ("{ stall = \"9s\" }", hamper(Hindrance::Stall, Span::ZERO)),
        ("{ outage = \"9s\" }", Action::Outage { client, lasts }),
        ("{ partition = { lasts = \"9s\" } }", Action::Outage { client, lasts }),
        (
            "{ partition = { lasts = \"9s\", way = \"up\" } }",
            hamper(Hindrance::Partition(Way::Up), Span::ZERO),
        ),
        (
            "{ slow = { pace = \"1s\", lasts = \"9s\" } }",
            hamper(Hindrance::Slow, Span::from_secs(1)),
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
        let all = faults(&fault(&fleet(), &format!("{when}{text}")));
        assert_eq!(all[0].action, Action::Packet(wanted));
    }
}

#[test]
fn a_fault_without_a_time_a_place_or_a_deed() {
    let text = fault(&tcp(), "on = \"s-1\"\ndo = \"cut\"");
    let text = fault(&text, "at = \"1s\"\nevery = \"1s\"\non = \"s-1\"\ndo = \"cut\"");
    let text = fault(&text, "at = \"1s\"\ndo = \"cut\"");
    let text = fault(&text, "at = \"2h\"\non = \"s-1\"\ndo = \"cut\"");
    let text = fault(&text, "every = \"2h\"\non = \"sensor\"\ndo = \"cut\"");
    let text = fault(&text, "at = \"1s\"\non = \"broker\"\ndo = \"cut\"");
    insta::assert_snapshot!(refused(&text), @"");
    let deeds = ["do = \"cutt\"", "do = { cutt = \"before\" }", "do = { stall = 5 }", ""];
    let deeds =
        deeds.map(|deed| told(&fault(&tcp(), &format!("at = \"1s\"\non = \"s-1\"\n{deed}"))));
    insta::assert_snapshot!(deeds.concat(), @"");
}

#[test]
fn packets_that_are_never_sent() {
    let when = |text: &str| fault(&tcp(), &format!("when = {{ {text} }}\ndo = \"cut\""));
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
    .map(|text| told(&when(text)))
    .concat();
    insta::assert_snapshot!(all, @"");
    // Of an axis one value is enough.
    for (packet, end) in [("PUBREC", "to = \"s-1\""), ("PUBACK", "from = \"dashboard\"")] {
        parse(&when(&format!("packet = \"{packet}\", {end}")));
    }
}

#[test]
fn what_cannot_happen_over_a_transport() {
    let packet = "when = { packet = \"PUBACK\", to = \"s-1\" }\ndo = ";
    let at = "at = \"1s\"\non = \"s-1\"\ndo = ";
    let over_tcp = ["\"drop\"", "{ delay = \"1s\" }", "{ duplicate = \"1s\" }"];
    let over_tcp = over_tcp.map(|what| told(&fault(&tcp(), &format!("{packet}{what}"))));
    let over_datagrams = ["\"cut\"", "{ half-open = \"client\" }", "{ stall = \"1s\" }"];
    let over_datagrams = over_datagrams.map(|what| told(&fault(&fleet(), &format!("{at}{what}"))));
    insta::assert_snapshot!(over_tcp.concat() + &over_datagrams.concat(), @"");
    let lost = ["\"drop\"", "{ cut = \"after\" }"];
    let lost = lost.map(|what| {
        told(&fault(
            if what.contains("cut") { tcp() } else { fleet() }.as_str(),
            &format!("{at}{what}"),
        ))
    });
    insta::assert_snapshot!(lost.concat(), @"");
}

#[test]
fn crashes_that_contradict_themselves() {
    let text = fault(&tcp(), "at = \"1s\"\non = \"broker\"\ndo = { crash = { down = \"10s\" } }");
    let text = fault(&text, "at = \"5s\"\non = \"broker\"\ndo = \"crash\"");
    let text = fault(&text, "every = \"3s\"\non = \"s-1\"\ndo = \"crash\"");
    let text =
        fault(&text, "at = \"5s\"\non = \"s-2\"\ndo = { crash = { point = \"before-commit\" } }");
    let when = "when = { packet = \"PUBACK\", to = \"s-1\" }\non = \"broker\"\n";
    let text = fault(&text, &format!("{when}do = {{ crash = {{ point = \"before-commit\" }} }}"));
    let text = fault(&text, &format!("{when}do = \"cut\""));
    insta::assert_snapshot!(told(&text), @"");
    let text = fault(&tcp(), "at = \"1s\"\non = \"*\"\ndo = \"crash\"");
    assert_eq!(faults(&fault(&text, "at = \"1s\"\non = \"broker\"\ndo = \"crash\"")).len(), 5);
}

fn swarm() -> String {
    format!(
        "{}[swarm]\nloss = \"20%\"\ncut = \"20s\"\nhalf-open = \"1m\"\nstall = \"1m\"\n\
         outage = \"1m\"\ncrash-broker = \"1m\"\ncrash-clients = \"1m\"\n",
        tcp()
    )
}

#[test]
fn a_swarm_that_cannot_be() {
    let stream = ["", "duplicate = \"1%\"\njitter = \"1ms\"\ncut = \"0s\""];
    let stream = stream.map(|lines| told(&format!("{}[swarm]\n{lines}\n", tcp())));
    let datagram = "cut = \"1s\"\nhalfopen = \"1s\"\nstall = \"1s\"";
    let datagram = told(&format!("{}[swarm]\n{datagram}\n", fleet()));
    insta::assert_snapshot!(stream.concat() + &datagram, @"");
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
            let Trigger::Every(Interval::Exponential(mean)) = cut.trigger else { panic!() };
            means.push(mean.as_secs_f64());
        }
    }
    // Five standard deviations of a binomial with n = 2,000 and p = 1/2, and p = 1/4.
    assert!((888..=1_112).contains(&cuts) && (888..=1_112).contains(&losses), "{cuts} {losses}");
    assert!((403..=597).contains(&both), "{both}");
    assert!(means.iter().all(|mean| (20.0..=200.0).contains(mean)));
    // Log-uniform: half lie below 20 times the root of ten.
    let low = means.iter().filter(|mean| **mean < 20.0 * 10_f64.sqrt()).count() as u32;
    assert!(low.abs_diff(cuts / 2) < 90, "{low} of {cuts}");
}

#[test]
fn a_swarm_is_part_of_the_name_and_of_the_worst_case() {
    let (plain, swarm) = (parse(&tcp()), parse(&swarm()));
    assert_ne!(plain.points[0].trial(1).name, swarm.points[0].trial(1).name);
    assert!(swarm.points[0].setup.faults.is_empty());
    // Three sensors and a dashboard with five classes each, and the broker.
    assert_eq!(swarm.points[0].worst().faults.len(), 4 * 5 + 1);
    let again = parse(&swarm.show());
    for seed in 1..20 {
        let (one, two) = (swarm.points[1].trial(seed), again.points[1].trial(seed));
        assert_eq!(one.name, two.name);
        assert_eq!(format!("{:?}", one.setup), format!("{:?}", two.setup));
    }
}

#[test]
fn faults_are_shown_as_they_are_meant() {
    let text = fault(&swarm(), "at = \"4s\"\non = \"s-*\"\ndo = \"crash\"");
    let text =
        fault(&text, "when = { packet = \"PUBACK\", to = \"s-1\" }\ndo = { cut = \"after\" }");
    let scenario = parse(&text);
    let again = parse(&scenario.show());
    assert_eq!(scenario.points[0].setup.faults, again.points[0].setup.faults);
    assert_eq!(scenario.points[0].content, again.points[0].content);
}

const WHEN: &[&str] = &[
    "at = \"1s\"",
    "every = \"exp 1s\"",
    "when = { packet = \"PUBREC\", to = \"s-1\" }",
    "when = { packet = \"SUBACK\", from = \"*\" }",
    "nth = 1",
];
const ON: &[&str] = &["", "on = \"broker\"", "on = \"*\"", "on = \"x\"", "on = 1"];
const DEEDS: &[&str] = &[
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

    /// Whatever stands in a fault, it is read or refused.
    #[test]
    fn no_fault_makes_the_reader_panic(
        when in prop::sample::select(WHEN),
        on in prop::sample::select(ON),
        what in prop::sample::select(DEEDS),
        tcp_link: bool,
    ) {
        let base = if tcp_link { tcp() } else { fleet() };
        let text = fault(&base, &format!("{when}\n{on}\ndo = {what}"));
        if let Err(errors) = Scenario::parse("x.toml", &text) {
            prop_assert!(!errors.list.is_empty());
            prop_assert!(!errors.render(false).is_empty());
        }
    }
}
