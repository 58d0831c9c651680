//! The chain that decides what becomes of a packet.
//!
//! Several may have a say in a packet's fate. The first that has decides:
//!
//! | | who | what is decided | datagram | segment | reset |
//! |---|---|---|---|---|---|
//! | 1 | a search: its delay rule | when it, or a copy, arrives that 2 lets arrive | yes | | |
//! | 2 | a fault: [`PacketAction`] | loss, delay, duplicate of what 3 to 7 let arrive | yes | | |
//! | 3 | the caller: [`FateOverride`] | anything, even while the link is down | yes | | |
//! | 4 | the link, down or partitioned | loss | yes | yes | |
//! | 5 | the queue, while it is full | loss | yes | yes | |
//! | 6 | the schedule: [`RecordedFates`] | anything | yes | yes | yes |
//! | 7 | the draws of the link's model | anything; of a reset only its delay | yes | yes | yes |
//!
//! Whichever rule decides, a packet uses the transmit queue and steps the loss model first, so that
//! no other packet's fate shifts; only a reset keeps clear of both. A run records what 6 and 7
//! decide; what stands above them comes again by itself, but for the caller's doing. Observers
//! learn what 2 has left, and see arrive later what a search holds back.
//!
//! All of this is done by [`LinkState::fate_with`](super::link::LinkState::fate_with) and
//! [`segment_fate`](super::link::LinkState::segment_fate), but for 1: until when a packet is held
//! back depends on other packets, which only an engine sees.

use super::fate_override::{FateOverride, ForcedFate};
use super::recorded_fates::{FateKey, RecordedFates};
use crate::base::{Arrival, Fate, LossReason, Span, Time};
use crate::impl_fingerprint;

/// Action of a fault on the one packet that it picks out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketAction {
    /// It is lost.
    Drop,
    /// It arrives twice, the second time this long after the first.
    Duplicate {
        /// From the first arrival to the second.
        after: Span,
    },
    /// It arrives later than it would by this time.
    Delay {
        /// How much.
        by: Span,
    },
}

impl_fingerprint! {
    enum PacketAction {
        Drop,
        Duplicate { after },
        Delay { by },
    }
}

/// Those outside the link who may have a say in a packet's fate: ranks 2 and 3 of
/// [the chain](self).
#[derive(Default)]
pub struct Interventions<'a, 'o> {
    /// Action of a fault on this packet.
    pub fault: Option<PacketAction>,
    /// The caller, who is asked about datagrams, but not about resets.
    pub fate_override: Option<&'a mut (dyn FateOverride + 'o)>,
}

/// What a link knows of a packet by itself when its fate is decided.
pub(super) struct LinkPassage {
    /// When the packet was handed over.
    pub(super) now: Time,
    /// When it arrives if nothing happens to it.
    pub(super) undisturbed: Time,
    /// Why the link cannot take it: ranks 4 and 5.
    pub(super) obstacle: Option<LossReason>,
}

/// A fate before it is known whom the packet overtakes.
pub(super) enum PendingFate {
    Lost(LossReason),
    Arrives(Time, Option<Time>),
}

