//! Sans-IO MQTT endpoints: the subject of the simulation.

pub use self::broker::Broker;
pub use self::client::Client;
pub use self::endpoint::{Backlog, Endpoint, Input, Output};
pub use self::ids::IdRing;
pub use self::inbound::{Inbound, InboundActions, ReceivedMessage};
pub use self::outbound::{Outbound, QueuedMessage, SharedOrigin};
pub use self::packet::{
    ConnAck, Connect, Message, Packet, PacketId, Payload, Publish, PublishAck, PublishLevel,
    PublishProperties, SubAck, Subscribe, TopicAlias, UnsubAck, Unsubscribe,
};
pub use self::quirks::{Quirk, QuirkSide, Quirks};
pub use self::retry::{RetryTimers, TimerEntry, TimerGeneration};
pub use self::session_context::{EndpointOutbox, SessionContext, SessionOwner};
pub use self::settings::{
    Backoff, BrokerSettings, ClientRequest, ClientSettings, DeliverOn, HopSettings, IdPolicy,
    OnFull, OverlappingFilters, PingRule, ReceiverLimits, RepeatedPubrec, RetryRule, RetryTimer,
    SignOfLife, StorePolicy, Version, WhenSocketFull, Will,
};

mod broker;
mod client;
mod deadlines;
mod endpoint;
mod ids;
mod inbound;
mod length;
mod meta;
mod outbound;
mod packet;
mod quirks;
mod requests;
mod retry;
mod session;
mod session_context;
mod settings;
#[cfg(test)]
mod tests;
pub mod topics;
#[cfg(feature = "wire")]
pub mod wire;
