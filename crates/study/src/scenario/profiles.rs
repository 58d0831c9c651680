//! Profiles of third-party implementations: dated sets of their documented settings.
//!
//! A profile holds the defaults of an implementation, as far as its manual states them and a
//! scenario can express them. Its settings replace what a table leaves out; what the table itself
//! sets takes precedence. `docs/profiles.md` is this page as a table.

use std::fmt::Write as _;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostics;
use super::setting::with_span;
use qoslab_core::mqtt::QuirkSide;

/// The documented settings of a third-party implementation.
pub(super) struct Profile {
    /// Its name in scenario files.
    pub name: &'static str,
    /// The implementation, and the version that the settings are of.
    pub product: &'static str,
    /// When that version's manual was read.
    pub date: &'static str,
    /// Where it can be set.
    pub side: QuirkSide,
    /// The settings.
    pub settings: &'static [ProfileSetting],
    /// The features of the implementation that a scenario cannot express.
    pub not_modelled: &'static str,
}

/// One setting.
pub(super) struct ProfileSetting {
    /// As a line of a scenario file.
    pub scenario_line: &'static str,
    /// In the implementation's own words.
    pub product_term: &'static str,
    /// Where that is documented.
    pub source: &'static str,
    /// Whether only MQTT 5.0 has it.
    pub is_v5_only: bool,
}

const fn product_setting(
    ours: &'static str,
    theirs: &'static str,
    source: &'static str,
) -> ProfileSetting {
    ProfileSetting { scenario_line: ours, product_term: theirs, source, is_v5_only: false }
}

const MOSQUITTO: &str = "mosquitto.conf(5)";
const EMQX_SCHEMA: &str = "EMQX 5.0 configuration schema (`emqx_schema.erl`)";
const EMQX_QUEUE: &str = "EMQX documentation, \"In-flight and Message Queue\"";
const ESP: &str = "`esp_mqtt_client_config_t` in the ESP-IDF Programming Guide";
const PAHO: &str = "`paho.mqtt.client` reference";
const PAHO_SOURCE: &str = "its `client.py`";
const LWIP: &str = "ESP-IDF's Kconfig of lwIP";

