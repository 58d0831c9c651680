//! The base layer: time, units, names, random draws, and the events that all other layers use.

pub use self::ending::{Ending, RunSummary};
pub use self::event::{
    Arrival, CloseReason, DropReason, Event, Fate, Impairment, LossReason, Observer,
    OverheadPurpose, PacketBody, PacketMeta, PacketSize, Phase, RetainHandling, SilentDeathCause,
    SubscriptionOptions, SubscriptionRequest,
};
pub use self::name::{
    ClientIndex, ConnectionNumber, Direction, Hop, MessageId, MessageTag, Node, PacketKind,
    PacketName, PacketSubject, PublisherIndex, Transmission, matches_pattern,
};
pub use self::qos::QoS;
pub use self::time::{Span, Time};

pub mod draw;
mod ending;
mod event;
pub mod fingerprint;
mod name;
mod packet_meta;
mod qos;
pub mod radio_use;
mod time;
pub mod units;
