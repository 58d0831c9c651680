//! Recording of one trial from its beginning to its end: for ladders, captures and raw events.

use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use self::trial_recorder::{SentPacketSlot, TrialRecorder};
use qoslab_core::base::{
    ClientIndex, CloseReason, ConnectionNumber, DropReason, Impairment, MessageId, Node, Phase,
    QoS, SilentDeathCause, Time,
};
use qoslab_sim::{Engine, Trial};
use qoslab_sim::{Options, RunSummary};

pub use filter::{MessageRoute, RecordingFilter, find_route};
pub use recorded_packet::{PacketEnd, PacketLossCause, RecordedPacket};

mod filter;
mod recorded_packet;
#[cfg(test)]
mod tests;
mod trial_recorder;

/// What was recorded of a trial.
#[derive(Clone, Debug)]
pub struct TrialRecording {
    /// What happened, in order.
    pub events: Vec<RecordedEvent>,
    /// The packets that moments refer to, in the order of their sending.
    pub packets: Vec<RecordedPacket>,
    /// CONNECTs and CONNACKs from before what is selected, of the connections that its packets use.
    pub earlier_connects: Vec<RecordedPacket>,
    /// How many more moments there were than the scope had room for.
    pub omitted_events: u64,
    /// How the trial ended.
    pub ended: RunSummary,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// The time.
    pub at: Time,
    /// The event.
    pub kind: RecordedEventKind,
}

/// The event. Packets are referred to by their places in [`TrialRecording::packets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the events of the same names")]
pub enum RecordedEventKind {
    Phase(Phase),
    Submitted(MessageId),
    Refused(MessageId, DropReason),
    Completed(MessageId),
    WillPublished(MessageId),
    Sent(usize),
    Arrived(usize),
    Discarded(usize),
    Delivered { client: ClientIndex, message: MessageId, qos: QoS, retain: bool },
    Dropped { client: ClientIndex, message: MessageId, why: DropReason },
    Opened { node: Node, connection: ConnectionNumber, client: ClientIndex },
    Closed { node: Node, connection: ConnectionNumber, client: ClientIndex, why: CloseReason },
    SilentlyDied { connection: ConnectionNumber, client: ClientIndex, why: SilentDeathCause },
    ImpairmentBegan(ClientIndex, Impairment),
    ImpairmentEnded(ClientIndex, Impairment),
    OutageBegan(ClientIndex),
    OutageEnded(ClientIndex),
    Crashed(Node),
    Restarted(Node),
    SessionExpired(ClientIndex),
    SocketFull { node: Node, client: ClientIndex },
}

/// Runs a trial on an engine and records it. Once `interrupt` is true, it ends early.
///
/// The trial runs once more, the same to the last event, and what a [`RecordingFilter`] selects is
/// kept. A packet is kept once, as a [`RecordedPacket`] with both its ends: over a stream its
/// arrival is known only when it comes.
#[must_use]
pub fn record_trial<E: Engine>(
    engine: &E,
    trial: &Trial,
    filter: &RecordingFilter,
    interrupt: &AtomicBool,
) -> TrialRecording {
    let slot = Rc::new(SentPacketSlot::default());
    let recorder = TrialRecorder::new(filter, &slot);
    let options = Options { packet_tap: Some(slot), ..Options::with_interrupt(interrupt) };
    let (ended, recorder) = engine.run(trial, recorder, options);
    recorder.finish(ended)
}
