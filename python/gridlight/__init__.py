"""Gridlight trains neural networks on any GPU, or CPU, from an experiment and a table.

    >>> import gridlight
    >>> run = gridlight.train({"name": "houses", "data": {"target": "price"}}, frame)
    >>> run.predict(new)

An experiment is what the program ``gridlight`` reads too: a TOML file, its text, or a dictionary with the same keys. A
frame is a DataFrame of pandas or polars, a table of Arrow, a dictionary of columns, or an array. ``gridlight.sklearn`` has
estimators for scikit-learn.
"""

from ._devices import devices
from ._gridlight import VERSION as __version__
from ._run import Run
from ._train import train
from .errors import DeviceError, DivergedError, Error, FileError, InputError, Interrupted

__all__ = [
    "DeviceError",
    "DivergedError",
    "Error",
    "FileError",
    "InputError",
    "Interrupted",
    "Run",
    "__version__",
    "devices",
    "train",
]
