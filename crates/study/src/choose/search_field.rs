//! The fields along which it is looked for a change of the choice, and the values to try.

use super::crossovers::{CrossoverUnit, SearchMethod};
use crate::scenario::{LossField, Scenario, Setting};
use crate::sweep::Study;
use qoslab_core::network::presets::FIELD_OUTAGE;
use qoslab_core::network::{SocketBuffer, Transport};

/// The greatest number of losses that are searched.
const MAX_LOSSES: usize = 2;
/// The loss up to which is searched, in percent.
const MAX_LOSS_PERCENT: f64 = 50.0;
/// Lengths of outages that are tried, in seconds.
const OUTAGE_SECONDS: [f64; 6] = [1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0];
/// After how many seconds without a packet a NAT forgets a connection, as far as it is tried. The
/// first stands for no NAT: RFC 5382 asks for two hours and four minutes.
const NAT_SECONDS: [f64; 6] = [7_440.0, 1_800.0, 600.0, 300.0, 120.0, 30.0];
/// Send buffers that are tried, in bytes: what Linux grows to, what it starts with, and down to
/// lwIP's two segments.
const SEND_BUFFERS: [f64; 5] = [4_194_304.0, 65_536.0, 16_384.0, 5_760.0, 2_920.0];
/// How many outages a run meets at least while it publishes.
const OUTAGES_A_RUN: f64 = 4.0;

/// A field that is searched.
#[derive(Clone, Debug)]
pub(super) struct SearchField {
    /// The field: `link.sensor.loss`.
    pub(super) path: String,
    /// What its values are.
    pub(super) unit: CrossoverUnit,
    /// The scenario's own value.
    pub(super) own: f64,
    kind: FieldKind,
}

#[derive(Clone, Debug)]
enum FieldKind {
    Loss,
    /// Outages come at random after this many seconds on average.
    Outage {
        link: String,
        every: f64,
    },
    NatIdle,
    /// The room of a publisher's socket.
    SendBuffer,
}

/// The fields to search: each loss that the scenario has, or its first link's; where nothing puts
/// delivery to the test, outages and a NAT on the first publisher's link, and its socket's room.
pub(super) fn search_fields(study: &Study, scenario: &Scenario) -> Vec<SearchField> {
    let is_varied = |path: &str| study.axes.iter().any(|axis| axis.path == path);
    if study.is_delivery_untested() {
        let link = scenario.publishing_links().into_iter().next();
        let fields = link.into_iter().flat_map(|link| breaks_of(scenario, &link));
        let fields = fields.chain(send_buffer_of(scenario));
        return fields.filter(|field| !is_varied(&field.path)).collect();
    }
    let losses = scenario.loss_fields().into_iter();
    let mut losses: Vec<LossField> = losses.filter(|loss| !is_varied(&loss.path)).collect();
    if losses.iter().any(|loss| loss.share > 0.0) {
        losses.retain(|loss| loss.share > 0.0);
        losses.truncate(MAX_LOSSES);
    } else {
        losses.truncate(1);
    }
    let field = |loss: LossField| SearchField {
        path: loss.path,
        unit: CrossoverUnit::Percent,
        own: loss.share * 100.0,
        kind: FieldKind::Loss,
    };
    losses.into_iter().map(field).collect()
}

/// What may end the connections of a link: outages, as often as in the presets for the field or
/// oftener, and a NAT.
fn breaks_of(scenario: &Scenario, link: &str) -> [SearchField; 2] {
    let publishers = scenario.points.iter().flat_map(|point| &point.setup.publishers);
    let spans = publishers.map(|it| f64::from(it.count) * it.every.mean().as_secs_f64());
    let in_the_field = FIELD_OUTAGE.every.mean().as_secs_f64();
    let every = (spans.fold(1.0, f64::max) / OUTAGES_A_RUN).min(in_the_field);
    [
        SearchField {
            path: format!("link.{link}.outage.lasts"),
            unit: CrossoverUnit::Seconds,
            own: 0.0,
            kind: FieldKind::Outage { link: link.to_owned(), every },
        },
        SearchField {
            path: format!("link.{link}.nat_idle"),
            unit: CrossoverUnit::Seconds,
            own: NAT_SECONDS[0],
            kind: FieldKind::NatIdle,
        },
    ]
}

