//! Clients and topics of which metrics are kept apart.

use std::fmt;
use std::sync::Arc;

/// The messages of some topics that some clients publish or are to get. It is written as in a
/// need: `client.meter-*`, `topic."plant/+/temp"`, or one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricScope {
    /// A pattern of clients' names; `None` for all clients.
    pub client: Option<Arc<str>>,
    /// A topic filter; `None` for all topics.
    pub topic: Option<Arc<str>>,
}

impl MetricScope {
    /// Whether it has all messages, so that nothing is to be kept apart.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.client.is_none() && self.topic.is_none()
    }
}

impl fmt::Display for MetricScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(client) = &self.client {
            let quote = if client.contains('.') { "\"" } else { "" };
            write!(f, "client.{quote}{client}{quote}")?;
        }
        if let Some(topic) = &self.topic {
            let dot = if self.client.is_some() { "." } else { "" };
            write!(f, "{dot}topic.\"{topic}\"")?;
        }
        Ok(())
    }
}
