//! The columns that identify where a row comes from, the same in both tables.

use super::{FieldKind, TableColumn};
use crate::describe::ScenarioProperties;
use qoslab_core::base::QoS;
use qoslab_study::scenario::MODEL_VERSION;
use qoslab_study::{PointResult, Study, StudyCell};

/// A row that comes from one point of one cell.
pub(super) trait IdentifiedRow {
    fn cell(&self) -> &StudyCell;
    fn rules(&self) -> &ScenarioProperties;
    fn point(&self) -> &PointResult;
    fn published(&self) -> Option<QoS>;
}

pub(super) fn identity_columns<'a, R: IdentifiedRow + 'a>() -> [TableColumn<'a, R>; 8] {
    let text = |name: &'static str, about: &'static str, of: fn(&R) -> &str| {
        TableColumn::new(FieldKind::Text, name, about, move |row: &R| of(row).into())
    };
    let whole = |name: &'static str, about: &'static str, of: fn(&R) -> Option<u64>| {
        TableColumn::new(FieldKind::Whole, name, about, move |row: &R| of(row).into())
    };
    [
        text("scenario", "the scenario's name", |row| &row.cell().result.scenario.name),
        whole("model", "the version of the model; others are not comparable", |_| {
            Some(MODEL_VERSION.into())
        }),
        text("mqtt", "the version of MQTT", |row| &row.rules().mqtt),
        text("transport", "how packets are carried", |row| &row.rules().transport),
        text("retry", "when a packet is sent again", |row| &row.rules().retry),
        text("point", "the point of the scenario's axes of QoS", |row| &row.point().label),
        whole("published_qos", "the QoS of the messages that the row counts", |row| {
            row.published().map(|qos| qos.number().into())
        }),
        whole("granted_qos", "the QoS asked for by subscribers, where it is an axis", |row| {
            row.point().granted.map(|qos| qos.number().into())
        }),
    ]
}

pub(super) fn partial_column<'a, R: IdentifiedRow + 'a>() -> TableColumn<'a, R> {
    let about = "whether the run was interrupted before all trials ran";
    TableColumn::new(FieldKind::Flag, "partial", about, |row: &R| {
        row.cell().result.was_interrupted().into()
    })
}

/// A column for each axis, with the cell's value in the axis's unit.
pub(super) fn parameter_columns<'a, R: IdentifiedRow + 'a>(
    study: &'a Study,
) -> impl Iterator<Item = TableColumn<'a, R>> {
    study.axes.iter().enumerate().map(|(nth, axis)| {
        let name = format!("parameter_{}{}", axis.path, axis.unit.column_suffix());
        let about = format!("the value of `{}`", axis.path);
        TableColumn::new(FieldKind::Number, name, about, move |row: &R| {
            row.cell().values.get(nth).map(|value| value.number).into()
        })
    })
}
