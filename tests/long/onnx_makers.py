#!/usr/bin/env python3
"""Imports models that Keras and scikit-learn's converter export, and compares with what those compute.

Makes small models of many kinds: networks of Keras with random weights, exported on the backend that KERAS_BACKEND
names (torch by default), and fitted pipelines of scikit-learn, with and without ZipMap. Outputs of 1, 3 and 8 rows may
differ by 1e-5 of the larger of their size and the root mean square, labels not at all. Then each is trained for ten
steps: the loss of the first must be that of the maker's outputs, and the last must be lower. Decision trees must be
refused by name.

    pip install torch keras onnx==1.21.0 onnxscript scikit-learn skl2onnx numpy
    tests/long/onnx_makers.py [--binary target/debug/gridlight] [--device cpu] [--only TEXT] [--maker keras|sklearn]
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path = [place for place in sys.path if pathlib.Path(place or ".").resolve() != HERE]
warnings.filterwarnings("ignore")
os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy

TOLERANCE = 1e-5


def beside(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


models = beside("onnx_models")


def keras_models():
    """By name: what makes the model."""
    import keras
    from keras import layers as L

    def of(shape, *parts, dtype="float32"):
        return keras.Sequential([keras.Input(shape, dtype=dtype), *parts])

    def joined(shape, function):
        x = keras.Input(shape)
        return keras.Model(x, function(x))

    def attends(x):
        # Without a norm of layers, which Keras does not export on this backend.
        return L.Dense(2)(L.GlobalAveragePooling1D()(x + L.MultiHeadAttention(2, 4)(x, x)))

    def residual(x):
        h = L.BatchNormalization()(L.Conv2D(3, 3, padding="same")(x))
        return L.Dense(2)(L.GlobalMaxPooling2D()(L.Activation("swish")(h + x)))

    return {
        "mlp": lambda: of((7,), L.Dense(16, "relu"), L.Dropout(0.2), L.Dense(3, "softmax")),
        "activations": lambda: of((7,), L.Dense(8, "gelu"), L.Dense(8, "selu"), L.Dense(8, "softplus"), L.Dense(8, "tanh"),
                                  L.LeakyReLU(), L.Dense(8, "hard_sigmoid"), L.PReLU(), L.Dense(2, "sigmoid")),
        "cnn": lambda: of((8, 8, 1), L.Conv2D(4, 3, padding="same", activation="relu"), L.MaxPooling2D(),
                          L.Conv2D(8, 3, activation="relu"), L.Flatten(), L.Dense(10)),
        "cnn with batch norm": lambda: of((9, 9, 3), L.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
                                          L.BatchNormalization(), L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(2)),
        "separable convolution": lambda: of((8, 8, 3), L.SeparableConv2D(4, 3, padding="same"), L.DepthwiseConv2D(3),
                                            L.AveragePooling2D(2), L.Flatten(), L.Dense(2)),
        "residual block": lambda: joined((8, 8, 3), residual),
        "convolutional autoencoder": lambda: of((8, 8, 1), L.Conv2D(4, 3, padding="same", activation="relu"),
                                                L.MaxPooling2D(), L.UpSampling2D(), L.Conv2D(1, 3, padding="same")),
        "transposed convolution": lambda: of((8, 8, 1), L.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
                                             L.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")),
        "1-d convolution": lambda: of((9, 3), L.Conv1D(6, 3, padding="causal", activation="elu"), L.MaxPooling1D(2),
                                      L.Flatten(), L.Dense(2)),
        "rnn": lambda: of((6, 5), L.SimpleRNN(6), L.Dense(3)),
        "lstm": lambda: of((6, 5), L.LSTM(6), L.Dense(3)),
        "gru": lambda: of((6, 5), L.GRU(6, return_sequences=True), L.GRU(4), L.Dense(3)),
        "lstm, both ways": lambda: of((6, 5), L.Bidirectional(L.LSTM(4)), L.Dense(3)),
        "attention": lambda: joined((5, 8), attends),
        "group norm": lambda: of((6, 6, 4), L.GroupNormalization(2), L.Conv2D(3, 3), L.UnitNormalization(), L.Flatten(),
                                 L.Dense(2)),
    }


def export_keras(model, path, rows):
    """Writes a model, with the layer that makes one number of each row if `rows` are given to try it on."""
    model.predict(rows, verbose=0)
    model.export(path, format="onnx", verbose=False)


def headed(model):
    import keras

    return keras.Model(model.inputs, keras.layers.Dense(1)(keras.layers.Flatten()(model.outputs[0])))


def sklearn_models():
    """By name: a pipeline, and what it predicts: number, numbers, classes, or two classes."""
    from sklearn import decomposition, discriminant_analysis, impute, linear_model as linear, neural_network as neural
    from sklearn import preprocessing as scale
    from sklearn.pipeline import make_pipeline as of

    mlp = dict(hidden_layer_sizes=(8, 4), max_iter=30, random_state=1)
    return {
        "linear regression": (of(scale.StandardScaler(), linear.LinearRegression()), "number"),
        "ridge, least to most": (of(scale.MinMaxScaler(), linear.Ridge()), "number"),
        "lasso, robust": (of(scale.RobustScaler(), linear.Lasso(0.01)), "number"),
        "elastic net": (linear.ElasticNet(0.1), "number"),
        "polynomial": (of(scale.PolynomialFeatures(2), linear.LinearRegression()), "number"),
        "thresholds": (of(scale.Binarizer(), linear.LinearRegression()), "number"),
        "logistic regression": (of(scale.StandardScaler(), linear.LogisticRegression()), "classes"),
        "logistic regression, two classes": (of(scale.MaxAbsScaler(), linear.LogisticRegression()), "two"),
        "logistic regression, missing": (of(impute.SimpleImputer(), scale.StandardScaler(), linear.LogisticRegression()),
                                         "classes"),
        "discriminant": (discriminant_analysis.LinearDiscriminantAnalysis(), "classes"),
        "mlp classifier": (of(scale.StandardScaler(), neural.MLPClassifier(**mlp)), "classes"),
        "mlp classifier, tanh, rows of length 1": (of(scale.Normalizer(), neural.MLPClassifier(activation="tanh", **mlp)),
                                                   "classes"),
        "mlp classifier, two classes": (of(scale.Normalizer("l1"), neural.MLPClassifier(**mlp)), "two"),
        "mlp regressor, logistic": (of(scale.StandardScaler(), neural.MLPRegressor(activation="logistic", **mlp)), "number"),
        "mlp regressor, components": (of(decomposition.PCA(3), neural.MLPRegressor(**mlp)), "number"),
        "one against the rest": (of(scale.StandardScaler(), linear.SGDClassifier(loss="log_loss", random_state=1)), "rest"),
        "perceptron": (linear.Perceptron(random_state=1), "rest"),
    }


def rows_of_sklearn(goal, count=90):
    random = numpy.random.default_rng(3)
    x = random.normal(size=(count, 5)).astype("float32")
    scores = x @ random.normal(size=(5, 3))
    target = {"number": scores[:, 0] + 0.3, "two": numpy.array(["no", "yes"])[(scores[:, 0] > 0).astype(int)]}
    return x, target.get(goal, numpy.array(["a", "b", "c"])[scores.argmax(1)])


def imported(arguments, path, x, place, name):
    given = {name: {"shape": list(x.shape), "data": [models.cell(float(v)) for v in x.reshape(-1)]}}
    (place / "in.json").write_text(json.dumps(given))
    run = subprocess.run([arguments.binary, "import", path, "--inputs", place / "in.json", "--output", place / "out.json",
                          "--device", arguments.device], capture_output=True, text=True)
    if run.returncode:
        return None, run.stderr.strip().splitlines()[-1]
    return json.loads((place / "out.json").read_text()), ""


def differs(found, wanted):
    """What is other than it should be, if anything is."""
    wanted = numpy.asarray(wanted)
    if list(wanted.shape) != found["shape"]:
        return f"the shape {found['shape']} instead of {list(wanted.shape)}"
    got = numpy.array(found["data"]).reshape(wanted.shape)
    if wanted.dtype.kind in "OSU":
        return None if (got == wanted).all() else f"{got.tolist()} instead of {wanted.tolist()}"
    error = models.compare(got.astype(float), wanted.astype(float))
    return None if error <= TOLERANCE else f"an error of {error:.2e}"


class Tally:
    def __init__(self):
        self.compared, self.tuned, self.wrong = 0, 0, 0

    def note(self, label, reason):
        if reason:
            self.wrong += 1
            print(f"WRONG {label}: {reason}")


def tuned(arguments, place, tally, label, path, x, y, first, loss="mse"):
    """Trains a model for ten steps; `first` is the loss that its maker's outputs have."""
    flat = x.reshape(len(x), -1)
    columns = {f"x{at}": flat[:, at].tolist() for at in range(flat.shape[1])}
    losses, reason = models.losses_of(arguments.binary, arguments.device, place, path, columns, y, loss=loss)
    tally.tuned += 1
    if losses and abs(losses[0] - first) > 1e-4 * max(1.0, first):
        reason = f"the first loss is {losses[0]}, of the maker's outputs {first}"
    if losses and not losses[-1] < losses[0]:
        reason = f"losses from {losses[0]} to {losses[-1]}"
    tally.note(f"fine-tuning of {label}", reason)


