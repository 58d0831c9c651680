//! The links of a scenario file, and the settings that they and their presets come to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostics;
use super::file::{LinkTable, OutageTable};
use super::texts::{Bytes, Duration, Every, Percent, Rate};
use super::transport;
use super::value::{Either, Given, Whole};
use super::words::DistributionWord;
use qoslab_core::base::draw::Chance;
use qoslab_core::base::time::Span;
use qoslab_core::network::presets;
use qoslab_core::network::settings::{
    DirectionSettings, Distribution, LinkSettings, LossModel, Outage, Reorder,
};

/// What one direction has of its own.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Direction {
    /// The delay, one way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Given<Either<Duration, DelayTable>>>,
    /// The share of packets lost, or what loses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Given<Either<Percent, LossTable>>>,
    /// The share of packets that arrive twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Given<Percent>>,
    /// The share of packets that are sent on at once and so overtake others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Given<Either<Percent, ReorderTable>>>,
    /// How fast bytes leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many packets may wait to leave; one more is dropped. Only with a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Given<Whole<1, 1_000_000_000>>>,
}

/// A delay that varies.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DelayTable {
    /// The mean.
    pub time: Duration,
    /// How far it strays.
    #[serde(default = "no_jitter")]
    pub jitter: Duration,
    /// How it strays.
    #[serde(default)]
    pub distribution: DistributionWord,
}

/// What loses packets in bursts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LossTable {
    /// Gilbert and Elliott's model, stepped by each packet.
    Gemodel(GemodelTable),
    /// Good and bad times, the same for every QoS.
    Burst(BurstTable),
}

/// netem's `loss gemodel`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GemodelTable {
    /// The chance to go from good to bad, at each packet.
    pub p: Percent,
    /// The chance to go from bad to good, at each packet.
    pub r: Percent,
    /// Loss while bad.
    #[serde(rename = "1-h", default = "all")]
    pub loss_bad: Percent,
    /// Loss while good.
    #[serde(rename = "1-k", default = "none")]
    pub loss_good: Percent,
}

/// Times of random length in which packets are lost.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BurstTable {
    /// The mean length of a good time.
    pub good: Duration,
    /// The mean length of a bad time.
    pub bad: Duration,
    /// Loss while bad.
    #[serde(default = "all")]
    pub loss: Percent,
    /// Loss while good.
    #[serde(default = "none")]
    pub loss_good: Percent,
}

/// netem's `reorder PERCENT gap N`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReorderTable {
    /// The share of those packets that may.
    pub percent: Percent,
    /// Only every so-manieth packet may.
    #[serde(default = "each")]
    pub gap: Whole<1, 1_000_000>,
}

const fn no_jitter() -> Duration {
    Duration(Span::ZERO)
}

const fn all() -> Percent {
    Percent(100.0)
}

const fn none() -> Percent {
    Percent(0.0)
}

const fn each() -> Whole<1, 1_000_000> {
    Whole(1)
}

/// What a link comes to; what is wrong with it goes to `errors`.
pub(super) fn settings(link: &LinkTable, errors: &mut Diagnostics) -> LinkSettings {
    let mut settings = preset(link, errors).unwrap_or_else(|| clean(Span::ZERO));
    let both = Direction {
        delay: link.delay.clone(),
        loss: link.loss.clone(),
        duplicate: link.duplicate.clone(),
        reorder: link.reorder.clone(),
        rate: link.rate,
        queue: link.queue.clone(),
    };
    for (way, own) in [(&mut settings.up, &link.up), (&mut settings.down, &link.down)] {
        apply(&both, way, errors);
        if let Some(own) = own {
            apply(&own.value, way, errors);
        }
        check_delay(way, link, errors);
        if way.rate.is_none() {
            way.queue = None;
            let queue = own.as_ref().and_then(|own| own.value.queue.as_ref());
            check_queue(queue, errors);
        }
    }
    if settings.up.rate.is_none() && settings.down.rate.is_none() {
        check_queue(link.queue.as_ref(), errors);
    }
    transport::apply(link, &mut settings, errors);
    if let Some(outage) = &link.outage {
        settings.outage = Some(Outage { every: outage.every.0, lasts: outage.lasts.0 });
    }
    settings
}

fn check_delay(way: &DirectionSettings, link: &LinkTable, errors: &mut Diagnostics) {
    if way.delay == Span::ZERO {
        let span = link.delay.as_ref().map_or(&link.between.span, |delay| &delay.span);
        errors
            .error(span, "a link needs a delay", "this one takes no time")
            .help(format!("add `delay = \"20ms\"` or a preset: {}", preset_names().join(", ")));
    }
}

fn check_queue(queue: Option<&Given<Whole<1, 1_000_000_000>>>, errors: &mut Diagnostics) {
    if let Some(queue) = queue {
        errors
            .error(&queue.span, "a queue needs a rate", "without one nothing ever waits")
            .help("add `rate = \"256kbit/s\"`, or leave the queue out");
    }
}

fn preset(link: &LinkTable, errors: &mut Diagnostics) -> Option<LinkSettings> {
    let name = link.preset.as_ref()?;
    let found = presets::by_name(&name.value);
    if found.is_none() {
        let title = format!("there is no preset `{}`", name.value);
        errors
            .error(&name.span, title, "not a known network")
            .suggest(&name.value, &preset_names());
    }
    // The link was refused just now: any delay keeps a second complaint away.
    found.or_else(|| Some(clean(Span::from_millis(1))))
}