/// Every profile.
pub(super) const ALL: [Profile; 4] = [
    Profile {
        name: "mosquitto-2.0",
        product: "Eclipse Mosquitto 2.0.22",
        date: "2026-11-23",
        side: QuirkSide::Broker,
        settings: &[
            product_setting("max_inflight = 20", "`max_inflight_messages 20`", MOSQUITTO),
            product_setting("max_queued = 1000", "`max_queued_messages 1000`", MOSQUITTO),
            product_setting(
                "on_full = \"drop-newest\"",
                "what comes to a full queue is dropped",
                MOSQUITTO,
            ),
            product_setting("queue_qos0 = false", "`queue_qos0_messages false`", MOSQUITTO),
            product_setting("max_qos = 2", "`max_qos 2`", MOSQUITTO),
            product_setting("socket.nodelay = false", "`set_tcp_nodelay false`", MOSQUITTO),
            product_setting(
                "socket.when_full = \"queue\"",
                "QoS 0 for a slow reader waits among `max_queued_messages`, and is then dropped",
                "`db__ready_for_flight` in its src/database.c",
            ),
            product_setting(
                "sign_of_life = \"bytes\"",
                "bytes count while more than 1,000 of the packet are to come",
                "`packet__read` in its lib/packet_mosq.c",
            ),
            product_setting("store = \"volatile\"", "`persistence false`", MOSQUITTO),
            product_setting(
                "retry = \"reconnect\"",
                "timed retries were removed in 1.5",
                "ChangeLog, 1.5",
            ),
            ProfileSetting {
                is_v5_only: true,
                ..product_setting("topic_alias_maximum = 10", "`max_topic_alias 10`", MOSQUITTO)
            },
        ],
        not_modelled: "With `persistence true` it writes its store every `autosave_interval`, 1800 \
                 s: `store = { snapshot = \"30m\" }`. The Receive Maximum that it sends is not \
                 taken over: its manual gives no number.",
    },
    Profile {
        name: "emqx-5.0",
        product: "EMQX 5.0",
        date: "2026-11-23",
        side: QuirkSide::Broker,
        settings: &[
            product_setting("max_inflight = 32", "`mqtt.max_inflight = 32`", EMQX_SCHEMA),
            product_setting("max_queued = 1000", "`mqtt.max_mqueue_len = 1000`", EMQX_SCHEMA),
            product_setting(
                "on_full = \"drop-oldest\"",
                "a full queue discards its oldest",
                EMQX_QUEUE,
            ),
            product_setting("queue_qos0 = true", "`mqtt.mqueue_store_qos0 = true`", EMQX_SCHEMA),
            product_setting("max_qos = 2", "`mqtt.max_qos_allowed = 2`", EMQX_SCHEMA),
            product_setting("retry = \"30s\"", "`mqtt.retry_interval = 30s`", EMQX_SCHEMA),
            product_setting("socket.nodelay = true", "`tcp_options.nodelay = true`", EMQX_SCHEMA),
            product_setting(
                "sign_of_life = \"bytes\"",
                "its keep alive looks at the bytes received",
                "`emqx_keepalive.erl`",
            ),
            product_setting(
                "store = \"volatile\"",
                "regular sessions lie in memory and are lost when the node restarts",
                "EMQX documentation, \"MQTT Durable Sessions\"",
            ),
            ProfileSetting {
                is_v5_only: true,
                ..product_setting(
                    "topic_alias_maximum = 65535",
                    "`mqtt.max_topic_alias = 65535`",
                    EMQX_SCHEMA,
                )
            },
        ],
        not_modelled: "At most 100 messages await PUBREL, each for 300 s (`max_awaiting_rel`, \
                 `await_rel_timeout`); the quirk `dedupe_ttl` forgets them sooner. A session of \
                 3.1.1 expires after 2 h (`session_expiry_interval`).",
    },
    Profile {
        name: "esp-mqtt-5",
        product: "esp-mqtt of ESP-IDF 5",
        date: "2026-11-23",
        side: QuirkSide::Client,
        settings: &[
            product_setting(
                "retry = { every = \"1s\", max = 30 }",
                "`message_retransmit_timeout` 1 s; `MQTT_OUTBOX_EXPIRED_TIMEOUT_MS` 30000",
                "ESP-IDF Programming Guide, \"MQTT Message Retransmission\", and its Kconfig",
            ),
            product_setting("keep_alive = \"120s\"", "`session.keepalive` 120 s", ESP),
            product_setting("session = \"clean\"", "`session.disable_clean_session` false", ESP),
            product_setting("reconnect.min = \"10s\"", "`network.reconnect_timeout_ms` 10 s", ESP),
            product_setting(
                "reconnect.max = \"10s\"",
                "`network.reconnect_timeout_ms` 10 s, constant",
                ESP,
            ),
            product_setting(
                "reconnect.jitter = false",
                "`network.reconnect_timeout_ms`, to the millisecond",
                ESP,
            ),
            product_setting("connect_timeout = \"10s\"", "`network.timeout_ms` 10 s", ESP),
            product_setting("socket.nodelay = false", "lwIP's default", LWIP),
            product_setting(
                "socket.send_buffer = \"esp-idf\"",
                "`CONFIG_LWIP_TCP_SND_BUF_DEFAULT` 5760",
                LWIP,
            ),
            product_setting(
                "socket.receive_buffer = \"esp-idf\"",
                "`CONFIG_LWIP_TCP_WND_DEFAULT` 5760",
                LWIP,
            ),
            product_setting(
                "socket.when_full = \"wait\"",
                "`esp_mqtt_client_publish` writes in its caller's task and waits for room",
                "ESP-IDF Programming Guide",
            ),
            product_setting(
                "store = \"volatile\"",
                "the outbox lies in memory",
                "ESP-IDF Programming Guide",
            ),
            product_setting(
                "max_inflight = 65535",
                "no limit but the ids",
                "ESP-IDF Programming Guide",
            ),
            product_setting("offline.max = 1000000000", "`outbox.limit` 0: no limit", ESP),
            product_setting("offline.qos0 = \"drop\"", "QoS 0 does not enter the outbox", ESP),
        ],
        not_modelled: "TCP's timers and congestion control are the link's: lwIP has \
                 `congestion = \"reno\"`. \
                 Its outbox deletes a message 30 s after it was queued, connected or not; a \
                 scenario counts transmissions instead. It pings at half of its keep alive.",
    },
    Profile {
        name: "paho-python-2",
        product: "Eclipse Paho for Python (paho-mqtt) 2.1",
        date: "2026-11-23",
        side: QuirkSide::Client,
        settings: &[
            product_setting("max_inflight = 20", "`max_inflight_messages_set`: 20", PAHO),
            product_setting(
                "offline.max = 1000000000",
                "`max_queued_messages_set`: 0, which is no limit",
                PAHO,
            ),
            product_setting("keep_alive = \"60s\"", "`connect(keepalive=60)`", PAHO),
            product_setting(
                "ping_on = \"nothing-sent-or-received\"",
                "either for `keepalive` makes it ping, and the next time close",
                PAHO_SOURCE,
            ),
            product_setting(
                "sign_of_life = \"bytes\"",
                "a packet that is read in more than 100 parts counts while it comes",
                PAHO_SOURCE,
            ),
            product_setting(
                "session = \"clean\"",
                "`clean_session` True, `clean_start` on the first",
                PAHO,
            ),
            product_setting(
                "keep_outbox = true",
                "`_messages_reconnect_reset_out`: kept and sent again, clean session or not",
                PAHO_SOURCE,
            ),
            product_setting("socket.nodelay = false", "`TCP_NODELAY` is never set", PAHO_SOURCE),
            product_setting(
                "socket.when_full = \"wait\"",
                "what cannot be written waits in `_out_packet`, which has no limit, as if its \
                 application waited",
                PAHO_SOURCE,
            ),
            product_setting("reconnect.min = \"1s\"", "`reconnect_delay_set(min_delay=1)`", PAHO),
            product_setting(
                "reconnect.max = \"120s\"",
                "`reconnect_delay_set(max_delay=120)`",
                PAHO,
            ),
            product_setting("reconnect.jitter = false", "each pause is twice the last", PAHO),
            product_setting("connect_timeout = \"5s\"", "`connect_timeout` 5.0", PAHO),
            product_setting("retry = \"reconnect\"", "there is no timed retry", PAHO),
            product_setting("store = \"volatile\"", "messages lie in memory", PAHO),
        ],
        not_modelled: "What it sends again in a new session has DUP=1 and its old id, against \
                 [MQTT-3.1.2-6]; here it begins anew. It looks at its timers once a second. Under \
                 5.0 it asks for a clean start with the first connection only; a scenario's clean \
                 session asks each time. Applications subscribe again in \
                 `on_connect`: `resubscribe` stays true.",
    },
];