def with_keras(arguments, place, tally):
    import keras

    for name, make in keras_models().items():
        if arguments.only not in name:
            continue
        keras.utils.set_random_seed(len(name))
        random = numpy.random.default_rng(len(name))
        model = make()
        draw = lambda rows: random.normal(size=(rows, *model.input_shape[1:])).astype("float32")
        path = place / "model.onnx"
        export_keras(model, str(path), draw(2))
        port = models_input(path)
        for rows in (1, 3, 8):
            x = draw(rows)
            found, reason = imported(arguments, path, x, place, port)
            tally.compared += 1
            wanted = model.predict(x, verbose=0)
            tally.note(f"{name} of Keras, {rows} rows", reason or differs(next(iter(found.values())), wanted))
        whole = headed(model)
        x, y = draw(6), random.normal(size=6).astype("float32")
        export_keras(whole, str(path), x)
        # As in training: batch norm by the rows themselves, without dropout.
        if any(isinstance(layer, (keras.layers.BatchNormalization, keras.layers.Dropout)) for layer in whole.layers):
            first = None
        else:
            first = float(((whole.predict(x, verbose=0)[:, 0] - y) ** 2).mean())
        flat_tuned(arguments, place, tally, f"{name} of Keras", path, x, y.tolist(), first)


def flat_tuned(arguments, place, tally, label, path, x, y, first):
    if first is None:
        flat = x.reshape(len(x), -1)
        columns = {f"x{at}": flat[:, at].tolist() for at in range(flat.shape[1])}
        losses, reason = models.losses_of(arguments.binary, arguments.device, place, path, columns, y)
        tally.tuned += 1
        if losses and not losses[-1] < losses[0]:
            reason = f"losses from {losses[0]} to {losses[-1]}"
        tally.note(f"fine-tuning of {label}", reason)
    else:
        tuned(arguments, place, tally, label, path, x, y, first)


