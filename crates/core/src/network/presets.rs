//! Links of known kinds, to start from.
//!
//! Delays and rates follow the public source named at each; losses, jitter and queues are
//! engineering estimates unless a source is named, for they depend on the place more than on the
//! technology. Measure your own network and set its numbers where you can. All are datagram links
//! with 28 bytes of IPv4 and UDP headers a packet; a scenario makes them TCP.
//!
//! | preset | delay one way | jitter | loss | rate up / down | queue |
//! |---|---|---|---|---|---|
//! | `lan` | 0.2 ms | 0.05 ms normal | none | 100 Mbit/s | 1000 |
//! | `wifi` | 3 ms | 3 ms pareto | 1 % | 20 Mbit/s | 250 |
//! | `lte` | 35 ms | 8 ms normal | 0.1 %, bursts of 0.5 s every 30 s | 12 Mbit/s | 500 |
//! | `nb-iot` | 800 ms | 400 ms pareto | 2 % | 16 / 24 kbit/s | 20 |
//! | `satellite` | 280 ms | 5 ms normal | 0.1 %, fades of 2 s every 5 min | 2 / 10 Mbit/s | 500 |
//! | `lora-like` | 0.1 s up, 1.1 s down | 25 ms normal | 8 % up, 12 % down | 1.76 kbit/s | 4 |
//!
//! `lte-field` and `nb-iot-field` are the same links over months and not over minutes, with what
//! ends a TCP connection there: an outage of 2.5 minutes every 6 hours on average, and a NAT that
//! forgets a connection that was idle for 30 minutes.

use super::settings::{
    DirectionSettings, Distribution, IntervalDistribution, LinkSettings, LossModel, OutageModel,
    Transport,
};
use crate::base::Span;
use crate::base::draw::Chance;

/// IPv4 without options (RFC 791) and UDP (RFC 768): 20 and 8 bytes.
pub const UDP_HEADERS: u32 = 28;

/// A named preset.
#[derive(Clone, Copy, Debug)]
pub struct LinkPreset {
    /// The name that scenarios use.
    pub name: &'static str,
    /// The link that it stands for.
    pub settings: fn() -> LinkSettings,
    /// Over TCP, the idle time after which a NAT on the way forgets a connection.
    pub nat_idle: Option<Span>,
}

/// Every preset.
pub const ALL: [LinkPreset; 8] = [
    preset("lan", lan),
    preset("wifi", wifi),
    preset("lte", lte),
    LinkPreset { nat_idle: Some(FIELD_NAT_IDLE), ..preset("lte-field", lte_field) },
    preset("nb-iot", nb_iot),
    LinkPreset { nat_idle: Some(FIELD_NAT_IDLE), ..preset("nb-iot-field", nb_iot_field) },
    preset("satellite", satellite),
    preset("lora-like", lora_like),
];

/// The NAT of the presets for the field. RFC 5382 asks for 124 minutes at least, and few keep to
/// it. Documented are 350 s (AWS NAT gateway), 1 h (Palo Alto PAN-OS, TCP session) and 6 h (Twilio
/// Super SIM); this is an estimate between them.
const FIELD_NAT_IDLE: Span = Span::from_secs(1_800);

/// The outages of the presets for the field: ten minutes a day, in four pieces. More than a fifth
/// of connections of nodes that did not move were away for longer each day (Baltrunas, Elmokashfi
/// and Kvalbein, "Measuring the Reliability of Mobile Broadband Networks", IMC 2014); the pieces
/// are an estimate.
pub const FIELD_OUTAGE: OutageModel = OutageModel {
    every: IntervalDistribution::Exponential(Span::from_secs(21_600)),
    lasts: IntervalDistribution::Exponential(Span::from_secs(150)),
};

const fn preset(name: &'static str, settings: fn() -> LinkSettings) -> LinkPreset {
    LinkPreset { name, settings, nat_idle: None }
}

/// The preset with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<LinkPreset> {
    ALL.into_iter().find(|preset| preset.name == name)
}

