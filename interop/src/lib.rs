//! Third-party MQTT clients and a broker in qoslab's scenarios.
//!
//! Each has a file, which plays a careful application around it, and documents what is the
//! application's own behaviour and what is the third-party implementation's. Only public interfaces
//! are used, with their defaults unless the scenario sets a value. Wills and connecting on demand
//! are left out.

mod application;
pub mod mqrstt;
pub mod mqtt5_broker;
pub mod mqtt_endpoint;
pub mod rumqttc_v4;
pub mod rumqttc_v5;
mod sync_socket;

use qoslab_testing::Harness;

/// A third-party implementation, in one version of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Implementation {
    /// The crate's name.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// The version of MQTT, as a scenario writes it.
    pub mqtt_version: &'static str,
    /// The role that it can take.
    pub role: Role,
    install_fn: fn(Harness, &str) -> Harness,
}

/// The role that a third-party implementation can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Clients.
    Client,
    /// The broker.
    Broker,
}

impl Implementation {
    /// Puts it in the place of the clients whose names match; a broker takes the broker's place,
    /// and `names` is ignored.
    pub fn install(&self, test: Harness, names: &str) -> Harness {
        (self.install_fn)(test.set("mqtt", &format!("{:?}", self.mqtt_version)), names)
    }
}

/// All third-party implementations.
pub const IMPLEMENTATIONS: [Implementation; 7] = [
    Implementation {
        name: "rumqttc-v4-next",
        version: "0.34.0",
        mqtt_version: "3.1.1",
        role: Role::Client,
        install_fn: |test, names| test.client(names, rumqttc_v4::run),
    },
    Implementation {
        name: "rumqttc-v5-next",
        version: "0.34.0",
        mqtt_version: "5.0",
        role: Role::Client,
        install_fn: |test, names| test.client(names, rumqttc_v5::run),
    },
    Implementation {
        name: "mqrstt",
        version: "0.4.0",
        mqtt_version: "5.0",
        role: Role::Client,
        install_fn: |test, names| test.client(names, mqrstt::run),
    },
    Implementation {
        name: "mqtt-endpoint-tokio",
        version: "0.6.6",
        mqtt_version: "3.1.1",
        role: Role::Client,
        install_fn: |test, names| test.client(names, mqtt_endpoint::run),
    },
    Implementation {
        name: "mqtt-endpoint-tokio",
        version: "0.6.6",
        mqtt_version: "5.0",
        role: Role::Client,
        install_fn: |test, names| test.client(names, mqtt_endpoint::run),
    },
    Implementation {
        name: "mqtt5",
        version: "0.49.0",
        mqtt_version: "3.1.1",
        role: Role::Broker,
        install_fn: |test, _| mqtt5_broker::install(test),
    },
    Implementation {
        name: "mqtt5",
        version: "0.49.0",
        mqtt_version: "5.0",
        role: Role::Broker,
        install_fn: |test, _| mqtt5_broker::install(test),
    },
];

#[cfg(test)]
mod tests {
    use super::IMPLEMENTATIONS;

    #[test]
    fn the_table_names_the_versions_that_are_pinned() {
        let manifest = include_str!("../Cargo.toml");
        for product in IMPLEMENTATIONS {
            let pin = format!("version = \"={}\"", product.version);
            let pinned = |line: &&str| line.contains(product.name) && line.contains(&pin);
            assert_eq!(manifest.lines().filter(pinned).count(), 1, "{}", product.name);
        }
    }
}
