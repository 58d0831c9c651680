//! The known words of a scenario file, and what each stands for.

#[cfg(feature = "studies")]
use std::borrow::Cow;

#[cfg(feature = "studies")]
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::diagnostic::nearest_name;
use super::from_toml::read_word;
use super::problem::Problem;
#[cfg(feature = "studies")]
use super::value::text_schema;
use super::value::{TextValue, impl_text_value};
use qoslab_core::base::{Direction, LossReason, RetainHandling};
use qoslab_core::mqtt::{
    DeliverOn, IdPolicy, OnFull, OverlappingFilters, PingRule, RepeatedPubrec, SignOfLife, Version,
    WhenSocketFull,
};
use qoslab_core::network::{CongestionControl, Distribution};
use qoslab_guarantee::{Blame, Breach, Promise};
use qoslab_sim::{CrashPoint, PeerVisibility};

/// Declares an enum of words with the value that each stands for.
macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident -> $target:ty {
        $($(#[$attribute:meta])* $variant:ident = $word:literal => $value:expr,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[cfg_attr(feature = "studies", derive(JsonSchema))]
        #[cfg_attr(feature = "studies", schemars(inline))]
        pub(super) enum $name {
            $($(#[$attribute])* #[serde(rename = $word)] $variant,)+
        }
        read_word!($name { $($variant = $word),+ });

        impl From<$name> for $target {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$variant => $value,)+
                }
            }
        }
    };
}

keywords! {
    /// A version of MQTT.
    VersionKeyword -> Version {
        /// IBM and Eurotech, 2010.
        V31 = "3.1" => Self::V31,
        /// OASIS, 2014.
        V311 = "3.1.1" => Self::V311,
        /// OASIS, 2019.
        V5 = "5.0" => Self::V5,
    }
}

keywords! {
    /// What a full queue does with one message more.
    #[derive(Default)]
    OnFullKeyword -> OnFull {
        /// Drops the one that came.
        #[default]
        DropNewest = "drop-newest" => Self::DropNewest,
        /// Drops the one that has waited longest.
        DropOldest = "drop-oldest" => Self::DropOldest,
        /// Refuses the one that came, so that it stays with whoever sent it.
        Reject = "reject" => Self::Reject,
    }
}

keywords! {
    /// How packet ids are given out.
    #[derive(Default)]
    IdsKeyword -> IdPolicy {
        /// Round and round.
        #[default]
        Cyclic = "cyclic" => Self::Cyclic,
        /// The lowest one not in use.
        LowestFree = "lowest-free" => Self::LowestFree,
    }
}

keywords! {
    /// On which packet a QoS 2 receiver passes the message on.
    #[derive(Default)]
    DeliverOnKeyword -> DeliverOn {
        /// On the first PUBLISH.
        #[default]
        Publish = "publish" => Self::Publish,
        /// On PUBREL.
        Release = "pubrel" => Self::Release,
    }
}

keywords! {
    /// How many copies of a message a client gets by filters that overlap.
    #[derive(Default)]
    OverlappingKeyword -> OverlappingFilters {
        /// One for all of them, at the highest QoS granted.
        #[default]
        Once = "once" => Self::Once,
        /// One for each of them, at its own QoS.
        Each = "each" => Self::Each,
    }
}

keywords! {
    /// What a sender of QoS 2 does when PUBREC comes again after its PUBREL.
    #[derive(Default)]
    RepeatedPubrecKeyword -> RepeatedPubrec {
        /// It sends PUBREL again at once.
        #[default]
        Answer = "answer" => Self::Answer,
        /// It leaves that to its retry rule.
        Ignore = "ignore" => Self::Ignore,
    }
}

keywords! {
    /// What happens to a QoS 0 message without a connection; stands for whether it waits.
    #[derive(Default)]
    Qos0Keyword -> bool {
        /// It is dropped.
        #[default]
        Drop = "drop" => false,
        /// It waits.
        Queue = "queue" => true,
    }
}

keywords! {
    /// What happens to a QoS 0 message while the socket is full.
    #[derive(Default)]
    SocketFullKeyword -> WhenSocketFull {
        /// It waits in the queue, as far as that goes.
        #[default]
        Queue = "queue" => Self::Queue,
        /// It is dropped.
        Drop = "drop" => Self::Drop,
        /// The application waits, whatever the QoS, until there is room in the socket and in the
        /// queue: nothing is dropped while the connection lasts.
        Wait = "wait" => Self::Wait,
    }
}

keywords! {
    /// What an endpoint takes for a sign of life of its peer.
    #[derive(Default)]
    SignOfLifeKeyword -> SignOfLife {
        /// A whole packet.
        #[default]
        Packets = "packets" => Self::Packets,
        /// Any bytes of one.
        Bytes = "bytes" => Self::Bytes,
    }
}

