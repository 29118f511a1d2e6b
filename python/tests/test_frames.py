"""Frames of every library are the same table: the same weights come of them, bit for bit."""

import datetime

import pytest

import gridlight


def arrow_of(columns):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    return arrow.table(columns)


def pandas_of(columns):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    return pandas.DataFrame(columns)


def polars_of(columns):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    return polars.DataFrame(columns)


def stream_of(columns):
    """Anything that speaks Arrow's interface, and nothing else."""

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return arrow_of(columns).__arrow_c_stream__(requested_schema)

    return Stream()


MAKERS = {"pandas": pandas_of, "polars": polars_of, "pyarrow": arrow_of, "stream": stream_of}


@pytest.mark.parametrize("maker", MAKERS)
def test_every_kind_of_frame_gives_the_weights_of_lists(maker, columns, trained, digest):
    frame = MAKERS[maker](columns)
    assert digest(trained(frame, out="frame")) == digest(trained(columns, out="lists"))


def test_pandas_types_of_its_own_give_the_same_weights(columns, trained, digest):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    plain = pandas.DataFrame(columns)
    typed = plain.assign(
        b=plain.b.astype("Int64"),
        c=plain.c.astype("category"),
        d=plain.d.astype("boolean"),
        gaps=plain.gaps.astype("Float64"),
    )
    sparse = plain.assign(b=pandas.arrays.SparseArray(plain.b), c=plain.c.astype("string"), t=plain.t.astype("datetime64[s]"))
    wanted = digest(trained(plain, out="plain"))
    assert digest(trained(typed, out="typed")) == wanted
    assert digest(trained(sparse, out="sparse")) == wanted


def test_arrow_types_in_pandas_give_the_same_weights(columns, trained, digest):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    plain = pandas.DataFrame(columns)
    assert digest(trained(plain.convert_dtypes(dtype_backend="pyarrow"))) == digest(trained(plain, out="plain"))


def test_polars_types_give_the_same_weights(columns, trained, digest):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    plain = polars.DataFrame(columns)
    typed = plain.with_columns(
        polars.col("b").cast(polars.UInt8),
        polars.col("c").cast(polars.Categorical),
        polars.col("t").cast(polars.Datetime("ns")),
    )
    chunks = polars.concat([plain[:100], plain[100:]], rechunk=False)
    wanted = digest(trained(plain, out="plain"))
    assert digest(trained(typed, out="typed")) == wanted
    assert digest(trained(chunks, out="chunks")) == wanted


@pytest.mark.parametrize("order", ["C", "F", "strided", "big-endian", "read-only"])
def test_arrays_are_read_however_they_lie(order, trained, digest, quick):
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    values = numpy.random.default_rng(3).normal(size=(120, 4))
    array = numpy.asarray(values, order="F" if order == "F" else "C")
    if order == "strided":
        array = numpy.repeat(numpy.repeat(values, 2, axis=0), 3, axis=1)[::2, ::3]
    if order == "big-endian":
        array = values.astype(">f8")
    if order == "read-only":
        array.flags.writeable = False
    experiment = quick(target="x3")
    wanted = {f"x{at}": values[:, at].tolist() for at in range(4)}
    assert digest(trained(array, experiment, out="array")) == digest(trained(wanted, experiment, out="lists"))


def test_predictions_are_frames_of_the_same_kind(columns, trained):
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    run = trained(columns)
    new = {name: values[:10] for name, values in columns.items() if name != "y"}
    wanted = run.predict(new)
    assert list(wanted) == ["y"] and wanted["y"].dtype == numpy.float64 and len(wanted["y"]) == 10
    pandas, polars, arrow = MAKERS["pandas"](new), MAKERS["polars"](new), MAKERS["pyarrow"](new)
    pandas.index = [f"row {row}" for row in range(10)]
    found = run.predict(pandas)
    assert type(found) is type(pandas) and list(found.index) == list(pandas.index)
    assert (found["y"].to_numpy() == wanted["y"]).all()
    found = run.predict(polars)
    assert type(found) is type(polars) and (found["y"].to_numpy() == wanted["y"]).all()
    found = run.predict(arrow)
    assert type(found) is type(arrow) and (found["y"].to_numpy() == wanted["y"]).all()
    part = run.predict({name: values[3:4] for name, values in new.items()})
    assert part["y"][0] == wanted["y"][3]


def test_classes_have_the_type_that_they_had(columns, trained, quick):
    pytest.importorskip("numpy", reason="NumPy is not installed")
    for target, kind in (("b", int), ("c", str), ("d", bool)):
        experiment = quick(target=target, train={"loss": "cross_entropy"}, data={"exclude": ["y"]})
        run = trained(columns, experiment, out=target)
        assert {type(name) for name in run.classes} == {kind}
        predicted = run.predict(columns)[target].tolist()
        assert set(predicted) <= set(columns[target]) and {type(value) for value in predicted} == {kind}
    # Texts that look like numbers stay texts.
    texts = dict(columns, b=[f"{b:02}" for b in columns["b"]])
    run = trained(texts, quick(target="b", train={"loss": "cross_entropy"}), out="texts")
    assert run.classes == sorted(set(texts["b"])) and 'b = "category"' in run.experiment


