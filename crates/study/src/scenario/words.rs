//! The known words of a scenario file, and what each stands for.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::diagnostic::nearest;
use super::problem::Problem;
use super::value::{Text, TextVisitor, text_schema, text_value};
use qoslab_core::base::event::{Loss, RetainHandling};
use qoslab_core::base::name::Way;
use qoslab_core::mqtt::settings::{DeliverOn, IdPolicy, OnFull, RepeatedPubrec, Version};
use qoslab_core::network::settings::Distribution;
use qoslab_guarantee::verdict::{Blame, Breach, Promise};
use qoslab_sim::trial::{CrashPoint, PeersSee};

/// Declares an enum of words with the value that each stands for.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident -> $target:ty {
        $($(#[$attribute:meta])* $variant:ident = $word:literal => $value:expr,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[schemars(inline)]
        pub(super) enum $name {
            $($(#[$attribute])* #[serde(rename = $word)] $variant,)+
        }

        impl From<$name> for $target {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$variant => $value,)+
                }
            }
        }
    };
}

words! {
    /// A version of MQTT.
    VersionWord -> Version {
        /// IBM and Eurotech, 2010.
        V31 = "3.1" => Self::V31,
        /// OASIS, 2014.
        V311 = "3.1.1" => Self::V311,
        /// OASIS, 2019.
        V5 = "5.0" => Self::V5,
    }
}

words! {
    /// What a full queue does with one message more.
    #[derive(Default)]
    OnFullWord -> OnFull {
        /// Drops the one that came.
        #[default]
        DropNewest = "drop-newest" => Self::DropNewest,
        /// Drops the one that has waited longest.
        DropOldest = "drop-oldest" => Self::DropOldest,
        /// Refuses the one that came, so that it stays with whoever sent it.
        Reject = "reject" => Self::Reject,
    }
}

words! {
    /// How packet ids are given out.
    #[derive(Default)]
    IdsWord -> IdPolicy {
        /// Round and round.
        #[default]
        Cyclic = "cyclic" => Self::Cyclic,
        /// The lowest one not in use.
        LowestFree = "lowest-free" => Self::LowestFree,
    }
}

words! {
    /// On which packet a QoS 2 receiver passes the message on.
    #[derive(Default)]
    DeliverOnWord -> DeliverOn {
        /// On the first PUBLISH.
        #[default]
        Publish = "publish" => Self::Publish,
        /// On PUBREL.
        Release = "pubrel" => Self::Release,
    }
}

words! {
    /// What a sender of QoS 2 does when PUBREC comes again after its PUBREL.
    #[derive(Default)]
    RepeatedPubrecWord -> RepeatedPubrec {
        /// It sends PUBREL again at once.
        #[default]
        Answer = "answer" => Self::Answer,
        /// It leaves that to its retry rule.
        Ignore = "ignore" => Self::Ignore,
    }
}

words! {
    /// What happens to a QoS 0 message without a connection; stands for whether it waits.
    #[derive(Default)]
    Qos0Word -> bool {
        /// It is dropped.
        #[default]
        Drop = "drop" => false,
        /// It waits.
        Queue = "queue" => true,
    }
}

words! {
    /// How jitter is distributed.
    #[derive(Default)]
    DistributionWord -> Distribution {
        /// Evenly from delay - jitter to delay + jitter.
        #[default]
        Uniform = "uniform" => Self::Uniform,
        /// With the jitter as standard deviation.
        Normal = "normal" => Self::Normal,
        /// Long-tailed, with the jitter as standard deviation.
        Pareto = "pareto" => Self::Pareto,
    }
}

impl From<Distribution> for DistributionWord {
    fn from(distribution: Distribution) -> Self {
        match distribution {
            Distribution::Uniform => Self::Uniform,
            Distribution::Normal => Self::Normal,
            Distribution::Pareto => Self::Pareto,
        }
    }
}

words! {
    /// How packets are carried; stands for whether it is a stream.
    #[derive(Default)]
    TransportWord -> bool {
        /// Each MQTT packet as a datagram of its own.
        #[default]
        Datagram = "datagram" => false,
        /// Each connection as an ordered stream of bytes.
        Tcp = "tcp" => true,
    }
}

words! {
    /// When a client is connected; stands for whether it is only now and then.
    #[derive(Default)]
    ConnectWord -> bool {
        /// It stays connected.
        #[default]
        Always = "always" => false,
        /// It connects when it has something to send, and leaves when that is done.
        PerReport = "per-report" => true,
    }
}

