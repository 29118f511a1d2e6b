//! Columns of Arrow, through its C stream interface: whoever made them keeps them, and nothing is copied to read them.

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::temporal_conversions::{MICROSECONDS, MILLISECONDS, NANOSECONDS};
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::cells::{Cells, Unread};
use crate::failure::input;
use crate::frame::{Frame, Kind};

/// The name of a stream's capsule.
const NAME: &std::ffi::CStr = c"arrow_array_stream";
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Adds all columns of a stream to a frame; returns the number of rows.
pub fn read(frame: &mut Frame, stream: &Bound<'_, PyAny>) -> PyResult<usize> {
    let capsule = stream.cast::<PyCapsule>()?;
    let raw = capsule.pointer_checked(Some(NAME))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: a capsule of this name holds a valid stream, by Arrow's PyCapsule interface, and its pointer was checked.
    // The stream is moved out of it, and what is left there is marked as released.
    #[allow(unsafe_code, reason = "Arrow's C interface is one of pointers")]
    let reader = unsafe { RecordBatchStreamReader::from_raw(raw.as_ptr()) };
    let reader = reader.map_err(|e| input(format!("the Arrow table cannot be read: {e}")))?;
    let schema = arrow_array::RecordBatchReader::schema(&reader);
    let count = schema.fields().len();
    let mut rows = 0;
    let mut read: Vec<Result<Cells, Unread>> = (0..count).map(|_| Ok(Cells::default())).collect();
    for batch in reader {
        let batch = batch.map_err(|e| input(format!("the Arrow table cannot be read: {e}")))?;
        rows += batch.num_rows();
        for (column, cells) in batch.columns().iter().zip(&mut read) {
            if let Ok(filled) = cells
                && let Err(why) = fill(filled, column)
            {
                *cells = Err(why);
            }
        }
    }
    for (field, cells) in schema.fields().iter().zip(read) {
        let kind = kind(field.data_type());
        frame.add(field.name(), rows, cells.map(|cells| (kind, cells)))?;
    }
    Ok(rows)
}

fn kind(of: &DataType) -> Kind {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Dictionary(..) => Kind::Text,
        DataType::Timestamp(_, Some(_)) => Kind::Instant,
        _ => Kind::Plain,
    }
}

/// Appends the values of an array.
fn fill(cells: &mut Cells, array: &dyn Array) -> Result<(), Unread> {
    match array.data_type() {
        DataType::Null => (0..array.len()).for_each(|_| cells.missing()),
        DataType::Boolean => array.as_boolean().iter().for_each(|x| match x {
            Some(x) => cells.boolean(x),
            None => cells.missing(),
        }),
        DataType::Int8 => whole::<Int8Type>(cells, array)?,
        DataType::Int16 => whole::<Int16Type>(cells, array)?,
        DataType::Int32 => whole::<Int32Type>(cells, array)?,
        DataType::Int64 => whole::<Int64Type>(cells, array)?,
        DataType::UInt8 => whole::<UInt8Type>(cells, array)?,
        DataType::UInt16 => whole::<UInt16Type>(cells, array)?,
        DataType::UInt32 => whole::<UInt32Type>(cells, array)?,
        DataType::UInt64 => whole::<UInt64Type>(cells, array)?,
        DataType::Float16 => each::<Float16Type>(cells, array, |cells, x| cells.single(x.to_f32()))?,
        DataType::Float32 => each::<Float32Type>(cells, array, |cells, x| cells.single(x))?,
        DataType::Float64 => each::<Float64Type>(cells, array, |cells, x| cells.number(x))?,
        DataType::Utf8 => texts(cells, array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(cells, array.as_string::<i64>().iter()),
        DataType::Utf8View => texts(cells, array.as_string_view().iter()),
        DataType::Date32 => each::<Date32Type>(cells, array, |cells, x| cells.date(x.into()))?,
        DataType::Date64 => each::<Date64Type>(cells, array, |cells, x| cells.date(x.div_euclid(DAY)))?,
        DataType::Timestamp(unit, _) => times(cells, array, *unit)?,
        DataType::Time32(TimeUnit::Second) => {
            each::<Time32SecondType>(cells, array, |cells, x| cells.time_of_day(i64::from(x) * NANOSECONDS))?;
        }
        DataType::Time32(_) => each::<Time32MillisecondType>(cells, array, |cells, x| {
            cells.time_of_day(i64::from(x) * (NANOSECONDS / MILLISECONDS))
        })?,
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(cells, array, |cells, x| {
                cells.time_of_day(x.saturating_mul(NANOSECONDS / MICROSECONDS))
            })?
        }
        DataType::Time64(_) => each::<Time64NanosecondType>(cells, array, |cells, x| cells.time_of_day(x))?,
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>();
            decimals(cells, array, |row| values.value_as_string(row))?;
        }
        DataType::Decimal256(..) => {
            let values = array.as_primitive::<Decimal256Type>();
            decimals(cells, array, |row| values.value_as_string(row))?;
        }
        DataType::Dictionary(..) => coded(cells, array)?,
        other => return Err(refused(other)),
    }
    Ok(())
}

