"""Raw values of the files of experiments, as exported models read them: what `onnx.py` feeds ONNX Runtime with."""

import csv
import datetime
import math
import pathlib

import numpy
import onnx

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "assets/data"
MISSING = {"", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "<NA>", "-", "--", "?"}
TRAFFIC, ENERGY = DATA / "traffic/metro_i94_hourly.csv", DATA / "energy/electricity_hourly.csv"
HOUR = datetime.timedelta(hours=1)
# Elements of a batch of an evaluation, and how often it draws.
BATCH, DRAWS = 512, 32


def table(path):
    """The columns of a CSV file by name."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def number(cell):
    words = {"true": 1, "false": 0, "yes": 1, "no": 0}
    return numpy.nan if cell in MISSING else words[cell] if cell in words else float(cell)


def numbers(cells, kind=numpy.float32):
    return numpy.array([number(cell) for cell in cells], kind)


def moment(cell):
    return datetime.datetime.fromisoformat(cell)


def columns_of(path, model):
    """The inputs of a model of rows: each a column of the file."""
    cells = table(path)
    feeds = {}
    if "when" in cells:
        dates = [datetime.date.fromisoformat(cell) for cell in cells["when"]]
        day_of_year = [date.timetuple().tm_yday for date in dates]
        parts = {"hour": [0] * len(dates), "weekday": [date.weekday() for date in dates]}
        parts |= {"month": [date.month for date in dates], "day of year": day_of_year}
        parts["year"] = [date.year + (day - 1) / 366 for date, day in zip(dates, day_of_year)]
        cells |= {f"when {name}": part for name, part in parts.items()}
    for value in model.graph.input:
        if value.name == "noise":
            continue
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        column = cells[value.name]
        feeds[value.name] = (numpy.array(column, object) if kind == object else numbers(column, kind)).reshape(-1, 1)
    return feeds


def days(path):
    """One row per day, of the loads of its hours."""
    cells = table(path)
    found = {}
    for when, load in zip(map(moment, cells["date_time"]), numbers(cells["load_kw"])):
        found.setdefault(when.date(), {})[when.hour] = load
    feeds = {
        f"load_kw {hour:02}:00": numpy.array([day.get(hour, numpy.nan) for day in found.values()], numpy.float32)
        for hour in range(24)
    }
    feeds["weekday"] = numpy.array([date.strftime("%A") for date in found], object)
    return {name: column.reshape(-1, 1) for name, column in feeds.items()}


def past_days(path, length=7):
    """Windows of days, of the loads of their hours, and the weekday of the day after each."""
    feeds = days(path)
    count = len(feeds["weekday"]) - length
    windows = numpy.arange(count)[:, None] + numpy.arange(length)[None, :]
    found = {name: column[windows] for name, column in feeds.items() if name != "weekday"}
    return found | {"weekday (+1)": feeds["weekday"][windows + 1]}


def hourly(path, target, ahead, holiday, beyond):
    """Windows of 24 hours, and what is known of the rows `ahead` later; `beyond` the end only the calendar is."""
    cells = table(path)
    known = {moment(when): at for at, when in enumerate(cells["date_time"])}
    first, last = min(known), max(known)
    hours = [first + HOUR * n for n in range(int((last - first) / HOUR) + 1 + (ahead if beyond else 0))]
    values, before = [], numpy.nan
    for hour in hours:
        value = number(cells[target][known[hour]]) if hour in known else numpy.nan
        before = value if not math.isnan(value) else before
        values.append(before)
    parts = {
        target: numpy.array(values, numpy.float32),
        f"date_time hour (+{ahead})": numpy.array([hour.hour for hour in hours], numpy.float32),
        f"date_time weekday (+{ahead})": numpy.array([hour.weekday() for hour in hours], numpy.float32),
        f"date_time month (+{ahead})": numpy.array([hour.month for hour in hours], numpy.float32),
    }
    if holiday:
        flags = [cells["holiday"][known[hour]] if hour in known else "" for hour in hours]
        parts[f"holiday (+{ahead})"] = numbers(flags)
    count = len(hours) - 24 - ahead + 1
    start = {target: 0}
    windows = numpy.arange(count)[:, None] + numpy.arange(24)[None, :]
    return {name: part[windows + start.get(name, ahead)][:, :, None] for name, part in parts.items()}


def swings(path):
    """Windows of 22 working days of each share."""
    cells = table(path)
    series = {}
    for row in range(len(cells["Date"])):
        high, low = float(cells["High"][row]), float(cells["Low"][row])
        ratio = math.log(high / low)
        if ratio > 0:
            series.setdefault(cells["Ticker"][row], []).append((cells["Date"][row], math.log(ratio)))
    windows = []
    for ticker in sorted(series):
        values = [value for _, value in sorted(series[ticker])]
        # The last window's day is after the end of the file.
        windows += [values[at : at + 22] for at in range(len(values) - 21)]
    return {"swing": numpy.array(windows, numpy.float32)[:, :, None]}


def digits(path):
    cells = table(path)
    pixels = [numbers(cells[name]) for name in cells if name != "label"]
    return {"image": numpy.stack(pixels, 1).reshape(-1, 1, 8, 8)}


def idx(path):
    bytes = pathlib.Path(path).read_bytes()
    images = numpy.frombuffer(bytes, numpy.uint8, offset=16).reshape(-1, 1, 28, 28)
    return {"image": images.astype(numpy.float32)}


def quantiles():
    """The program's table of quantiles of N(0, 1/2)."""
    wanted = (numpy.arange(4096) + 0.5) / 4096
    low, high = numpy.full(4096, -10.0), numpy.full(4096, 10.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = numpy.array([0.5 * math.erfc(-x * math.sqrt(0.5)) for x in middle]) < wanted
        low, high = numpy.where(below, middle, low), numpy.where(below, high, middle)
    z = 0.5 * (low + high)
    scale = math.sqrt(0.5 / (z * z).mean())
    return numpy.round(z * scale * 2**20) / 2**20


def threefry(key, counter):
    """Threefry2x32-20 (Salmon et al. 2011) of arrays of counters."""
    keys = [*key, key[0] ^ key[1] ^ numpy.uint32(0x1BD11BDA)]
    x, y = counter[0] + key[0], counter[1] + key[1]
    for four in range(5):
        for rotation in ([13, 15, 26, 6], [17, 29, 16, 24])[four % 2]:
            x = x + y
            y = ((y << numpy.uint32(rotation)) | (y >> numpy.uint32(32 - rotation))) ^ x
        x, y = x + keys[(four + 1) % 3], y + keys[(four + 2) % 3] + numpy.uint32(four + 1)
    return x, y


def noise(rows, latent):
    """What predictions draw for the codes of a file's rows, [draws, rows, latent]."""
    batch = min(rows, BATCH)
    elements = numpy.arange(batch * latent, dtype=numpy.uint32)
    known, found = quantiles(), []
    with numpy.errstate(over="ignore"):
        stream = numpy.uint32(5) * numpy.uint32(0x9E3779B1)
        for draw in range(DRAWS):
            parts = []
            for slot in range(-(-rows // batch)):
                counter = numpy.full_like(elements, slot), elements // numpy.uint32(2)
                pair = threefry((numpy.uint32(draw), stream), counter)
                word = numpy.where(elements % 2 == 0, *pair)
                parts.append((known[word & 4095] + known[(word >> 12) & 4095]).reshape(batch, latent))
            found.append(numpy.concatenate(parts)[:rows])
    return numpy.array(found, numpy.float32)


def codes(model, rows=65, seed=3):
    """What `sample` draws: codes, and the classes in turn."""
    extents = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    latent = extents["code"][1].dim_value
    elements = numpy.arange(rows * latent, dtype=numpy.uint32)
    with numpy.errstate(over="ignore"):
        key = numpy.uint32(seed), numpy.uint32(6) * numpy.uint32(0x9E3779B1)
        pair = threefry(key, (numpy.zeros_like(elements), elements // numpy.uint32(2)))
    word, known = numpy.where(elements % 2 == 0, *pair), quantiles()
    drawn = (known[word & 4095] + known[(word >> 12) & 4095]).reshape(rows, latent)
    feeds = {"code": drawn.astype(numpy.float32)}
    for name in extents.keys() - feeds.keys():
        meaning = next(value.doc_string for value in model.graph.input if value.name == name)
        classes = meaning.rsplit(": ", 1)[1].split(", ")
        feeds[name] = numpy.array([[classes[row % len(classes)]] for row in range(rows)], object)
    return feeds


def entry(model, key):
    return next(entry.value for entry in model.metadata_props if entry.key == key)


def lines(path, model):
    """The tokens of a table's lines, and how many each has."""
    from tokenizers import Tokenizer

    tokenizer, length = Tokenizer.from_str(entry(model, "tokenizer")), model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    found = [[] if line in MISSING else [token + 1 for token in tokenizer.encode(line).ids][:length]
             for line in table(path)["line"]]
    tokens = numpy.array([line + [0] * (length - len(line)) for line in found], numpy.int64)
    return {"tokens": tokens, "length": numpy.array([len(line) for line in found], numpy.int64)}


def uniform(stream, step, shape):
    """What evaluations draw of a stream for a batch."""
    elements = numpy.arange(math.prod(shape), dtype=numpy.uint32)
    with numpy.errstate(over="ignore"):
        key = numpy.uint32(0), numpy.uint32(stream) * numpy.uint32(0x9E3779B1)
        pair = threefry(key, (numpy.full_like(elements, step), elements // numpy.uint32(2)))
    return (numpy.where(elements % 2 == 0, *pair) >> numpy.uint32(8)).astype(numpy.float32).reshape(shape) / numpy.float32(2**24)


def cases():
    """Of each experiment: the file to predict, and its raw values for a model."""
    digit, fashion = DATA / "images/digits8x8.csv", DATA / "images/fashion-t10k1000-images-idx3-ubyte"
    rows = lambda path: (path, lambda model: columns_of(path, model))
    hours = lambda path, *more: (path, lambda model: hourly(path, *more))
    found = {
        "traffic": rows(TRAFFIC),
        "breast-cancer": rows(DATA / "medical/breast_cancer.csv"),
        "student-grades": rows(DATA / "education/star_grades.csv"),
        "traffic-window": hours(TRAFFIC, "traffic_volume", 1, True, False),
        "traffic-1h": hours(TRAFFIC, "traffic_volume", 1, True, False),
        "traffic-24h": hours(TRAFFIC, "traffic_volume", 24, True, False),
        "electricity-1h": hours(ENERGY, "load_kw", 1, False, True),
        "electricity-24h": hours(ENERGY, "load_kw", 24, False, True),
        "energy-24h-tcn": hours(ENERGY, "load_kw", 24, False, True),
        "volatility": (DATA / "finance/stocks_daily.csv", lambda model: swings(DATA / "finance/stocks_daily.csv")),
        "electricity-hours": (ENERGY, lambda model: past_days(ENERGY)),
        "karate": rows(DATA / "graphs/karate_members.csv"),
        "energy-anomaly": (ENERGY, lambda model: days(ENERGY)),
        "shakespeare": (DATA / "text/shakespeare_plays.txt", None),
        "shakespeare-gpt": (DATA / "text/shakespeare_plays.txt", None),
        "plays-lines": (DATA / "text/plays_lines.csv", lambda model: lines(DATA / "text/plays_lines.csv", model)),
        "plays-masked": (DATA / "text/plays_lines.csv", "masked"),
        "star-grades-tokens": rows(DATA / "education/star_grades.csv"),
        "traffic-24h-transformer": hours(TRAFFIC, "traffic_volume", 24, True, False),
    }
    for name in ["digits-cnn", "digits-resnet", "digits-restored", "digits-rnn", "digits-vae", "digits-vit"]:
        found[name] = (digit, lambda model: digits(digit))
    for name in ["fashion-cnn", "fashion-vae"]:
        found[name] = (fashion, lambda model: idx(fashion))
    for name in ["digits-gan", "fashion-wgan-gp"]:
        found[name] = (None, "codes")
    return found