impl LinkSettings {
    /// A datagram link over UDP and IPv4, without outages.
    #[must_use]
    pub const fn datagram(up: DirectionSettings, down: DirectionSettings) -> Self {
        let transport = Transport::Datagram { headers: UDP_HEADERS };
        Self { transport, up, down, outage: None }
    }
}

impl DirectionSettings {
    /// A direction that only delays, always by as much.
    #[must_use]
    pub const fn delay_only(delay: Span) -> Self {
        Self {
            delay,
            jitter: Span::ZERO,
            distribution: Distribution::Uniform,
            loss: LossModel::Random(Chance::NEVER),
            duplicate: Chance::NEVER,
            reorder: None,
            rate: None,
            queue: None,
        }
    }
}

/// A wired local network: Fast Ethernet (100 Mbit/s, IEEE 802.3u) and Linux's usual transmit
/// queue of 1000 packets. The delay is an estimate of a switch and two hosts.
///
/// Effect: every QoS delivers everything once; the levels differ in packets and bytes only.
#[must_use]
pub fn lan() -> LinkSettings {
    let direction = DirectionSettings {
        jitter: micros(50),
        distribution: Distribution::Normal,
        rate: Some(100_000_000),
        queue: Some(1_000),
        ..DirectionSettings::delay_only(micros(200))
    };
    LinkSettings::datagram(direction.clone(), direction)
}

/// A busy Wi-Fi cell: all numbers are estimates. Retries in the radio hide most losses but make
/// the delay long-tailed, and now and then a lost 802.11 acknowledgement lets a frame through
/// twice.
///
/// Effect: QoS 0 loses about one message in a hundred on each hop; packets are reordered.
#[must_use]
pub fn wifi() -> LinkSettings {
    let direction = DirectionSettings {
        jitter: Span::from_millis(3),
        distribution: Distribution::Pareto,
        loss: LossModel::Random(Chance::from_share(0.01)),
        duplicate: Chance::from_share(0.001),
        rate: Some(20_000_000),
        queue: Some(250),
        ..DirectionSettings::delay_only(Span::from_millis(3))
    };
    LinkSettings::datagram(direction.clone(), direction)
}

/// LTE in motion: round trip and rate of `WebPageTest`'s profile "LTE" (12 Mbit/s each way, 70 ms).
/// Jitter and losses are estimates: short bursts as of a handover or a fade.
///
/// Effect: the mean loss is about 1.7 %, nearly all of it in bursts, so that a resend within half
/// a second is likely to be lost too.
#[must_use]
pub fn lte() -> LinkSettings {
    let direction = DirectionSettings {
        jitter: Span::from_millis(8),
        distribution: Distribution::Normal,
        loss: burst(Span::from_secs(30), Span::from_millis(500), 1.0, 0.001),
        rate: Some(12_000_000),
        queue: Some(500),
        ..DirectionSettings::delay_only(Span::from_millis(35))
    };
    LinkSettings::datagram(direction.clone(), direction)
}

/// [`lte`], with outages; the preset has a NAT too.
///
/// Effect: over TCP, QoS 0 loses what was written into a connection that had ended unseen.
#[must_use]
pub fn lte_field() -> LinkSettings {
    LinkSettings { outage: Some(FIELD_OUTAGE), ..lte() }
}

/// NB-IoT in fair coverage. Category NB1 is published with peaks of about 26 kbit/s down and 62
/// kbit/s up and latencies from 1.6 to 10 s; we take the lower end as the round trip, about the
/// peak rate down, and up a quarter of it, an estimate for a single tone. Loss and jitter are
/// estimates.
///
/// Effect: with a timer of 1 s most QoS 1 messages are sent twice though nothing was lost;
/// set the retry well above 2 s. Bytes cost time: 100 bytes take 50 ms to send.
#[must_use]
pub fn nb_iot() -> LinkSettings {
    let direction = |rate| DirectionSettings {
        jitter: Span::from_millis(400),
        distribution: Distribution::Pareto,
        loss: LossModel::Random(Chance::from_share(0.02)),
        rate: Some(rate),
        queue: Some(20),
        ..DirectionSettings::delay_only(Span::from_millis(800))
    };
    LinkSettings::datagram(direction(16_000), direction(24_000))
}