def models_input(path):
    import onnx

    return onnx.load(path).graph.input[0].name


def with_sklearn(arguments, place, tally):
    import onnx
    from sklearn.metrics import log_loss
    from skl2onnx import to_onnx

    for name, (model, goal) in sklearn_models().items():
        if arguments.only not in name:
            continue
        x, y = rows_of_sklearn(goal)
        model.fit(x, y)
        path = place / "model.onnx"
        zips = [None] if goal == "number" else [True, False]
        for zip_map in zips:
            options = None if zip_map is None else {id(model): {"zipmap": zip_map}}
            onnx.save(to_onnx(model, x[:1], options=options), path)
            outputs = [output.name for output in onnx.load(path).graph.output]
            for rows in (1, 3, 8):
                given = x[:rows].copy()
                if "missing" in name:
                    given[0, 0] = numpy.nan
                found, reason = imported(arguments, path, given, place, "X")
                tally.compared += 1
                label = f"{name} of scikit-learn{', ZipMap' if zip_map else ''}, {rows} rows"
                if reason:
                    tally.note(label, reason)
                    continue
                predicted = model.predict(given)
                wanted = [predicted.reshape(-1, 1)] if goal == "number" else [predicted]
                if hasattr(model, "predict_proba") and goal != "number":
                    wanted.append(model.predict_proba(given))
                for output, value in zip(outputs, wanted):
                    tally.note(f"{label}, {output}", differs(found[output], value))
        few, target = x[:12], y[:12]
        if goal == "number":
            first = float(((model.predict(few) - target) ** 2).mean())
            # A fitted line has no lower loss on its rows; another target has.
            target = target + numpy.linspace(0.0, 1.0, 12)
            first = float(((model.predict(few) - target) ** 2).mean())
            tuned(arguments, place, tally, name, path, few, target.tolist(), first)
        elif goal == "rest":
            target = numpy.array(["a", "b", "c"])[numpy.arange(12) % 3]
            losses, reason = models.losses_of(
                arguments.binary, arguments.device, place, path,
                {f"x{at}": few[:, at].tolist() for at in range(5)}, target.tolist(),
                'head = "new"' if name == "perceptron" else "", "cross_entropy")
            if name != "perceptron":
                # What adds up to 1 by division has no scores that the loss could read.
                tally.note(f"refusal of {name}", None if "is probabilities of" in reason else f"no refusal, {reason}")
                continue
            tally.tuned += 1
            if losses and not losses[-1] < losses[0]:
                reason = f"losses from {losses[0]} to {losses[-1]}"
            tally.note(f"fine-tuning of {name}", reason)
        else:
            # Labels in another order than fitted: a loss above what fitting reached.
            target = numpy.roll(target, 1)
            first = float(log_loss(target, model.predict_proba(few), labels=sorted(set(y))))
            loss = "bce_with_logits" if goal == "two" else "cross_entropy"
            tuned(arguments, place, tally, name, path, few, target.tolist(), first, loss)


