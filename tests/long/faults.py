#!/usr/bin/env python3
"""Trains under a Vulkan layer that loses the device, or runs out of memory, at a chosen submission, wait, allocation,
buffer creation or pipeline compilation.

Wherever the fault falls, `train` must either end with the weights of an undisturbed run, or exit with code 4 within 5 s
of the fault, with one `error:` line, no step reported after the loss, and checkpoints from which the run resumes to the
same weights. Needs a C compiler and the Vulkan headers (`libvulkan-dev`).

    tests/long/faults.py [--points 40] [--binary target/release/gridlight]
"""

import collections
import json
import pathlib
import subprocess
import sys
import time

from place import Place, arguments, bits

HERE = pathlib.Path(__file__).resolve().parent
CALLS = ["submit", "wait", "allocate", "buffer", "pipeline"]


def build(place):
    """Compiles the layer and returns the environment that enables it in every Vulkan program."""
    library = place.path / "libfault.so"
    # The loader unloads a layer with its instance; kept loaded, it keeps counting in the process's next instance.
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wl,-z,nodelete", "-o", library, HERE / "fault_layer.c", "-lpthread"]
    subprocess.run(command, check=True)
    name = "VK_LAYER_GRIDLIGHT_fault"
    layer = {"name": name, "type": "GLOBAL", "library_path": str(library), "api_version": "1.3.0"}
    layer.update(implementation_version="1", description="makes one call fail")
    (place.path / "fault.json").write_text(json.dumps({"file_format_version": "1.0.0", "layer": layer}))
    return {"VK_LAYER_PATH": str(place.path), "VK_INSTANCE_LAYERS": name, "XDG_CACHE_HOME": str(place.path / "cache")}


def counts(path):
    """Number of calls of each kind that the layer saw."""
    return {name: int(number) for name, number in (line.split() for line in path.read_text().splitlines())}


def main():
    asked = arguments(__doc__, points=40)
    place = Place(asked.binary, "gpu", "epochs = 4\ncheckpoint_every_steps = 8")
    layer = build(place)
    log = place.path / "log"
    # The second run, like all later ones, finds compiled shaders in the cache.
    for out in ["cold", "whole"]:
        started = time.monotonic()
        code, _, errors = place.train(out, "--log-every", "1", environment={**layer, "FAULT_LOG": str(log)})
        undisturbed = time.monotonic() - started
        assert code == 0, errors
    whole, total = bits(place.path / "whole"), counts(log)
    print(f"undisturbed: {undisturbed:.1f} s, {total}")
    outcomes, bad = collections.Counter(), []
    for call in CALLS:
        points = sorted({1 + i * (total[call] - 1) // max(asked.points - 1, 1) for i in range(asked.points)})
        for result in ["lost", "memory"]:
            for times in [1, 1000]:
                for at in points:
                    what = f"{call} {at}/{total[call]} {result} x{times}"
                    fault = {"FAULT_CALL": call, "FAULT_AT": str(at), "FAULT_RESULT": result}
                    fault.update(FAULT_TIMES=str(times), FAULT_LOG=str(log))
                    complaint = one(place, {**layer, **fault}, whole, log, undisturbed, outcomes, (call, result, times))
                    if complaint:
                        bad.append(f"{what}: {complaint}")
                        print("BAD", bad[-1], flush=True)
    for key, number in sorted(outcomes.items()):
        print(f"{number:4} {key}")
    print(f"{sum(outcomes.values())} faults, {len(bad)} bad")
    return 1 if bad else 0


def one(place, environment, whole, log, undisturbed, outcomes, key):
    """Runs one training with one fault and returns what is wrong with the outcome, if anything."""
    out = place.path / "faulty"
    subprocess.run(["rm", "-rf", out, log], check=True)
    started = time.monotonic()
    code, output, errors = place.train(out, "--json", "--log-every", "1", environment=environment)
    seconds = time.monotonic() - started
    hit = counts(log)["failed"] > 0 if log.exists() else False
    steps = [event["step"] for event in map(json.loads, output.splitlines()) if event["event"] == "step"]
    outcomes[(*key, f"exit {code}" if hit else "not hit")] += 1
    told = errors.strip().splitlines()
    if steps != list(range(1, len(steps) + 1)):
        return f"steps reported: {steps}"
    if "panicked" in errors or "internal error" in errors:
        return errors
    if code == 0:
        return None if bits(out) == whole else "other weights"
    if code != 4:
        return f"exit code {code}: {errors}"
    if sum(line.startswith("error: ") for line in told) != 1:
        return f"not one error: {errors}"
    if seconds > undisturbed + 5:
        return f"{seconds:.1f} s"
    # Without the fault, the run must resume, if it had started at all.
    layer = {name: value for name, value in environment.items() if not name.startswith("FAULT_")}
    more = ["--resume"] if (out / "experiment.toml").exists() else []
    code, _, errors = place.train(out, *more, environment=layer)
    if code != 0:
        return f"cannot be resumed: {errors}"
    return None if bits(out) == whole else "other weights when resumed"


if __name__ == "__main__":
    sys.exit(main())
