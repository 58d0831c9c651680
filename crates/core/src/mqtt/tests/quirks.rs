//! Each quirk of a hop breaks the rule that it names, and a correct hop keeps it.

use super::hop_world::HopWorld;
use crate::base::MessageTag;
use crate::base::QoS::{self, AtLeastOnce, ExactlyOnce};
use crate::mqtt::packet::{PacketId, PublishAck};
use crate::mqtt::quirks::Quirk;
use crate::mqtt::settings::{
    DeliverOn, HopSettings, ReceiverLimits, RetryRule, RetryTimer, Version,
};

/// What both a correct sender and one with a quirk say from the same state.
fn run_senders(quirk: Quirk, actions: impl Fn(&mut HopWorld) -> Vec<String>) -> [Vec<String>; 2] {
    [HopWorld::plain(Version::V5), HopWorld::with_sender_quirk(quirk)]
        .map(|mut hop| actions(&mut hop))
}

fn run_receivers(quirk: Quirk, actions: impl Fn(&mut HopWorld) -> Vec<String>) -> [Vec<String>; 2] {
    [HopWorld::plain(Version::V5), HopWorld::with_receiver_quirk(quirk)]
        .map(|mut hop| actions(&mut hop))
}

/// Publishes one message, of which the packet is lost, and connects anew.
fn resumed_after(hop: &mut HopWorld, qos: QoS, lost: &'static str) -> Vec<String> {
    hop.lose(&[lost]);
    hop.publish(qos);
    hop.take_log();
    hop.reconnect();
    hop.take_log()
}

#[test]
fn no_dedupe_delivers_every_repeat() {
    let [plain, quirk] = run_receivers(Quirk::NoDedupe, |hop| {
        hop.lose(&["< PUBREC"]);
        hop.publish(ExactlyOnce);
        hop.reconnect();
        hop.deliveries()
    });
    assert_eq!(plain, ["#1 q2"]);
    assert_eq!(quirk, ["#1 q2", "#1 q2"]);
}

#[test]
fn dedupe_ttl_delivers_a_repeat_that_comes_five_seconds_later() {
    for (pause, copies) in [(4, [1, 1]), (5, [1, 2])] {
        let delivered = run_receivers(Quirk::DedupeTtl, |hop| {
            hop.lose(&["< PUBREC"]);
            hop.publish(ExactlyOnce);
            hop.disconnect();
            hop.wait(pause);
            hop.connect();
            hop.deliveries()
        });
        assert_eq!(delivered.map(|copies| copies.len()), copies, "after {pause} s");
    }
}

#[test]
fn dedupe_ttl_forgets_a_message_that_awaits_pubrel() {
    let mut hop = HopWorld::with_receiver_quirk(Quirk::DedupeTtl);
    hop.receiver_settings.deliver_on = DeliverOn::Release;
    hop.lose(&["> PUBREL"]);
    hop.publish(ExactlyOnce);
    hop.disconnect();
    hop.wait(5);
    hop.connect();
    assert_eq!(hop.take_log().last().expect("a log"), "complete #1");
    assert!(hop.deliveries().is_empty());
}

#[test]
fn dedupe_lost_on_restart_delivers_a_repeat_after_a_crash() {
    let [plain, quirk] = run_receivers(Quirk::DedupeLostOnRestart, |hop| {
        hop.lose(&["< PUBREC"]);
        hop.publish(ExactlyOnce);
        hop.crash_receiver();
        hop.connect();
        hop.deliveries()
    });
    assert_eq!(plain, ["#1 q2"]);
    assert_eq!(quirk, ["#1 q2", "#1 q2"]);
}

#[test]
fn disconnect_on_unknown_pubrel_does_not_answer_it() {
    let [plain, quirk] = run_receivers(Quirk::DisconnectOnUnknownPubrel, |hop| {
        resumed_after(hop, ExactlyOnce, "< PUBC")
    });
    assert_eq!(plain, ["> PUBREL id1", "< PUBCOMP id1 0x92", "complete #1"]);
    assert_eq!(quirk, ["> PUBREL id1", "close"]);
    let mut hop = HopWorld::with_receiver_quirk(Quirk::DisconnectOnUnknownPubrel);
    hop.publish(ExactlyOnce);
    assert!(!hop.take_log().contains(&"close".into()), "a known one is no reason");
}

#[test]
fn replay_publish_after_pubrel_sends_the_message_once_more() {
    let [plain, quirk] = run_senders(Quirk::ReplayPublishAfterPubrel, |hop| {
        resumed_after(hop, ExactlyOnce, "< PUBC")
    });
    assert_eq!(plain[0], "> PUBREL id1");
    // The receiver has let go of the id: to it this is a new message [MQTT-4.3.3-12].
    assert_eq!(quirk[..2], ["> PUBLISH #1 q2 id1 dup", "deliver #1 q2"]);
}

