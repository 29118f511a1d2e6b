"""Frames of other libraries as tables of Gridlight, and predictions as frames of the same kind.

No library is imported here unless a frame of it was given. Numbers are read where they lie.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ._columns import add_array, add_arrow, add_objects, add_series, array_of, loaded
from ._gridlight import Frame
from .errors import InputError

KINDS = (
    "a DataFrame of pandas or polars, a pyarrow Table, a dictionary of columns, or a NumPy array with two dimensions"
)


def kind_of(frame: Any) -> str:
    """``pandas``, ``polars``, ``pyarrow``, ``array``, ``arrow`` (of anybody else) or ``dict``."""
    pandas, polars, arrow, numpy = (loaded(name) for name in ("pandas", "polars", "pyarrow", "numpy"))
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return "pandas"
    if polars is not None and isinstance(frame, polars.DataFrame):
        return "polars"
    if arrow is not None and isinstance(frame, (arrow.Table, arrow.RecordBatch)):
        return "pyarrow"
    if numpy is not None and isinstance(frame, numpy.ndarray):
        return "array"
    if isinstance(frame, Mapping):
        return "dict"
    if polars is not None and isinstance(frame, polars.LazyFrame):
        raise InputError("a LazyFrame has no rows yet; give frame.collect()")
    of_one = [library.Series for library in (pandas, polars) if library is not None]
    if isinstance(frame, tuple(of_one)):
        raise InputError("a Series is one column; give a table, such as series.to_frame()")
    if hasattr(frame, "__arrow_c_stream__"):
        return "arrow"
    if isinstance(frame, (str, os.PathLike)):
        raise InputError(f"{os.fspath(frame)!r:.80} is no frame; name a file in the experiment, as its `data.source`")
    raise InputError(f"a {type(frame).__name__} is no frame; give {KINDS}")


def read(frame: Any) -> Frame:
    """A frame as a table.

    Raises
    ------
    InputError
        If it has no rows, names that are no texts, or columns of different lengths.
    """
    kind = kind_of(frame)
    found = Frame()
    if kind == "array":
        rows = _array(found, frame)
    elif kind == "pandas":
        rows = len(frame)
        names = texts_of(frame.columns)
        for at, name in enumerate(names):
            add_series(found, name, frame.iloc[:, at])
    elif kind == "dict":
        rows = _columns(found, frame)
    else:
        rows = add_arrow(found, frame)
    if rows == 0:
        raise InputError("frame: there are no rows; give at least one")
    for note in found.notes():
        warnings.warn(note, stacklevel=3)
    return found


def texts_of(names: Any) -> list[str]:
    """The names of columns as texts; numbers are written as such."""
    found = []
    for name in names:
        if isinstance(name, str):
            found.append(str(name))
        elif isinstance(name, bool) or not hasattr(name, "__index__"):
            raise InputError(f"frame: the name of a column is {name!r}, a {type(name).__name__}; make it a text")
        else:
            found.append(str(int(name)))
    return found


def _array(found: Frame, array: Any) -> int:
    if array.dtype.names is not None and array.ndim == 1:
        return _columns(found, {name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise InputError(
            f"frame: the array has {array.ndim} dimensions; give two: a row for each sample, a column for each feature"
        )
    names = [f"x{at}" for at in range(array.shape[1])]
    masked = getattr(loaded("numpy"), "ma", None)
    is_masked = masked is not None and isinstance(array, masked.MaskedArray)
    if array.dtype.kind in "iuf" and array.dtype.itemsize in (1, 2, 4, 8) and not is_masked and names:
        if array.dtype.kind == "f" and array.dtype.itemsize == 2:
            array = array.astype("float32")
        found.matrix(names, array.astype(array.dtype.newbyteorder("="), copy=False))
        return array.shape[0]
    for at, name in enumerate(names):
        add_array(found, name, array[:, at])
    return array.shape[0]


def _columns(found: Frame, columns: Mapping[Any, Any]) -> int:
    names = texts_of(columns)
    if not names:
        raise InputError("frame: there are no columns; give at least one")
    rows = 0
    pandas, polars, arrow = (loaded(name) for name in ("pandas", "polars", "pyarrow"))
    for name, values in zip(names, columns.values(), strict=True):
        if pandas is not None and isinstance(values, (pandas.Series, pandas.Index)):
            values = values if isinstance(values, pandas.Series) else values.to_series()
            add_series(found, name, values)
        elif pandas is not None and isinstance(values, pandas.api.extensions.ExtensionArray):
            add_series(found, name, pandas.Series(values))
        elif polars is not None and isinstance(values, polars.Series):
            add_arrow(found, values.alias(name).to_frame())
        elif arrow is not None and isinstance(values, (arrow.Array, arrow.ChunkedArray)):
            add_arrow(found, arrow.table({name: values}))
        elif isinstance(values, (list, tuple, range)):
            add_objects(found, name, list(values))
        elif (array := array_of(values)) is not None:
            add_array(found, name, array)
        else:
            raise InputError(f"frame: column `{name}` is a {type(values).__name__}; give a list or an array")
        rows = len(values)
    return rows


def like(frame: Any, titles: Sequence[str], columns: Sequence[Any]) -> Any:
    """Predictions as a frame of the kind of ``frame``; a pandas index goes on with them, row by row."""
    kind = "dict" if frame is None else kind_of(frame)
    found = dict(zip(titles, columns, strict=True))
    if kind == "pandas":
        import pandas

        rows = len(columns[0]) if columns else 0
        return pandas.DataFrame(found, index=frame.index if rows == len(frame) else None)
    if kind == "polars":
        import polars

        return polars.DataFrame(found)
    if kind == "pyarrow":
        import pyarrow

        return pyarrow.table(found)
    return found
