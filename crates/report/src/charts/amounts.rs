//! Charts of amounts that add up: packets by type, and bytes by purpose.

use super::findings::{self, sentence_at};
use super::series::{AxisSlice, Series, SeriesPoint};
use crate::chart::axis::{AxisRange, ChartAxis, NumberFormat};
use crate::chart::stacks::{self, Layer, StackGroup, Stacks};
use crate::chart::{Chart, ChartText, palette};
use qoslab_guarantee::{BytesByPurpose, MESSAGE_KINDS};
use qoslab_study::statistics::to_f64;

pub(super) fn packets_by_type(slice: &AxisSlice<'_>, series: &[Series<'_>]) -> Chart {
    let layers = MESSAGE_KINDS.iter().zip(palette::LAYERS).flat_map(|(kind, colour)| {
        let name = kind.label();
        [(name.to_owned(), false), (format!("{name} again"), true)].map(|(name, again)| Layer {
            name,
            colour,
            is_resend: again,
        })
    });
    let groups = series.iter().map(|one| {
        let columns: Vec<_> = one.points.iter().map(|spot| (spot.x, packet_counts(spot))).collect();
        stack_group(one.name.clone(), columns)
    });
    let most = series
        .iter()
        .max_by(|one, other| resent_packets(one.last()).total_cmp(&resent_packets(other.last())));
    let finding = match most.map(|most| (most, resent_packets(most.last()))) {
        Some((most, resent)) if resent > 0.0 => {
            let all: f64 = packet_counts(most.last()).iter().sum();
            let (resent, all) = (findings::format_mean(resent), findings::format_mean(all));
            format!("{resent} of {}'s {all} packets per message are sent again", most.name)
        }
        _ => "nothing is sent again: each type of packet has its own share".to_owned(),
    };
    let words = ChartText {
        id: "packets-by-type".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: "Packets of each type for each message published, on all hops together, the mean \
                  over all seeds. The lighter tint is what was sent again."
            .to_owned(),
        ..ChartText::default()
    };
    stacked_chart(
        slice,
        words,
        "packets for each message",
        &layers.collect::<Vec<_>>(),
        &groups.collect::<Vec<_>>(),
    )
}

/// Packets a message: of each kind the first sendings, and then the resends.
fn packet_counts(spot: &SeriesPoint<'_>) -> Vec<f64> {
    let rows = || spot.point.rows(spot.summary.published);
    let messages = to_f64(spot.summary.totals.messages.max(1));
    let kinds = (0..MESSAGE_KINDS.len()).flat_map(|kind| {
        let hops = || rows().flat_map(|row| &row.traffic).map(|hop| hop[kind]);
        let first: u64 = hops().map(|count| count.first.packets).sum();
        let resent: u64 = hops().map(|count| count.resent.packets).sum();
        [first, resent]
    });
    kinds.map(|count| to_f64(count) / messages).collect()
}

/// Packets a message that were sent again.
fn resent_packets(spot: &SeriesPoint<'_>) -> f64 {
    packet_counts(spot).iter().skip(1).step_by(2).sum()
}

/// Wire bytes by purpose for each point; they belong to whole trials, so points of mixed QoS are
/// shown as a whole. `None` if no trial has any.
pub(super) fn bytes_by_purpose(slice: &AxisSlice<'_>) -> Option<Chart> {
    let mut labels: Vec<&str> = Vec::new();
    for point in slice.cells.iter().flat_map(|cell| &cell.result.points) {
        if !labels.contains(&point.label.as_str()) && point.bytes_by_purpose().is_some() {
            labels.push(&point.label);
        }
    }
    let groups: Vec<StackGroup> = labels
        .iter()
        .map(|label| {
            let columns = slice.cells.iter().filter_map(|cell| {
                let point = cell.result.points.iter().find(|point| point.label == **label)?;
                let x = cell.values.first().map_or(0.0, |value| value.number);
                Some((x, point.bytes_by_purpose()?.to_vec()))
            });
            stack_group(label.replacen("qos", "QoS", 1), columns.collect())
        })
        .collect();
    let last =
        |group: &StackGroup| group.columns.last().map_or(0.0, |(_, it)| it.iter().sum::<f64>());
    groups.first()?;
    let totals = groups
        .iter()
        .map(|group| format!("{}\u{a0}B with {}", findings::format_mean(last(group)), group.label));
    let finding = format!(
        "a message takes {} on the wire",
        findings::join_phrases(&totals.collect::<Vec<_>>())
    );
    let layers =
        BytesByPurpose::PURPOSES.iter().zip(palette::LAYERS).map(|((name, ..), colour)| {
            let again = *name == "resends";
            Layer { name: name.replace('_', " "), colour, is_resend: again }
        });
    let words = ChartText {
        id: "bytes".into(),
        title: sentence_at(&slice.place_name(), &finding),
        caption: "Wire bytes for each message published, on all hops together, with the headers \
                  of the transport: the mean over all seeds. Payload and framing are of first \
                  sendings; the payload counts on each hop."
            .to_owned(),
        ..ChartText::default()
    };
    Some(stacked_chart(
        slice,
        words,
        "bytes for each message",
        &layers.collect::<Vec<_>>(),
        &groups,
    ))
}

fn stack_group(label: String, columns: Vec<(f64, Vec<f64>)>) -> StackGroup {
    let total: f64 = columns.last().map_or(0.0, |(_, amounts)| amounts.iter().sum());
    StackGroup { label, columns, text: findings::format_mean(total) }
}

fn stacked_chart(
    slice: &AxisSlice<'_>,
    words: ChartText,
    title: &str,
    layers: &[Layer],
    groups: &[StackGroup],
) -> Chart {
    let sums = groups.iter().flat_map(|group| &group.columns).map(|(_, it)| it.iter().sum());
    let amount = ChartAxis::covering(
        title,
        NumberFormat::Plain,
        AxisRange::FromZero,
        sums.collect::<Vec<f64>>(),
    );
    // Kinds that never occur are left out of the legend.
    let is_empty = |nth: usize| {
        groups.iter().flat_map(|group| &group.columns).all(|(_, amounts)| amounts[nth] <= 0.0)
    };
    let shown: Vec<usize> = (0..layers.len()).filter(|nth| !is_empty(*nth)).collect();
    let groups = groups.iter().map(|group| {
        let columns = group
            .columns
            .iter()
            .map(|(x, amounts)| (*x, shown.iter().map(|nth| amounts[*nth]).collect()));
        StackGroup { columns: columns.collect(), ..group.clone() }
    });
    let groups: Vec<StackGroup> = groups.collect();
    let layers: Vec<Layer> = shown.iter().map(|nth| layers[*nth].clone()).collect();
    let series_texts = groups.iter().map(|group| {
        let last = group.columns.last().map(|(_, amounts)| amounts.as_slice()).unwrap_or_default();
        let named = layers.iter().zip(last).map(|(layer, it)| format!("{} {it:.2}", layer.name));
        format!("{}: {}. ", group.label, named.collect::<Vec<_>>().join(", "))
    });
    let alt = format!("{title}, {}. {}", slice.place_name(), series_texts.collect::<String>());
    let words = ChartText { subtitle: slice.subtitle(), alt, ..words };
    stacks::draw(words, &Stacks { layers, x: slice.x_axis(), amount, groups })
}
