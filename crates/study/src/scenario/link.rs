//! The links of a scenario file, and the settings that they and their presets come to.

#[cfg(feature = "studies")]
use schemars::JsonSchema;
use serde::Serialize;

use super::diagnostic::Diagnostics;
use super::file::{LinkTable, OutageTable};
use super::from_toml::{FromToml, read_entry, read_table};
use super::keywords::DistributionKeyword;
use super::quantities::{Bytes, Duration, IntervalValue, Percent, Rate};
use super::transport;
use super::value::{BoundedInt, Located, TextOrTable};
use qoslab_core::base::Span;
use qoslab_core::base::draw::Chance;
use qoslab_core::network::presets::{self, LinkPreset};
use qoslab_core::network::{
    DirectionSettings, Distribution, LinkSettings, LossModel, OutageModel, ReorderRule,
};

/// What one direction has of its own.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct DirectionTable {
    /// The delay, one way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Located<TextOrTable<Duration, DelayTable>>>,
    /// The share of packets lost, or what loses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Located<TextOrTable<Percent, LossTable>>>,
    /// The share of packets that arrive twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Located<Percent>>,
    /// The share of packets that are sent on at once and so overtake others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Located<TextOrTable<Percent, ReorderTable>>>,
    /// How fast bytes leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many packets may wait to leave; one more is dropped. Only with a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Located<BoundedInt<1, 1_000_000_000>>>,
}
read_table!(DirectionTable or default { delay or "'1s'", loss, duplicate, reorder, rate, queue });

/// A delay that varies.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct DelayTable {
    /// The mean.
    pub time: Duration,
    /// How far it strays.
    #[serde(default = "default_jitter")]
    pub jitter: Duration,
    /// How it strays.
    #[serde(default)]
    pub distribution: DistributionKeyword,
}
read_table!(DelayTable {
    time or "'1s'", jitter = default_jitter(), distribution = DistributionKeyword::default(),
});

/// What loses packets in bursts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum LossTable {
    /// Gilbert and Elliott's model, stepped by each packet.
    Gemodel(GemodelTable),
    /// Good and bad times, the same for every QoS.
    Burst(BurstTable),
}
read_entry!(LossTable { "gemodel" => Gemodel, "burst" => Burst });

/// netem's `loss gemodel`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct GemodelTable {
    /// The chance to go from good to bad, at each packet.
    pub p: Percent,
    /// The chance to go from bad to good, at each packet.
    pub r: Percent,
    /// Loss while bad.
    #[serde(rename = "1-h", default = "default_loss_bad")]
    pub loss_bad: Percent,
    /// Loss while good.
    #[serde(rename = "1-k", default = "default_loss_good")]
    pub loss_good: Percent,
}
read_table!(GemodelTable {
    p or "'1%'", r or "'1%'", loss_bad as "1-h" = default_loss_bad(),
    loss_good as "1-k" = default_loss_good(),
});

/// Times of random length in which packets are lost.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct BurstTable {
    /// The mean length of a good time.
    pub good: Duration,
    /// The mean length of a bad time.
    pub bad: Duration,
    /// Loss while bad.
    #[serde(default = "default_loss_bad")]
    pub loss: Percent,
    /// Loss while good.
    #[serde(default = "default_loss_good")]
    pub loss_good: Percent,
}
read_table!(BurstTable {
    good or "'1s'", bad or "'1s'", loss = default_loss_bad(), loss_good = default_loss_good(),
});

/// netem's `reorder PERCENT gap N`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "studies", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ReorderTable {
    /// The share of those packets that may.
    pub percent: Percent,
    /// Only every so-manieth packet may.
    #[serde(default = "default_gap")]
    pub gap: BoundedInt<1, 1_000_000>,
}
read_table!(ReorderTable { percent, gap = default_gap() });

const fn default_jitter() -> Duration {
    Duration(Span::ZERO)
}

const fn default_loss_bad() -> Percent {
    Percent(100.0)
}

const fn default_loss_good() -> Percent {
    Percent(0.0)
}

const fn default_gap() -> BoundedInt<1, 1_000_000> {
    BoundedInt(1)
}

