//! Columns of NumPy and of plain Python: arrays through the buffer protocol, which is read where it lies unless its values
//! are spread in memory; texts one by one.

use pyo3::buffer::{Element, PyBuffer, PyUntypedBuffer, ReadOnlyCell};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::cells::{Cells, Unread};
use crate::failure::input;
use crate::frame::{Frame, Kind};

/// A number that arrays hold.
trait Number: Element {
    fn push(self, cells: &mut Cells) -> Result<(), Unread>;
}

macro_rules! whole_numbers {
    ($($of:ty),*) => {$(
        impl Number for $of {
            fn push(self, cells: &mut Cells) -> Result<(), Unread> {
                cells.whole(self)
            }
        }
    )*};
}

whole_numbers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Number for f32 {
    fn push(self, cells: &mut Cells) -> Result<(), Unread> {
        cells.single(self)
    }
}

impl Number for f64 {
    fn push(self, cells: &mut Cells) -> Result<(), Unread> {
        cells.number(self)
    }
}

/// Calls `$work` with the typed buffer of an array of numbers.
macro_rules! of_numbers {
    ($array:expr, $name:expr, |$buffer:ident| $work:expr) => {{
        let buffer = PyUntypedBuffer::get($array)?;
        of_numbers!(buffer, $name, |$buffer| $work, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64)
    }};
    ($untyped:ident, $name:expr, |$buffer:ident| $work:expr, $($of:ty),*) => {{
        $(if let Ok($buffer) = $untyped.as_typed::<$of>() {
            $work
        } else)* {
            let format = $untyped.format().to_string_lossy().into_owned();
            Err(input(format!("{}: an array of format \"{format}\" holds no numbers that can be read", $name)))
        }
    }};
}

/// The values of a buffer, where they lie or, if they do not follow each other, as a copy.
enum Values<'b, T: Element> {
    There(&'b [ReadOnlyCell<T>]),
    Copied(Vec<T>),
}

impl<'b, T: Element> Values<'b, T> {
    fn of(py: Python<'b>, buffer: &'b PyBuffer<T>) -> PyResult<Self> {
        Ok(match buffer.as_slice(py) {
            Some(there) => Self::There(there),
            None => Self::Copied(buffer.to_vec(py)?),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::There(values) => values.len(),
            Self::Copied(values) => values.len(),
        }
    }

    fn get(&self, at: usize) -> T {
        match self {
            Self::There(values) => values[at].get(),
            Self::Copied(values) => values[at],
        }
    }
}

/// Which values of a column are missing.
struct Mask(Option<PyBuffer<u8>>);

impl Mask {
    fn of(mask: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self(mask.map(PyBuffer::get).transpose()?))
    }

    fn values<'b>(&'b self, py: Python<'b>, name: &str, rows: usize) -> PyResult<Option<Values<'b, u8>>> {
        let values = self.0.as_ref().map(|mask| Values::of(py, mask)).transpose()?;
        match &values {
            Some(mask) if mask.len() != rows => {
                Err(input(format!("column `{name}`: its mask has {} values instead of {rows}", mask.len())))
            }
            _ => Ok(values),
        }
    }
}

/// Adds a column of `rows` values.
fn column(
    frame: &mut Frame,
    name: &str,
    rows: usize,
    mask: Option<&Values<'_, u8>>,
    mut push: impl FnMut(&mut Cells, usize) -> Result<(), Unread>,
) -> PyResult<()> {
    let mut cells = Cells::default();
    let read = (0..rows).try_for_each(|row| match mask.is_some_and(|mask| mask.get(row) != 0) {
        true => {
            cells.missing();
            Ok(())
        }
        false => push(&mut cells, row),
    });
    frame.add(name, rows, read.map(|()| (Kind::Plain, cells)))
}

pub fn matrix(frame: &mut Frame, names: &[String], array: &Bound<'_, PyAny>) -> PyResult<()> {
    of_numbers!(array, "the array", |buffer| matrix_of(frame, names, array.py(), buffer))
}

fn matrix_of<T: Number>(
    frame: &mut Frame,
    names: &[String],
    py: Python<'_>,
    buffer: &PyBuffer<T>,
) -> PyResult<()> {
    let &[rows, columns] = buffer.shape() else {
        return Err(input(format!("an array with {} dimensions is no table; give two", buffer.dimensions())));
    };
    if names.len() != columns {
        return Err(input(format!("the array has {columns} columns and {} names", names.len())));
    }
    let (values, across, down) = match buffer.as_fortran_slice(py) {
        Some(there) => (Values::There(there), rows, 1),
        None => (Values::of(py, buffer)?, 1, columns),
    };
    names.iter().enumerate().try_for_each(|(at, name)| {
        column(frame, name, rows, None, |cells, row| values.get(at * across + row * down).push(cells))
    })
}

