"""Training: the bits of the program, resuming, Ctrl-C, errors, and what a run knows."""

import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tomllib

import pytest
from conftest import ROOT

import gridlight

SHIPPED = ROOT / "assets/experiments"
#: Numbers and missing values, classes, times, windows of a series with derived columns, an autoencoder.
BOTH = ["breast-cancer", "student-grades", "traffic", "volatility", "energy-anomaly"]


@pytest.mark.parametrize("name", BOTH)
def test_a_frame_gives_the_bits_of_the_program(name, program, folder, digest):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    file = SHIPPED / f"{name}.toml"
    steps = ["--set", "train.epochs=2", "--device", "cpu", "--out", "program"]
    subprocess.run([program, "train", file, *steps], check=True, capture_output=True)
    wanted = json.loads((folder / "program/run.json").read_text())["weights_digest"]
    settings = {"train.epochs": 2}
    of_file = gridlight.train(file, device="cpu", set=settings, progress=False, out="file")
    assert digest(of_file) == wanted
    frame = pandas.read_csv(SHIPPED / tomllib.loads(file.read_text())["data"]["source"])
    of_frame = gridlight.train(file, frame, device="cpu", set=settings, progress=False, out="frame")
    assert digest(of_frame) == wanted
    assert of_frame.evaluate()["metrics"] == of_file.evaluate()["metrics"]


def test_experiments_are_files_texts_and_dictionaries(columns, quick, trained, digest, folder):
    experiment = quick()
    text = 'name = "quick"\nseed = 1\n[model]\nhidden = [16]\n[data]\ntarget = "y"\n[train]\nepochs = 3\nbatch_size = 16\n'
    (folder / "quick.toml").write_text(text)
    wanted = digest(trained(columns, experiment, out="a"))
    for at, other in enumerate((text, "quick.toml", pathlib.Path("quick.toml"))):
        assert digest(trained(columns, other, out=f"b{at}")) == wanted
    changed = trained(columns, quick(epochs=9), set={"train.epochs": 3, "model": {"hidden": (16,)}}, out="c")
    assert digest(changed) == wanted
    assert digest(trained(columns, quick(epochs=9), set=["train.epochs=3"], out="d")) == wanted


def test_a_source_in_the_experiment_gives_way_to_a_frame(columns, quick, trained):
    assert trained(columns, quick(data={"source": "not/there.csv"})).state == "finished"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trian": {}}, "unknown key `trian`"),
        ({"train": {"epochs": "many"}}, r"epochs = \"many\""),
        ({"train": {"epochs": None}}, "train.epochs.*leave the key out"),
        ({"train": {"learning_rate": float("nan")}}, "finite"),
        ({1: 2}, "the key 1 is a int"),
        ({"name": object()}, "TOML does not have"),
    ],
)
def test_wrong_dictionaries_say_where(change, told, columns, quick, trained):
    with pytest.raises(gridlight.InputError, match=told):
        trained(columns, {**quick(), **change})


def test_errors_are_the_programs(columns, quick, trained, folder):
    with pytest.raises(gridlight.InputError, match="not-there.toml"):
        gridlight.train("not-there.toml", progress=False)
    with pytest.raises(gridlight.InputError, match="device = \"tpu\""):
        gridlight.train(quick(), columns, device="tpu", progress=False)
    with pytest.raises(gridlight.InputError, match="`z`; did you mean|no column `z`"):
        trained(columns, quick(target="z"))
    with pytest.raises(gridlight.DivergedError) as caught:
        trained(columns, quick(train={"learning_rate": 1e30, "optimizer": "sgd"}))
    assert caught.value.exit_code == 3 and "diverged at step" in str(caught.value)
    (folder / "file").write_text("")
    with pytest.raises(gridlight.InputError, match="is a file"):
        trained(columns, out="file")
    with pytest.raises(gridlight.InputError):
        gridlight.Run("nowhere")
    assert issubclass(gridlight.FileError, OSError) and gridlight.FileError("x").exit_code == 5
    assert not issubclass(gridlight.Interrupted, gridlight.Error)


def test_a_run_tells_what_it_knows(columns, trained):
    run = trained(columns)
    assert (run.name, run.state, len(run.history)) == ("quick", "finished", 3)
    best = min(run.history, key=lambda row: row["validation_loss"])
    assert run.best_epoch == best["epoch"] and run.metrics["validation"]["mae"] == best["validation_mae"]
    assert set(run.metrics["test"]) >= {"loss", "mae", "rmse", "r2", "baseline_mae"}
    assert repr(run) == f"Run({str(run.path)!r}, finished)"
    other = pickle.loads(pickle.dumps(run))
    assert other.metrics == run.metrics
    with pytest.raises(gridlight.InputError, match=".onnx or .safetensors"):
        run.export("model.h5")
    for name in ("model.onnx", "model.safetensors"):
        run.export(name)
        assert os.path.getsize(name) > 1000


