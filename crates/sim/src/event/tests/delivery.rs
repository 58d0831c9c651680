//! Tests of deliveries and their cost, and that one packet's random draws do not shift another's.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fixtures::{
    TrialLog, bad_link, client, link, pair, publisher, run_trial, setup, subscription,
};
use qoslab_core::base::draw::Chance;
use qoslab_core::base::{
    Direction, Ending, Fate, Hop, MessageId, PacketKind, PacketName, PacketSubject, Phase,
    PublisherIndex, QoS, Time,
};
use qoslab_core::network::LossModel;

const COUNT: u32 = 300;

fn all() -> Vec<u32> {
    (0..COUNT).collect()
}

#[test]
fn without_loss_each_qos_takes_its_textbook_packets() {
    for (qos, packets) in QoS::ALL.into_iter().zip([2, 4, 8]) {
        let (ended, log) = run_trial(pair(&link(|_| {}), qos, COUNT), 1);
        assert_eq!(ended.ending, Ending::Quiescent);
        assert_eq!(log.sequences(1), all());
        assert_eq!(log.completed.len(), COUNT as usize);
        // Ten of them connect and subscribe.
        assert_eq!(ended.packets, u64::from(packets * COUNT) + 10);
        assert_eq!(log.sent.len() as u64, ended.packets);
    }
}

#[test]
fn without_loss_a_message_arrives_two_delays_after_it_was_published() {
    let (_, log) = run_trial(pair(&link(|_| {}), QoS::ExactlyOnce, COUNT), 1);
    for (_, parts, at) in log.delivered {
        assert_eq!(at.since(parts.published).as_nanos(), 80_000_000);
    }
}

#[test]
fn on_a_bad_link_each_qos_keeps_its_promise() {
    for seed in 1..=20 {
        let lossy = link(|direction| {
            direction.loss = LossModel::Random(Chance::from_share(0.2));
        });
        let (_, zero) = run_trial(pair(&lossy, QoS::AtMostOnce, COUNT), seed);
        let sequences = zero.sequences(1);
        assert!(sequences.len() < COUNT as usize);
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "a duplicate");

        let (ended, mut one) = run_trial(pair(&bad_link(), QoS::AtLeastOnce, COUNT), seed);
        assert_eq!(ended.ending, Ending::Quiescent);
        assert!(one.delivered.len() > COUNT as usize);
        one.delivered.dedup_by_key(|(_, parts, _)| parts.sequence);
        let distinct: BTreeSet<_> = one.sequences(1).into_iter().collect();
        assert_eq!(distinct.len(), COUNT as usize);

        let (ended, two) = run_trial(pair(&lossy, QoS::ExactlyOnce, COUNT), seed);
        assert_eq!(ended.ending, Ending::Quiescent);
        assert_eq!(two.sequences(1), all());
        assert_eq!(two.completed.len(), COUNT as usize);
    }
}

#[test]
fn no_two_packets_share_a_name() {
    for qos in QoS::ALL {
        for seed in 0..5 {
            let (_, log) = run_trial(pair(&bad_link(), qos, COUNT), seed);
            let names: BTreeSet<_> = log.sent.iter().map(|(name, ..)| *name).collect();
            assert_eq!(names.len(), log.sent.len(), "{qos} {seed}");
        }
    }
}

#[test]
fn the_answers_to_a_duplicated_packet_have_names_of_their_own() {
    let twice = link(|direction| direction.duplicate = Chance::ALWAYS);
    let (_, log) = run_trial(pair(&twice, QoS::AtLeastOnce, 1), 1);
    let acks = log.sent.iter().filter(|(name, ..)| name.kind == PacketKind::PubAck);
    let up = acks.filter(|(name, ..)| name.direction == Direction::Down);
    let echoes: Vec<_> = up
        .map(|(name, ..)| match name.subject {
            PacketSubject::Message { transmission, .. } => transmission.duplicate_index,
            PacketSubject::Control { .. } => panic!("{name:?}"),
        })
        .collect();
    assert_eq!(echoes, [0, 1]);
}

#[test]
fn the_same_seed_gives_the_same_trial() {
    let run = |seed| run_trial(pair(&bad_link(), QoS::ExactlyOnce, COUNT), seed).0;
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).trace_hash, run(8).trace_hash);
}

#[test]
fn the_trace_does_not_depend_on_encoding_packets() {
    let mut plain = pair(&bad_link(), QoS::ExactlyOnce, COUNT);
    plain.wire = false;
    assert_eq!(run_trial(plain, 7).0, run_trial(pair(&bad_link(), QoS::ExactlyOnce, COUNT), 7).0);
}