words! {
    /// When a SUBSCRIBE is answered by retained messages.
    #[derive(Default)]
    RetainHandlingWord -> RetainHandling {
        /// Always.
        #[default]
        Send = "send" => Self::Send,
        /// If the subscription is new.
        SendIfNew = "send-if-new" => Self::SendIfNew,
        /// Never.
        DoNotSend = "do-not-send" => Self::DoNotSend,
    }
}

words! {
    /// What the peers of a crashed node see.
    #[derive(Default)]
    PeersWord -> PeersSee {
        /// Their connections are closed one delay later: its process died.
        #[default]
        Close = "close" => Self::Close,
        /// Their connections are reset one delay later, and what was under way is lost.
        Reset = "reset" => Self::Reset,
        /// Nothing: it lost its power.
        Silence = "silence" => Self::Silence,
    }
}

words! {
    /// Where in the work on a packet a crash falls.
    CrashPointWord -> CrashPoint {
        /// It has arrived, and nothing that follows from it is stored.
        BeforeCommit = "before-commit" => Self::BeforeCommit,
        /// What follows from it is stored, and nothing is sent.
        AfterCommit = "after-commit" => Self::AfterCommit,
        /// What follows from it is stored, and of what is to be sent the first packet is.
        BetweenSends = "between-sends" => Self::BetweenSends,
    }
}

words! {
    /// Whether the packet at which a connection is cut still arrives.
    CutWord -> bool {
        /// It is lost too.
        Before = "before" => false,
        /// It arrives.
        After = "after" => true,
    }
}

words! {
    /// Why a packet is lost.
    LossWord -> Loss {
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

impl From<Loss> for LossWord {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Random => Self::Random,
            Loss::Burst => Self::Burst,
            Loss::Outage => Self::Outage,
            Loss::QueueFull => Self::QueueFull,
            Loss::Forced => Self::Forced,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum EndWord {
    /// The client's.
    Client,
    /// The broker's.
    Broker,
}

words! {
    /// The directions of a link; stands for the one, if it is not both.
    #[derive(Default)]
    WayWord -> Option<Way> {
        /// From the client to the broker.
        Up = "up" => Some(Way::Up),
        /// From the broker to the client.
        Down = "down" => Some(Way::Down),
        /// Either.
        #[default]
        Both = "both" => None,
    }
}

/// Declares an enum of words that stand where a table can stand too.
macro_rules! text_words {
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

        impl Text for $name {
            const WANTED: &'static str =
                concat!("\"", $first_word, "\"", $(" or \"", $word, "\"",)*);
            const PATTERN: &'static str = concat!("^(", $first_word, $("|", $word,)* ")$");

            fn read(text: &str) -> Result<Self, Problem> {
                match text {
                    $first_word => Ok(Self::$first),
                    $($word => Ok(Self::$variant),)*
                    _ => Err(unknown(text, &[$first_word, $($word,)*])),
                }
            }

            fn write(&self) -> String {
                match self {
                    Self::$first => $first_word,
                    $(Self::$variant => $word,)*
                }
                .to_owned()
            }
        }
    };
}

fn unknown(text: &str, known: &[&str]) -> Problem {
    let help = match nearest(text, known) {
        Some(one) => format!("did you mean `{one}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Problem::new(format!("cannot be `{text}`"), "unknown word").help(help)
}

text_words! {
    /// Whether a session outlives its connection.
    SessionWord {
        /// It does, for ever.
        Persistent = "persistent",
        /// It does not.
        Clean = "clean",
    }
}

text_words! {
    /// What an endpoint keeps through a crash.
    StoreWord {
        /// All.
        Durable = "durable",
        /// Nothing.
        Volatile = "volatile",
    }
}

text_words! {
    /// A version of TLS.
    TlsWord {
        /// RFC 5246.
        V12 = "1.2",
        /// RFC 8446.
        V13 = "1.3",
    }
}
text_value!(TlsWord);

text_words! {
    /// What a fault does, in one word.
    DoWord {
        /// Cuts the connection.
        Cut = "cut",
        /// Drops the packet.
        Drop = "drop",
        /// Crashes the node.
        Crash = "crash",
    }
}

words! {
    /// A promise.
    PromiseWord -> Promise {
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

words! {
    /// How a promise breaks.
    BreachWord -> Breach {
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

words! {
    /// Whose fault it is.
    BlameWord -> Blame {
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
