#!/usr/bin/env python3
"""What AMD's compiler makes of every kernel of the shipped experiments, in every layout that the tuner may choose: registers,
spills, workgroup memory, waves, code size and static cycles, as a table; exit code 1 if a default layout spills.

Mesa's null device for AMD hardware compiles without a GPU. Needs its Vulkan driver `radeon` and its drm-shim (Debian:
`mesa-vulkan-drivers` and `mesa-drm-shim` 25 or later), in a separate directory if necessary.

    cargo build --example layouts
    tests/long/isa.py target/debug/examples/layouts --icd radeon_icd.json --libraries DIRECTORY \\
        [--gpus polaris10,vega10,...] [--mesa 25.0.7] [--write benches/isa.md] [EXPERIMENT ...]
"""

import argparse
import collections
import glob
import os
import re
import subprocess
import sys

HEAD = """# What AMD's compiler makes of the kernels

Every launch of the shipped experiments' programs (training and evaluation), compiled by Mesa {mesa} for GPUs that are not
there: `tests/long/isa.py --write benches/isa.md`. First over all layouts that the tuner may choose, then for the usual
layouts, which are taken where nothing was measured: vector registers/waves of a SIMD at most/bytes of code. A kernel that
spills registers to memory in its usual layout fails the command.
"""

WANTED = {
    "registers": r"VGPRs: (\d+)|VGPRS: (\d+)",
    "spills": r"Spilled VGPRs: (\d+)",
    "spilled scalars": r"Spilled SGPRs: (\d+)",
    "bytes of code": r"Code size: (\d+)|Code Size: (\d+)",
    "workgroup bytes": r"LDS size: (\d+)|LDS: (\d+)",
    "scratch": r"Scratch size: (\d+)|Scratch: (\d+)",
    "waves": r"Subgroups per SIMD: (\d+)|Max Waves: (\d+)",
    "latency": r"Latency: (\d+)",
    "cycles": r"Inverse Throughput: (\d+)",
}


def compiled(asked, gpu):
    """The statistics of each shader, by (experiment, layout, kernels)."""
    environment = {
        "AMDGPU_GPU_ID": gpu,
        "LD_PRELOAD": os.path.join(asked.libraries, "libamdgpu_noop_drm_shim.so"),
        "LD_LIBRARY_PATH": asked.libraries,
        "VK_ICD_FILENAMES": asked.icd,
        "RADV_DEBUG": "shaderstats,nocache",
        "XDG_CACHE_HOME": "/nonexistent",
    }
    command = [asked.binary, *asked.experiments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = {}
    for part in done.stderr.split("\n== ")[1:]:
        first, _, rest = part.partition("\n")
        key = tuple(first.split(" == "))
        values = {}
        for name, pattern in WANTED.items():
            match = re.search(pattern, rest)
            values[name] = int(next(g for g in match.groups() if g is not None)) if match else None
        if values["registers"] is not None:
            found[key] = values
    assert found, "the driver printed no statistics: " + done.stderr[-2000:]
    return found


def table(rows):
    """A table in Markdown of lists of cells."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def usual_layouts(by_gpu):
    """A line for every different kernel of the usual layouts, by its name."""
    lines = {}
    for gpu, found in by_gpu.items():
        for (_, layout, kernels), values in found.items():
            if layout == "usual":
                numbers = [values[name] for name in ("registers", "waves", "bytes of code")]
                cell = "/".join("-" if number is None else str(number) for number in numbers)
                line = lines.setdefault((kernels.replace("|", "+"), values["workgroup bytes"]), {})
                # Kernels of one name may differ in what is fused into them.
                line.setdefault(gpu, set()).add(cell)
    rows = [["kernels", "workgroup bytes", *by_gpu]]
    for (kernels, shared), line in sorted(lines.items()):
        rows.append([kernels, shared, *("; ".join(sorted(line.get(gpu, "-"))) for gpu in by_gpu)])
    return table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("experiments", nargs="*", default=sorted(glob.glob("assets/experiments/*.toml")))
    parser.add_argument("--icd", required=True)
    parser.add_argument("--libraries", required=True)
    parser.add_argument("--gpus", default="polaris10,vega10,raven,navi10,navi21,vangogh,navi31,gfx1150")
    parser.add_argument("--mesa", default="25", help="its version, for the table")
    parser.add_argument("--write")
    asked = parser.parse_intermixed_args()
    by_gpu = {gpu: compiled(asked, gpu) for gpu in asked.gpus.split(",")}
    header = ["GPU", "shaders", "that spill", "of the usual layout that spill", "most registers", "fewest waves", "largest code"]
    summary, spilled = [header], 0
    for gpu, found in by_gpu.items():
        spills = [key for key, v in found.items() if (v["spills"] or 0) + (v["scratch"] or 0) > 0]
        usual = [key for key in spills if key[1] == "usual"]
        spilled += len(usual)
        for key in spills:
            print(f"{gpu}: spills: {' == '.join(key)}", file=sys.stderr)
        summary.append([
            gpu, len(found), len(spills), len(usual), max(v["registers"] for v in found.values()),
            min(v["waves"] or 0 for v in found.values()), max(v["bytes of code"] or 0 for v in found.values()),
        ])
    text = HEAD.format(mesa=asked.mesa) + "\n" + table(summary) + "\n" + usual_layouts(by_gpu)
    if asked.write:
        with open(asked.write, "w") as out:
            out.write(text)
    print(table(summary))
    return int(spilled > 0)


if __name__ == "__main__":
    sys.exit(main())
