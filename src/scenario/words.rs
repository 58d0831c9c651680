//! The known words of a scenario file, and what each stands for.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::problem::Problem;
use super::value::{Text, TextVisitor, text_schema, text_value};
use crate::guarantee::verdict::{Blame, Breach, Promise};
use crate::mqtt::settings::{DeliverOn, IdPolicy, OnFull, RepeatedPubrec, Version};
use crate::network::settings::Distribution;

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
    /// Whether a session outlives its connection; stands for Clean Session.
    #[derive(Default)]
    SessionWord -> bool {
        /// It does.
        #[default]
        Persistent = "persistent" => false,
        /// It does not.
        Clean = "clean" => true,
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

/// How packets are carried: so far, each MQTT packet as a datagram of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TransportWord;

impl Text for TransportWord {
    const WANTED: &'static str = "\"datagram\"";
    const PATTERN: &'static str = "^datagram$";

    fn read(text: &str) -> Result<Self, Problem> {
        match text {
            "datagram" => Ok(Self),
            "tcp" => Err(Problem::new("cannot be `tcp` yet", "not simulated in this version")
                .help("write \"datagram\": each MQTT packet meets its own fate")),
            _ => Err(Problem::new("is not known", "no such transport").help("write \"datagram\"")),
        }
    }

    fn write(&self) -> String {
        "datagram".to_owned()
    }
}
text_value!(TransportWord);

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