#[test]
fn a_replayed_exchange_comes_to_its_end() {
    let mut hop = HopWorld::with_sender_quirk(Quirk::ReplayPublishAfterPubrel);
    hop.lose(&["> PUBREL", "> PUBREL"]);
    hop.publish(ExactlyOnce);
    hop.reconnect();
    hop.reconnect();
    assert_eq!(hop.take_lines("complete"), ["#1"]);
    assert_eq!(hop.backlog(), (0, 0));
}

#[test]
fn drop_owed_pubrel_leaves_the_receiver_waiting() {
    let [plain, quirk] =
        run_senders(Quirk::DropOwedPubrel, |hop| resumed_after(hop, ExactlyOnce, "> PUBREL"));
    assert_eq!(plain[0], "> PUBREL id1");
    assert_eq!(quirk, ["complete #1"]);
    // What had no PUBREC yet is sent again all the same.
    let mut hop = HopWorld::with_sender_quirk(Quirk::DropOwedPubrel);
    assert_eq!(resumed_after(&mut hop, ExactlyOnce, "> PUBLISH")[0], "> PUBLISH #1 q2 id1 dup");
}

#[test]
fn drop_inflight_on_resume_tells_nobody() {
    let [plain, quirk] = run_senders(Quirk::DropInflightOnResume, |hop| {
        resumed_after(hop, AtLeastOnce, "> PUBLISH")
    });
    assert_eq!(plain[0], "> PUBLISH #1 q1 id1 dup");
    assert!(quirk.is_empty());
    let mut hop = HopWorld::with_sender_quirk(Quirk::DropInflightOnResume);
    resumed_after(&mut hop, AtLeastOnce, "> PUBLISH");
    assert_eq!(hop.backlog(), (0, 0));
}

#[test]
fn dup_never_set_resends_as_if_for_the_first_time() {
    let [plain, quirk] =
        run_senders(Quirk::DupNeverSet, |hop| resumed_after(hop, AtLeastOnce, "> PUBLISH"));
    assert_eq!(plain[0], "> PUBLISH #1 q1 id1 dup");
    assert_eq!(quirk[0], "> PUBLISH #1 q1 id1");
}

#[test]
fn new_ids_on_resume_makes_a_second_exchange_of_the_first() {
    let [plain, quirk] =
        run_senders(Quirk::NewIdsOnResume, |hop| resumed_after(hop, ExactlyOnce, "< PUBREC"));
    assert_eq!(plain[..2], ["> PUBLISH #1 q2 id1 dup", "< PUBREC id1"]);
    assert_eq!(quirk[..2], ["> PUBLISH #1 q2 id2 dup", "deliver #1 q2"]);
}

#[test]
fn id_wrap_no_check_takes_an_id_in_use() {
    for (quirk, last) in [(false, "id2"), (true, "id1")] {
        let mut hop = if quirk {
            HopWorld::with_sender_quirk(Quirk::IdWrapNoCheck)
        } else {
            HopWorld::plain(Version::V5)
        };
        hop.lose(&["> PUBLISH"]);
        for _ in 0..65_536 {
            hop.publish(AtLeastOnce);
        }
        let published = hop.take_lines("> PUBLISH");
        assert!(published.last().expect("many").ends_with(last), "{:?}", published.last());
        assert_eq!(hop.backlog().0, u32::from(!quirk), "the first message is overwritten");
    }
}

#[test]
fn quota_not_reset_shrinks_the_window_with_each_connection() {
    let in_flight = [false, true].map(|quirk| {
        let mut hop = if quirk {
            HopWorld::with_sender_quirk(Quirk::QuotaNotReset)
        } else {
            HopWorld::plain(Version::V5)
        };
        hop.sender_settings.max_inflight = 2;
        hop.lose(&["> PUBLISH", "> PUBLISH"]);
        hop.publish(AtLeastOnce);
        hop.reconnect();
        hop.reconnect();
        // The first message has come through by now, and its two places are lost.
        hop.lose(&["> PUBLISH"]);
        hop.publish(AtLeastOnce);
        hop.backlog()
    });
    assert_eq!(in_flight, [(1, 0), (0, 1)]);
}

#[test]
fn quota_leak_on_error_pubrec_shrinks_the_window_with_each_refusal() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let in_flight = [false, true].map(|quirk| {
            let leak = Quirk::QuotaLeakOnErrorPubrec;
            let mut hop = if quirk {
                HopWorld::with_sender_quirk(leak)
            } else {
                HopWorld::plain(Version::V5)
            };
            hop.sender_settings.max_inflight = 1;
            hop.refuse_reason = Some(0x97);
            hop.publish(qos);
            hop.refuse_reason = None;
            assert_eq!(hop.take_lines("refuse"), ["#1 Rejected"]);
            hop.publish(qos);
            (hop.deliveries().len(), hop.backlog())
        });
        assert_eq!(in_flight, [(1, (0, 0)), (0, (0, 1))]);
    }
}

