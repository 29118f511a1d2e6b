//! Parquet files, read row by row into cells like CSV, so that every later stage has a single path.

use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::{Type, TypePtr};

use super::spill::Spill;
use super::{Column, MAX_COLUMNS, Table};
use crate::data::DataError;

/// Reads the flat columns of a Parquet file.
///
/// # Errors
/// If the file is not Parquet, or a time is beyond the year 9999.
pub fn read(path: &Path, spill: Option<&mut Spill>) -> Result<Table, DataError> {
    let malformed = |reason: String| DataError::Malformed { path: path.into(), line: 0, reason };
    let open = std::fs::File::open(path);
    let file = open.map_err(|e| DataError::Io { path: path.into(), reason: e.to_string() })?;
    // The parquet crate may panic on malicious files; that must not reach the user as a panic.
    let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parse(path, file, spill)));
    let parsed = parsed.unwrap_or_else(|_| Err(Wrong::Malformed("the file is damaged".into())));
    parsed.map_err(|wrong| match wrong {
        Wrong::Malformed(reason) => malformed(reason),
        Wrong::Data(error) => error,
    })
}

/// Why a file cannot be read.
enum Wrong {
    Malformed(String),
    Data(DataError),
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

/// Why columns are not read, and what to do.
const NESTED: &str =
    "it holds lists, tables or bytes, which are not read: write their parts to columns of their own";

/// Rows that are in memory before their columns go to a file, if there is one.
const SPILLED: usize = 1 << 18;

fn parse(path: &Path, file: std::fs::File, mut spill: Option<&mut Spill>) -> Result<Table, Wrong> {
    let pages = file.try_clone().map_err(|e| e.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|e| e.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let (flat, nested): (Vec<_>, Vec<_>) = schema.get_fields().iter().partition(|field| is_read(field));
    let named = |fields: &[&TypePtr]| fields.iter().map(|f| f.name().to_string()).collect::<Vec<_>>();
    let (names, nested) = (named(&flat), named(&nested));
    let utc = (0..flat.len()).filter(|&at| is_instant(flat[at])).collect();
    let nanoseconds: Vec<Option<Nanoseconds>> = flat.iter().map(|column| Nanoseconds::of(column)).collect();
    let flat = Type::group_type_builder(schema.name()).with_fields(flat.into_iter().cloned().collect());
    let flat = flat.build().map_err(|e| e.to_string())?;
    if names.len() > MAX_COLUMNS {
        return Err(format!("{} columns, at most {MAX_COLUMNS} are supported", names.len()).into());
    }
    // Without columns, rows take no bytes, so a file may claim any number of them.
    if names.is_empty() {
        let reason = match nested.is_empty() {
            true => "the table has no columns",
            false => "all columns hold lists, tables or bytes, which are not read",
        };
        return Err(reason.to_string().into());
    }
    super::pages::check(&pages, &reader)?;
    let notes = match nested.is_empty() {
        true => vec![],
        false => vec![format!("columns of lists, tables or bytes are not read: {}", nested.join(", "))],
    };
    let columns = vec![Column::default(); names.len()];
    let unread = nested.into_iter().map(|name| (name, NESTED.to_string())).collect();
    let mut table = Table { path: path.into(), names, columns, notes, utc, unread, ..Table::default() };
    for (number, row) in reader.get_row_iter(Some(flat)).map_err(|e| e.to_string())?.enumerate() {
        let row = row.map_err(|e| format!("row {}: {e}", number + 1))?;
        let cells = row.get_column_iter().zip(&nanoseconds);
        for (column, ((name, field), unit)) in table.columns.iter_mut().zip(cells) {
            let text = match (field, unit) {
                (Field::Double(x), _) => {
                    column.push_number(*x);
                    continue;
                }
                (Field::Long(x), Some(unit)) => unit.text(*x),
                _ => cell(field),
            };
            column.push(&text.ok_or_else(|| {
                format!(
                    "column `{name}`, row {}: holds {field}, which is no number, text or time from year -9999 to 9999",
                    number + 1
                )
            })?);
        }
        table.lines.push(number as u64 + 1);
        if let (0, Some(spill)) = ((number + 1) % SPILLED, spill.as_deref_mut()) {
            spill.take(&mut table).map_err(Wrong::Data)?;
        }
    }
    if let Some(spill) = spill {
        spill.take(&mut table).map_err(Wrong::Data)?;
    }
    Ok(table)
}

/// Whether a column holds numbers, texts or times.
fn is_read(column: &Type) -> bool {
    if !column.is_primitive() {
        return false;
    }
    let info = column.get_basic_info();
    let bytes = matches!(column.get_physical_type(), Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY);
    !bytes || info.logical_type_ref().is_some() || info.converted_type() != ConvertedType::NONE
}

/// What a whole number of nanoseconds stands for, which rows do not say.
enum Nanoseconds {
    /// A time since 1970.
    SinceEpoch,
    /// A time of day.
    OfDay,
}

impl Nanoseconds {
    fn of(column: &Type) -> Option<Self> {
        match column.get_basic_info().logical_type_ref()? {
            LogicalType::Timestamp(time) if time.unit == TimeUnit::NANOS => Some(Self::SinceEpoch),
            LogicalType::Time(time) if time.unit == TimeUnit::NANOS => Some(Self::OfDay),
            _ => None,
        }
    }

    fn text(&self, nanoseconds: i64) -> Option<String> {
        match self {
            Self::SinceEpoch => timestamp(nanoseconds.into()),
            Self::OfDay => time_of_day(nanoseconds),
        }
    }
}

/// Whether a column holds instants, and not times of any place.
fn is_instant(column: &Type) -> bool {
    let info = column.get_basic_info();
    match info.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => time.is_adjusted_to_u_t_c,
        Some(_) => false,
        None => {
            matches!(info.converted_type(), ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS)
        }
    }
}

fn cell(field: &Field) -> Option<String> {
    Some(match field {
        Field::Null => String::new(),
        Field::Bool(x) => x.to_string(),
        Field::Byte(x) => x.to_string(),
        Field::Short(x) => x.to_string(),
        Field::Int(x) => x.to_string(),
        Field::Long(x) => x.to_string(),
        Field::UByte(x) => x.to_string(),
        Field::UShort(x) => x.to_string(),
        Field::UInt(x) => x.to_string(),
        Field::ULong(x) => x.to_string(),
        Field::Float(x) => x.to_string(),
        Field::Double(x) => x.to_string(),
        Field::Str(x) => x.clone(),
        Field::Date(days) => jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().try_days(*days).ok()?)
            .ok()?
            .to_string(),
        Field::TimestampMillis(ms) => timestamp(i128::from(*ms) * 1_000_000)?,
        Field::TimestampMicros(us) => timestamp(i128::from(*us) * 1000)?,
        Field::TimeMillis(ms) => time_of_day(i64::from(*ms) * 1_000_000)?,
        Field::TimeMicros(us) => time_of_day(us.checked_mul(1000)?)?,
        Field::Decimal(_) | Field::Float16(_) => field.to_string(),
        _ => return None,
    })
}

/// Nanoseconds since 1970 as date and time, up to the end of the year 9999.
fn timestamp(nanoseconds: i128) -> Option<String> {
    const DAY: i128 = 86_400_000_000_000;
    let days = i64::try_from(nanoseconds.div_euclid(DAY)).ok()?;
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    let within = i64::try_from(nanoseconds.rem_euclid(DAY)).ok()?;
    Some(date.to_datetime(time(within)?).to_string())
}

fn time_of_day(nanoseconds: i64) -> Option<String> {
    time(nanoseconds).map(|time| time.to_string())
}

fn time(nanoseconds: i64) -> Option<jiff::civil::Time> {
    jiff::civil::Time::midnight().checked_add(jiff::Span::new().try_nanoseconds(nanoseconds).ok()?).ok()
}
