//! The colours of all charts, and the other marks that distinguish the QoS levels.
//!
//! A page may recolour a chart for a dark ground by attribute selectors such as
//! `svg.chart [fill="#1F2328"]`: charts use no other colours than these, as `fill` and `stroke`.

use plotters::style::RGBColor;

use qoslab_core::base::QoS;

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Secondary text, closed forms, hatches and the shade of faults.
pub(crate) const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// The lines of the grid.
pub(crate) const GRID: RGBColor = RGBColor(0xD8, 0xDE, 0xE4);
/// The background of a chart.
pub(crate) const BACKGROUND: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// QoS 0, 1 and 2.
pub(crate) const QOS: [RGBColor; 3] =
    [RGBColor(0x4C, 0x72, 0xB0), RGBColor(0xDD, 0x84, 0x52), RGBColor(0x55, 0xA8, 0x68)];
/// The layers of a stack, such as the types of packets: from dark to light and back, and apart
/// for the colour blind (after Paul Tol's muted scheme).
pub(crate) const LAYERS: [RGBColor; 7] = [
    RGBColor(0x33, 0x22, 0x88),
    RGBColor(0x88, 0xCC, 0xEE),
    RGBColor(0x11, 0x77, 0x33),
    RGBColor(0xDD, 0xCC, 0x77),
    RGBColor(0xCC, 0x66, 0x77),
    RGBColor(0xAA, 0x44, 0x99),
    RGBColor(0x99, 0x99, 0x33),
];

/// Lost or broken, in ladders.
pub(crate) const LOST: RGBColor = RGBColor(0xA8, 0x20, 0x1A);
/// Sent again, in ladders.
pub(crate) const RESENT: RGBColor = RGBColor(0xB8, 0x6E, 0x00);

/// The opacity of a 95 % band.
pub(super) const BAND: f64 = 0.18;
/// The opacity of a layer's lighter tint, which stands for resends.
pub(super) const TINT: f64 = 0.4;

/// A colour as SVG has it: `#4C72B0`.
#[must_use]
pub(crate) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The colour of a QoS.
#[must_use]
pub(crate) const fn qos(qos: QoS) -> RGBColor {
    QOS[qos.index()]
}

/// The dashes of a QoS's line; empty for a whole line.
pub(super) const fn dash(qos: QoS) -> &'static str {
    match qos {
        QoS::AtMostOnce => "2 4",
        QoS::AtLeastOnce => "9 4",
        QoS::ExactlyOnce => "",
    }
}