#[test]
fn resend_unordered_sends_the_highest_id_first() {
    let [plain, quirk] = run_senders(Quirk::ResendUnordered, |hop| {
        hop.lose(&["> PUBLISH", "> PUBLISH", "> PUBLISH"]);
        for _ in 0..3 {
            hop.publish(AtLeastOnce);
        }
        hop.reconnect();
        hop.deliveries()
    });
    assert_eq!(plain, ["#1 q1", "#2 q1", "#3 q1"]);
    assert_eq!(quirk, ["#3 q1", "#2 q1", "#1 q1"]);
}

#[test]
fn expire_inflight_qos2_never_sends_the_pubrel_of_an_expired_message() {
    let [plain, quirk] = run_senders(Quirk::ExpireInflightQos2, |hop| {
        hop.lose(&["> PUBREL"]);
        hop.publish_expiring(ExactlyOnce, 2);
        hop.disconnect();
        hop.take_log();
        hop.wait(2);
        hop.connect();
        hop.take_log()
    });
    assert_eq!(plain[0], "> PUBREL id1");
    assert_eq!(quirk, ["refuse #1 Expired"]);
    // Also when PUBREC comes late.
    let mut hop = HopWorld::with_sender_quirk(Quirk::ExpireInflightQos2);
    hop.lose(&["> PUBLISH"]);
    hop.publish_expiring(ExactlyOnce, 2);
    hop.wait(2);
    hop.take_log();
    hop.reconnect();
    let expected =
        ["> PUBLISH #1 q2 id1 dup 1s", "deliver #1 q2", "< PUBREC id1", "refuse #1 Expired"];
    assert_eq!(hop.take_log(), expected);
}

#[test]
fn timer_resend_repeats_on_a_live_connection() {
    let [plain, quirk] = run_senders(Quirk::TimerResend, |hop| {
        hop.lose(&["> PUBLISH"]);
        hop.publish(AtLeastOnce);
        hop.take_log();
        hop.wait(1);
        hop.take_log()
    });
    assert!(plain.is_empty());
    assert_eq!(quirk[0], "> PUBLISH #1 q1 id1 dup");
}

#[test]
fn timer_resend_leaves_a_timer_that_is_set_alone() {
    let timer = RetryTimer {
        every: super::hop_world::SECOND.times(3),
        backoff: 1.0,
        max_transmissions: None,
    };
    let sending = HopSettings {
        retry: RetryRule::Timer(timer),
        quirks: Quirk::TimerResend.into(),
        ..HopSettings::default()
    };
    let mut hop = HopWorld::new(Version::V311, sending, HopSettings::default());
    hop.lose(&["> PUBLISH"]);
    hop.publish(AtLeastOnce);
    hop.wait(2);
    assert!(hop.deliveries().is_empty());
    hop.wait(1);
    assert_eq!(hop.deliveries(), ["#1 q1"]);
}

#[test]
fn a_correct_hop_delivers_exactly_once_whatever_single_packet_a_cut_or_crash_takes() {
    for lost in ["> PUBLISH", "< PUBREC", "> PUBREL", "< PUBCOMP"] {
        for deliver_on in [DeliverOn::Publish, DeliverOn::Release] {
            for crash in [HopWorld::disconnect, HopWorld::crash_sender, HopWorld::crash_receiver] {
                let receiving = HopSettings { deliver_on, ..HopSettings::default() };
                let mut hop = HopWorld::new(Version::V5, HopSettings::default(), receiving);
                hop.lose(&[lost]);
                hop.publish(ExactlyOnce);
                crash(&mut hop);
                hop.wait(100);
                hop.connect();
                let log = hop.take_log();
                let count = |start| log.iter().filter(|line| line.starts_with(start)).count();
                assert_eq!((count("deliver"), count("complete")), (1, 1), "{lost}: {log:?}");
                assert_eq!(hop.backlog(), (0, 0));
            }
        }
    }
}

#[test]
fn an_unknown_pubrel_is_answered_without_a_reason_before_5_0() {
    let stray = PublishAck { id: PacketId::MIN, reason: 0, tag: MessageTag::NONE };
    for (version, answer) in [(Version::V311, "id1"), (Version::V5, "id1 0x92")] {
        let mut hop = HopWorld::plain(version);
        assert_eq!(hop.receive_pubrel(stray), format!("< PUBCOMP {answer}"));
    }
}

#[test]
fn a_session_that_ends_gives_lost_places_in_the_window_back() {
    let mut hop = HopWorld::with_sender_quirk(Quirk::QuotaNotReset);
    hop.sender_settings.max_inflight = 1;
    hop.limits = ReceiverLimits::NONE;
    hop.lose(&["> PUBLISH"]);
    hop.publish(AtLeastOnce);
    hop.reconnect();
    hop.publish(AtLeastOnce);
    assert_eq!(hop.backlog(), (0, 1));
    hop.end_session();
    hop.take_log();
    hop.publish(AtLeastOnce);
    assert_eq!(hop.deliveries(), ["#3 q1"]);
}