def trees(arguments, place, tally):
    """Decision trees are refused by name."""
    import onnx
    from sklearn.ensemble import RandomForestClassifier
    from skl2onnx import to_onnx

    x, y = rows_of_sklearn("classes")
    path = place / "trees.onnx"
    onnx.save(to_onnx(RandomForestClassifier(3, random_state=1).fit(x, y), x[:1]), path)
    _, reason = imported(arguments, path, x[:2], place, "X")
    if "decision trees" not in reason:
        tally.note("random forest", f"not refused by name: {reason}")


def main():
    sys.stdout.reconfigure(line_buffering=True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=models.ROOT / "target/debug/gridlight")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    parser.add_argument("--maker", choices=["keras", "sklearn"])
    arguments = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as place:
        if arguments.maker != "keras":
            with_sklearn(arguments, pathlib.Path(place), tally)
            trees(arguments, pathlib.Path(place), tally)
        if arguments.maker != "sklearn":
            with_keras(arguments, pathlib.Path(place), tally)
    kinds = len(keras_models()) * (arguments.maker != "sklearn") + len(sklearn_models()) * (arguments.maker != "keras")
    print(f"{kinds} kinds of models, {tally.compared} comparisons, {tally.tuned} fine-tuned, {tally.wrong} wrong")
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