fn preset_names() -> Vec<&'static str> {
    presets::ALL.iter().map(|(name, _)| *name).collect()
}

fn clean(delay: Span) -> LinkSettings {
    let way = DirectionSettings::clean(delay);
    LinkSettings::datagram(way.clone(), way)
}

/// Overrides in `way` what `own` names.
fn apply(own: &Direction, way: &mut DirectionSettings, errors: &mut Diagnostics) {
    if let Some(delay) = &own.delay {
        let (time, jitter, distribution) = match &delay.value {
            Either::Text(time) => (time.0, Span::ZERO, Distribution::default()),
            Either::Table(table) => (table.time.0, table.jitter.0, table.distribution.into()),
        };
        (way.delay, way.jitter, way.distribution) = (time, jitter, distribution);
    }
    if let Some(loss) = &own.loss {
        way.loss = loss_model(&loss.value);
        if let LossModel::Burst { good: Span::ZERO, .. }
        | LossModel::Burst { bad: Span::ZERO, .. } = way.loss
        {
            errors.error(&loss.span, "good and bad times must be longer than zero", "one is zero");
        }
    }
    if let Some(duplicate) = &own.duplicate {
        way.duplicate = Chance::from_share(duplicate.value.share());
    }
    if let Some(reorder) = &own.reorder {
        let (percent, gap) = match &reorder.value {
            Either::Text(percent) => (*percent, 1),
            Either::Table(table) => (table.percent, table.gap.0),
        };
        let chance = Chance::from_share(percent.share());
        way.reorder = chance.is_possible().then_some(Reorder { chance, gap });
    }
    if let Some(rate) = own.rate {
        way.rate = rate.0;
        if rate.0.is_none() {
            way.queue = None;
        }
    }
    if let Some(queue) = &own.queue {
        way.queue = Some(queue.value.0);
    }
}

/// The table that comes to these settings, with everything written out.
pub(super) fn written(settings: &LinkSettings, between: &Given<Vec<String>>) -> LinkTable {
    let own = transport::written(settings.transport);
    let tcp = own.tcp();
    let outage = settings
        .outage
        .map(|outage| OutageTable { every: Every(outage.every), lasts: Every(outage.lasts) });
    let up = written_way(&settings.up, tcp);
    let same = settings.up == settings.down;
    let both = if same { up.clone() } else { Direction::default() };
    LinkTable {
        between: between.clone(),
        transport: Given::assumed(own.word),
        preset: None,
        headers: Some(Bytes(own.headers)),
        mss: own.mss,
        tls: own.tls,
        rto_min: own.rto_min,
        user_timeout: own.user_timeout,
        nat_idle: own.nat_idle,
        delay: both.delay,
        loss: both.loss,
        duplicate: both.duplicate,
        reorder: both.reorder,
        rate: both.rate,
        queue: both.queue,
        up: (!same).then(|| Given::assumed(up)),
        down: (!same).then(|| Given::assumed(written_way(&settings.down, tcp))),
        outage,
    }
}

/// Over tcp nothing is said about what cannot happen there.
fn written_way(way: &DirectionSettings, tcp: bool) -> Direction {
    let delay = DelayTable {
        time: Duration(way.delay),
        jitter: Duration(way.jitter),
        distribution: way.distribution.into(),
    };
    let reorder = way.reorder.map_or(Either::Text(Percent(0.0)), |reorder| {
        Either::Table(ReorderTable { percent: percent(reorder.chance), gap: Whole(reorder.gap) })
    });
    Direction {
        delay: Some(Given::assumed(Either::Table(delay))),
        loss: Some(Given::assumed(written_loss(way.loss))),
        duplicate: (!tcp).then(|| Given::assumed(percent(way.duplicate))),
        reorder: (!tcp).then(|| Given::assumed(reorder)),
        rate: Some(Rate(way.rate)),
        queue: way.queue.map(|queue| Given::assumed(Whole(queue))),
    }
}

fn written_loss(loss: LossModel) -> Either<Percent, LossTable> {
    match loss {
        LossModel::Random(chance) => Either::Text(percent(chance)),
        LossModel::GilbertElliott { p, r, loss_bad, loss_good } => {
            Either::Table(LossTable::Gemodel(GemodelTable {
                p: percent(p),
                r: percent(r),
                loss_bad: percent(loss_bad),
                loss_good: percent(loss_good),
            }))
        }
        LossModel::Burst { good, bad, loss_bad, loss_good } => {
            Either::Table(LossTable::Burst(BurstTable {
                good: Duration(good),
                bad: Duration(bad),
                loss: percent(loss_bad),
                loss_good: percent(loss_good),
            }))
        }
    }
}

/// Percent are written to a millionth, a hundred times coarser than a chance is kept: rounding
/// gives back exactly what was read.
fn percent(chance: Chance) -> Percent {
    Percent((chance.share() * 1e8).round() / 1e6)
}

fn loss_model(loss: &Either<Percent, LossTable>) -> LossModel {
    let chance = |percent: Percent| Chance::from_share(percent.share());
    match loss {
        Either::Text(percent) => LossModel::Random(chance(*percent)),
        Either::Table(LossTable::Gemodel(model)) => LossModel::GilbertElliott {
            p: chance(model.p),
            r: chance(model.r),
            loss_bad: chance(model.loss_bad),
            loss_good: chance(model.loss_good),
        },
        Either::Table(LossTable::Burst(model)) => LossModel::Burst {
            good: model.good.0,
            bad: model.bad.0,
            loss_bad: chance(model.loss),
            loss_good: chance(model.loss_good),
        },
    }
}