/// Fills in what the broker's and the clients' tables leave to their profiles.
pub(super) fn apply_profiles(root: &mut DeTable<'_>, errors: &mut Diagnostics) {
    let v5 = string_field(root, "mqtt").is_some_and(|(version, _)| version == "5.0");
    for (key, value) in root.iter_mut() {
        match (key.get_ref().as_ref(), value.get_mut()) {
            ("broker", DeValue::Table(table)) => {
                apply_profile(table, QuirkSide::Broker, v5, errors);
            }
            ("client", DeValue::Array(clients)) => {
                for client in clients.iter_mut() {
                    if let DeValue::Table(table) = client.get_mut() {
                        apply_profile(table, QuirkSide::Client, v5, errors);
                    }
                }
            }
            _ => {}
        }
    }
}

fn apply_profile(table: &mut DeTable<'_>, side: QuirkSide, v5: bool, errors: &mut Diagnostics) {
    let Some((name, span)) = string_field(table, "profile") else { return };
    let known = ALL.iter().filter(|profile| profile.side == side).map(|profile| profile.name);
    let known: Vec<_> = known.collect();
    match ALL.iter().find(|profile| profile.name == name) {
        Some(profile) if profile.side == side => {
            for setting in profile.settings.iter().filter(|setting| v5 || !setting.is_v5_only) {
                merge(table, parse_setting(setting));
            }
        }
        Some(profile) => {
            let whose = if side == QuirkSide::Broker { "a client" } else { "a broker" };
            let title = format!("`{}` is the profile of {whose}", profile.name);
            errors
                .error(&span, title, "not of this end")
                .help(format!("known here: {}", known.join(", ")));
        }
        None => {
            let title = format!("there is no profile `{name}`");
            errors.error(&span, title, "not a known product").suggest_name(&name, &known);
        }
    }
}

