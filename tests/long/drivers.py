#!/usr/bin/env python3
"""Runs `gridlight verify` and compares digests of exact training on every software driver there is, at several vector widths.

    tests/long/drivers.py [BINARY] [--mesa DIRECTORY] [--swiftshader ICD.json] [--widths 128,256] [--minutes 10]

Drivers: Mesa's llvmpipe as installed, another Mesa that was unpacked into DIRECTORY (`dpkg -x`), and SwiftShader (Debian:
`chromium`, /usr/lib/chromium/vk_swiftshader_icd.json). A table on standard output: checks that passed and failed, and whether
the weights after a few exact steps have the bits of the CPU. Exit code 1 if anything differs; what is missing is said and
left out; what takes longer than the minutes given is a failure.
"""

import argparse
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile

# Experiments and steps of exact training whose weights are compared.
TRAINED = {"traffic": 20, "digits-cnn": 4, "traffic-1h": 4, "digits-vae": 4}


def drivers(asked):
    """Name and environment of every driver that is there."""
    found = []
    installed = glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json")
    widths = asked.widths.split(",")
    if installed:
        found += [(f"llvmpipe, {w} bits", {"VK_ICD_FILENAMES": installed[0], "LP_NATIVE_VECTOR_WIDTH": w}) for w in widths]
    else:
        print("no llvmpipe is installed", file=sys.stderr)
    if asked.mesa:
        icd = glob.glob(f"{asked.mesa}/**/lvp_icd*.json", recursive=True)
        library = glob.glob(f"{asked.mesa}/**/libvulkan_lvp.so", recursive=True)
        if icd and library:
            described = json.load(open(icd[0]))
            described["ICD"]["library_path"] = os.path.abspath(library[0])
            path = os.path.join(tempfile.gettempdir(), "gridlight_lvp.json")
            json.dump(described, open(path, "w"))
            environment = {"VK_ICD_FILENAMES": path, "LD_LIBRARY_PATH": os.path.dirname(library[0])}
            found += [(f"llvmpipe of {asked.mesa}, {w} bits", {**environment, "LP_NATIVE_VECTOR_WIDTH": w}) for w in widths]
        else:
            print(f"no llvmpipe under {asked.mesa}", file=sys.stderr)
    if os.path.exists(asked.swiftshader):
        found.append(("SwiftShader", {"VK_ICD_FILENAMES": asked.swiftshader}))
    else:
        print(f"{asked.swiftshader} is not there", file=sys.stderr)
    return found


def run(command, environment, minutes):
    """What a command prints; the reason if it fails."""
    # Mesa's cache of compiled shaders knows nothing of the vector width.
    environment = {**os.environ, "MESA_SHADER_CACHE_DISABLE": "true", **environment}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60 * minutes)
    except subprocess.TimeoutExpired:
        return None, f"more than {minutes} min"
    if done.returncode not in (0, 1):
        return None, f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:120]}"
    return done.stdout, None


def digest(binary, experiment, steps, device, environment, minutes):
    """Digest of the weights after exact training."""
    with tempfile.TemporaryDirectory() as out:
        command = [binary, "train", f"assets/experiments/{experiment}.toml", "--device", device, "--exact", "--quiet"]
        _, reason = run([*command, "--max-steps", str(steps), "--out", f"{out}/run"], environment, minutes)
        if reason:
            return reason
        with open(f"{out}/run/best.safetensors", "rb") as weights:
            return hashlib.sha256(weights.read()).hexdigest()[:12]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?", default="target/release/gridlight")
    parser.add_argument("--mesa")
    parser.add_argument("--swiftshader", default="/usr/lib/chromium/vk_swiftshader_icd.json")
    parser.add_argument("--widths", default="128,256,512")
    parser.add_argument("--minutes", type=float, default=10)
    asked = parser.parse_args()
    right = {e: digest(asked.binary, e, n, "cpu", {}, asked.minutes) for e, n in TRAINED.items()}
    rows, failed = [], False
    for name, environment in drivers(asked):
        printed, reason = run([asked.binary, "verify", "--device", "gpu", "--json"], environment, asked.minutes)
        checks = reason
        if printed:
            report = json.loads(printed)
            checks = f"{report['passed']} of {report['passed'] + report['failed']}"
            failed |= report["failed"] > 0
        failed |= reason is not None
        cells = []
        for experiment, steps in TRAINED.items():
            bits = digest(asked.binary, experiment, steps, "gpu", environment, asked.minutes)
            cells.append("equal" if bits == right[experiment] else bits)
            failed |= bits != right[experiment]
        rows.append([name, checks, *cells])
        print(f"{name}: {checks}, {cells}", file=sys.stderr)
    print("| driver | checks of `verify` | " + " | ".join(f"{e}, {n} exact steps" for e, n in TRAINED.items()) + " |")
    print("|---" * (2 + len(TRAINED)) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
