#!/usr/bin/env python3
"""Loads `gridlight serve` and stops it.

Trains the traffic model for a few steps and serves it on one core (`taskset`): `wrk` on the others must get 1,000 requests of
one row a second answered with a median below 2 ms. Then, under the load of several connections, the server is asked to stop
(SIGTERM): every request that was sent on a connection that it had accepted must be answered. A body of 1 GB must be refused with
413, bad input with 400 and the reason, and 100 rows as CSV must come back as `predict` writes them.

    apt-get install wrk
    tests/long/serve.py [--binary target/release/gridlight] [--seconds 10] [--connections 4]
"""

import argparse
import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "assets/data/traffic/metro_i94_hourly.csv"
WANTED, MEDIAN = 1000.0, 2.0
LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[%s]]
"""


def started(binary, run):
    command = ["taskset", "-c", "0", binary, "serve", run, "--device", "cpu", "--port", "0", "--json"]
    server = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    address = json.loads(server.stdout.readline())["address"]
    return server, int(address.rsplit(":", 1)[1])


def asked(port, body, kind="application/json"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/predict", body, {"Content-Type": kind, "Accept": kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


def loaded(place, port, body, arguments):
    """Requests a second, and the median in milliseconds."""
    script = place / "post.lua"
    script.write_text(LUA % body)
    ended = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds}s",
                            "--latency", "-s", script, f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True)
    assert "Non-2xx" not in ended.stdout and "Socket errors" not in ended.stdout, ended.stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", ended.stdout)[1])
    number, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", ended.stdout).groups()
    return rate, float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def stopped_under_load(server, port, body, count):
    """Requests that were sent and answered by clients that go on until the server closes."""
    tally, lock = [0, 0, 0], threading.Lock()

    def client():
        sent = answered = lost = 0
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            while True:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                sent += 1
                answer = connection.getresponse()
                assert answer.status == 200 and b"prediction" in answer.read()
                answered += 1
                if answer.getheader("Connection", "").lower() == "close":
                    break
        except (ConnectionRefusedError, socket.timeout):
            pass
        except (ConnectionError, http.client.HTTPException):
            # Sent and not answered.
            lost += sent - answered
        with lock:
            for at, number in enumerate((sent, answered, lost)):
                tally[at] += number

    clients = [threading.Thread(target=client) for _ in range(count)]
    for thread in clients:
        thread.start()
    time.sleep(2)
    server.send_signal(signal.SIGTERM)
    for thread in clients:
        thread.join(60)
    return tally, server.wait(60)


def too_large(port):
    """The status, and the seconds it took, of a body of 1 GB of which as much is sent as the server takes."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 1000000000\r\n\r\n")
        status = connection.recv(64).split()[1]
    return int(status), time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/gridlight", type=pathlib.Path)
    parser.add_argument("--seconds", default=10, type=int)
    parser.add_argument("--connections", default=4, type=int)
    arguments = parser.parse_args()
    binary, bad = arguments.binary.resolve(), []
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        run = place / "run"
        command = [binary, "train", ROOT / "assets/experiments/traffic.toml", "--device", "cpu", "--max-steps", "40", "--quiet", "--out", run]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        title, *lines = TABLE.read_text().splitlines()[:101]
        row = dict(zip(title.split(","), lines[50].split(",")))
        body = json.dumps({"rows": [row]})
        (place / "rows.csv").write_text("\n".join([title, *lines]) + "\n")
        command = [binary, "predict", run, "--input", place / "rows.csv", "--output", place / "out.csv", "--device", "cpu"]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        server, port = started(binary, run)
        try:
            assert asked(port, body)[0] == 200, asked(port, body)
            same = asked(port, (place / "rows.csv").read_bytes(), "text/csv")[1] == (place / "out.csv").read_bytes()
            print(f"{'ok  ' if same else 'BAD '} 100 rows as CSV, byte for byte what `predict` writes")
            bad += [not same]
            status, answer = asked(port, json.dumps({"rows": [row | {title.split(",")[1]: [1]}]}))
            print(f"{'ok  ' if status == 400 else 'BAD '} bad input: {status} {answer.decode()[:120].strip()}")
            bad += [status != 400]
            status, seconds = too_large(port)
            print(f"{'ok  ' if status == 413 else 'BAD '} a body of 1 GB: {status} after {1000 * seconds:.0f} ms")
            bad += [status != 413]
            for _ in range(3):
                rate, median = loaded(place, port, body, arguments)
                holds = rate >= WANTED and median < MEDIAN
                print(f"{'ok  ' if holds else 'BAD '} {rate:,.0f} requests/s, median {median:.2f} ms")
                bad += [not holds]
            (sent, answered, lost), code = stopped_under_load(server, port, body, 8)
            holds = lost == 0 and answered > 0 and code == 0
            print(f"{'ok  ' if holds else 'BAD '} SIGTERM under load: {sent} requests sent, {answered} answered, {lost} lost, exit code {code}")
            bad += [not holds]
        finally:
            server.kill()
    sys.exit(any(bad))


if __name__ == "__main__":
    main()