def test_intervals_and_files(columns, trained, folder):
    run = trained(columns)
    found = run.predict(columns, coverage=0.9)
    assert list(found) == ["y", "y_low", "y_high"]
    assert (found["y_low"] <= found["y_high"]).all()
    (folder / "new.csv").write_text("a,b,c,d,t,gaps\n0.5,3,x,true,2024-01-05 10:00,\n")
    assert len(run.predict("new.csv")["y"]) == 1
    (folder / "line.csv").write_text("a,y\n" + "".join(f"{row % 17},{row % 17}\n" for row in range(99)))
    of_file = gridlight.train(
        {"name": "line", "data": {"source": "line.csv", "target": "y"}}, device="cpu", progress=False
    )
    assert of_file.evaluate(split="train")["split"] == "train" and of_file.evaluate("line.csv")["samples"] == 99
    with pytest.raises(gridlight.InputError, match="needs no frame"):
        of_file.evaluate({"a": [1.0], "y": [1.0]}, split="train")
    with pytest.raises(gridlight.InputError, match="no-such.csv"):
        run.predict("no-such.csv")


def test_numbers_of_a_frame_are_not_read_as_texts_were(folder, trained, quick):
    # The point groups digits in the file, and is a decimal point in the frame.
    (folder / "de.csv").write_text("a;y\n" + "".join(f"1.{row:03};{row},5\n" for row in range(200)))
    experiment = quick(data={"source": str(folder / "de.csv")})
    run = gridlight.train(experiment, device="cpu", progress=False)
    text = run.predict("de.csv")["y"]
    numbers = run.predict({"a": [float(1000 + row) for row in range(200)]})["y"]
    assert (text == numbers).all()
    halves = run.predict({"a": [1000.5, 10005.0]})["y"]
    assert halves[0] != halves[1]


def test_windows_of_a_series_and_rows_to_come(trained):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    hours = pandas.date_range("2024-01-01", periods=400, freq="h")
    frame = pandas.DataFrame({"time": hours, "load": [float(at % 24) for at in range(400)]})
    experiment = {
        "name": "series",
        "data": {
            "target": "load",
            "window": {"length": 24, "horizon": 2, "time": "time"},
            "split": {"by": "order", "validation": 0.2, "test": 0.2},
        },
        "model": {"family": "rnn", "hidden": [8]},
        "train": {"epochs": 1, "batch_size": 32},
    }
    run = trained(frame, experiment)
    assert len(run.predict(frame)) > 0
    assert run.evaluate()["samples"] > 0
    # Times as texts are times where the experiment says that they are.
    texts = trained(frame.assign(time=frame.time.astype(str)), experiment, out="texts")
    assert texts.metrics == run.metrics


def test_other_threads_run_while_a_model_trains(columns, quick, trained):
    counted, ended = [0], threading.Event()

    def count():
        while not ended.is_set():
            counted[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    trained(columns, quick(epochs=40))
    after = counted[0]
    ended.set()
    thread.join()
    assert after - before > 20


def test_two_threads_train_at_the_same_time(columns, quick, trained, digest):
    frames = [columns, dict(columns, a=columns["b"])]
    wanted = [digest(trained(frame, quick(), out=f"alone{at}")) for at, frame in enumerate(frames)]
    found = [None, None]

    def train(at):
        found[at] = digest(trained(frames[at], quick(), out=f"both{at}"))

    threads = [threading.Thread(target=train, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_says_what_to_do_and_does_not_wait(columns, trained):
    trained(columns)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            trained(columns)
        except RuntimeError as error:
            code = 7 if "spawn" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


SCRIPT = """
import json, sys
import gridlight
columns = json.load(open("columns.json"))
experiment = json.load(open("experiment.json"))
try:
    gridlight.train(experiment, columns, device="cpu", progress=False, out="broken")
except KeyboardInterrupt as error:
    assert isinstance(error, gridlight.Interrupted) and error.exit_code == 130
    assert "a checkpoint was saved" in str(error) and "resume=True" in str(error), error
    sys.exit(130)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal that one process sends another")
def test_control_c_saves_a_checkpoint_and_the_run_goes_on_to_the_same_bits(columns, quick, trained, digest, folder):
    frame = {name: values for name, values in columns.items() if name != "t"}
    experiment = quick(epochs=400)
    (folder / "columns.json").write_text(json.dumps(frame))
    (folder / "experiment.json").write_text(json.dumps(experiment))
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT)])
    lines = folder / "broken/metrics.csv"
    while child.poll() is None and not (lines.exists() and lines.read_text().count("\n") > 5):
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert gridlight.Run("broken").state == "interrupted"
    resumed = trained(frame, experiment, out="broken", resume=True)
    assert len(resumed.history) == 400
    assert digest(resumed) == digest(trained(frame, experiment, out="whole"))
    with pytest.raises(gridlight.InputError, match="has changed"):
        trained(dict(frame, a=frame["b"]), experiment, out="broken", resume=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal that one process sends another")
def test_control_c_in_the_same_process(columns, quick, trained, folder):
    def interrupt():
        lines = folder / "runs/quick/metrics.csv"
        while not lines.exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        trained(columns, quick(epochs=100_000))
    thread.join()
    assert isinstance(caught.value, gridlight.Interrupted)
    assert list((folder / "runs/quick/checkpoints").glob("step-*"))
