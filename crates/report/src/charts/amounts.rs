//! Charts of what adds up: packets by type, and bytes by purpose.

use super::sentences::{self, at};
use super::series::{Series, Slice, Spot};
use crate::chart::axis::{Axis, Kind, Range};
use crate::chart::stacks::{self, Group, Layer, Stacks};
use crate::chart::{Chart, Words, palette};
use qoslab_guarantee::metrics::{MESSAGE_KINDS, Purposes};

pub(super) fn packets_by_type(slice: &Slice<'_>, series: &[Series<'_>]) -> Chart {
    let layers = MESSAGE_KINDS.iter().zip(palette::LAYERS).flat_map(|(kind, colour)| {
        let name = kind.label();
        [(name.to_owned(), false), (format!("{name} again"), true)].map(|(name, again)| Layer {
            name,
            colour,
            again,
        })
    });
    let groups = series.iter().map(|one| {
        let columns: Vec<_> = one.spots.iter().map(|spot| (spot.x, packets(spot))).collect();
        group(one.name.clone(), columns)
    });
    let most = series.iter().max_by(|one, other| again(one.last()).total_cmp(&again(other.last())));
    let finding = match most.map(|most| (most, again(most.last()))) {
        Some((most, resent)) if resent > 0.0 => {
            let all: f64 = packets(most.last()).iter().sum();
            let (resent, all) = (sentences::mean(resent), sentences::mean(all));
            format!("{resent} of {}'s {all} packets a message are sent again", most.name)
        }
        _ => "nothing is sent again: each type of packet has its own share".to_owned(),
    };
    let words = Words {
        id: "packets-by-type".into(),
        title: at(&slice.place_name(), &finding),
        caption: "Packets of each type for each message published, on all hops together, the mean \
                  over all seeds. The lighter tint is what was sent again."
            .to_owned(),
        ..Words::default()
    };
    chart(
        slice,
        words,
        "packets for each message",
        &layers.collect::<Vec<_>>(),
        &groups.collect::<Vec<_>>(),
    )
}

/// Packets a message: of each kind the first sendings, and then the resends.
fn packets(spot: &Spot<'_>) -> Vec<f64> {
    let rows = || spot.point.rows(spot.figures.published);
    let messages = float(spot.figures.totals.messages.max(1));
    let kinds = (0..MESSAGE_KINDS.len()).flat_map(|kind| {
        let hops = || rows().flat_map(|row| &row.traffic).map(|hop| hop[kind]);
        let first: u64 = hops().map(|count| count.first.packets).sum();
        let resent: u64 = hops().map(|count| count.resent.packets).sum();
        [first, resent]
    });
    kinds.map(|count| float(count) / messages).collect()
}

/// Packets a message that were sent again.
fn again(spot: &Spot<'_>) -> f64 {
    packets(spot).iter().skip(1).step_by(2).sum()
}

/// Wire bytes by purpose for each point; they belong to whole trials, so points of mixed QoS are
/// told as a whole. `None` if no trial has any.
pub(super) fn bytes(slice: &Slice<'_>) -> Option<Chart> {
    let mut labels: Vec<&str> = Vec::new();
    for point in slice.cells.iter().flat_map(|cell| &cell.result.points) {
        if !labels.contains(&point.label.as_str()) && point.purposes().is_some() {
            labels.push(&point.label);
        }
    }
    let groups: Vec<Group> = labels
        .iter()
        .map(|label| {
            let columns = slice.cells.iter().filter_map(|cell| {
                let point = cell.result.points.iter().find(|point| point.label == **label)?;
                let x = cell.values.first().map_or(0.0, |value| value.number);
                Some((x, point.purposes()?.to_vec()))
            });
            group(label.replacen("qos", "QoS", 1), columns.collect())
        })
        .collect();
    let last = |group: &Group| group.columns.last().map_or(0.0, |(_, it)| it.iter().sum::<f64>());
    groups.first()?;
    let said = groups
        .iter()
        .map(|group| format!("{}\u{a0}B with {}", sentences::mean(last(group)), group.label));
    let finding =
        format!("a message takes {} on the wire", sentences::row(&said.collect::<Vec<_>>()));
    let layers = Purposes::EACH.iter().zip(palette::LAYERS).map(|((name, ..), colour)| {
        let again = *name == "resends";
        Layer { name: name.replace('_', " "), colour, again }
    });
    let words = Words {
        id: "bytes".into(),
        title: at(&slice.place_name(), &finding),
        caption: "Wire bytes for each message published, on all hops together, with the headers \
                  of the transport: the mean over all seeds. Payload and framing are of first \
                  sendings; the payload counts on each hop."
            .to_owned(),
        ..Words::default()
    };
    Some(chart(slice, words, "bytes for each message", &layers.collect::<Vec<_>>(), &groups))
}

fn group(label: String, columns: Vec<(f64, Vec<f64>)>) -> Group {
    let total: f64 = columns.last().map_or(0.0, |(_, amounts)| amounts.iter().sum());
    Group { label, columns, text: sentences::mean(total) }
}

fn chart(
    slice: &Slice<'_>,
    words: Words,
    title: &str,
    layers: &[Layer],
    groups: &[Group],
) -> Chart {
    let sums = groups.iter().flat_map(|group| &group.columns).map(|(_, it)| it.iter().sum());
    let amount = Axis::covering(title, Kind::Plain, Range::FromZero, sums.collect::<Vec<f64>>());
    // What never happens has no place in the legend.
    let is_empty = |nth: usize| {
        groups.iter().flat_map(|group| &group.columns).all(|(_, amounts)| amounts[nth] <= 0.0)
    };
    let kept: Vec<usize> = (0..layers.len()).filter(|nth| !is_empty(*nth)).collect();
    let groups = groups.iter().map(|group| {
        let columns = group
            .columns
            .iter()
            .map(|(x, amounts)| (*x, kept.iter().map(|nth| amounts[*nth]).collect()));
        Group { columns: columns.collect(), ..group.clone() }
    });
    let groups: Vec<Group> = groups.collect();
    let layers: Vec<Layer> = kept.iter().map(|nth| layers[*nth].clone()).collect();
    let told = groups.iter().map(|group| {
        let last = group.columns.last().map(|(_, amounts)| amounts.as_slice()).unwrap_or_default();
        let named = layers.iter().zip(last).map(|(layer, it)| format!("{} {it:.2}", layer.name));
        format!("{}: {}. ", group.label, named.collect::<Vec<_>>().join(", "))
    });
    let alt = format!("{title}, {}. {}", slice.place_name(), told.collect::<String>());
    let words = Words { subtitle: slice.subtitle(), alt, ..words };
    stacks::draw(words, &Stacks { layers, x: slice.scale(), amount, groups })
}

#[expect(clippy::cast_precision_loss, reason = "display only")]
const fn float(count: u64) -> f64 {
    count as f64
}
