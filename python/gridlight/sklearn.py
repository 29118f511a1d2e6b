"""Estimators for scikit-learn: networks on tables, with pipelines, searches and cross-validation.

    >>> from gridlight.sklearn import GridlightRegressor
    >>> GridlightRegressor(epochs=50).fit(X, y).predict(X)
"""

import contextlib
import os
import pathlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import _frames, _gridlight, _progress
from ._columns import add_array, loaded
from ._gridlight import Frame
from ._run import Run
from ._train import as_json, overrides
from .errors import InputError, Interrupted

__all__ = ["GridlightClassifier", "GridlightRegressor"]

#: Of a run directory, what an estimator does without: where training would go on, and what others show.
LEFT_OUT = ("checkpoints", "lock", "events", "watch")


class _Gridlight(BaseEstimator):
    """What both estimators share: a multilayer perceptron, trained as ``gridlight train`` does.

    Parameters
    ----------
    hidden
        Units of the hidden layers.
    activation
        Their activation: ``relu``, ``gelu``, ``silu``, ``tanh``, ...
    dropout
        The part of units that is dropped in training.
    epochs
        How often every row is seen.
    batch_size
        Rows of a step; fewer where there are not so many.
    learning_rate
        Of Adam.
    weight_decay
        Decoupled weight decay, which makes it AdamW.
    validation_fraction
        The part of rows that does not train, but says which epoch is the best, whose weights are kept.
    patience
        Epochs without improvement after which training stops; ``None`` never.
    settings
        Any other keys of an experiment, such as ``{"train.clip_norm": 1.0}``. They take precedence over the parameters above.
    device
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    random_state
        The seed of weights, splits and orders. With a number, every fit has the same bits.
    verbose
        Show progress.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        epochs: int = 100,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        validation_fraction: float = 0.15,
        patience: int | None = None,
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Missing values are filled as the experiment says.
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def write_run(self, path: str | os.PathLike[str]) -> Run:
        """Writes the fitted model as a run directory, for the program ``gridlight``, and opens it."""
        check_is_fitted(self)
        folder = pathlib.Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder}: the directory is not empty; choose another one")
        for name, content in self.files_.items():
            (folder / name).write_bytes(content)
        return Run(folder, device=self.device)

    def _table(self, X: Any, names: Sequence[str]) -> Frame:
        """Features as a frame: by their names if some are no numbers, else as an array."""
        if names:
            return _frames.read(X)
        found = Frame()
        found.matrix([f"x{at}" for at in range(X.shape[1])], X)
        return found

    def _fit(self, X: Any, y: Any, names: list[str], loss: Mapping[str, Any] | None, sample_weight: Any) -> None:
        rows = len(y)
        if rows < 2:
            raise ValueError(f"n_samples = {rows}: some rows train and others validate; give at least 2 samples")
        features = names or [f"x{at}" for at in range(X.shape[1])]
        self._target = _free("target", features)
        frame = self._table(X, names)
        add_array(frame, self._target, numpy.ascontiguousarray(y))
        seed = int(check_random_state(self.random_state).randint(numpy.iinfo(numpy.int32).max))
        data: dict[str, Any] = {
            "target": self._target,
            "features": features,
            "split": {"by": "random", "validation": self.validation_fraction, "test": 0.0, "seed": seed},
        }
        if sample_weight is not None:
            data["weight"] = _free("weight", [*features, self._target])
            add_array(frame, data["weight"], _check_sample_weight(sample_weight, X, dtype=numpy.float64))
        model = {"hidden": list(self.hidden), "activation": self.activation, "dropout": self.dropout}
        train: dict[str, Any] = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        if loss is not None:
            train["loss"] = loss
        if self.batch_size is not None:
            train["batch_size"] = min(self.batch_size, max(1, int(rows * (1 - self.validation_fraction))))
        if self.weight_decay:
            train["optimizer"] = {"type": "adamw", "weight_decay": self.weight_decay}
        if self.patience is not None:
            train["early_stopping"] = {"patience": self.patience}
        experiment = {"name": "estimator", "seed": seed, "data": data, "model": model, "train": train}
        watcher = _progress.shown() if self.verbose else None
        with tempfile.TemporaryDirectory(prefix="gridlight-") as folder:
            path = os.path.join(folder, "estimator")
            try:
                _gridlight.train(
                    "json",
                    as_json(experiment, "experiment"),
                    overrides(self.settings),
                    frame=frame,
                    out=path,
                    device=self.device,
                    watcher=watcher,
                    report=False,
                )
            except Interrupted:
                # Where the checkpoint was, nothing is left.
                raise KeyboardInterrupt("interrupted; nothing was fitted") from None
            finally:
                if watcher is not None:
                    watcher.close()
            run = Run(path)
            self.history_ = run.history
            self.best_epoch_ = run.best_epoch
            files = (entry for entry in sorted(pathlib.Path(path).iterdir()) if entry.is_file())
            self.files_ = {entry.name: entry.read_bytes() for entry in files if not _is_left_out(entry.name)}

    def _predicted(self, X: Any) -> dict[str, Any]:
        """Predictions by title."""
        check_is_fitted(self)
        names = self._names
        if names:
            validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=False, dtype=[numpy.float64, numpy.float32], ensure_all_finite="allow-nan")
            _refuse_infinity(X)
        with self._opened() as path:
            titles, columns, note = _gridlight.predict(path, self.device, frame=self._table(X, names))
        if note is not None and names:
            warnings.warn(note, stacklevel=3)
        return dict(zip(titles, columns, strict=True))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[str]:
        """The fitted model in a folder that is gone afterwards, so that copies and other processes share nothing."""
        with tempfile.TemporaryDirectory(prefix="gridlight-") as folder:
            yield os.fspath(self.write_run(folder).path)

    def _features(self, X: Any, y: Any, y_numeric: bool) -> tuple[Any, Any, list[str]]:
        """Checked features and target, and the names of the features if some of them are no numbers."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if _has_others_than_numbers(X):
            validate_data(self, X, skip_check_array=True)
            y = column_or_1d(y, warn=True)
            if len(y) != len(X):
                raise ValueError(f"X has {len(X)} rows and y has {len(y)} values; give as many of each")
            self._names = _frames.texts_of(X.columns)
            return X, y, self._names
        X, y = validate_data(
            self,
            X,
            y,
            dtype=[numpy.float64, numpy.float32],
            ensure_all_finite="allow-nan",
            y_numeric=y_numeric,
        )
        _refuse_infinity(X)
        self._names = []
        return X, y, []


