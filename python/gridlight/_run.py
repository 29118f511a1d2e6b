"""A trained run."""

import array
import json
import math
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

from . import _frames, _gridlight, _report
from ._columns import loaded
from .errors import InputError


class Run:
    """A run directory, as :func:`gridlight.train` or ``gridlight train`` writes it.

    Parameters
    ----------
    path
        The run directory.
    device
        Where it predicts: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    """

    def __init__(self, path: str | os.PathLike[str], *, device: str = "auto", frame: Any = None) -> None:
        # What it is used for may be elsewhere by then.
        self.path = pathlib.Path(path).absolute()
        self.device = device
        # What it was trained on, if that is no file.
        self._frame = frame
        self._about = json.loads(_gridlight.about(os.fspath(self.path)))

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._about["name"]

    @property
    def state(self) -> str:
        """``finished``, ``running``, ``interrupted``, ``diverged`` or ``damaged``, as of when it was opened."""
        return self._about["state"]

    @property
    def experiment(self) -> str:
        """The experiment as TOML, with all defaults written out."""
        return self._about["experiment"]

    @property
    def classes(self) -> list[Any]:
        """The classes of a classifier in the order of their probabilities; empty of others."""
        return self._classes()[0]

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are kept, from 1."""
        return self._about["best_epoch"]

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each epoch, with ``validation_`` before metrics; ``pandas.DataFrame(run.history)`` is a table."""
        rows = []
        for epoch in self._about["history"]:
            row = {name: _number(value) for name, value in epoch.items() if name != "validation"}
            row.update({f"validation_{name}": _number(value) for name, value in epoch["validation"].items()})
            rows.append(row)
        return rows

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Loss and metrics of the best epoch on the ``validation`` rows, and of the ``test`` rows if there are any."""
        best = [epoch["validation"] for epoch in self._about["history"] if epoch["epoch"] == self.best_epoch]
        found = {"validation": _numbers(best[0] if best else {})}
        if self._about["test"]:
            found["test"] = _numbers(self._about["test"])
        return found

    def predict(
        self,
        frame: Any,
        *,
        future: Any = None,
        coverage: float | None = None,
        dropout_samples: int = 0,
        novelty: bool = False,
    ) -> Any:
        """Predicts the rows of a frame, in the target's own units.

        Parameters
        ----------
        frame
            A frame of any kind that :func:`gridlight.train` takes, or the path of a file. Columns that the model does not
            read do not matter.
        future
            Rows to come of a series, as a frame: their times, their series and what is known in advance.
        coverage
            Add intervals, or sets of classes, that hold the truth with this probability.
        dropout_samples
            Predict as often with other units dropped each time, and tell how much the predictions differ.
        novelty
            Add how unlike the training rows each row is, from 0 to 1. Needs the run's data.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame, pyarrow.Table or dict
            A frame of the kind that was given, of pandas with its index; a dictionary of NumPy arrays for dictionaries,
            arrays and files. It has a column for each target, or the class and the probability of each class.
        """
        is_file = isinstance(frame, (str, os.PathLike))
        titles, columns, note = _gridlight.predict(
            os.fspath(self.path),
            self.device,
            frame=None if is_file else _frames.read(frame),
            file=os.fspath(frame) if is_file else None,
            future=None if future is None else _frames.read(future),
            coverage=coverage,
            dropout_samples=dropout_samples,
            novelty=novelty,
        )
        if note is not None:
            warnings.warn(note, stacklevel=2)
        found = [self._column(title, column) for title, column in zip(titles, columns, strict=True)]
        return _frames.like(None if is_file else frame, titles, found)

    def evaluate(
        self, frame: Any = None, *, split: str | None = None, coverage: float | None = None
    ) -> dict[str, Any]:
        """Loss and metrics of the best weights, as ``gridlight evaluate --json`` prints them.

        Parameters
        ----------
        frame
            Rows with a target, or the path of a file. By default those of ``split``.
        split
            ``train``, ``validation`` or ``test`` of the run's data; by default ``test``, or ``validation`` where nothing
            tests. A run of a frame needs the frame again, unless :func:`gridlight.train` has just returned it.
        coverage
            Measure intervals, or sets of classes, of this coverage.
        """
        if frame is None and self._about["from_frame"]:
            if self._frame is None:
                raise InputError(f"{self.path}: the run was trained on a frame, which is not kept with it; give the frame")
            frame, split = self._frame, split or self._default_split()
        is_file = isinstance(frame, (str, os.PathLike))
        if is_file and split is not None:
            raise InputError("a file has no splits; all of its rows are evaluated, leave `split` out")
        text = _gridlight.evaluate(
            os.fspath(self.path),
            self.device,
            frame=None if is_file or frame is None else _frames.read(frame),
            file=os.fspath(frame) if is_file else None,
            split=split,
            coverage=coverage,
        )
        found = json.loads(text)
        found["loss"] = _number(found["loss"])
        found["metrics"] = _numbers(found["metrics"])
        return found

    def export(self, path: str | os.PathLike[str], *, raw: bool = False) -> None:
        """Writes the model as ONNX (``.onnx``; with ``raw`` the network alone) or its weights (``.safetensors``)."""
        _gridlight.export(os.fspath(self.path), os.fspath(path), raw)

    def _default_split(self) -> str:
        return "test" if self._about["test"] else "validation"

    def _classes(self) -> tuple[list[Any], type]:
        """The classes, and their type: whole numbers and booleans are such again, unless they were texts."""
        names = self._about["classes"]
        if self._about["target_type"] == "category" or not names:
            return names, str
        if all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names):
            return [int(name) for name in names], int
        if set(names) <= {"true", "false"}:
            return [name == "true" for name in names], bool
        return names, str

    def _column(self, title: str, column: Sequence[str] | bytes) -> Any:
        """A column of predictions as an array."""
        numpy = _numpy()
        if isinstance(column, bytes):
            return array.array("d", column) if numpy is None else numpy.frombuffer(column, dtype=numpy.float64).copy()
        values: list[Any] = list(column)
        if title in self._about["targets"] and self._about["classes"]:
            classes, kind = self._classes()
            if kind is not str:
                known = dict(zip(self._about["classes"], classes, strict=True))
                values = [known.get(name, name) for name in values]
        return values if numpy is None else _texts(numpy, values)

    def __repr__(self) -> str:
        return f"Run({os.fspath(self.path)!r}, {self.state})"

    def _repr_html_(self) -> str:
        return _report.page(self)

    def __reduce__(self) -> Any:
        return (_opened, (os.fspath(self.path), self.device))


def _opened(path: str, device: str) -> Run:
    return Run(path, device=device)


def _numpy() -> Any | None:
    if (found := loaded("numpy")) is not None:
        return found
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _texts(numpy: Any, values: list[Any]) -> Any:
    """Texts as objects, so that each keeps its length; numbers and booleans as such."""
    plain = bool(values) and all(isinstance(value, (bool, int)) for value in values)
    return numpy.array(values) if plain else numpy.array(values, dtype=object)


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Numbers by their names, the loss first."""
    names = sorted(values, key=lambda name: name != "loss")
    return {name: _number(values[name]) for name in names}


def _number(value: Any) -> Any:
    """A number of JSON, where one that is not finite is a text."""
    if value == "NaN":
        return math.nan
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value
