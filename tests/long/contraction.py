#!/usr/bin/env python3
"""Checks that AMD's compiler fuses nothing in exact kernels: no operation may round once where the shader rounds twice.

Mesa's null device for AMD hardware compiles kernels of every family without a GPU. Its instructions are searched for
fused and contracted ones. In exact arithmetic there must be none; in default arithmetic there must be some, or the
search itself is broken. Needs Mesa's Vulkan driver `radeon` and its drm-shim (Debian: `mesa-vulkan-drivers` and
`mesa-drm-shim` 25 or later), in a separate directory if necessary.

    tests/long/contraction.py TEST_BINARY --icd radeon_icd.json --libraries DIRECTORY [--gpu navi31]

TEST_BINARY is what `cargo test --no-run --test machine` built.
"""

import argparse
import collections
import os
import re
import subprocess
import sys

# v_fma_f32, v_fmac_f32, v_fmamk_f32, v_mad_f32, v_dual_fmac_f32, v_pk_fma_f32, v_fma_mix_f32, v_dot2_f32_f16, ...
CONTRACTED = re.compile(r"\bv_(?:dual_|pk_)?(?:fma\w*|mad\w*|mac\w*|dot\d\w*)_f(?:16|32|64)\b")


def compiled(asked, arithmetic):
    """How often each contracted instruction occurs, and how many instructions there are."""
    environment = {
        "GRIDLIGHT_NULL_DRIVER": arithmetic,
        "AMDGPU_GPU_ID": asked.gpu,
        "LD_PRELOAD": os.path.join(asked.libraries, "libamdgpu_noop_drm_shim.so"),
        "LD_LIBRARY_PATH": asked.libraries,
        "VK_ICD_FILENAMES": asked.icd,
        "RADV_DEBUG": "shaders,nocache",
    }
    done = subprocess.run([asked.binary], env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    # The disassembler prints some constants as invalid instructions, and the line after one may be spurious.
    text = re.sub(r"^\(invalid instruction\).*\n.*\n", "", done.stderr, flags=re.M)
    instructions = re.findall(r"^\s+[vs]_\w+.*; [0-9a-f]{8}", text, re.M)
    found = collections.Counter(name for line in instructions for name in CONTRACTED.findall(line))
    return found, len(instructions)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--icd", required=True)
    parser.add_argument("--libraries", required=True)
    parser.add_argument("--gpu", default="navi31")
    asked = parser.parse_args()
    results = {arithmetic: compiled(asked, arithmetic) for arithmetic in ["exact", "fast"]}
    for arithmetic, (found, instructions) in results.items():
        print(f"{asked.gpu}, {arithmetic}: {sum(found.values())} of {instructions} contracted {dict(found)}")
    return int(bool(results["exact"][0]) or not results["fast"][0] or results["exact"][1] < 1000)


if __name__ == "__main__":
    sys.exit(main())
