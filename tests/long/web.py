#!/usr/bin/env python3
"""The engine in a browser trains as the program does on the same driver.

    web/build.sh && cargo build
    tests/long/web.py [--program target/debug/gridlight] [--steps 100] [--only NAME] [--shots DIR]

Headless Chromium trains each family for some steps on SwiftShader, and the program does so through the same library as
a Vulkan driver (VK_ICD_FILENAMES); both do so on the processor, too. Losses must agree, and in exact mode the digests of
the weights must be equal. The browser's compiler reads the shaders of all shipped experiments, too: it refuses more than
wgpu does, such as barriers that not all invocations are known to reach.
With --shots, it also opens the page as a visitor would, at phone width and on a desktop, light and dark, and saves
pictures of each state. Where Chromium or the engine is not there, it says so and tests nothing (exit code 0).
"""

import argparse
import base64
import csv
import functools
import http.server
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
ICD = "/usr/lib/chromium/vk_swiftshader_icd.json"
PICTURES = "pictures"
# Experiment, keys that make it small enough for a software driver, and steps. `pictures` is a folder made here.
FAMILIES = [
    ("traffic", ["model.hidden=[32]"], 100),
    ("digits-cnn", ["model.channels=[8, 8]"], 100),
    ("digits-vae", [], 100),
    ("traffic-1h", ["model.hidden=[16]", "data.window.length=12"], 100),
    ("shakespeare", ["model.hidden=[32]", "data.text.length=16", "train.batch_size=16"], 100),
    ("shakespeare-gpt", ["model.width=16", "model.blocks=1", "model.positions=\"alibi\"", "data.text.length=32",
                         "train.batch_size=8"], 100),
    ("karate", [], 100),
    ("density", [], 100),
    (PICTURES, [], 100),
]
# Ordinary losses may differ in rounding: the browser offers no subgroups, so that sums have another order.
TOLERANCE = 2e-3


class Tab:
    """A page of Chromium, through its DevTools protocol."""

    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(tab for tab in json.load(answer) if tab["type"] == "page")
        path = page["webSocketDebuggerUrl"].split("/", 3)[3]
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        while self.stream.readline().strip():
            pass
        self.number = 0
        self.said = []

    def send(self, text):
        data = text.encode()
        length = len(data)
        head = b"\x81" + (
            bytes([0x80 | length]) if length < 126
            else b"\xfe" + struct.pack(">H", length) if length < 65536
            else b"\xff" + struct.pack(">Q", length)
        )
        mask = os.urandom(4)
        repeated = mask * (length // 4 + 1)
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(repeated[:length], "big")).to_bytes(length, "big")
        self.socket.sendall(head + mask + masked)

    def receive(self):
        whole = b""
        while True:
            first, second = self.stream.read(2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", self.stream.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.stream.read(8))[0]
            whole += self.stream.read(length)
            if first & 128:
                return json.loads(whole)

    def call(self, method, timeout=1200, **parameters):
        self.number += 1
        self.socket.settimeout(timeout)
        self.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = self.receive()
            if message.get("method") == "Runtime.consoleAPICalled":
                self.said.append(" ".join(str(a.get("value", a.get("description"))) for a in message["params"]["args"]))
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def run(self, script, timeout=1200):
        """The value of an asynchronous function's body in the page."""
        result = self.call(
            "Runtime.evaluate", timeout, expression=f"(async () => {{ {script} }})()", awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]) + "\n" + "\n".join(self.said))
        return result["result"].get("value")

    def until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > end:
                message = self.run("return document.getElementById('message').textContent")
                raise RuntimeError(f"{condition} does not come true: {message}\n" + "\n".join(self.said))
            time.sleep(0.2)

    def shoot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        png = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(png))


