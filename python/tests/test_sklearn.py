"""The estimators are scikit-learn's in every respect that it checks, except one."""

import pickle

import pytest

numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from gridlight.sklearn import GridlightClassifier, GridlightRegressor

#: Rows are batched and split at random, so that a row of weight 2 is not the same as the row twice: the batches are others.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "batches and the validation rows are drawn from the rows",
    "check_sample_weight_equivalence_on_sparse_data": "batches and the validation rows are drawn from the rows",
}
ESTIMATORS = [GridlightRegressor(device="cpu"), GridlightClassifier(device="cpu")]


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_what_is_expected_to_fail_is_checked():
    names = {check.func.__name__ for _, check in estimator_checks_generator(ESTIMATORS[0])}
    assert names & set(EXPECTED)


@pytest.fixture
def points():
    draw = numpy.random.default_rng(5)
    X = draw.normal(size=(200, 3))
    return X, X[:, 0] * 2 - X[:, 1]


def test_a_seed_gives_the_same_bits_and_another_others(points):
    X, y = points
    fit = lambda seed: GridlightRegressor(epochs=3, device="cpu", random_state=seed).fit(X, y).predict(X)
    assert (fit(0) == fit(0)).all() and (fit(0) != fit(1)).any()


def test_copies_and_pickles_predict_alike(points):
    X, y = points
    model = GridlightClassifier(epochs=5, device="cpu", random_state=0).fit(X, numpy.where(y > 0, "up", "down"))
    wanted = model.predict_proba(X)
    assert list(model.classes_) == ["down", "up"] and numpy.allclose(wanted.sum(axis=1), 1)
    assert (pickle.loads(pickle.dumps(model)).predict_proba(X) == wanted).all()
    assert set(model.predict(X)) <= {"down", "up"} and model.score(X, model.predict(X)) == 1
    with pytest.raises(NotFittedError):
        clone(model).predict(X)


def test_searches_and_pipelines(points):
    X, y = points
    search = GridSearchCV(
        make_pipeline(StandardScaler(), GridlightRegressor(epochs=10, learning_rate=0.01, device="cpu", random_state=0)),
        {"gridlightregressor__hidden": [(8,), (32, 16)]},
        cv=2,
        n_jobs=2,
    )
    assert search.fit(X, y).best_score_ > 0.3
    X, y = load_iris(return_X_y=True)
    model = GridlightClassifier(epochs=40, learning_rate=5e-3, device="cpu", random_state=0)
    assert cross_val_score(model, X, y, cv=3).mean() > 0.9


def test_frames_keep_their_categories_and_times(columns):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(columns)
    X, y = frame.drop(columns="y"), frame["y"]
    model = GridlightRegressor(epochs=40, learning_rate=5e-3, device="cpu", random_state=0).fit(X, y)
    assert list(model.feature_names_in_) == list(X.columns) and model.n_features_in_ == 6
    # Three units are the text's alone.
    assert model.score(X, y) > 0.9
    assert (model.predict(X[:5]) == model.predict(X)[:5]).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X.rename(columns={"a": "other"}))


def test_frames_of_polars(columns):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame(columns)
    X, y = frame.drop("y"), frame["y"]
    model = GridlightRegressor(epochs=3, device="cpu", random_state=0).fit(X, y)
    assert model.predict(X).shape == (240,)


def test_weights_and_settings(points):
    X, y = points
    weights = numpy.where(X[:, 2] > 0, 1.0, 0.0)
    wrong = numpy.where(weights > 0, y, 100.0)
    model = GridlightRegressor(epochs=60, batch_size=16, device="cpu", random_state=0, settings={"train.clip_norm": 1.0})
    assert model.fit(X, wrong, sample_weight=weights).score(X[weights > 0], y[weights > 0]) > 0.9
    with pytest.raises(ValueError, match="unknown key"):
        GridlightRegressor(device="cpu", settings={"train.clip": 1.0}).fit(X, y)
    early = GridlightRegressor(epochs=1000, patience=2, learning_rate=0.01, device="cpu", random_state=0).fit(X, y)
    assert len(early.history_) < 1000


def test_a_fitted_model_is_a_run(points, folder):
    X, y = points
    model = GridlightRegressor(epochs=3, device="cpu", random_state=0).fit(X, y)
    run = model.write_run("kept")
    found = run.predict({f"x{at}": X[:, at] for at in range(3)})
    assert (found["target"] == model.predict(X)).all()
    with pytest.raises(ValueError, match="not empty"):
        model.write_run("kept")


def test_missing_values_are_filled_and_infinite_ones_refused(points):
    X, y = points
    X[::7, 1] = numpy.nan
    assert numpy.isfinite(GridlightRegressor(epochs=3, device="cpu").fit(X, y).predict(X)).all()
    X[3, 0] = numpy.inf
    with pytest.raises(ValueError, match="infinity"):
        GridlightRegressor(epochs=3, device="cpu").fit(X, y)