fn string_field(table: &DeTable<'_>, field: &str) -> Option<(String, std::ops::Range<usize>)> {
    let (_, value) = table.iter().find(|(key, _)| key.get_ref() == field)?;
    let DeValue::String(text) = value.get_ref() else { return None };
    Some((text.to_string(), value.span()))
}

fn parse_setting(setting: &ProfileSetting) -> DeTable<'static> {
    DeTable::parse(setting.scenario_line).expect("a test reads every setting").into_inner()
}

/// Adds what is not there yet, as standing nowhere in the file.
fn merge(table: &mut DeTable<'_>, settings: DeTable<'static>) {
    for (key, value) in settings {
        let there = table.iter_mut().find(|(own, _)| own.get_ref() == key.get_ref());
        match (there, value.into_inner()) {
            (Some((own_key, own)), DeValue::Table(inner)) if is_group(own_key.get_ref()) => {
                if let DeValue::Table(own) = own.get_mut() {
                    merge(own, inner);
                }
            }
            (Some(_), _) => {}
            (None, value) => {
                table.insert(Spanned::new(0..0, key.into_inner()), with_span(value, &(0..0)));
            }
        }
    }
}

/// Whether a table groups fields that have nothing to do with each other. A retry rule is one
/// thing: the file's own stays as it is.
fn is_group(field: &str) -> bool {
    matches!(field, "offline" | "reconnect" | "socket")
}

const PAGE_HEADER: &str = "\
# Profiles

`profile = \"NAME\"` on the broker or a client sets what the product's manual gives as its
defaults; whatever the table says itself goes before. A profile is those settings and no more: it is
not the product's code, and has none of its bugs. Add them as `quirks`.
";

/// All profiles with their settings and sources, in Markdown: `docs/profiles.md`.
#[must_use]
pub fn to_markdown() -> String {
    let mut text = PAGE_HEADER.to_owned();
    for profile in &ALL {
        let side = if profile.side == QuirkSide::Broker { "broker" } else { "client" };
        let _ = write!(
            text,
            "\n## `{}`\n\n{}, for a {side}; read on {}.\n\n\
             | setting | the product's own | source |\n|---|---|---|\n",
            profile.name, profile.product, profile.date
        );
        for setting in profile.settings {
            let only = if setting.is_v5_only { " (5.0)" } else { "" };
            let _ = writeln!(
                text,
                "| `{}`{only} | {} | {} |",
                setting.scenario_line, setting.product_term, setting.source
            );
        }
        let _ = write!(text, "\n{}\n", profile.not_modelled);
    }
    text
}
