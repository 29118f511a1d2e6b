"""Columns of frames: what they hold, and the plainest form in which it can be read."""

import datetime
import decimal
import sys
from typing import Any

from ._gridlight import Frame
from .errors import InputError

#: Nanoseconds of NumPy's units of time that have a fixed length.
NANOSECONDS = {
    "W": 604_800_000_000_000,
    "D": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
DURATIONS = "it holds durations, which have no unit of their own; make them numbers, of seconds for example"
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def loaded(name: str) -> Any | None:
    """A library, if the program uses it."""
    return sys.modules.get(name)


def array_of(values: Any) -> Any | None:
    """An array of NumPy, of whatever can be seen as one."""
    if not any(hasattr(values, name) for name in ("__array__", "__array_interface__", "__buffer__")):
        try:
            memoryview(values)
        except TypeError:
            return None
    import numpy

    return numpy.ma.asanyarray(values) if isinstance(values, numpy.ma.MaskedArray) else numpy.asarray(values)


def add_array(found: Frame, name: str, array: Any, mask: Any | None = None) -> None:
    """Adds an array of NumPy."""
    import numpy

    if array.ndim != 1:
        if array.ndim == 0:
            raise InputError(f"frame: column `{name}` is a single value; give a list or an array")
        shape = " x ".join(str(extent) for extent in array.shape[1:])
        found.unread(name, len(array), f"each of its cells is an array of {shape} values; write them to columns of their own")
        return
    if isinstance(array, numpy.ma.MaskedArray):
        mask = numpy.ma.getmaskarray(array)
        array = array.data
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    bits = None if mask is None else numpy.ascontiguousarray(mask, dtype=bool).view(numpy.uint8)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        found.booleans(name, array.view(numpy.uint8), bits)
    elif kind in "iu" or (kind == "f" and size in (4, 8)):
        found.numbers(name, array, bits)
    elif kind == "f" and size == 2:
        found.numbers(name, array.astype(numpy.float32), bits)
    elif kind == "M":
        _times(found, name, array, mask)
    elif kind in "UOT":
        values = array.tolist()
        if mask is not None:
            values = [None if missing else value for value, missing in zip(values, mask.tolist(), strict=True)]
        add_objects(found, name, values)
    else:
        found.unread(name, len(array), _refused(array.dtype))


def _refused(dtype: Any) -> str:
    if dtype.kind == "m":
        return DURATIONS
    what = {
        "c": "complex numbers; write their parts to columns of their own",
        "f": "numbers in extended precision; convert them with astype('float64')",
        "S": "bytes; decode them to texts, for example with numpy.char.decode",
        "V": "records; write their parts to columns of their own",
    }
    return f"it holds {what.get(dtype.kind, f'values of type {dtype}, which are no numbers, texts or times')}"


def _times(found: Frame, name: str, array: Any, mask: Any | None, instants: bool = False) -> None:
    import numpy

    unit, count = numpy.datetime_data(array.dtype)
    if unit in ("Y", "M"):
        array, unit, count = array.astype("datetime64[D]"), "D", 1
    if unit not in NANOSECONDS:
        # Finer than nanoseconds, which is as fine as times are written; or without a unit.
        found.unread(name, len(array), f"it holds times in the unit {array.dtype}; convert them to datetime64[ns]")
        return
    if mask is not None:
        array = array.copy()
        array[mask] = numpy.datetime64("NaT")
    found.times(name, array.view(numpy.int64), NANOSECONDS[unit] * count, instants)


def is_missing(value: Any) -> bool:
    """Whether a cell is ``None``, a NaN, pandas' ``NA`` or ``NaT``."""
    if value is None or (isinstance(value, float) and value != value):
        return True
    pandas = loaded("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def add_objects(found: Frame, name: str, values: list[Any]) -> None:
    """Adds values of Python, which must be of one kind: texts, numbers, booleans or times."""
    numpy = loaded("numpy")
    if numpy is not None and any(isinstance(value, numpy.generic) for value in values):
        if any(isinstance(value, (numpy.datetime64, numpy.timedelta64)) for value in values):
            _numpy_times(found, name, values)
            return
        values = [value.item() if isinstance(value, numpy.generic) else value for value in values]
    cells = [None if is_missing(value) else value for value in values]
    kinds = {_kind(value) for value in cells if value is not None}
    if kinds <= {"texts"}:
        found.texts(name, cells) if kinds else found.objects(name, cells)
    elif kinds == {"booleans"} or kinds <= {"numbers", "decimals"}:
        found.objects(name, cells)
    elif kinds == {"times"} or kinds == {"dates"} or kinds == {"instants"}:
        _python_times(found, name, cells, kinds == {"instants"})
    else:
        found.unread(name, len(cells), _mixed(cells, sorted(kinds)))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "texts"
    if isinstance(value, bool):
        return "booleans"
    if isinstance(value, (int, float)):
        return "numbers"
    if isinstance(value, decimal.Decimal):
        return "decimals"
    if isinstance(value, datetime.datetime):
        return "times" if value.tzinfo is None else "instants"
    if isinstance(value, datetime.date):
        return "dates"
    if isinstance(value, datetime.timedelta):
        return "durations"
    return f"values of type {type(value).__name__}"


def _mixed(cells: list[Any], kinds: list[str]) -> str:
    if kinds == ["durations"]:
        return DURATIONS
    odd = [kind for kind in kinds if kind.startswith("values")]
    if len(kinds) > 1:
        first = {_kind(value): (row, value) for row, value in reversed(list(enumerate(cells))) if value is not None}
        shown = ", ".join(f"{kind} ({first[kind][1]!r:.40} in row {first[kind][0]})" for kind in kinds)
        return f"it holds {shown}; make them one kind, for example with astype(str)"
    return f"it holds {odd[0]}, which are no numbers, texts or times; write their parts to columns of their own"


def _numpy_times(found: Frame, name: str, values: list[Any]) -> None:
    """Adds single times of NumPy, which are no ``datetime``."""
    import numpy

    cells = ["NaT" if is_missing(value) else value for value in values]
    if all(isinstance(value, numpy.datetime64) for value in cells if not isinstance(value, str)):
        try:
            times = numpy.array(cells, dtype="datetime64[ns]")
        except (ValueError, OverflowError):
            times = None
        if times is not None:
            add_array(found, name, times)
            return
    found.unread(name, len(values), "it holds times or durations of NumPy and other values; make them datetime64[ns]")


def _python_times(found: Frame, name: str, cells: list[Any], instants: bool) -> None:
    """Adds ``datetime`` and ``date`` of Python, and the ``Timestamp`` of pandas, which also has nanoseconds."""
    import array

    is_fine = any(getattr(value, "nanosecond", 0) for value in cells)
    unit = "ns" if is_fine else "us"

    def ticks(value: Any) -> int:
        if value is None:
            return -(1 << 63)
        fraction = getattr(value, "nanosecond", 0)
        if hasattr(value, "to_pydatetime"):
            value = value.to_pydatetime(warn=False)
        if not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        elif instants:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        microseconds = (value - EPOCH) // MICROSECOND
        return 1000 * microseconds + fraction if is_fine else microseconds

    try:
        found.times(name, memoryview(array.array("q", map(ticks, cells))), NANOSECONDS[unit], instants)
    except OverflowError:
        found.unread(name, len(cells), "it holds nanoseconds of times that are too long ago, or too far ahead, to count them")


def add_series(found: Frame, name: str, series: Any) -> None:
    """Adds a column of pandas."""
    import numpy
    import pandas

    dtype = series.dtype
    if isinstance(dtype, numpy.dtype):
        add_array(found, name, series.to_numpy())
    elif isinstance(dtype, pandas.CategoricalDtype):
        _categories(found, name, series)
    elif isinstance(dtype, pandas.DatetimeTZDtype):
        _times(found, name, series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), None, instants=True)
    elif isinstance(dtype, pandas.SparseDtype):
        add_array(found, name, series.sparse.to_dense().to_numpy())
    elif isinstance(dtype, pandas.StringDtype) and dtype.storage == "pyarrow":
        import pyarrow

        add_arrow(found, pyarrow.table({name: pyarrow.array(series.array)}))
    elif isinstance(dtype, pandas.StringDtype):
        add_objects(found, name, series.tolist())
    elif isinstance(dtype, pandas.PeriodDtype):
        found.unread(name, len(series), "it holds periods; make them times, with .dt.to_timestamp()")
    elif hasattr(dtype, "pyarrow_dtype"):
        import pyarrow

        add_arrow(found, pyarrow.table({name: pyarrow.array(series.array)}))
    elif hasattr(dtype, "numpy_dtype"):
        # Values beside a mask, as in Int64 and boolean.
        missing = series.isna().to_numpy()
        plain = series.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
        add_array(found, name, plain, missing)
    else:
        add_objects(found, name, series.tolist())


def _categories(found: Frame, name: str, series: Any) -> None:
    import numpy

    categories = series.cat.categories
    names = []
    for category in categories.tolist():
        if isinstance(category, bool):
            names.append(str(category).lower())
        elif isinstance(category, (str, int)):
            names.append(str(category))
        elif isinstance(category, float):
            # As a CSV has it.
            names.append(repr(category))
        else:
            kind = type(category).__name__
            found.unread(name, len(series), f"its categories are of type {kind}; make them texts, for example with astype(str)")
            return
    found.coded(name, series.cat.codes.to_numpy(dtype=numpy.int64), names)


def add_arrow(found: Frame, table: Any) -> int:
    """Adds the columns of a table that speaks Arrow's C interface; returns the number of its rows."""
    polars, arrow = loaded("polars"), loaded("pyarrow")
    if polars is not None and isinstance(table, polars.DataFrame):
        for column in table.get_columns():
            if column.dtype == polars.Object:
                add_objects(found, column.name, column.to_list())
            else:
                _one(found, column.name, column.to_frame())
    elif arrow is not None and isinstance(table, (arrow.Table, arrow.RecordBatch)):
        for name, column in zip(table.schema.names, table.columns, strict=True):
            _one(found, name, arrow.table({name: column}))
    else:
        # It may be a stream, which can be read only once.
        return found.arrow(table.__arrow_c_stream__())
    return len(table)


def _one(found: Frame, name: str, table: Any) -> None:
    """Adds a table of one column, which may be of a type that cannot be read."""
    try:
        found.arrow(table.__arrow_c_stream__())
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = reason.removeprefix("the Arrow table cannot be read: ")
        found.unread(name, len(table), f"its values cannot be had as Arrow's ({reason}); convert them")