keywords! {
    /// What silence makes a client ping.
    #[derive(Default)]
    PingOnKeyword -> PingRule {
        /// It has sent nothing.
        #[default]
        Sent = "nothing-sent" => Self::NothingSent,
        /// It has sent nothing, or received nothing.
        Either = "nothing-sent-or-received" => Self::NothingSentOrReceived,
    }
}

keywords! {
    /// How jitter is distributed.
    #[derive(Default)]
    DistributionKeyword -> Distribution {
        /// Evenly from delay - jitter to delay + jitter.
        #[default]
        Uniform = "uniform" => Self::Uniform,
        /// With the jitter as standard deviation.
        Normal = "normal" => Self::Normal,
        /// Long-tailed, with the jitter as standard deviation.
        Pareto = "pareto" => Self::Pareto,
    }
}

impl From<Distribution> for DistributionKeyword {
    fn from(distribution: Distribution) -> Self {
        match distribution {
            Distribution::Uniform => Self::Uniform,
            Distribution::Normal => Self::Normal,
            Distribution::Pareto => Self::Pareto,
        }
    }
}

keywords! {
    /// Congestion control of a TCP sender.
    CongestionKeyword -> CongestionControl {
        /// RFC 9438.
        Cubic = "cubic" => Self::Cubic,
        /// RFC 5681.
        Reno = "reno" => Self::Reno,
    }
}

impl From<CongestionControl> for CongestionKeyword {
    fn from(control: CongestionControl) -> Self {
        match control {
            CongestionControl::Cubic => Self::Cubic,
            CongestionControl::Reno => Self::Reno,
        }
    }
}

keywords! {
    /// How packets are carried; stands for whether it is a stream.
    TransportKeyword -> bool {
        /// Each MQTT packet as a datagram of its own.
        Datagram = "datagram" => false,
        /// Each connection as an ordered stream of bytes.
        Tcp = "tcp" => true,
    }
}

keywords! {
    /// When a client is connected; stands for whether it is only now and then.
    #[derive(Default)]
    ConnectKeyword -> bool {
        /// It stays connected.
        #[default]
        Always = "always" => false,
        /// It connects when it has something to send, and leaves when that is done.
        PerReport = "per-report" => true,
    }
}

keywords! {
    /// When a SUBSCRIBE is answered by retained messages.
    #[derive(Default)]
    RetainHandlingKeyword -> RetainHandling {
        /// Always.
        #[default]
        Send = "send" => Self::Send,
        /// If the subscription is new.
        SendIfNew = "send-if-new" => Self::SendIfNew,
        /// Never.
        DoNotSend = "do-not-send" => Self::DoNotSend,
    }
}

keywords! {
    /// What the peers of a crashed node see.
    #[derive(Default)]
    PeersKeyword -> PeerVisibility {
        /// Their connections are closed one delay later: its process died.
        #[default]
        Close = "close" => Self::Close,
        /// Their connections are reset one delay later, and what was under way is lost.
        Reset = "reset" => Self::Reset,
        /// Nothing: it lost its power.
        Silence = "silence" => Self::Silence,
    }
}

keywords! {
    /// Where in the work on a packet a crash falls.
    CrashPointKeyword -> CrashPoint {
        /// It has arrived, and nothing that follows from it is stored.
        BeforeCommit = "before-commit" => Self::BeforeCommit,
        /// What follows from it is stored, and nothing is sent.
        AfterCommit = "after-commit" => Self::AfterCommit,
        /// What follows from it is stored, and of what is to be sent the first packet is.
        BetweenSends = "between-sends" => Self::BetweenSends,
    }
}

keywords! {
    /// Whether the packet at which a connection is cut still arrives.
    CutKeyword -> bool {
        /// It is lost too.
        Before = "before" => false,
        /// It arrives.
        After = "after" => true,
    }
}

keywords! {
    /// Why a packet is lost.
    LossKeyword -> LossReason {
        /// By a rate of random loss.
        Random = "random" => Self::Random,
        /// In a burst.
        Burst = "burst" => Self::Burst,
        /// The link was down.
        Outage = "outage" => Self::Outage,
        /// The link's queue was full.
        QueueFull = "queue-full" => Self::QueueFull,
        /// By a fault.
        Forced = "forced" => Self::Forced,
    }
}