pub fn numbers(
    frame: &mut Frame,
    name: &str,
    array: &Bound<'_, PyAny>,
    mask: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let mask = Mask::of(mask)?;
    of_numbers!(array, format!("column `{name}`"), |buffer| numbers_of(
        frame,
        name,
        array.py(),
        buffer,
        &mask
    ))
}

fn numbers_of<T: Number>(
    frame: &mut Frame,
    name: &str,
    py: Python<'_>,
    buffer: &PyBuffer<T>,
    mask: &Mask,
) -> PyResult<()> {
    let values = Values::of(py, buffer)?;
    let mask = mask.values(py, name, values.len())?;
    column(frame, name, values.len(), mask.as_ref(), |cells, row| values.get(row).push(cells))
}

pub fn booleans(
    frame: &mut Frame,
    name: &str,
    array: &Bound<'_, PyAny>,
    mask: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let (py, buffer, mask) = (array.py(), PyBuffer::<u8>::get(array)?, Mask::of(mask)?);
    let values = Values::of(py, &buffer)?;
    let mask = mask.values(py, name, values.len())?;
    column(frame, name, values.len(), mask.as_ref(), |cells, row| {
        cells.boolean(values.get(row) != 0);
        Ok(())
    })
}

pub fn times(
    frame: &mut Frame,
    name: &str,
    array: &Bound<'_, PyAny>,
    nanoseconds: i64,
    instants: bool,
) -> PyResult<()> {
    let (py, buffer) = (array.py(), PyBuffer::<i64>::get(array)?);
    let values = Values::of(py, &buffer)?;
    let mut cells = Cells::default();
    let read = (0..values.len()).try_for_each(|row| match values.get(row) {
        // NumPy's NaT.
        i64::MIN => {
            cells.missing();
            Ok(())
        }
        time => cells.time(i128::from(time) * i128::from(nanoseconds)),
    });
    let kind = if instants { Kind::Instant } else { Kind::Plain };
    frame.add(name, values.len(), read.map(|()| (kind, cells)))
}

pub fn texts(frame: &mut Frame, name: &str, texts: &Bound<'_, PyAny>) -> PyResult<()> {
    let (mut cells, mut rows) = (Cells::default(), 0);
    let mut read = Ok(());
    for text in texts.try_iter()? {
        let text = text?;
        rows += 1;
        if read.is_err() {
            continue;
        }
        if text.is_none() {
            cells.missing();
            continue;
        }
        match text.cast::<PyString>()?.to_cow() {
            Ok(text) => cells.text(&text),
            // Half of a pair of surrogates, which is no character.
            Err(_) => read = Err(format!("its text in row {} is not valid Unicode; correct it", rows - 1)),
        }
    }
    frame.add(name, rows, read.map(|()| (Kind::Text, cells)))
}

pub fn objects(frame: &mut Frame, name: &str, values: &Bound<'_, PyAny>) -> PyResult<()> {
    let (mut cells, mut rows) = (Cells::default(), 0);
    let mut read = Ok(());
    for value in values.try_iter()? {
        let value = value?;
        rows += 1;
        if read.is_ok() {
            read = object(&mut cells, &value)?;
        }
    }
    frame.add(name, rows, read.map(|()| (Kind::Plain, cells)))
}

fn object(cells: &mut Cells, value: &Bound<'_, PyAny>) -> PyResult<Result<(), Unread>> {
    if value.is_none() {
        cells.missing();
    } else if let Ok(value) = value.cast::<PyBool>() {
        cells.boolean(value.is_true());
    } else if value.is_instance_of::<PyInt>() {
        return match value.extract::<i128>() {
            Ok(value) => Ok(cells.whole(value)),
            Err(e) if e.is_instance_of::<PyOverflowError>(value.py()) => Ok(cells.whole(i128::MAX)),
            Err(e) => Err(e),
        };
    } else if let Ok(value) = value.cast::<PyFloat>() {
        return Ok(cells.number(value.value()));
    } else {
        // `decimal.Decimal`, with all its digits.
        return Ok(cells.decimal(&value.str()?.to_cow()?));
    }
    Ok(Ok(()))
}

pub fn coded(frame: &mut Frame, name: &str, codes: &Bound<'_, PyAny>, names: &[String]) -> PyResult<()> {
    let py = codes.py();
    let buffer = PyBuffer::<i64>::get(codes)?;
    let values = Values::of(py, &buffer)?;
    let mut cells = Cells::default();
    for row in 0..values.len() {
        match usize::try_from(values.get(row)).ok().and_then(|code| names.get(code)) {
            Some(name) => cells.text(name),
            None => cells.missing(),
        }
    }
    frame.add(name, values.len(), Ok((Kind::Text, cells)))
}
