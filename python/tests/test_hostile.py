"""Frames that cannot be a table are refused with the name of the column and what to do, and nothing panics."""

import datetime
import decimal

import pytest

import gridlight

HOSTILE = {
    "nothing": ({}, "no columns"),
    "empty": ({"a": [], "y": []}, "no rows"),
    "lengths": ({"a": [1, 2], "y": [1, 2, 3]}, "column `y` has 3 values"),
    "huge": ({"a": [2**53 + 1, 1] * 20, "y": [1, 2] * 20}, "column `a`.*9007199254740993.*2\\^53"),
    "huger": ({"a": [2**200, 1] * 20, "y": [1, 2] * 20}, "column `a`.*2\\^53"),
    "mixed": ({"a": ["x", 1] * 20, "y": [1, 2] * 20}, "column `a`.*numbers \\(1 in row 1\\), texts \\('x' in row 0\\)"),
    "objects": ({"a": [object(), None] * 20, "y": [1, 2] * 20}, "column `a`.*type object"),
    "lists": ({"a": [[1], [2]] * 20, "y": [1, 2] * 20}, "column `a`.*type list"),
    "bytes": ({"a": [b"x", b"y"] * 20, "y": [1, 2] * 20}, "column `a`.*type bytes"),
    "durations": ({"a": [datetime.timedelta(1)] * 40, "y": [1, 2] * 20}, "column `a`.*durations"),
    "zones": (
        {"a": [datetime.datetime.now(), datetime.datetime.now(datetime.timezone.utc)] * 20, "y": [1, 2] * 20},
        "column `a`.*instants.*times",
    ),
    "infinite": ({"a": [float("inf"), 1.0] * 20, "y": [1, 2] * 20}, "column `a`: it holds inf"),
    "surrogates": ({"a": ["\ud800", "x"] * 20, "y": [1, 2] * 20}, "column `a`.*row 0.*Unicode"),
    "names": ({("a", 1): [1, 2], "y": [1, 2]}, "name of a column is \\('a', 1\\)"),
    "scalar": ({"a": 1, "y": [1, 2]}, "column `a` is a int"),
    "target": ({"a": [1, 2] * 20, "y": ["x", "z"] * 20}, "target `y`"),
    "no target": ({"a": [1, 2] * 20}, "frame: there is no column `y`"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_columns_are_refused_by_name(name, trained):
    frame, told = HOSTILE[name]
    with pytest.raises(gridlight.InputError, match=f"(?s){told}") as caught:
        trained(frame)
    assert caught.value.exit_code == 2 and isinstance(caught.value, ValueError)
    assert "<frame>" not in str(caught.value)


@pytest.mark.parametrize("frame", [None, 7, "x", [1, 2], [{"a": 1}], object(), b"x", iter([])])
def test_what_is_no_frame_is_refused(frame, trained, quick):
    with pytest.raises(gridlight.InputError):
        trained(frame, quick())


def test_decimals_and_odd_numbers_are_numbers(trained):
    frame = {
        "a": [decimal.Decimal("1.10"), decimal.Decimal("-3")] * 30,
        "b": [1e300, 2e300] * 30,
        "c": [2**53, -(2**53)] * 30,
        "y": [float(row) for row in range(60)],
    }
    with pytest.raises(gridlight.InputError, match="column `b`.*3.4e38"):
        trained(frame)
    del frame["b"]
    assert trained(frame).state == "finished"


def test_hostile_frames_of_pandas(trained):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rows = {"y": range(40)}
    twice = pandas.DataFrame([[1, 2, 3]] * 40, columns=["a", "a", "y"])
    with pytest.raises(gridlight.InputError, match="two columns are called `a`"):
        trained(twice)
    levels = pandas.DataFrame([[1, 2]] * 40, columns=pandas.MultiIndex.from_tuples([("a", "b"), ("y", "")]))
    with pytest.raises(gridlight.InputError, match="name of a column"):
        trained(levels)
    with pytest.raises(gridlight.InputError, match="to_frame"):
        trained(pandas.Series(range(40), name="y"))
    with pytest.raises(gridlight.InputError, match="no rows"):
        trained(pandas.DataFrame({"a": [], "y": []}))
    for column, told in (
        (pandas.period_range("2024", periods=40, freq="D"), "periods"),
        (pandas.interval_range(0, 40), "type Interval"),
        (pandas.timedelta_range("1h", periods=40), "durations"),
        (pandas.Series([1 + 2j] * 40), "complex"),
        (pandas.Series([2**53 + 1] * 40, dtype="UInt64"), "2\\^53"),
        (pandas.Series([{"x": 1}] * 40), "type dict"),
        (pandas.Categorical([pandas.Timestamp("2024")] * 40), "categories"),
    ):
        with pytest.raises(gridlight.InputError, match=f"column `a`.*{told}"):
            trained(pandas.DataFrame({"a": column, **rows}))


def test_odd_but_sound_frames_of_pandas(trained):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(
        {
            0: range(60),
            1: pandas.array([True, None, False] * 20, dtype="boolean"),
            "codes": pandas.Categorical([3, 1, None] * 20),
            "y": range(60),
        },
        index=pandas.Index(["same"] * 60),
    )
    run = trained(frame)
    assert list(run.predict(frame).index) == ["same"] * 60
    assert 'codes = "category"' in run.experiment


def test_hostile_frames_of_polars(trained):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    y = polars.Series("y", range(40))
    with pytest.raises(gridlight.InputError, match="collect"):
        trained(polars.LazyFrame({"y": [1]}))
    with pytest.raises(gridlight.InputError, match="no rows"):
        trained(polars.DataFrame({"a": [], "y": []}))
    for column, told in (
        (polars.Series([[1, 2]] * 40), "List"),
        (polars.Series([{"x": 1}] * 40), "Struct"),
        (polars.Series([b"x"] * 40), "Binary"),
        (polars.Series([datetime.timedelta(1)] * 40), "durations"),
        (polars.Series([2**53 + 1] * 40), "2\\^53"),
        (polars.Series([2**100] * 40, dtype=polars.Int128), "cannot be had as Arrow"),
        (polars.Series([object()] * 40, dtype=polars.Object), "type object"),
    ):
        with pytest.raises(gridlight.InputError, match=f"column `a`.*{told}"):
            trained(polars.DataFrame({"a": column, "y": y}))


def test_hostile_tables_of_arrow(trained):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    y = arrow.array(range(40))
    twice = arrow.Table.from_arrays([y, y, y], names=["a", "a", "y"])
    with pytest.raises(gridlight.InputError, match="two columns are called `a`"):
        trained(twice)
    for column, told in (
        (arrow.array([[1]] * 40), "List"),
        (arrow.array([b"x"] * 40), "Binary"),
        (arrow.array([None, 2**63] * 20, type=arrow.uint64()), "2\\^53"),
        (arrow.array([2**62] * 40, type=arrow.timestamp("s")), "years"),
    ):
        with pytest.raises(gridlight.InputError, match=f"column `a`.*{told}"):
            trained(arrow.table({"a": column, "y": y}))
    odd = arrow.table(
        {
            "half": arrow.array([0.5, 1.5, None, 3.5] * 10, type=arrow.float16()),
            "time": arrow.array([datetime.time(3, 4, 5), None] * 20),
            "date": arrow.array([datetime.date(2024, 5, 1), None] * 20),
            "decimal": arrow.array([decimal.Decimal("1.25"), None] * 20),
            "y": y,
        }
    )
    assert trained(odd).state == "finished"
    empty = arrow.DictionaryArray.from_arrays(arrow.nulls(40, arrow.int8()), arrow.array([], arrow.string()))
    assert trained(arrow.table({"a": empty, "y": y}), out="empty").state == "finished"
    with pytest.raises(gridlight.InputError, match="column `a`: it is empty"):
        trained(arrow.table({"a": arrow.nulls(40), "b": y, "y": y}))


def test_hostile_arrays(trained, quick):
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    for array, told in (
        (numpy.zeros(5), "1 dimensions"),
        (numpy.zeros((2, 3, 4)), "3 dimensions"),
        (numpy.zeros((0, 3)), "no rows"),
        (numpy.zeros((40, 2), dtype=complex), "complex"),
        (numpy.zeros((40, 2), dtype=numpy.longdouble), "extended precision"),
        (numpy.array([["a", b"x"]] * 40, dtype=object), "bytes"),
        (numpy.full((40, 2), 2**60), "2\\^53"),
    ):
        with pytest.raises(gridlight.InputError, match=told):
            trained(array, quick(target="x0"))
    with pytest.raises(gridlight.InputError, match="`a`.*array of 2 x 2"):
        trained({"a": numpy.zeros((40, 2, 2)), "y": range(40)})
    fine = {
        "masked": numpy.ma.masked_equal(numpy.arange(40), 7),
        "half": numpy.linspace(0, 1, 40).astype(numpy.float16),
        "months": numpy.arange("2020-01", "2023-05", dtype="datetime64[M]"),
        "texts": numpy.array(["a", "bc"] * 20),
        "y": numpy.arange(40),
    }
    assert trained(fine).state == "finished"