def test_texts_are_names_whatever_they_look_like(columns, trained):
    frame = dict(columns, b=[str(b) for b in columns["b"]], t=[str(t) for t in columns["t"]], c=["NA", "-", "?"] * 80)
    frame["t"] = [text[:10] for text in frame["t"]]
    experiment = trained(frame).experiment
    assert all(f'{name} = "category"' in experiment for name in "bct")
    assert "default_missing = false" in experiment


def test_texts_are_what_the_experiment_says_that_they_are(columns, trained, quick, digest):
    dates = dict(columns, t=[f"{t:%d/%m/%Y}" for t in columns["t"]], b=[f"{b} kg" for b in columns["b"]])
    experiment = quick(data={"types": {"t": "timestamp", "b": "number"}})
    days = [t.replace(hour=0) for t in columns["t"]]
    assert digest(trained(dates, experiment, out="texts")) == digest(trained(dict(columns, t=days), out="times"))


def test_numbers_stay_numbers_and_times_become_times(columns, trained):
    # As Unix times they would be read in a text.
    frame = dict(columns, time=[1_700_000_000 + 3600 * row for row in range(240)])
    run = trained(frame)
    text = (run.path / "report.html").read_text()
    assert "time" in text and "[data.types]" in run.experiment and 'time = "timestamp"' not in run.experiment
    # Times of a day are told apart, so they became calendar parts.
    assert "weekday" in text


def test_times_with_a_zone_are_instants(columns, trained, digest):
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    utc = [t.replace(tzinfo=datetime.timezone.utc) for t in columns["t"]]
    wanted = digest(trained(columns, out="naive"))
    assert digest(trained(dict(columns, t=utc), out="utc")) == wanted
    assert digest(trained(dict(columns, t=[t.astimezone(zone) for t in utc]), out="zone")) == wanted
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    zoned = pandas.DataFrame(columns).assign(t=lambda f: f.t.dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata"))
    assert digest(trained(zoned, out="pandas")) == wanted


def test_missing_is_missing_in_every_kind(columns, trained, digest):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = dict(columns)
    for name, every in (("a", 5), ("b", 7), ("c", 6), ("d", 9), ("t", 8)):
        frame[name] = [None if row % every == 0 else value for row, value in enumerate(columns[name])]
    wanted = digest(trained(frame, out="lists"))
    assert digest(trained(pandas.DataFrame(frame), out="pandas")) == wanted
    assert digest(trained(pandas.DataFrame(frame).convert_dtypes(), out="typed")) == wanted
    assert digest(trained(polars.DataFrame(frame), out="polars")) == wanted


def test_empty_texts_are_missing_and_that_is_told(columns, trained, digest):
    empty = dict(columns, c=["" if row % 5 else "x" for row in range(240)])
    none = dict(columns, c=[text or None for text in empty["c"]])
    with pytest.warns(UserWarning, match="column `c`: empty texts, 192 of them"):
        run = trained(empty, out="empty")
    assert digest(run) == digest(trained(none, out="none"))


def test_single_times_of_numpy_and_pandas_are_times(columns, trained, digest):
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    wanted = digest(trained(columns, out="python"))
    for unit in ("ns", "s"):
        assert digest(trained(dict(columns, t=[numpy.datetime64(t, unit) for t in columns["t"]]), out=unit)) == wanted
    stamps = pandas.Series([pandas.Timestamp(t) for t in columns["t"]], dtype=object)
    assert digest(trained(dict(columns, t=stamps), out="stamps")) == wanted
    fine = [stamp + pandas.Timedelta(3, "ns") for stamp in stamps]
    assert digest(trained(dict(columns, t=fine), out="fine")) == wanted
    with pytest.raises(gridlight.InputError, match="column `t`.*of NumPy"):
        trained(dict(columns, t=[numpy.timedelta64(5, "ns")] * 240))


def test_columns_that_are_not_used_do_not_matter(columns, trained, digest, quick):
    odd = dict(columns, lists=[[1, 2]] * 240, huge=[2**70] * 240, mixed=["x", 1.5] * 120, dates=["01/02/2021"] * 240)
    named = quick(data={"features": ["a", "b"]})
    assert digest(trained(odd, named, out="odd")) == digest(trained(columns, named, out="plain"))
    excluded = quick(data={"exclude": ["lists", "huge", "mixed", "dates"]})
    run = trained(odd, excluded, out="excluded")
    assert len(run.predict(dict(odd, more=[object()] * 240))["y"]) == 240
    assert run.evaluate(split="train")["samples"] > 100


def test_frames_that_were_changed_are_not_evaluated_by_their_split(columns, trained):
    run = trained(columns)
    assert run.evaluate()["split"] == "test"
    assert run.evaluate(split="train")["split"] == "train"
    assert run.evaluate(columns)["samples"] == 240
    again = gridlight.Run(run.path, device="cpu")
    with pytest.raises(gridlight.InputError, match="give the frame"):
        again.evaluate()
    assert again.evaluate(columns, split="test")["metrics"] == run.evaluate()["metrics"]
    with pytest.raises(gridlight.InputError, match="not the one"):
        again.evaluate(dict(columns, a=columns["b"]), split="test")
    sure = run.evaluate(coverage=0.9)
    assert sure["metrics"] == run.evaluate()["metrics"] and sure["conformal"]
