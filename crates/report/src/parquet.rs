//! Tables as Apache Parquet, for a data lake: the columns of [`super::columns`], each optional.
//! A time is a double in seconds, infinity for never.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::columns::{ColumnTable, FieldKind, FieldValue, TableColumn};

/// Rows of one row group, which are held in memory a second time while they are written.
const ROW_GROUP_SIZE: usize = 100_000;

/// The table as a Parquet file.
///
/// # Errors
/// If the library refuses it; in memory it has no reason to.
pub fn table<R>(table: &ColumnTable<'_, R>) -> Result<Vec<u8>, ParquetError> {
    let fields = table.columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
    let properties = WriterProperties::builder().set_created_by(created_by()).build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    for rows in table.rows.chunks(ROW_GROUP_SIZE) {
        let mut group = file.next_row_group()?;
        for column in &table.columns {
            write(&mut group, column, rows)?;
        }
        group.close()?;
    }
    file.into_inner()
}

fn created_by() -> String {
    format!("qoslab {}", env!("CARGO_PKG_VERSION"))
}

fn field<R>(column: &TableColumn<'_, R>) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.kind {
        FieldKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        FieldKind::Whole => (Physical::INT64, None),
        FieldKind::Number | FieldKind::Time => (Physical::DOUBLE, None),
        FieldKind::Flag => (Physical::BOOLEAN, None),
    };
    let built = Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()?;
    Ok(Arc::new(built))
}

fn write<R>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    column: &TableColumn<'_, R>,
    rows: &[R],
) -> Result<(), ParquetError> {
    let Some(mut writer) = group.next_column()? else { return Ok(()) };
    let fields: Vec<FieldValue> = rows.iter().map(|row| column.field(row)).collect();
    let levels: Vec<i16> =
        fields.iter().map(|field| i16::from(*field != FieldValue::Empty)).collect();
    let levels = Some(levels.as_slice());
    match column.kind {
        FieldKind::Text => {
            let texts: Vec<ByteArray> = fields.iter().filter_map(text).collect();
            writer.typed::<ByteArrayType>().write_batch(&texts, levels, None)?;
        }
        FieldKind::Whole => {
            let numbers: Vec<i64> = fields.iter().filter_map(whole).collect();
            writer.typed::<Int64Type>().write_batch(&numbers, levels, None)?;
        }
        FieldKind::Number | FieldKind::Time => {
            let numbers: Vec<f64> = fields.iter().filter_map(number).collect();
            writer.typed::<DoubleType>().write_batch(&numbers, levels, None)?;
        }
        FieldKind::Flag => {
            let flags: Vec<bool> = fields.iter().filter_map(flag).collect();
            writer.typed::<BoolType>().write_batch(&flags, levels, None)?;
        }
    }
    writer.close()
}

fn text(field: &FieldValue) -> Option<ByteArray> {
    match field {
        FieldValue::Text(text) => Some(text.as_str().into()),
        _ => None,
    }
}

fn whole(field: &FieldValue) -> Option<i64> {
    match field {
        // Counts and seeds beyond 2^63 keep their bits, as an unsigned reader expects.
        FieldValue::Whole(number) => Some(number.cast_signed()),
        _ => None,
    }
}

fn number(field: &FieldValue) -> Option<f64> {
    match field {
        FieldValue::Number(number) => Some(*number),
        FieldValue::Time(span) => Some(span.as_secs_f64()),
        FieldValue::Never => Some(f64::INFINITY),
        _ => None,
    }
}

fn flag(field: &FieldValue) -> Option<bool> {
    match field {
        FieldValue::Flag(flag) => Some(*flag),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field as Read;

    use crate::columns::points;
    use qoslab_study::fixtures;

    #[test]
    fn parquet_holds_what_csv_holds() {
        let study = fixtures::study(&[0, 20], &[1]);
        let table = points(std::slice::from_ref(&study));
        let file = SerializedFileReader::new(Bytes::from(super::table(&table).unwrap())).unwrap();
        let csv = table.csv();
        let mut csv = csv::Reader::from_reader(csv.as_slice());
        let header = csv.headers().unwrap().clone();
        let rows: Vec<_> = csv.records().map(Result::unwrap).collect();
        let mut read = 0;
        for (row, texts) in file.get_row_iter(None).unwrap().zip(&rows) {
            for ((name, field), (column, text)) in
                row.unwrap().get_column_iter().zip(header.iter().zip(texts))
            {
                assert_eq!(name, column);
                match field {
                    Read::Null => assert_eq!(text, "", "{name}"),
                    Read::Double(number) => {
                        assert!(
                            (number - text.parse::<f64>().unwrap()).abs() < 1e-9 || text == "inf"
                        );
                    }
                    Read::Long(number) => assert_eq!(number.to_string(), text),
                    Read::Bool(flag) => assert_eq!(flag.to_string(), text),
                    Read::Str(string) => assert_eq!(string, text),
                    other => panic!("{name}: {other}"),
                }
                read += 1;
            }
        }
        assert_eq!(read, rows.len() * header.len());
        assert_eq!(rows.len(), 6);
    }
}