impl From<LossReason> for LossKeyword {
    fn from(loss: LossReason) -> Self {
        match loss {
            LossReason::Random => Self::Random,
            LossReason::Burst => Self::Burst,
            LossReason::Outage => Self::Outage,
            LossReason::QueueFull => Self::QueueFull,
            LossReason::Forced => Self::Forced,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "studies", schemars(inline))]
pub(super) enum EndKeyword {
    /// The client's.
    Client,
    /// The broker's.
    Broker,
}
read_word!(EndKeyword { Client = "client", Broker = "broker" });

keywords! {
    /// The directions of a link; stands for the one, if it is not both.
    #[derive(Default)]
    DirectionKeyword -> Option<Direction> {
        /// From the client to the broker.
        Up = "up" => Some(Direction::Up),
        /// From the broker to the client.
        Down = "down" => Some(Direction::Down),
        /// Either.
        #[default]
        Both = "both" => None,
    }
}

/// Declares an enum of words that stand where a table can stand too.
macro_rules! text_keywords {
    ($(#[$doc:meta])* $name:ident {
        $(#[$first_attribute:meta])* $first:ident = $first_word:literal,
        $($(#[$attribute:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name {
            $(#[$first_attribute])* $first,
            $($(#[$attribute])* $variant,)*
        }

        impl TextValue for $name {
            const EXPECTED: &'static str =
                concat!("\"", $first_word, "\"", $(" or \"", $word, "\"",)*);
            const PATTERN: &'static str = concat!("^(", $first_word, $("|", $word,)* ")$");

            fn parse(text: &str) -> Result<Self, Problem> {
                match text {
                    $first_word => Ok(Self::$first),
                    $($word => Ok(Self::$variant),)*
                    _ => Err(unknown_keyword(text, &[$first_word, $($word,)*])),
                }
            }

            fn to_text(&self) -> String {
                match self {
                    Self::$first => $first_word,
                    $(Self::$variant => $word,)*
                }
                .to_owned()
            }
        }
    };
}

fn unknown_keyword(text: &str, known: &[&str]) -> Problem {
    let help = match nearest_name(text, known) {
        Some(one) => format!("did you mean `{one}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Problem::new(format!("cannot be `{text}`"), "unknown word").help(help)
}

text_keywords! {
    /// Whether a session outlives its connection.
    SessionKeyword {
        /// It does, for ever.
        Persistent = "persistent",
        /// It does not.
        Clean = "clean",
    }
}

text_keywords! {
    /// What an endpoint keeps through a crash.
    StoreKeyword {
        /// All.
        Durable = "durable",
        /// Nothing.
        Volatile = "volatile",
    }
}

text_keywords! {
    /// A version of TLS.
    TlsKeyword {
        /// RFC 5246.
        V12 = "1.2",
        /// RFC 8446.
        V13 = "1.3",
    }
}
impl_text_value!(TlsKeyword);

text_keywords! {
    /// What a fault does, in one word.
    ActionKeyword {
        /// Cuts the connection.
        Cut = "cut",
        /// Drops the packet.
        Drop = "drop",
        /// Crashes the node.
        Crash = "crash",
    }
}

keywords! {
    /// A promise.
    PromiseKeyword -> Promise {
        /// QoS 0: no duplicates.
        AtMostOnce = "at-most-once" => Self::AtMostOnce,
        /// QoS 1: no losses.
        AtLeastOnce = "at-least-once" => Self::AtLeastOnce,
        /// QoS 2: neither.
        ExactlyOnce = "exactly-once" => Self::ExactlyOnce,
        /// Accepted messages are acknowledged in the end.
        Acknowledged = "acknowledged" => Self::Acknowledged,
        /// Only subscribers get copies.
        OnlySubscribed = "only-subscribed" => Self::OnlySubscribed,
        /// First copies come in order.
        Ordered = "ordered" => Self::Ordered,
    }
}

keywords! {
    /// How a promise breaks.
    BreachKeyword -> Breach {
        /// Owed, and no copy came.
        Lost = "lost" => Self::Lost,
        /// More copies than one.
        Duplicated = "duplicated" => Self::Duplicated,
        /// A copy nobody was owed.
        Unexpected = "unexpected" => Self::Unexpected,
        /// Never acknowledged.
        Stuck = "stuck" => Self::Stuck,
        /// Completed only when everybody reconnected.
        Stalled = "stalled" => Self::Stalled,
        /// Out of order.
        Reordered = "reordered" => Self::Reordered,
    }
}

keywords! {
    /// Whose fault it is.
    BlameKeyword -> Blame {
        /// The publisher's endpoint.
        Publisher = "publisher" => Self::Publisher,
        /// The broker's endpoint.
        Broker = "broker" => Self::Broker,
        /// The subscriber's endpoint.
        Subscriber = "subscriber" => Self::Subscriber,
        /// The network.
        Network = "network" => Self::Network,
        /// A setting.
        Configuration = "configuration" => Self::Configuration,
    }
}
