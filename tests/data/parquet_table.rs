//! Parquet files as written by the `parquet` crate.

use std::path::Path;

use parquet::basic::Encoding;

/// 60 rows of numbers with gaps, names, times, booleans and `y`, in two row groups; `encoded` is the encoding
/// of the names.
pub fn parquet_table(
    path: &Path,
    compression: parquet::basic::Compression,
    version: i32,
    encoded: Option<Encoding>,
) {
    use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int32Type, Int64Type};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    let schema = "message table { optional double n; required byte_array name (UTF8); \
                  required int64 time (TIMESTAMP(MILLIS,true)); required boolean flag; required int32 y; }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let version = if version == 2 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let properties = WriterProperties::builder().set_compression(compression).set_writer_version(version);
    let properties = match encoded {
        Some(encoding) => {
            properties.set_dictionary_enabled(false).set_column_encoding("name".into(), encoding)
        }
        None => properties,
    };
    let file = std::fs::File::create(path).unwrap();
    let writer =
        parquet::file::writer::SerializedFileWriter::new(file, schema.into(), properties.build().into());
    let mut writer = writer.unwrap();
    for _ in 0..2 {
        let mut group = writer.next_row_group().unwrap();
        let rows = 0..30;
        while let Some(mut column) = group.next_column().unwrap() {
            use parquet::column::writer::ColumnWriter;
            match column.untyped() {
                ColumnWriter::DoubleColumnWriter(_) => {
                    let levels: Vec<i16> = rows.clone().map(|r| i16::from(r % 11 != 0)).collect();
                    let values: Vec<f64> =
                        rows.clone().filter(|r| r % 11 != 0).map(|r| f64::from(r * 7 % 13)).collect();
                    column.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap();
                }
                ColumnWriter::ByteArrayColumnWriter(_) => {
                    let names = rows.clone().map(|r| ["red", "green", "blue"][r as usize % 3].into());
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&names.collect::<Vec<_>>(), None, None)
                        .unwrap();
                }
                ColumnWriter::Int64ColumnWriter(_) => {
                    let times: Vec<i64> =
                        rows.clone().map(|r| 1_700_000_000_000 + 3_600_000 * i64::from(r)).collect();
                    column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
                }
                ColumnWriter::BoolColumnWriter(_) => {
                    let flags: Vec<bool> = rows.clone().map(|r| r % 2 == 0).collect();
                    column.typed::<BoolType>().write_batch(&flags, None, None).unwrap();
                }
                _ => {
                    let y: Vec<i32> = rows.clone().map(|r| r * 3 % 17).collect();
                    column.typed::<Int32Type>().write_batch(&y, None, None).unwrap();
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}
