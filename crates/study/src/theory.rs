//! Predictions of the closed forms for a point, wherever all that they assume holds.

use crate::bill::rate;
use crate::closed_form::{
    EndToEndExpectation, ExpectedLatency, HopModel, Qos2Delivery, predict_end_to_end,
};
use crate::scenario::Point;
use qoslab_core::base::{QoS, Span};
use qoslab_core::mqtt::{DeliverOn, HopSettings, IdPolicy, Quirks, RetryRule, topics};
use qoslab_core::network::{DirectionSettings, LinkSettings, LossModel, TcpSettings, Transport};
use qoslab_sim::{ClientSetup, PublisherSetup, Setup, SubscriptionSetup};

/// The prediction of theory for one published QoS, end to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Theory {
    /// The share of units delivered.
    pub delivered: f64,
    /// The share of units delivered more than once.
    pub duplicated: f64,
    /// Copies beyond the first, for each unit.
    pub extra_copies: f64,
    /// Packets for each message.
    pub packets: f64,
    /// The mean time to the first delivery in seconds, of what is delivered; `None` where only a
    /// bound is known.
    pub latency: Option<f64>,
    /// By which quantiles of that time are known: see [`Theory::quantile`].
    retry_delay: Option<RetryDelay>,
}

/// A delay, and retries of one hop; the other hop loses nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RetryDelay {
    delay: f64,
    /// The only hop that loses packets, if there is one and its sender repeats them.
    lossy_hop: Option<HopModel>,
}

impl Theory {
    /// The time in seconds within which a share of all units is delivered, infinite for never;
    /// `None` where no form is known.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let RetryDelay { delay, lossy_hop: retried } = self.retry_delay?;
        if share > self.delivered {
            return Some(f64::INFINITY);
        }
        let retries = retried.map_or(0.0, |hop| hop.latency_quantile(share) - hop.delay);
        Some(delay + retries)
    }
}

/// The prediction of theory for the messages of a point published with `qos`; `None` if anything is
/// not as it assumes, or nothing is published so.
///
/// Over datagrams it assumes constant delays, independent losses, no other faults, correct
/// endpoints that stay connected, a constant retry timer longer than the round trip without a
/// limit, windows that do not fill, and one subscription for each stream, with all streams alike.
/// Over TCP it knows the trivial case: nothing cuts connections, so nothing is lost or repeated.
#[must_use]
pub fn theory(point: &Point, qos: QoS) -> Option<Theory> {
    let setup = &*point.setup;
    if point.swarm.is_some()
        || !setup.faults.is_empty()
        || !setup.clients.iter().all(is_ideal_client)
    {
        return None;
    }
    if !has_no_quirks(&setup.broker.hop) || !setup.broker.denied_filters.is_empty() {
        return None;
    }
    let mut streams = setup.publishers.iter().filter(|stream| stream.qos == qos);
    let first = stream_theory(setup, streams.next()?)?;
    streams.all(|stream| stream_theory(setup, stream) == Some(first)).then_some(first)
}

/// Whether a client stays connected, keeps the rules and has a link without further faults.
fn is_ideal_client(client: &ClientSetup) -> bool {
    let settings = &client.settings;
    client.offline_periods.is_empty()
        && settings.keep_alive == Span::ZERO
        && !settings.on_demand
        && settings.will.is_none()
        && has_no_quirks(&settings.hop)
        && client.link.outage.is_none()
        && [&client.link.up, &client.link.down].into_iter().all(is_ideal_direction)
}

fn has_no_quirks(hop: &HopSettings) -> bool {
    hop.quirks == Quirks::NONE
}

/// Whether packets of a direction are lost independently or come after one and the same delay.
fn is_ideal_direction(direction: &DirectionSettings) -> bool {
    direction.jitter == Span::ZERO
        && !direction.duplicate.is_possible()
        && direction.reorder.is_none()
        && direction.rate.is_none()
        && matches!(direction.loss, LossModel::Random(_))
}

fn loss_share(direction: &DirectionSettings) -> f64 {
    match direction.loss {
        LossModel::Random(chance) => chance.share(),
        LossModel::GilbertElliott { .. } | LossModel::Burst { .. } => f64::NAN,
    }
}