/// The packets of the traffic that `chosen` selects by name.
fn traffic_fates(
    log: &TrialLog,
    chosen: impl Fn(&PacketName) -> bool,
) -> Vec<(PacketName, Time, Fate)> {
    let start = log.phase_start(Phase::Traffic);
    let sent = log.sent.iter().filter(|(name, at, _)| *at >= start && chosen(name));
    let mut fates: Vec<_> = sent.copied().collect();
    // Which packets it overtakes is not drawn at random.
    for (.., fate) in &mut fates {
        if let Fate::Arrives(arrival) = fate {
            arrival.overtakes = false;
        }
    }
    fates.sort_unstable_by_key(|(name, ..)| *name);
    fates
}

fn is_first_hop_of(stream: u32, chosen: impl Fn(u32) -> bool) -> impl Fn(&PacketName) -> bool {
    move |name| match name.subject {
        PacketSubject::Message {
            publisher: PublisherIndex(it), sequence, hop: Hop::First, ..
        } => it == stream && chosen(sequence),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn leaving_messages_out_changes_no_other_fate(
        seed: u64,
        only in prop::collection::btree_set(0..100_u32, 0..40),
    ) {
        let whole = pair(&bad_link(), QoS::ExactlyOnce, 100);
        let mut part = whole.clone();
        part.publishers[0].only_sequences = Some(only.iter().copied().collect());
        let ((_, whole), (_, part)) = (run_trial(whole, seed), run_trial(part, seed));
        let chosen = |parts: &MessageId| only.contains(&parts.sequence);
        let submitted = whole.submitted.iter().filter(|(parts, _)| chosen(parts));
        prop_assert_eq!(submitted.copied().collect::<Vec<_>>(), part.submitted.clone());
        prop_assert_eq!(whole.phase_start(Phase::Drain), part.phase_start(Phase::Drain));
        let is_chosen = |name: &PacketName| match name.subject {
            PacketSubject::Message { sequence, .. } => only.contains(&sequence),
            PacketSubject::Control { .. } => false,
        };
        prop_assert_eq!(traffic_fates(&whole, is_chosen), traffic_fates(&part, is_chosen));
    }

    #[test]
    fn another_client_changes_no_fate(seed: u64) {
        let link = bad_link();
        let one = pair(&link, QoS::ExactlyOnce, 50);
        let mut two = one.clone();
        two.clients.insert(0, client("newcomer", &link));
        two.clients[0].subscriptions.push(subscription("#", QoS::AtLeastOnce));
        two.publishers.insert(0, publisher(0, "newcomer", QoS::AtLeastOnce, 50));
        two.publishers[1].client.0 += 1;
        let ((_, one), (_, two)) = (run_trial(one, seed), run_trial(two, seed));
        let lost = |log: &TrialLog, stream| {
            let fates = traffic_fates(log, is_first_hop_of(stream, |_| true));
            let lost = fates.into_iter().map(|(name, _, fate)| {
                let of_name = (name.kind, name.draw_counter(0));
                (of_name, matches!(fate, Fate::Lost(_)))
            });
            lost.collect::<Vec<_>>()
        };
        prop_assert_eq!(lost(&one, 0), lost(&two, 1));
    }
}

#[test]
fn all_qos_get_the_same_random_draws() {
    let lost = |qos| {
        let (_, log) = run_trial(pair(&bad_link(), qos, COUNT), 5);
        let firsts = traffic_fates(&log, is_first_hop_of(0, |_| true)).into_iter();
        let firsts = firsts
            .filter(|(name, ..)| name.kind == PacketKind::Publish && name.draw_counter(0)[1] == 0);
        firsts.map(|(.., fate)| matches!(fate, Fate::Lost(_))).collect::<Vec<_>>()
    };
    assert_eq!(lost(QoS::AtMostOnce), lost(QoS::AtLeastOnce));
    assert_eq!(lost(QoS::AtMostOnce), lost(QoS::ExactlyOnce));
    assert!(lost(QoS::AtMostOnce).contains(&true));
}

#[test]
fn publishers_of_one_client_reach_every_matching_subscriber() {
    let link = bad_link();
    let mut clients: Vec<_> = (0..5).map(|n| client(&format!("c{n}"), &link)).collect();
    for subscriber in &mut clients[1..] {
        subscriber.subscriptions.push(subscription("topic/c0/2", QoS::AtLeastOnce));
    }
    let names = ["c0", "c0/2"];
    let streams = names.map(|name| publisher(0, name, QoS::AtLeastOnce, 40)).to_vec();
    let (ended, log) = run_trial(setup(clients, streams), 2);
    assert_eq!(ended.ending, Ending::Quiescent);
    for client in 1..5 {
        let mut sequences = log.sequences(client);
        sequences.dedup();
        assert_eq!(sequences, (0..40).collect::<Vec<_>>());
    }
    assert!(log.delivered.iter().all(|(_, parts, _)| parts.publisher == PublisherIndex(1)));
}