/// What a link comes to; what is wrong with it goes to `errors`.
pub(super) fn link_settings(link: &LinkTable, errors: &mut Diagnostics) -> LinkSettings {
    let preset = find_preset(link, errors);
    let mut settings = match preset {
        Some(preset) => (preset.settings)(),
        // A link whose preset is unknown is refused as it is: any delay keeps a second complaint
        // away.
        None if link.preset.is_some() => lossless_link(Span::from_millis(1)),
        None => lossless_link(Span::ZERO),
    };
    let both = DirectionTable {
        delay: link.delay.clone(),
        loss: link.loss.clone(),
        duplicate: link.duplicate.clone(),
        reorder: link.reorder.clone(),
        rate: link.rate,
        queue: link.queue.clone(),
    };
    for (way, own) in [(&mut settings.up, &link.up), (&mut settings.down, &link.down)] {
        apply_direction(&both, way, errors);
        if let Some(own) = own {
            apply_direction(&own.value, way, errors);
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
    transport::apply_transport(link, preset.and_then(|it| it.nat_idle), &mut settings, errors);
    if let Some(outage) = &link.outage {
        settings.outage = Some(OutageModel { every: outage.every.0, lasts: outage.lasts.0 });
    }
    settings
}

fn check_delay(direction: &DirectionSettings, link: &LinkTable, errors: &mut Diagnostics) {
    if direction.delay == Span::ZERO {
        let span = link.delay.as_ref().map_or(&link.between.span, |delay| &delay.span);
        errors
            .error(span, "a link needs a delay", "this one takes no time")
            .help(format!("add `delay = \"20ms\"` or a preset: {}", preset_names().join(", ")));
    }
}

fn check_queue(queue: Option<&Located<BoundedInt<1, 1_000_000_000>>>, errors: &mut Diagnostics) {
    if let Some(queue) = queue {
        errors
            .error(&queue.span, "a queue needs a rate", "without one nothing ever waits")
            .help("add `rate = \"256kbit/s\"`, or leave the queue out");
    }
}

fn find_preset(link: &LinkTable, errors: &mut Diagnostics) -> Option<LinkPreset> {
    let name = link.preset.as_ref()?;
    let found = presets::by_name(&name.value);
    if found.is_none() {
        let title = format!("there is no preset `{}`", name.value);
        errors
            .error(&name.span, title, "not a known network")
            .suggest_name(&name.value, &preset_names());
    }
    found
}

fn preset_names() -> Vec<&'static str> {
    presets::ALL.iter().map(|preset| preset.name).collect()
}

fn lossless_link(delay: Span) -> LinkSettings {
    let way = DirectionSettings::delay_only(delay);
    LinkSettings::datagram(way.clone(), way)
}

/// Overrides in `direction` what `fields` names.
fn apply_direction(
    own: &DirectionTable,
    direction: &mut DirectionSettings,
    errors: &mut Diagnostics,
) {
    if let Some(delay) = &own.delay {
        let (time, jitter, distribution) = match &delay.value {
            TextOrTable::Text(time) => (time.0, Span::ZERO, Distribution::default()),
            TextOrTable::Table(table) => (table.time.0, table.jitter.0, table.distribution.into()),
        };
        (direction.delay, direction.jitter, direction.distribution) = (time, jitter, distribution);
    }
    if let Some(loss) = &own.loss {
        direction.loss = loss_model(&loss.value);
        if let LossModel::Burst { good: Span::ZERO, .. }
        | LossModel::Burst { bad: Span::ZERO, .. } = direction.loss
        {
            errors.error(&loss.span, "good and bad times must be longer than zero", "one is zero");
        }
    }
    if let Some(duplicate) = &own.duplicate {
        direction.duplicate = Chance::from_share(duplicate.value.share());
    }
    if let Some(reorder) = &own.reorder {
        let (percent, gap) = match &reorder.value {
            TextOrTable::Text(percent) => (*percent, 1),
            TextOrTable::Table(table) => (table.percent, table.gap.0),
        };
        let chance = Chance::from_share(percent.share());
        direction.reorder = chance.is_possible().then_some(ReorderRule { chance, gap });
    }
    if let Some(rate) = own.rate {
        direction.rate = rate.0;
        if rate.0.is_none() {
            direction.queue = None;
        }
    }
    if let Some(queue) = &own.queue {
        direction.queue = Some(queue.value.0);
    }
}

/// The table that comes to these settings, with everything written out.
pub(super) fn link_table(settings: &LinkSettings, between: &Located<Vec<String>>) -> LinkTable {
    let fields = transport::transport_fields(settings.transport);
    let tcp = fields.is_tcp();
    let outage = settings.outage.map(|outage| OutageTable {
        every: IntervalValue(outage.every),
        lasts: IntervalValue(outage.lasts),
    });
    let up = direction_table(&settings.up, tcp);
    let same = settings.up == settings.down;
    let both = if same { up.clone() } else { DirectionTable::default() };
    LinkTable {
        between: between.clone(),
        transport: Located::from_default(fields.keyword),
        preset: None,
        headers: Some(Bytes(fields.headers)),
        mss: fields.mss,
        tls: fields.tls,
        rto_min: fields.rto_min,
        user_timeout: fields.user_timeout,
        nat_idle: fields.nat_idle,
        congestion: fields.congestion,
        delay: both.delay,
        loss: both.loss,
        duplicate: both.duplicate,
        reorder: both.reorder,
        rate: both.rate,
        queue: both.queue,
        up: (!same).then(|| Located::from_default(up)),
        down: (!same).then(|| Located::from_default(direction_table(&settings.down, tcp))),
        outage,
        price: None,
    }
}

/// Over tcp nothing is said about what cannot happen there.
fn direction_table(direction: &DirectionSettings, tcp: bool) -> DirectionTable {
    let delay = DelayTable {
        time: Duration(direction.delay),
        jitter: Duration(direction.jitter),
        distribution: direction.distribution.into(),
    };
    let reorder = direction.reorder.map_or(TextOrTable::Text(Percent(0.0)), |reorder| {
        TextOrTable::Table(ReorderTable {
            percent: to_percent(reorder.chance),
            gap: BoundedInt(reorder.gap),
        })
    });
    DirectionTable {
        delay: Some(Located::from_default(TextOrTable::Table(delay))),
        loss: Some(Located::from_default(loss_table(direction.loss))),
        duplicate: (!tcp).then(|| Located::from_default(to_percent(direction.duplicate))),
        reorder: (!tcp).then(|| Located::from_default(reorder)),
        rate: Some(Rate(direction.rate)),
        queue: direction.queue.map(|queue| Located::from_default(BoundedInt(queue))),
    }
}

fn loss_table(loss: LossModel) -> TextOrTable<Percent, LossTable> {
    match loss {
        LossModel::Random(chance) => TextOrTable::Text(to_percent(chance)),
        LossModel::GilbertElliott { p, r, loss_bad, loss_good } => {
            TextOrTable::Table(LossTable::Gemodel(GemodelTable {
                p: to_percent(p),
                r: to_percent(r),
                loss_bad: to_percent(loss_bad),
                loss_good: to_percent(loss_good),
            }))
        }
        LossModel::Burst { good, bad, loss_bad, loss_good } => {
            TextOrTable::Table(LossTable::Burst(BurstTable {
                good: Duration(good),
                bad: Duration(bad),
                loss: to_percent(loss_bad),
                loss_good: to_percent(loss_good),
            }))
        }
    }
}

/// Percent are written to a millionth, a hundred times coarser than a chance is kept: rounding
/// gives back exactly what was read.
fn to_percent(chance: Chance) -> Percent {
    Percent((chance.share() * 1e8).round() / 1e6)
}

fn loss_model(loss: &TextOrTable<Percent, LossTable>) -> LossModel {
    let chance = |percent: Percent| Chance::from_share(percent.share());
    match loss {
        TextOrTable::Text(percent) => LossModel::Random(chance(*percent)),
        TextOrTable::Table(LossTable::Gemodel(model)) => LossModel::GilbertElliott {
            p: chance(model.p),
            r: chance(model.r),
            loss_bad: chance(model.loss_bad),
            loss_good: chance(model.loss_good),
        },
        TextOrTable::Table(LossTable::Burst(model)) => LossModel::Burst {
            good: model.good.0,
            bad: model.bad.0,
            loss_bad: chance(model.loss),
            loss_good: chance(model.loss_good),
        },
    }
}