/// [`nb_iot`], with outages; the preset has a NAT too.
///
/// Effect: a device that reports once an hour finds its connection forgotten at each report. QoS 0
/// loses it; QoS 1 and 2 pay for a new connection.
#[must_use]
pub fn nb_iot_field() -> LinkSettings {
    LinkSettings { outage: Some(FIELD_OUTAGE), ..nb_iot() }
}

/// A geostationary satellite: RFC 2488 gives 239.6 to 279.0 ms for one hop up and down again, of
/// which we take the far end. Rates and losses are estimates: rain fades of seconds.
///
/// Effect: nothing is quick. QoS 1 takes 0.56 s to be acknowledged and QoS 2 1.12 s; a timer below
/// 0.6 s resends everything.
#[must_use]
pub fn satellite() -> LinkSettings {
    let direction = |rate| DirectionSettings {
        jitter: Span::from_millis(5),
        distribution: Distribution::Normal,
        loss: burst(Span::from_secs(300), Span::from_secs(2), 0.9, 0.001),
        rate: Some(rate),
        queue: Some(500),
        ..DirectionSettings::delay_only(Span::from_millis(280))
    };
    LinkSettings::datagram(direction(2_000_000), direction(10_000_000))
}

/// A link as slow as `LoRa` at spreading factor 9: 1,760 bit/s (data rate 3 of EU868 in the
/// `LoRaWAN` Regional Parameters), and a first receive window 1 s after an uplink
/// (`RECEIVE_DELAY1`), here a delay of the way down. Losses are estimates. Only *like* `LoRa`: duty
/// cycles, payload limits and receive windows are not simulated, and IP headers should not be sent
/// there.
///
/// Effect: a packet of 100 bytes takes 455 ms to send, and four waiting fill the queue; QoS 2's
/// four packets hurt.
#[must_use]
pub fn lora_like() -> LinkSettings {
    let direction = |delay, loss| DirectionSettings {
        jitter: Span::from_millis(25),
        distribution: Distribution::Normal,
        loss: LossModel::Random(Chance::from_share(loss)),
        rate: Some(1_760),
        queue: Some(4),
        ..DirectionSettings::delay_only(delay)
    };
    LinkSettings::datagram(
        direction(Span::from_millis(100), 0.08),
        direction(Span::from_millis(1_100), 0.12),
    )
}

const fn micros(micros: u64) -> Span {
    Span::from_nanos(micros * 1_000)
}

fn burst(good: Span, bad: Span, loss_bad: f64, loss_good: f64) -> LossModel {
    LossModel::Burst {
        good,
        bad,
        loss_bad: Chance::from_share(loss_bad),
        loss_good: Chance::from_share(loss_good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_found_by_its_exact_name() {
        for preset in ALL {
            let found = by_name(preset.name).expect("it is there");
            assert_eq!((found.settings)(), (preset.settings)());
        }
        assert!(by_name("LAN").is_none());
    }

    #[test]
    fn no_jitter_of_a_preset_is_cut_at_zero() {
        // It would make the mean delay longer than the manual says. Draw 0 is the least delay.
        for LinkPreset { name, settings, .. } in ALL {
            let LinkSettings { up, down, .. } = settings();
            for way in [up, down] {
                assert!(way.propagation_delay(0) > Span::ZERO, "{name}");
            }
        }
    }

    #[test]
    fn the_presets_for_the_field_are_away_for_ten_minutes_a_day() {
        for name in ["lte-field", "nb-iot-field"] {
            let preset = by_name(name).expect("it is there");
            let outage = (preset.settings)().outage.expect("the field has outages");
            let [every, lasts] = [outage.every, outage.lasts].map(|it| it.mean().as_secs_f64());
            // `every` counts from the end of one outage to the start of the next.
            let a_day = 86_400.0 / (every + lasts) * lasts;
            assert!((a_day / 600.0 - 1.0).abs() < 0.01, "{name}: {a_day} s a day");
            assert!(preset.nat_idle.is_some(), "{name}");
        }
    }
}