class GridlightRegressor(RegressorMixin, _Gridlight):
    __doc__ = (_Gridlight.__doc__ or "").replace(
        "What both estimators share: a multilayer perceptron", "Predicts numbers with a multilayer perceptron"
    )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GridlightRegressor":
        """Trains on rows of numbers, or on a DataFrame of pandas or polars with categories and times too."""
        X, y, names = self._features(X, y, y_numeric=True)
        y = numpy.asarray(y, dtype=numpy.float64)
        if not numpy.isfinite(y).all():
            raise ValueError("the target y contains NaN or infinity; leave such rows out")
        self._fit(X, y, names, None, sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        """The predicted numbers."""
        found = self._predicted(X)
        return numpy.frombuffer(found[self._target], dtype=numpy.float64).copy()


class GridlightClassifier(ClassifierMixin, _Gridlight):
    __doc__ = (_Gridlight.__doc__ or "").replace(
        "What both estimators share: a multilayer perceptron", "Predicts classes with a multilayer perceptron"
    )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GridlightClassifier":
        """Trains on rows of numbers, or on a DataFrame of pandas or polars with categories and times too."""
        X, y, names = self._features(X, y, y_numeric=False)
        check_classification_targets(y)
        self.classes_, codes = numpy.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"the target y has 1 class, {self.classes_[0]!r}; give rows of at least 2")
        self._fit(X, codes.astype(numpy.int64), names, {"type": "cross_entropy"}, sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        """The likeliest class of each row."""
        found = self._predicted(X)
        return self.classes_[numpy.array(found[self._target], dtype=numpy.int64)]

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, in the order of ``classes_``."""
        found = self._predicted(X)
        columns = [numpy.frombuffer(column, dtype=numpy.float64) for column in found.values() if isinstance(column, bytes)]
        return numpy.column_stack(columns)


def _free(name: str, taken: Sequence[str]) -> str:
    """A name that no column has."""
    while name in taken:
        name = f"_{name}"
    return name


def _is_left_out(name: str) -> bool:
    return any(part in name for part in LEFT_OUT)


def _refuse_infinity(X: Any) -> None:
    if numpy.isinf(X).any():
        raise ValueError("Input X contains infinity; replace it, or make it NaN, which is read as missing")


def _has_others_than_numbers(X: Any) -> bool:
    """Whether features are a frame with columns that are no numbers, which an array would lose."""
    pandas, polars = loaded("pandas"), loaded("polars")
    if pandas is not None and isinstance(X, pandas.DataFrame):
        is_number = pandas.api.types.is_numeric_dtype
        return not all(is_number(dtype) for dtype in X.dtypes)
    if polars is not None and isinstance(X, polars.DataFrame):
        return not all(dtype.is_numeric() or dtype == polars.Boolean for dtype in X.dtypes)
    return False
