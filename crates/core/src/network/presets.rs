//! Links of known kinds, to start from.
//!
//! Delays and rates follow the public source named at each; losses, jitter and queues are
//! engineering estimates unless a source is named, for they depend on the place more than on the
//! technology. Measure your own network and set its numbers where you can. All are datagram links
//! with 28 bytes of IPv4 and UDP headers a packet.
//!
//! | preset | delay one way | jitter | loss | rate up / down | queue |
//! |---|---|---|---|---|---|
//! | `lan` | 0.2 ms | 0.05 ms normal | none | 100 Mbit/s | 1000 |
//! | `wifi` | 3 ms | 3 ms pareto | 1 % | 20 Mbit/s | 250 |
//! | `lte` | 35 ms | 8 ms normal | 0.1 %, bursts of 0.5 s every 30 s | 12 Mbit/s | 500 |
//! | `nb-iot` | 800 ms | 400 ms pareto | 2 % | 16 / 24 kbit/s | 20 |
//! | `satellite` | 280 ms | 5 ms normal | 0.1 %, fades of 2 s every 5 min | 2 / 10 Mbit/s | 500 |
//! | `lora-like` | 0.1 s up, 1.1 s down | 25 ms normal | 8 % up, 12 % down | 1.76 kbit/s | 4 |

use super::settings::{DirectionSettings, Distribution, LinkSettings, LossModel, Transport};
use crate::base::Span;
use crate::base::draw::Chance;

/// IPv4 without options (RFC 791) and UDP (RFC 768): 20 and 8 bytes.
pub const UDP_HEADERS: u32 = 28;

/// A named preset.
pub type LinkPreset = (&'static str, fn() -> LinkSettings);

/// Every preset by the name that scenarios use.
pub const ALL: [LinkPreset; 6] = [
    ("lan", lan),
    ("wifi", wifi),
    ("lte", lte),
    ("nb-iot", nb_iot),
    ("satellite", satellite),
    ("lora-like", lora_like),
];

/// The preset with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<LinkSettings> {
    ALL.iter().find(|(preset, _)| *preset == name).map(|(_, settings)| settings())
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
        for (name, settings) in ALL {
            assert_eq!(by_name(name), Some(settings()));
        }
        assert_eq!(by_name("LAN"), None);
    }

    #[test]
    fn no_jitter_of_a_preset_is_cut_at_zero() {
        // It would make the mean delay longer than the manual says. Draw 0 is the least delay.
        for (name, settings) in ALL {
            let LinkSettings { up, down, .. } = settings();
            for way in [up, down] {
                assert!(way.propagation_delay(0) > Span::ZERO, "{name}");
            }
        }
    }
}
