//! Radios of known kinds. `docs/radio.md` names the source of every number, and says which are
//! estimates: measure your own module on your own network, and set what differs.
//!
//! | preset | transmit | receive | wake-up | tail | paging | sleep |
//! |---|---|---|---|---|---|---|
//! | `lte-m` | 388.5 mW | 166.5 mW | 1.5 s, 70 mW | 10 s, 37 mW | 10 s, 4.8 mW | 10 µW |
//! | `nb-iot` | 545 mW | 90 mW | 1.47 s, 71 mW | 12 s, 113 mW | 10 s, 4.8 mW | 10 µW |
//! | `wifi` | 594 mW | 330 mW | 2 ms, 330 mW | 50 ms, 330 mW | none | 6.8 mW and beacons |
//! | `ble` | 19.2 mW | 18.8 mW | 1.5 ms, 18.8 mW | none | none | 9 µW and events |

use super::RadioSettings;
use crate::base::Span;

/// A named preset.
pub type RadioPreset = (&'static str, fn() -> RadioSettings);

/// Every preset by the name that scenarios use.
pub const ALL: [RadioPreset; 4] =
    [("lte-m", lte_m), ("nb-iot", nb_iot), ("wifi", wifi), ("ble", ble)];

/// The preset with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<RadioSettings> {
    ALL.iter().find(|(preset, _)| *preset == name).map(|(_, settings)| settings())
}

/// LTE Cat-M1: a module of the kind of Nordic's nRF9160 at 3.7 V and 23 dBm.
fn lte_m() -> RadioSettings {
    RadioSettings {
        transmit_nw: 388_500_000,
        receive_nw: 166_500_000,
        up: 180_000,
        down: 300_000,
        wake: Span::from_millis(1_500),
        wake_nw: 70_000_000,
        tail: Span::from_secs(10),
        tail_nw: 37_000_000,
        paging: Span::from_secs(10),
        paging_nw: 4_800_000,
        sleep_nw: 10_000,
        ..RadioSettings::default()
    }
}

/// NB-IoT in good coverage, without Release Assistance.
fn nb_iot() -> RadioSettings {
    RadioSettings {
        transmit_nw: 545_000_000,
        receive_nw: 90_000_000,
        up: 16_000,
        down: 24_000,
        wake: Span::from_millis(1_470),
        wake_nw: 71_000_000,
        tail: Span::from_secs(12),
        tail_nw: 113_000_000,
        paging: Span::from_secs(10),
        paging_nw: 4_800_000,
        sleep_nw: 10_000,
        ..RadioSettings::default()
    }
}

/// A Wi-Fi station in automatic light sleep, of the kind of Espressif's ESP32 at 3.3 V, that
/// listens to every third beacon (DTIM 3).
fn wifi() -> RadioSettings {
    RadioSettings {
        transmit_nw: 594_000_000,
        receive_nw: 330_000_000,
        up: 20_000_000,
        down: 20_000_000,
        wake: Span::from_millis(2),
        wake_nw: 330_000_000,
        tail: Span::from_millis(50),
        tail_nw: 330_000_000,
        sleep_nw: 6_800_000,
        listen_every: Span::from_nanos(307_200_000),
        listen: Span::from_nanos(1_300_000),
        ..RadioSettings::default()
    }
}

/// A connected Bluetooth Low Energy peripheral, of the kind of Nordic's nRF52840 at 3 V and
/// 0 dBm, with a connection event every second.
fn ble() -> RadioSettings {
    RadioSettings {
        transmit_nw: 19_200_000,
        receive_nw: 18_780_000,
        up: 700_000,
        down: 700_000,
        wake: Span::from_nanos(1_500_000),
        wake_nw: 18_780_000,
        sleep_nw: 9_000,
        listen_every: Span::from_secs(1),
        listen: Span::from_nanos(1_500_000),
        ..RadioSettings::default()
    }
}
