"""Shared measuring loop of the Python peers: one workload, one JSON line on standard output.

usage: python3 PEER.py WORKLOAD [--steps N] [--seconds S] [--backend B]
  --steps N    measured steps; 0 (default) = as many as fit into --seconds
Workloads: mlp32 mlp1024 cnn rnn lstm vae resblock gpt vit wgan-gp gcn matmul{256,512,1024,2048} conv_fwd conv_fwdbwd
"""
import argparse
import json
import os
import sys
import time

BATCH = {"mlp32": 32, "mlp1024": 1024, "cnn": 64, "rnn": 64, "lstm": 64, "vae": 128, "resblock": 32, "gpt": 64, "vit": 32, "wgan-gp": 64, "gcn": 10_000}
CONV_FLOP = 2 * 32 * 64 * 28 * 28 * 32 * 9  # 3x3, padding 1, N=32 C=32 K=64 28x28


def graph():
    """10,000 nodes, 100,000 edges drawn at random and one of each node to itself: sources, targets and weights of graph convolutions,
    in the order of the targets."""
    import numpy as np

    ends = np.random.default_rng(1).integers(0, 10_000, (50_000, 2))
    both = np.concatenate([ends, ends[:, ::-1], np.stack([np.arange(10_000)] * 2, 1)])
    source, target = both[np.lexsort((both[:, 0], both[:, 1]))].T
    root = np.bincount(target) ** -0.5
    return source, target, (root[source] * root[target]).astype(np.float32)


def flop(workload):
    """Operations of one step of a kernel workload, or None for a training step."""
    if workload.startswith("matmul"):
        return 2 * int(workload[6:]) ** 3
    return {"conv_fwd": CONV_FLOP, "conv_fwdbwd": 3 * CONV_FLOP}.get(workload)


def arguments(backends):
    p = argparse.ArgumentParser()
    p.add_argument("workload")
    p.add_argument("--steps", type=int, default=0)
    p.add_argument("--seconds", type=float, default=5.0)
    p.add_argument("--backend", default=backends[0], choices=backends)
    return p.parse_args()


def since_start():
    """Seconds since this process was started (10 ms resolution)."""
    ticks = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
    return float(open("/proc/uptime").read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def peak_rss_mib():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024


def drive(peer, args, step, read):
    """step() runs one step and returns a loss handle; read(handle) waits and returns a float."""
    first_loss = read(step())
    first_step_s = since_start()
    n, t = 0, time.perf_counter()
    while (n < 5 or time.perf_counter() - t < 1.0) and not (n >= 1 and time.perf_counter() - t > 20.0):
        read(step())
        n += 1
    per_step = (time.perf_counter() - t) / n
    # one more, now free of compile time
    t = time.perf_counter()
    read(step())
    per_step = min(per_step, time.perf_counter() - t)
    warmup_steps = n + 2
    warmup_s = since_start()
    chunk = max(1, int(0.25 / per_step))
    total, best, last = 0, 0.0, 0.0
    t0 = time.perf_counter()
    while True:
        k = min(chunk, args.steps - total) if args.steps else chunk
        t = time.perf_counter()
        for _ in range(k):
            loss = step()
        last = read(loss)
        now = time.perf_counter()
        total += k
        best = max(best, k / (now - t))
        if (total >= args.steps) if args.steps else (now - t0 >= args.seconds):
            break
    rate = total / (now - t0)
    w = args.workload
    out = {"peer": peer, "backend": args.backend, "workload": w, "steps_per_s": round(rate, 3), "best_chunk_steps_per_s": round(best, 3)}
    if flop(w):
        out["gflops"] = round(flop(w) * rate / 1e9, 2)
        out["best_gflops"] = round(flop(w) * best / 1e9, 2)
    else:
        out["samples_per_s"] = round(rate * BATCH[w], 1)
        out["first_loss"], out["last_loss"] = first_loss, last
    out.update(first_step_s=round(first_step_s, 2), warmup_s=round(warmup_s, 2), steps=total + warmup_steps, peak_rss_mib=round(peak_rss_mib()))
    print(json.dumps(out))
    sys.stdout.flush()