def start(chromium, folder, url):
    flags = ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", "--remote-debugging-port=0", "--disable-gpu-sandbox",
             "--no-first-run", f"--user-data-dir={folder}", url]
    process = subprocess.Popen([chromium, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    place = pathlib.Path(folder) / "DevToolsActivePort"
    for _ in range(300):
        if place.exists() and place.read_text().strip():
            return process, int(place.read_text().split()[0])
        time.sleep(0.1)
    process.terminate()
    raise RuntimeError("Chromium did not start")


def serve(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def picture(path, rows):
    """Writes 8-bit grey levels as PNG."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def pictures(folder):
    """A folder of digits as pictures, one folder for each class, and an experiment on it; returns the latter's path."""
    with open(ROOT / "assets/data/images/digits8x8.csv", newline="") as file:
        rows = list(csv.reader(file))[1:401]
    for number, row in enumerate(rows):
        place = folder / "my digits" / f"class {row[64]}"
        place.mkdir(parents=True, exist_ok=True)
        levels = [15 * int(value) for value in row[:64]]
        picture(place / f"#{number}.png", [levels[at : at + 8] for at in range(0, 64, 8)])
    text = (ROOT / "assets/experiments/digits-cnn.toml").read_text()
    for old, new in [
        ('name = "digits-cnn"', f'name = "{PICTURES}"'), ('"../data/images/digits8x8.csv"', '"my digits"'),
        ("channels = [16, 32]", "channels = [8, 8]"), ("image = {", "# image = {"),
    ]:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{PICTURES}.toml"
    path.write_text(text)
    return path


def experiment(name, folder):
    path = pathlib.Path(folder) / f"{PICTURES}.toml" if name == PICTURES else ROOT / f"assets/experiments/{name}.toml"
    return str(path)


def native(program, name, overrides, steps, device, kernels, out):
    command = [program, "train", experiment(name, pathlib.Path(out).parent), "--device", device, "--json", "--max-steps",
               str(steps), "--log-every", "1", "--out", out]
    for override in overrides:
        command += ["--set", override]
    environment = dict(os.environ, VK_ICD_FILENAMES=ICD, XDG_RUNTIME_DIR="/tmp", GRIDLIGHT_KERNELS=kernels)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3600)
    if done.returncode != 0:
        raise RuntimeError(f"the program failed on {name}: {done.stderr[-2000:]}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "step"]
    validation = [event["validation"] for event in events if event["event"] == "epoch"]
    record = json.loads((pathlib.Path(out) / "run.json").read_text())
    device = next(event["device"] for event in events if event["event"] == "start")
    return losses, validation, record["weights_digest"], device


# The engine tells a software driver by this.
AS_A_GPU = "Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });\n"

TRAIN = """
const {{ engine, state }} = gridlight;
const example = state.examples.find((example) => example.title === {name});
for (const file of example.files) {{
  const path = file.split("/").map(encodeURIComponent).join("/");
  const bytes = new Uint8Array(await (await fetch(`data/${{path}}`)).arrayBuffer());
  await engine.call("putFile", {{ name: file, bytes }});
}}
const about = await engine.call("open", {{ toml: example.toml, overrides: {overrides}, onGpu: {on_gpu}, maxSteps: {steps} }});
const found = await engine.call("steps", {{ count: {steps} }});
const bytes = async (call) => (await engine.call(call)).length;
return {{ about, ...found, weights: await bytes("weights"), onnx: await bytes("onnx").catch((error) => error.message) }};
"""


def compare(tab, program, name, overrides, steps, kernels, folder):
    problems = []
    for where, exact in [("gpu", False), ("gpu", True), ("cpu", True)]:
        keys = overrides + [f"train.exact={'true' if exact else 'false'}"]
        found = tab.run(TRAIN.format(name=json.dumps(name), overrides=json.dumps(keys), steps=steps,
                                     on_gpu=json.dumps(where == "gpu")))
        out = os.path.join(folder, f"{name}-{where}-{exact}")
        losses, validation, digest, device = native(program, name, keys, steps, where, kernels, out)
        worst = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(found["losses"], losses))
        ours = found["status"]["history"][-1]["validation"]
        same = found["status"]["digest"] == digest
        print(
            f"{name} on the {where}{', exact' if exact else ''}: {len(found['losses'])} steps, last loss {found['losses'][-1]:.6f} in the "
            f"browser and {losses[-1]:.6f} natively, largest relative difference {worst:.1e}; validation loss "
            f"{ours['loss']:.6f} and {validation[-1]['loss']:.6f}; digests {'equal' if same else 'differ'}; "
            f"{found['weights']} bytes of weights, {found['onnx']} of ONNX",
            flush=True,
        )
        # Rows that are graphs have no form in ONNX, which is then refused with the reason.
        if isinstance(found["onnx"], str) != (name == "density"):
            problems.append(f"{name}: ONNX gave {found['onnx']}")
        if len(found["losses"]) != len(losses):
            problems.append(f"{name}: {len(found['losses'])} steps in the browser and {len(losses)} natively")
        if worst > (0.0 if exact else TOLERANCE):
            problems.append(f"{name}: losses differ by {worst:.1e} on the {where} (exact: {exact})")
        if exact and not same:
            problems.append(f"{name}: digests differ on the {where} in exact mode: {found['status']['digest']} and {digest}")
        if where == "gpu" and device["name"].lower().find("swiftshader") < 0:
            problems.append(f"the program ran on {device['name']}, not on SwiftShader")
    return problems


CHECK = """
globalThis.checker ??= await (await navigator.gpu.requestAdapter()).requestDevice();
const found = [];
for (const [name, code] of {shaders}) {{
  checker.pushErrorScope("validation");
  const {{ messages }} = await checker.createShaderModule({{ code }}).getCompilationInfo();
  await checker.popErrorScope();
  const errors = messages.filter((message) => message.type === "error");
  if (errors.length > 0) found.push(`${{name}}:${{errors[0].lineNum}}: ${{errors[0].message}}`);
}}
return found;
"""


def shaders(tab, program, folder):
    """Shaders of the shipped experiments that the browser refuses."""
    problems, count = [], 0
    for kernels in ["workgroup", "registers"]:
        environment = dict(os.environ, VK_ICD_FILENAMES=ICD, XDG_RUNTIME_DIR="/tmp", GRIDLIGHT_KERNELS=kernels)
        for experiment in sorted(ROOT.glob("assets/experiments/*.toml")):
            for exact in ["false", "true"]:
                place = pathlib.Path(folder) / "shaders" / f"{experiment.stem}-{kernels}-{exact}"
                command = [program, "plan", str(experiment), "--device", "gpu", "--quiet", "--dump", str(place), "--set",
                           f"train.exact={exact}"]
                done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
                if done.returncode != 0:
                    print(f"{experiment.stem} ({kernels}, exact: {exact}) was not planned: {done.stderr.strip()[-300:]}")
                    continue
                texts = [(f"{place.name}/{path.name}", path.read_text()) for path in sorted(place.glob("*.wgsl"))]
                count += len(texts)
                problems += tab.run(CHECK.format(shaders=json.dumps(texts)))
    print(f"{count} shaders were read by the browser, which refuses {len(problems)}", flush=True)
    return problems


def shots(tab, url, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for width, phone in [(390, True), (1100, False)]:
        for scheme in ["light", "dark"]:
            tab.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=phone)
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            tab.call("Page.navigate", url=url)
            time.sleep(1)
            shot = lambda state: tab.shoot(folder / f"{state}-{width}-{scheme}.png")
            tab.until("globalThis.gridlight?.engine.isReady && gridlight.state.files.size > 0 && !document.getElementById('train').disabled")
            shot("begin")
            for number, example in enumerate(tab.run("return gridlight.state.examples.map((e) => e.title)")):
                if (width, scheme) not in [(390, "light"), (1100, "dark")] and number > 0:
                    continue
                tab.run(f"document.querySelectorAll('#examples button')[{number}].click()")
                time.sleep(1)
                tab.run("const t = document.getElementById('toml'); t.value = t.value.replace(/^epochs = .*$/m, 'epochs = 2')"
                        ".replace(/^hidden = \\[256\\]/m, 'hidden = [32]').replace(/^width = .*$/m, 'width = 16')"
                        ".replace(/^blocks = .*$/m, 'blocks = 1').replace('{ length = 128 }', '{ length = 32 }')")
                tab.run("document.getElementById('train').click()")
                tab.until("gridlight.state.status?.ended && !gridlight.state.running && !document.getElementById('inside').hidden"
                          " && !gridlight.state.shown.busy", 900)
                if example.startswith("digits-cnn"):
                    tab.run("""const board = document.getElementById('board'); const box = board.getBoundingClientRect();
                      const at = (type, x, y) => board.dispatchEvent(new PointerEvent(type, { pointerId: 1, bubbles: true,
                        clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
                      board.setPointerCapture = () => {}; board.hasPointerCapture = () => true;
                      at('pointerdown', 0.5, 0.1); for (let i = 1; i <= 8; i++) at('pointermove', 0.5 - i * 0.002, 0.1 + i * 0.1);
                      at('pointerup', 0.5, 0.9);""")
                    tab.until("document.querySelectorAll('#guess i').length > 0")
                shot(example)
    tab.call("Emulation.clearDeviceMetricsOverride")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "target/debug/gridlight"))
    parser.add_argument("--steps", type=int, help="steps of each family (by default 100)")
    parser.add_argument("--kernels", choices=["registers", "workgroup"], default="registers",
                        help="those for software drivers, or those for GPUs, which SwiftShader runs as if it were one")
    parser.add_argument("--only", help="only this family, or `shaders`, or `none`")
    parser.add_argument("--shots", help="folder for pictures of the page")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    missing = [what for what, there in [
        ("Chromium", chromium), (ICD, os.path.exists(ICD)), (given.program, os.path.exists(given.program)),
        ("web/pkg (run web/build.sh)", (ROOT / "web/pkg/gridlight_web_bg.wasm").exists()),
    ] if not there]
    if missing:
        print("skipped, nothing was tested: missing are " + ", ".join(missing))
        return 0
    problems = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = os.path.join(folder, "page")
        pictures(pathlib.Path(folder))
        # The page begins with the first.
        names = sorted((name for name, *_ in FAMILIES), key=lambda name: name != "digits-cnn")
        experiments = [experiment(name, folder) for name in names]
        subprocess.run([given.program, "web", *experiments, "--engine", str(ROOT / "web/pkg"), "--out", page], check=True)
        if given.kernels == "workgroup":
            worker = pathlib.Path(page) / "worker.js"
            worker.write_text(AS_A_GPU + worker.read_text())
        url = serve(page)
        process, port = start(chromium, os.path.join(folder, "profile"), url)
        try:
            tab = Tab(port)
            for domain in ["Runtime", "Page"]:
                tab.call(f"{domain}.enable")
            tab.until("globalThis.gridlight?.engine.isReady", 60)
            if not tab.run("return Boolean(await navigator.gpu?.requestAdapter())"):
                raise RuntimeError("this Chromium offers no GPU, not even SwiftShader")
            if given.only in (None, "shaders"):
                problems += shaders(tab, given.program, folder)
            for name, overrides, steps in FAMILIES:
                if given.only in (None, name):
                    problems += compare(tab, given.program, name, overrides, given.steps or steps, given.kernels, folder)
            if given.shots:
                shots(tab, url, given.shots)
        finally:
            process.terminate()
            process.wait()
    for problem in problems:
        print(f"WRONG: {problem}")
    print("failed" if problems else "all as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