fn stream_theory(setup: &Setup, stream: &PublisherSetup) -> Option<Theory> {
    if stream.retain || stream.is_will || stream.expiry.is_some() || stream.only_sequences.is_some()
    {
        return None;
    }
    let publisher = &setup.clients[stream.client.index()];
    let (subscriber, subscription) = only_subscription(setup, stream)?;
    let granted = subscription.request.qos.min(setup.broker.max_qos);
    if stream.qos > setup.broker.max_qos {
        return None;
    }
    match (publisher.link.transport, subscriber.link.transport) {
        (Transport::Datagram { .. }, Transport::Datagram { .. }) => {
            over_datagrams(setup, stream, publisher, subscriber, granted)
        }
        (Transport::Tcp(up), Transport::Tcp(down)) => {
            let lasts =
                never_gives_up(&up, &publisher.link) && never_gives_up(&down, &subscriber.link);
            let hops = [&publisher.settings.hop, &setup.broker.hop];
            let silent = hops.iter().all(|hop| hop.retry == RetryRule::Reconnect);
            (lasts && silent).then(|| over_tcp(stream.qos, granted))
        }
        _ => None,
    }
}

/// The one subscription, all the time, that a stream's messages are for.
fn only_subscription<'a>(
    setup: &'a Setup,
    stream: &PublisherSetup,
) -> Option<(&'a ClientSetup, &'a SubscriptionSetup)> {
    let all = setup.clients.iter().flat_map(|client| {
        client.subscriptions.iter().map(move |subscription| (client, subscription))
    });
    let mut matching = all.filter(|(_, subscription)| {
        let filter = &subscription.request.filter;
        topics::split_shared(filter).is_some() || topics::matches(filter, &stream.topic)
    });
    let (client, subscription) = matching.next()?;
    let is_plain = topics::split_shared(&subscription.request.filter).is_none()
        && subscription.from.is_none()
        && subscription.until.is_none()
        && !subscription.request.options.no_local;
    (is_plain && matching.next().is_none()).then_some((client, subscription))
}

fn over_datagrams(
    setup: &Setup,
    stream: &PublisherSetup,
    publisher: &ClientSetup,
    subscriber: &ClientSetup,
    granted: QoS,
) -> Option<Theory> {
    let onward = stream.qos.min(granted);
    let (up, down) = (&publisher.link, &subscriber.link);
    let first = hop(&up.up, &up.down, &publisher.settings.hop, &setup.broker.hop, stream.qos)?;
    let second = hop(&down.down, &down.up, &setup.broker.hop, &subscriber.settings.hop, onward)?;
    let expected = predict_end_to_end(&first, &second, stream.qos, granted);
    // Each window must take what its node may have in flight.
    let own = setup.publishers.iter().filter(|other| other.client == stream.client);
    let own: f64 = own.map(rate).sum();
    let all: f64 = setup.publishers.iter().map(rate).sum();
    let forwarded = all * first.predict(stream.qos).copies.max(1.0);
    let window = |hop: &HopSettings, receiver: u16| hop.max_inflight.min(receiver);
    let sender = window(&publisher.settings.hop, setup.broker.limits.receive_maximum);
    let broker = window(&setup.broker.hop, subscriber.settings.limits.receive_maximum);
    let fits = never_fills(sender, own * first.predict(stream.qos).completion)
        && never_fills(broker, forwarded * second.predict(onward).completion);
    fits.then(|| to_theory(&first, &second, &expected, stream.qos, onward))
}

/// One hop by the settings of its two ends; `None` if its timer is not the oracle's. QoS 0 needs
/// none.
fn hop(
    forward: &DirectionSettings,
    back: &DirectionSettings,
    sender: &HopSettings,
    receiver: &HopSettings,
    qos: QoS,
) -> Option<HopModel> {
    let delay = forward.delay.as_secs_f64();
    let retry = match sender.retry {
        _ if qos == QoS::AtMostOnce => f64::INFINITY,
        RetryRule::Timer(timer) if timer.backoff <= 1.0 && timer.max_transmissions.is_none() => {
            timer.every.as_secs_f64()
        }
        RetryRule::Timer(_) | RetryRule::Reconnect => return None,
    };
    let method = match receiver.deliver_on {
        DeliverOn::Publish => Qos2Delivery::OnPublish,
        DeliverOn::Release => Qos2Delivery::OnPubrel,
    };
    let is_known = qos == QoS::AtMostOnce
        || (retry > delay + back.delay.as_secs_f64()
            && forward.delay == back.delay
            && sender.ids == IdPolicy::Cyclic);
    let (loss, answer_loss) = (loss_share(forward), loss_share(back));
    let gets_through = qos == QoS::AtMostOnce || (loss < 1.0 && answer_loss < 1.0);
    let hop = HopModel {
        loss,
        answer_loss,
        delay,
        retry_interval: retry,
        max_transmissions: None,
        qos2_delivery: method,
    };
    (is_known && gets_through).then_some(hop)
}

