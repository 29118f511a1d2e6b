//! Parquet files with columns that are not read, and with instants.

use std::path::Path;

use gridlight::data::{self, DataConfig, Goal, Kept};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

/// `rows` rows of an instant, a time of any place, a number, a list and `y`.
fn write(path: &Path, rows: i64) {
    let schema = "message table { required int64 at (TIMESTAMP(MILLIS,true)); \
                  required int64 local (TIMESTAMP(MILLIS,false)); required int32 x; \
                  optional group tags (LIST) { repeated group list { optional byte_array element (UTF8); } } \
                  required int32 y; }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let properties = WriterProperties::builder().build();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    if rows > 0 {
        let mut group = writer.next_row_group().unwrap();
        let mut number = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(_) => {
                    let times: Vec<i64> = (0..rows).map(|row| 1_700_000_000_000 + row * 3_600_000).collect();
                    column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
                }
                ColumnWriter::ByteArrayColumnWriter(_) => {
                    // Empty lists.
                    let (definition, repetition) = (vec![1; rows as usize], vec![0; rows as usize]);
                    let tags = column.typed::<ByteArrayType>();
                    tags.write_batch(&[], Some(&definition), Some(&repetition)).unwrap();
                }
                _ => {
                    number += 1;
                    let values: Vec<i32> = (0..rows as i32).map(|row| number * row * 7 % 13).collect();
                    column.typed::<Int32Type>().write_batch(&values, None, None).unwrap();
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn nested_columns_are_left_out_and_instants_keep_their_offset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.parquet");
    write(&path, 40);
    let load = |keys: &str| {
        let text = format!("source = \"t.parquet\"\ntarget = \"y\"\n{keys}");
        let config: DataConfig = toml::from_str(&text).unwrap();
        data::load(&config, directory.path(), Goal::Regression)
    };
    let loaded = load("").unwrap();
    assert!(!loaded.train.features.iter().any(|name| name.contains("tags")), "{:?}", loaded.train.features);
    let notes = loaded.understood.notes.join("; ");
    assert!(notes.contains("columns of lists, tables or bytes are not read: tags"), "{notes}");
    assert_eq!(data::load_with(&loaded.fitted, &path, false).unwrap().rows, 40);
    let error = load("features = [\"tags\"]").unwrap_err().to_string();
    assert!(error.contains("`tags`") && error.contains("lists, tables or bytes"), "{error}");

    let kept = Kept::read(&loaded.fitted, &path, Some("at,local,x")).unwrap();
    assert_eq!(kept.cells(0), ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20", "0"]);
}

#[test]
fn an_empty_file_lacks_rows_and_no_header() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("t.parquet"), 0);
    let config: DataConfig = toml::from_str("source = \"t.parquet\"\ntarget = \"y\"").unwrap();
    let error = data::load(&config, directory.path(), Goal::Regression).unwrap_err().to_string();
    assert!(error.contains("t.parquet") && error.ends_with("expected rows"), "{error}");
}

/// Nanoseconds are what most writers choose; rows of the reader say nothing of them.
#[test]
fn nanoseconds_are_times_and_late_dates_and_bytes_stop_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let schema = "message table { required int64 at (TIMESTAMP(NANOS,true)); required int64 clock (TIME(NANOS,false)); \
                  required int64 until (TIMESTAMP(MICROS,false)); required binary raw; required int32 y; }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let path = directory.path().join("t.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let properties = WriterProperties::builder().build();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let hour = 3_600_000_000_000;
    let whole = [
        (0..40).map(|row| 1_700_000_000_000_000_000 + row * hour + 250_000_000).collect::<Vec<i64>>(),
        (0..40).map(|row| row % 24 * hour + 1_500_000_000).collect(),
        // The end of the year 9999.
        vec![253_402_300_799_000_000; 40],
    ];
    let mut whole = whole.iter();
    while let Some(mut column) = group.next_column().unwrap() {
        match column.untyped() {
            ColumnWriter::Int64ColumnWriter(_) => {
                column.typed::<Int64Type>().write_batch(whole.next().unwrap(), None, None).unwrap();
            }
            ColumnWriter::ByteArrayColumnWriter(_) => {
                let bytes = vec![vec![0xffu8, 0].into(); 40];
                column.typed::<ByteArrayType>().write_batch(&bytes, None, None).unwrap();
            }
            _ => {
                let values: Vec<i32> = (0..40).map(|row| row * 7 % 13).collect();
                column.typed::<Int32Type>().write_batch(&values, None, None).unwrap();
            }
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let config: DataConfig = toml::from_str("source = \"t.parquet\"\ntarget = \"y\"").unwrap();
    let loaded = data::load(&config, directory.path(), Goal::Regression).unwrap();
    let names = &loaded.train.features;
    assert!(names.iter().any(|name| name.starts_with("at hour")), "{names:?}");
    assert!(!names.iter().any(|name| name == "clock" || name.starts_with("raw")), "{names:?}");
    let kept = Kept::read(&loaded.fitted, &path, Some("at,clock,until")).unwrap();
    assert_eq!(kept.cells(1), ["2023-11-14T23:13:20.25Z", "01:00:01.5", "9999-12-31T23:59:59"]);
}
