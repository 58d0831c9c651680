//! From a file that was found right to the points of its axes.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::diagnostic::Diagnostics;
use super::file::{ExpectTable, File, SeedsTable};
use super::nodes::{self, Nodes};
use super::show;
use super::trial::{JudgeSettings, Setup};
use super::value::{Given, Levels};
use super::{MODEL, Point};
use crate::base::qos::QoS;
use crate::mqtt::quirks::Quirks;
use crate::mqtt::settings::{BrokerSettings, HopSettings, Limits, Store};

/// After so many events a trial is stopped, whatever it is doing.
const MAX_EVENTS: u64 = 1_000_000_000;

/// All points in their fixed order: by published QoS, then by the QoS asked for.
pub(super) fn points(file: &File, nodes: &Nodes, errors: &mut Diagnostics) -> Vec<Point> {
    let base = Setup {
        broker: broker(file, errors),
        broker_store: Store::Durable,
        clients: nodes.clients.clone(),
        streams: nodes.streams.clone(),
        faults: Vec::new(),
        deadline: file.deadline.value.0,
        max_events: MAX_EVENTS,
        wire: false,
        judge: JudgeSettings {
            order: file.expect.order,
            allow_queue_overflow: !file.expect.allow.is_empty(),
        },
    };
    let published = axis(&nodes.published.iter().collect::<Vec<_>>());
    let granted = axis(&nodes.granted.iter().flatten().collect::<Vec<_>>());
    let mut points = Vec::new();
    for &publish in &published {
        for &grant in &granted {
            let mut setup = base.clone();
            for (stream, levels) in setup.streams.iter_mut().zip(&nodes.published) {
                stream.qos = chosen(levels, publish);
            }
            for (client, levels) in setup.clients.iter_mut().zip(&nodes.granted) {
                for (subscription, levels) in client.subscriptions.iter_mut().zip(levels) {
                    subscription.request.qos = chosen(levels, grant);
                }
            }
            let content = content(file, publish, grant);
            let published = publish.or_else(|| shared(&setup));
            points.push(Point { published, granted: grant, setup: Arc::new(setup), content });
        }
    }
    points
}

/// The values of an axis; one without a value if there is none.
fn axis(all: &[&Levels]) -> Vec<Option<QoS>> {
    let list = all.iter().find_map(|levels| match levels {
        Levels::Axis(list) => Some(list),
        Levels::One(_) => None,
    });
    list.map_or_else(|| vec![None], |list| list.iter().map(|qos| Some(*qos)).collect())
}

fn chosen(levels: &Levels, point: Option<QoS>) -> QoS {
    match levels {
        Levels::One(qos) => *qos,
        Levels::Axis(list) => point.unwrap_or(list[0]),
    }
}

/// The QoS that all streams publish with.
fn shared(setup: &Setup) -> Option<QoS> {
    let first = setup.streams.first()?.qos;
    setup.streams.iter().all(|stream| stream.qos == first).then_some(first)
}

fn broker(file: &File, errors: &mut Diagnostics) -> BrokerSettings {
    let table = &file.broker;
    BrokerSettings {
        hop: HopSettings {
            retry: nodes::retry(&table.retry, errors),
            ids: table.ids.into(),
            max_inflight: u16::try_from(table.max_inflight.0).unwrap_or(u16::MAX),
            max_queued: table.max_queued.0,
            on_full: table.on_full.into(),
            queue_qos0: table.queue_qos0,
            deliver_on: table.deliver_on.into(),
            repeated_pubrec: table.repeated_pubrec.into(),
            quirks: Quirks::NONE,
        },
        max_qos: QoS::ALL[table.max_qos.0.min(2) as usize],
        datagram: true,
        limits: Limits::NONE,
        deny: Vec::new(),
    }
}

/// A hash of what decides a trial, besides its seed: the file with every default written out and
/// the point's levels in place of the axes, without what is only said about it. So renaming a
/// scenario, raising its seeds or narrowing an axis leaves the names of its trials alone.
fn content(file: &File, published: Option<QoS>, granted: Option<QoS>) -> u64 {
    let mut file = file.clone();
    file.name = Given::default();
    file.about = String::new();
    file.seeds = SeedsTable::default();
    file.expect = ExpectTable::default();
    for client in &mut file.client {
        for publish in &mut client.value.publish {
            let levels = &mut publish.value.qos.value;
            *levels = Levels::One(chosen(levels, published));
        }
        for subscribe in &mut client.value.subscribe {
            let levels = &mut subscribe.value.qos.value;
            *levels = Levels::One(chosen(levels, granted));
        }
    }
    xxh3_64(format!("model {MODEL}\n{}", show::show(&file)).as_bytes())
}