/// The room of the first publisher's socket, down from what it has now.
fn send_buffer_of(scenario: &Scenario) -> Option<SearchField> {
    let client = scenario.publishing_clients().into_iter().next()?;
    let setup = &scenario.points.first()?.setup;
    let node = setup.publishers.iter().find(|stream| !stream.is_will)?.client;
    let Transport::Tcp(tcp) = setup.clients[node.index()].link.transport else { return None };
    let own = match tcp.client.send_buffer {
        SocketBuffer::Autotuned => SEND_BUFFERS[0],
        SocketBuffer::Bytes(bytes) => f64::from(bytes),
    };
    let path = format!("client.{client}.socket.send_buffer");
    Some(SearchField { path, unit: CrossoverUnit::Bytes, own, kind: FieldKind::SendBuffer })
}

impl SearchField {
    /// Whether it is a loss, which the closed forms know.
    pub(super) const fn is_loss(&self) -> bool {
        matches!(self.kind, FieldKind::Loss)
    }

    /// The mean time between the outages that are assumed, in seconds.
    pub(super) const fn outage_every(&self) -> Option<f64> {
        match self.kind {
            FieldKind::Outage { every, .. } => Some(every),
            _ => None,
        }
    }

    /// The scenario with another value; `None` if it cannot have it.
    pub(super) fn scenario_at(&self, scenario: &Scenario, value: f64) -> Option<Scenario> {
        let (path, value) = match &self.kind {
            FieldKind::Loss => (self.path.clone(), format!("{value:.6}%")),
            FieldKind::Outage { .. } if value <= 0.0 => return Some(scenario.clone()),
            FieldKind::Outage { link, every } => (
                format!("link.{link}.outage"),
                format!("{{ every = \"exp {every:.3}s\", lasts = \"{value:.3}s\" }}"),
            ),
            FieldKind::NatIdle => (self.path.clone(), format!("{value:.3}s")),
            // The scenario's own, whatever it grows to.
            FieldKind::SendBuffer if value >= self.own => return Some(scenario.clone()),
            FieldKind::SendBuffer => (self.path.clone(), format!("{value:.0}B")),
        };
        scenario.with_settings(&[Setting { path, value }]).ok()
    }

    /// The values to try, downwards and upwards from the own one, and how often the last step is
    /// halved.
    pub(super) fn steps(&self, method: SearchMethod) -> (Vec<f64>, Vec<f64>, usize) {
        let own = self.own;
        let most = MAX_LOSS_PERCENT.max(own);
        match (&self.kind, method) {
            (FieldKind::Outage { .. }, _) => (Vec::new(), OUTAGE_SECONDS.to_vec(), 3),
            (FieldKind::NatIdle, _) => (NAT_SECONDS[1..].to_vec(), Vec::new(), 3),
            (FieldKind::SendBuffer, _) => {
                let smaller = SEND_BUFFERS.into_iter().filter(|bytes| *bytes < own);
                (smaller.collect(), Vec::new(), 3)
            }
            (FieldKind::Loss, SearchMethod::ClosedForm) => {
                let way = |to: f64| {
                    (1..=25).map(|nth| own + (to - own) * f64::from(nth) / 25.0).collect::<Vec<_>>()
                };
                (if own > 0.0 { way(0.0) } else { Vec::new() }, way(most), 24)
            }
            (FieldKind::Loss, SearchMethod::Simulation { .. }) => {
                let first = if own > 0.0 { own } else { 1.0 };
                let up = [2.0, 5.0, 15.0].iter().map(|times| first * times);
                let up = up.filter(|loss| *loss < most).chain([most]).collect();
                let down = if own > 0.0 { vec![own / 3.0, 0.0] } else { Vec::new() };
                (down, up, 3)
            }
        }
    }
}