impl LinkPassage {
    /// Ranks 3 to 7 of [the chain](self). `draw` gives the fate by the link's model.
    #[inline]
    pub(super) fn decide(
        &self,
        key: FateKey,
        fate_override: Option<&mut (dyn FateOverride + '_)>,
        recorded: &mut RecordedFates,
        draw: impl FnOnce() -> PendingFate,
    ) -> PendingFate {
        let &Self { now, undisturbed, obstacle } = self;
        if let (Some(fate_override), FateKey::Sending(sending)) = (fate_override, &key)
            && let Some(forced) = fate_override.override_fate(now, &sending.packet, undisturbed)
        {
            return self.forced(forced);
        }
        if let Some(reason) = obstacle {
            return PendingFate::Lost(reason);
        }
        let replayed = recorded.replayed_fate(&key);
        let fate = replayed.map_or_else(draw, |forced| self.forced(forced));
        recorded.record_fate(key, || self.unless_undisturbed(&fate));
        fate
    }

    fn forced(&self, fate: ForcedFate) -> PendingFate {
        match fate {
            ForcedFate::Lost(reason) => PendingFate::Lost(reason),
            ForcedFate::Undisturbed => PendingFate::Arrives(self.undisturbed, None),
            ForcedFate::Arrives { delay, duplicate_delay } => {
                let again = duplicate_delay.map(|delay| self.now + delay);
                PendingFate::Arrives(self.now + delay, again)
            }
        }
    }

    /// A fate as it is recorded; `None` if nothing happened to the packet.
    fn unless_undisturbed(&self, fate: &PendingFate) -> Option<ForcedFate> {
        match *fate {
            PendingFate::Lost(reason) => Some(ForcedFate::Lost(reason)),
            PendingFate::Arrives(at, None) if at == self.undisturbed => None,
            PendingFate::Arrives(at, again) => {
                let first = again.map_or(at, |again| again.min(at));
                let again = again.map(|again| again.max(at).since(self.now));
                let delay = first.since(self.now);
                Some(ForcedFate::Arrives { delay, duplicate_delay: again })
            }
        }
    }
}

impl PacketAction {
    /// Rank 2 of [the chain](self): the fate that is left by a fault. What is lost stays lost.
    pub(super) fn apply_to(self, fate: Fate) -> Fate {
        let Fate::Arrives(arrival) = fate else { return fate };
        match self {
            Self::Drop => Fate::Lost(LossReason::Forced),
            Self::Duplicate { after } => {
                Fate::Arrives(Arrival { duplicate_at: Some(arrival.at + after), ..arrival })
            }
            Self::Delay { by } => {
                let duplicate_at = arrival.duplicate_at.map(|again| again + by);
                Fate::Arrives(Arrival { at: arrival.at + by, duplicate_at, ..arrival })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::base::draw::{Chance, DrawKey};
    use crate::base::{ClientIndex, Direction, PacketKind, PacketName, PacketSubject};
    use crate::network::link::{LinkKeys, LinkState};
    use crate::network::recorded_fates::{FateMap, SendAttempt};
    use crate::network::settings::{DirectionSettings, LinkSettings, LossModel};

    const BYTES: u32 = 100;
    const SECOND: Span = Span::from_secs(1);

    fn name(kind: PacketKind) -> PacketName {
        let subject = PacketSubject::Control { nth: 0 };
        PacketName { client: ClientIndex(0), direction: Direction::Up, kind, subject }
    }

    fn arrives_after(delay: Span) -> ForcedFate {
        ForcedFate::Arrives { delay, duplicate_delay: None }
    }

    /// A link that loses every packet by its model.
    fn losing_link() -> LinkState {
        let mut up = DirectionSettings::delay_only(SECOND);
        up.loss = LossModel::Random(Chance::ALWAYS);
        let settings = LinkSettings::datagram(up.clone(), up);
        LinkState::new(Arc::new(settings), LinkKeys::new(DrawKey::new(1), "meter"))
    }

    #[test]
    fn whoever_is_first_in_the_chain_decides_a_datagram() {
        let ping = name(PacketKind::PingReq);
        let mut link = losing_link();
        let send = |link: &mut LinkState, fault, overrides: bool| {
            let mut map = BTreeMap::from([(ping, arrives_after(SECOND.times(3)))]);
            let fate_override = overrides.then_some(&mut map as &mut dyn FateOverride);
            let interventions = Interventions { fault, fate_override };
            link.fate_with(interventions, Time::ZERO, None, &ping, BYTES)
        };
        let after = |secs| Fate::arriving_at(Time::ZERO + Span::from_secs(secs));
        assert_eq!(send(&mut link, None, false), Fate::Lost(LossReason::Random), "the draw");
        let fates = FateMap::from([(
            FateKey::Sending(SendAttempt::first(ping)),
            arrives_after(SECOND.times(2)),
        )]);
        let replay = Some(Arc::new(fates));
        link.set_recorded_fates(RecordedFates { replay, recording: Some(Vec::new()) }, None);
        assert_eq!(send(&mut link, None, false), after(2), "the schedule");
        link.set_down(true);
        assert_eq!(send(&mut link, None, false), Fate::Lost(LossReason::Outage), "the link");
        assert_eq!(send(&mut link, None, true), after(3), "the caller");
        let delay = PacketAction::Delay { by: SECOND };
        assert_eq!(send(&mut link, Some(delay), true), after(4), "the fault");
        let lost = send(&mut link, Some(PacketAction::Drop), true);
        assert_eq!(lost, Fate::Lost(LossReason::Forced), "the fault");
        let outage = send(&mut link, Some(delay), false);
        assert_eq!(outage, Fate::Lost(LossReason::Outage), "what is lost stays lost");
        // Only what the schedule decided is recorded.
        assert_eq!(link.take_recorded_fates().len(), 1);
    }

    #[test]
    fn nothing_but_the_schedule_and_the_delay_decides_a_reset() {
        let reset = name(PacketKind::Reset);
        let mut link = losing_link();
        link.set_down(true);
        let mut map = BTreeMap::from([(reset, ForcedFate::Lost(LossReason::Forced))]);
        let interventions = Interventions { fault: None, fate_override: Some(&mut map) };
        let fate = link.fate_with(interventions, Time::ZERO, None, &reset, BYTES);
        assert_eq!(fate, Fate::arriving_at(Time::ZERO + SECOND));
        let fates = FateMap::from([(
            FateKey::Sending(SendAttempt::first(reset)),
            arrives_after(SECOND.times(2)),
        )]);
        let replay = Some(Arc::new(fates));
        link.set_recorded_fates(RecordedFates { replay, recording: None }, None);
        let fate = link.fate(Time::ZERO, None, &reset, BYTES);
        assert_eq!(fate, Fate::arriving_at(Time::ZERO + SECOND.times(2)));
    }
}
