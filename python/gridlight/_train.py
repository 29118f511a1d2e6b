"""Training from Python."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from . import _frames, _gridlight, _progress
from ._run import Run
from .errors import InputError

Experiment = str | os.PathLike[str] | Mapping[str, Any]
Settings = Mapping[str, Any] | Sequence[str]


def train(
    experiment: Experiment,
    frame: Any = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    resume: bool = False,
    set: Settings | None = None,
    progress: bool = True,
) -> Run:
    """Trains an experiment, tests it and writes a run directory.

    Parameters
    ----------
    experiment
        A TOML file, its text, or a dictionary with the same keys. Paths in a file are relative to it, others to the
        working directory.
    frame
        The rows: a DataFrame of pandas or polars, a pyarrow Table or anything else with ``__arrow_c_stream__``, a
        dictionary of columns, or a NumPy array, whose columns are called ``x0``, ``x1``, ... With it, ``data.source``
        is not needed. Texts are categories, even if they look like numbers; what is missing is missing.
    out
        The run directory; by default ``runs/<name>``. An earlier run there is moved aside.
    device
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``, as :func:`gridlight.devices` lists them.
    resume
        Go on from the newest checkpoint of the run directory, to the bits of a training that was never interrupted;
        begin if there is none yet. Rows of a frame must be given again.
    set
        Keys of the experiment to change, such as ``{"train.epochs": 5}`` or ``["train.epochs=5"]``.
    progress
        Show a bar: on a terminal, or in a notebook.

    Returns
    -------
    Run
        The trained run.

    Raises
    ------
    InputError
        If the experiment or its data are wrong.
    DivergedError
        If a loss or a weight is no longer finite.
    DeviceError, FileError
        If the device fails, or a file cannot be written.
    Interrupted
        On Ctrl-C, after a checkpoint was saved. It is a ``KeyboardInterrupt``.
    """
    kind, text = _read(experiment)
    rows = None if frame is None else _frames.read(frame)
    watcher = _progress.shown() if progress else None
    try:
        path = _gridlight.train(
            kind,
            text,
            overrides(set),
            frame=rows,
            out=None if out is None else os.fspath(out),
            device=device,
            resume=resume,
            watcher=watcher,
        )
    finally:
        if watcher is not None:
            watcher.close()
    return Run(path, device=device, frame=frame)


def _read(experiment: Experiment) -> tuple[str, str]:
    """What an experiment is, and its path or text."""
    if isinstance(experiment, Mapping):
        return "json", as_json(experiment, "experiment")
    if isinstance(experiment, str) and ("\n" in experiment or "=" in experiment):
        return "toml", experiment
    if isinstance(experiment, (str, os.PathLike)):
        path = os.fspath(experiment)
        if isinstance(path, str):
            return "file", path
    raise InputError(
        f"experiment: a {type(experiment).__name__} is none; give a TOML file, its text, or a dictionary with the same keys"
    )


def overrides(settings: Settings | None) -> list[str]:
    """Settings as the program's ``--set`` has them."""
    if settings is None:
        return []
    if isinstance(settings, str):
        return [settings]
    if isinstance(settings, Mapping):
        return [f"{key}={_gridlight.inline(as_json(value, str(key)))}" for key, value in settings.items()]
    return [str(setting) for setting in settings]


def as_json(value: Any, place: str) -> str:
    """A value of Python as JSON, of which TOML is made."""
    return json.dumps(_plain(value, place), allow_nan=False)


def _plain(value: Any, place: str) -> Any:
    """The value with numbers and texts of Python alone."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f"{place}: the key {key!r} is a {type(key).__name__}; give texts as keys")
        return {key: _plain(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, place) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), place)
    if isinstance(value, pathlib.PurePath):
        return os.fspath(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise InputError(f"{place}: {value} is no setting; give a finite number")
    if isinstance(value, (str, bool, int, float)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    hint = "leave the key out" if value is None else "give a text, a number, a list or a dictionary"
    raise InputError(f"{place}: {value!r:.40} is a {type(value).__name__}, which TOML does not have; {hint}")