/// Whether a window takes a Poisson number of messages with this mean, but for one time in a
/// thousand million.
fn never_fills(window: u16, mean: f64) -> bool {
    f64::from(window) >= mean + 6.0 * mean.sqrt() + 8.0
}

fn to_theory(
    first: &HopModel,
    second: &HopModel,
    expected: &EndToEndExpectation,
    qos: QoS,
    onward: QoS,
) -> Theory {
    Theory {
        delivered: expected.delivered,
        duplicated: duplicated(first, second, qos, onward),
        extra_copies: expected.duplicates,
        packets: expected.packets(),
        latency: match expected.latency {
            ExpectedLatency::Exact(seconds) => Some(seconds),
            ExpectedLatency::AtMost(_) | ExpectedLatency::Unknown => None,
        },
        retry_delay: retry_delay(first, second, qos),
    }
}

/// The share of units that come more than once, with unlimited transmissions: all that come but
/// those that come exactly once. The first hop makes `c` copies with probability `(1-q) q^(c-1)`;
/// of those forwarded at QoS 0 each comes with probability `d`, so one alone does in the share
/// `(1-q) d / (1 - q (1-d))^2`, and any in `d / (1 - q (1-d))`.
fn duplicated(first: &HopModel, second: &HopModel, qos: QoS, onward: QoS) -> f64 {
    let (q, onward_q) = (first.answer_loss, second.answer_loss);
    match (qos, onward) {
        (QoS::AtMostOnce, _) | (QoS::ExactlyOnce, QoS::AtMostOnce | QoS::ExactlyOnce) => 0.0,
        (QoS::ExactlyOnce, QoS::AtLeastOnce) => onward_q,
        (QoS::AtLeastOnce, QoS::AtMostOnce) => {
            let (d, rest) = (1.0 - second.loss, 1.0 - q * second.loss);
            d / rest - (1.0 - q) * d / (rest * rest)
        }
        (QoS::AtLeastOnce, _) => 1.0 - (1.0 - q) * (1.0 - onward_q),
    }
}

/// How long deliveries take, where at most one hop makes them wait and no copy overtakes another.
fn retry_delay(first: &HopModel, second: &HopModel, qos: QoS) -> Option<RetryDelay> {
    let delay = first.delay + second.delay;
    let is_clean = |hop: &HopModel| hop.loss == 0.0 && hop.answer_loss == 0.0;
    let is_at_once = |hop: &HopModel| hop.qos2_delivery == Qos2Delivery::OnPublish;
    let retried = match (is_clean(first), is_clean(second)) {
        _ if qos == QoS::AtMostOnce => None,
        _ if !(is_at_once(first) && is_at_once(second)) || second.retry_interval.is_infinite() => {
            return None;
        }
        (true, true) => None,
        (false, true) => Some(*first),
        (true, false) => Some(*second),
        (false, false) => return None,
    };
    Some(RetryDelay { delay, lossy_hop: retried })
}

/// Whether a connection gives up a segment less than one time in a thousand million: it tries
/// again after the shortest timeout at least, and then twice as long each time.
fn never_gives_up(tcp: &TcpSettings, link: &LinkSettings) -> bool {
    let loss = loss_share(&link.up).max(loss_share(&link.down));
    let round_trip = link.up.delay.as_secs_f64() + link.down.delay.as_secs_f64();
    let mut timeout = tcp.rto_min.as_secs_f64().max(round_trip * 3.0).max(1e-3);
    let (mut waited, mut all_lost) = (0.0, 1.0);
    while waited < tcp.user_timeout.as_secs_f64() && all_lost > 0.0 {
        all_lost *= loss;
        waited += timeout;
        timeout *= 2.0;
    }
    tcp.nat_idle.is_none() && all_lost < 1e-9
}

/// Nothing is lost or repeated: each hop has its handshake's packets once.
fn over_tcp(qos: QoS, granted: QoS) -> Theory {
    let packets = |qos: QoS| [1.0, 2.0, 4.0][qos.index()];
    Theory {
        delivered: 1.0,
        duplicated: 0.0,
        extra_copies: 0.0,
        packets: packets(qos) + packets(qos.min(granted)),
        latency: None,
        retry_delay: None,
    }
}

#[cfg(test)]
mod tests;