fn refused(of: &DataType) -> Unread {
    match of {
        DataType::Duration(_) | DataType::Interval(_) => {
            "it holds durations, which have no unit of their own; make them numbers, of seconds for example"
                .into()
        }
        other => format!(
            "it holds values of Arrow's type {other}, which are no numbers, texts or times; write their parts to columns \
             of their own"
        ),
    }
}

fn each<T: ArrowPrimitiveType>(
    cells: &mut Cells,
    array: &dyn Array,
    push: impl Fn(&mut Cells, T::Native) -> Result<(), Unread>,
) -> Result<(), Unread> {
    array.as_primitive::<T>().iter().try_for_each(|x| match x {
        Some(x) => push(cells, x),
        None => {
            cells.missing();
            Ok(())
        }
    })
}

fn whole<T: ArrowPrimitiveType>(cells: &mut Cells, array: &dyn Array) -> Result<(), Unread>
where
    T::Native: Into<i128>,
{
    each::<T>(cells, array, |cells, x| cells.whole(x))
}

fn texts<'t>(cells: &mut Cells, texts: impl Iterator<Item = Option<&'t str>>) {
    texts.for_each(|text| match text {
        Some(text) => cells.text(text),
        None => cells.missing(),
    });
}

fn decimals(cells: &mut Cells, array: &dyn Array, text: impl Fn(usize) -> String) -> Result<(), Unread> {
    (0..array.len()).try_for_each(|row| match array.is_null(row) {
        true => {
            cells.missing();
            Ok(())
        }
        false => cells.decimal(&text(row)),
    })
}

fn times(cells: &mut Cells, array: &dyn Array, unit: TimeUnit) -> Result<(), Unread> {
    let scaled = |cells: &mut Cells, x: i64, per_second: i64| {
        cells.time(i128::from(x) * i128::from(NANOSECONDS / per_second))
    };
    match unit {
        TimeUnit::Second => each::<TimestampSecondType>(cells, array, |cells, x| scaled(cells, x, 1)),
        TimeUnit::Millisecond => {
            each::<TimestampMillisecondType>(cells, array, |cells, x| scaled(cells, x, MILLISECONDS))
        }
        TimeUnit::Microsecond => {
            each::<TimestampMicrosecondType>(cells, array, |cells, x| scaled(cells, x, MICROSECONDS))
        }
        TimeUnit::Nanosecond => {
            each::<TimestampNanosecondType>(cells, array, |cells, x| scaled(cells, x, NANOSECONDS))
        }
    }
}

/// Names by their numbers.
fn coded(cells: &mut Cells, array: &dyn Array) -> Result<(), Unread> {
    let coded = array.as_any_dictionary();
    if coded.values().is_empty() {
        (0..array.len()).for_each(|_| cells.missing());
        return Ok(());
    }
    let mut known = Cells::default();
    fill(&mut known, &**coded.values())?;
    let keys = coded.normalized_keys();
    for (row, key) in keys.into_iter().enumerate() {
        match coded.keys().is_null(row) || known.column.is_missing(key) {
            true => cells.missing(),
            false => cells.text(&known.column.text(key)),
        }
    }
    Ok(())
}
