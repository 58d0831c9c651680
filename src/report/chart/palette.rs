//! The colours of all charts, and what else tells a QoS from another.
//!
//! A page may recolour a chart for a dark ground by attribute selectors such as
//! `svg.chart [fill="#1F2328"]`: charts use no other colours than these, as `fill` and `stroke`.

use crate::base::qos::QoS;

/// Text and axes.
pub const INK: &str = "#1F2328";
/// Text of the second rank, closed forms, hatches and the shade of faults.
pub const FAINT: &str = "#59636E";
/// The lines of the mesh.
pub const MESH: &str = "#D8DEE4";
/// What a chart is drawn on.
pub const GROUND: &str = "#FFFFFF";
/// QoS 0, 1 and 2.
pub const QOS: [&str; 3] = ["#4C72B0", "#DD8452", "#55A868"];
/// The layers of a stack, such as the types of packets: from dark to light and back, and apart
/// for the colour blind (after Paul Tol's muted scheme).
pub const LAYERS: [&str; 6] = ["#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499"];

/// How opaque a 95 % band is.
pub(super) const BAND: f64 = 0.18;
/// How opaque a layer's lighter tint is, which stands for resends.
pub(super) const TINT: f64 = 0.4;

/// The colour of a QoS.
#[must_use]
pub const fn qos(qos: QoS) -> &'static str {
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
