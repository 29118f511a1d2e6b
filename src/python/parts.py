#: affine
def affine(x, shift, scale):
    return (x - shift) / scale


#: affine_back
def affine_back(y, shift, scale):
    return y * scale + shift


#: log1p
def log1p(x, shift, scale):
    return (numpy.log1p(numpy.maximum(x, -1.0 + 1e-9)) - shift) / scale


#: log1p_back
def log1p_back(y, shift, scale):
    return numpy.expm1(y * scale + shift)


#: quantile
def quantile(x, points):
    """The standard normal quantile of the rank among `points`, the middle of the ranks that `x` could have."""
    points, x = numpy.asarray(points), numpy.asarray(x, numpy.float64)
    below, up_to = numpy.searchsorted(points, x, "left"), numpy.searchsorted(points, x, "right")
    low = points[numpy.clip(below - 1, 0, len(points) - 1)]
    high = points[numpy.clip(below, 0, len(points) - 1)]
    with numpy.errstate(all="ignore"):
        between = below - 1.0 + (x - low) / (high - low)
    between = numpy.where(below == 0, 0.0, numpy.where(below == len(points), len(points) - 1.0, between))
    rank = numpy.where(below == up_to, between, 0.5 * (below + up_to - 1.0))
    part = numpy.clip(rank / max(len(points) - 1.0, 1.0), 1e-4, 1 - 1e-4)
    inverse = statistics.NormalDist().inv_cdf
    return numpy.array([inverse(p) for p in part.ravel()]).reshape(part.shape)


#: quantile_back
def quantile_back(y, points):
    points, y = numpy.asarray(points), numpy.asarray(y, numpy.float64)
    part = 0.5 * numpy.array([math.erfc(-value * math.sqrt(0.5)) for value in y.ravel()]).reshape(y.shape)
    return numpy.interp(part * max(len(points) - 1.0, 0.0), numpy.arange(len(points)), points)


#: single
def single(x):
    """In single precision, within its range."""
    most = float(numpy.finfo(numpy.float32).max)
    return numpy.clip(x, -most, most).astype(numpy.float32)


#: cells
def cells(table, name):
    """The texts of a column, `None` where they mark missing values."""
    if name not in table:
        raise SystemExit(f"there is no column {name!r}; there are {', '.join(table)}")
    texts = (cell if cell is None else str(cell).strip() for cell in table[name])
    return [None if text in MISSING or text is None else text for text in texts]


#: filled_forward
def filled_forward(values):
    """Missing values become the last one before them."""
    found, last = [], None
    for value in values:
        last = last if value is None else value
        found.append(last)
    return found


#: forward filled_forward
def forward(values, groups):
    """Missing values become the last one before them in the same series."""
    return [value for rows in groups for value in filled_forward([values[row] for row in rows])]


#: number cells single truth forward filled_forward
def number(table, name, scaling, fill, clip=None, indicator=False, boolean=False, before=None):
    """A column of numbers, scaled: [rows, 1], or two with a flag of missing values."""
    read = truth if boolean else float
    values = [cell if cell is None else read(cell) for cell in cells(table, name)]
    missing = numpy.array([[value is None] for value in values], numpy.float32)
    if before is not None:
        values = forward(values, before)
    x = numpy.array([fill if value is None else value for value in values], numpy.float64)
    if clip is not None:
        x = numpy.clip(x, *clip)
    x = single(scaling(x)).reshape(-1, 1)
    return numpy.concatenate([x, missing], 1) if indicator else x


#: truth
def truth(cell):
    """A boolean as 1 or 0."""
    if cell.lower() in {"true", "yes", "1", "t", "y"}:
        return 1.0
    if cell.lower() in {"false", "no", "0", "f", "n"}:
        return 0.0
    raise SystemExit(f"{cell!r} is neither true nor false")


#: places cells forward filled_forward
def places(table, name, names, fill=None, before=None):
    """The place of each cell among the names that training had, -1 for others."""
    known = {text: at for at, text in enumerate(names)}
    found = [cell if cell is None else known.get(cell, -1) for cell in cells(table, name)]
    if before is not None:
        found = forward(found, before)
    instead = -1 if fill is None else known.get(fill, -1)
    return numpy.array([instead if at is None else at for at in found], numpy.int64)


#: one_hot places
def one_hot(table, name, names, fill=None, before=None):
    """A column of names: [rows, names]."""
    found = places(table, name, names, fill, before)
    return (found[:, None] == numpy.arange(len(names))).astype(numpy.float32)


#: moments cells
def moments(table, name):
    """The times of a column, in UTC where they have an offset."""
    found = []
    for cell in cells(table, name):
        time = None if cell is None else datetime.datetime.fromisoformat(cell)
        if time is not None and time.tzinfo is not None:
            time = time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        found.append(time)
    return found


#: calendar moments
def calendar(table, name, parts, cyclic):
    """Parts of times: [rows, parts], or sine and cosine of those that repeat."""
    periods = {"hour": 24.0, "weekday": 7.0, "month": 12.0, "day_of_year": 366.0, "year": 0.0}
    columns = []
    for part in parts:
        values, period = [], periods[part]
        for time in moments(table, name):
            if time is None:
                values.append(0.0)
                continue
            hour = time.hour + time.minute / 60
            day = time.timetuple().tm_yday - 1 + hour / 24
            year = time.year - 2000.0 + day / 366
            of = {"hour": hour, "weekday": time.weekday(), "month": time.month - 1, "day_of_year": day, "year": year}
            values.append(of[part])
        x = numpy.array(values, numpy.float64)
        if cyclic and period > 0:
            angle = 2 * math.pi * x / period
            columns += [numpy.sin(angle), numpy.cos(angle)]
        else:
            columns.append(x / period if period > 0 else x * 0.1)
    return numpy.stack(columns, 1).astype(numpy.float32)


#: refuse_gaps cells
def refuse_gaps(table, times, groups, step):
    """Ends where rows or targets are missing. Months, quarters and years have lengths of their own; Monday follows Friday."""
    for name in TARGETS:
        missing = [row for row, cell in enumerate(cells(table, name)) if cell is None]
        if missing:
            raise SystemExit(f"column {name!r} is empty in row {missing[0] + 1}")
    for rows in groups.values():
        for a, b in zip(rows, rows[1:]):
            gap = times[b] - times[a]
            weekend = TIME and gap <= 3 * step and times[b].weekday() == 0 and step == datetime.timedelta(days=1)
            if gap > 1.5 * step and not weekend:
                raise SystemExit(f"rows are missing between {times[a]} and {times[b]}")


#: series cells moments put refuse_gaps
def series(table):
    """The rows in the order of their series and times, with rows for missing times: a table, and the rows of each series."""
    count = len(next(iter(table.values())))
    times = moments(table, TIME) if TIME else list(range(count))
    names = cells(table, GROUP) if GROUP else [""] * count
    known = [row for row in range(count) if times[row] is not None]
    if GAPS == "ignore":
        past = [cells(table, name) for name in TARGETS]
        known = [row for row in known if all(column[row] is not None for column in past)]
    groups = {}
    for row in known:
        groups.setdefault(names[row], []).append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: times[row])
    steps = collections.Counter(
        times[b] - times[a] for rows in groups.values() for a, b in zip(rows, rows[1:])
    )
    step = min(steps, key=lambda step: (-steps[step], step)) if steps else None
    if GAPS == "refuse":
        refuse_gaps(table, times, groups, step)
    found, arranged = {name: [] for name in table}, []
    for name in sorted(groups):
        start, before = len(found[next(iter(found))]), None
        for row in groups[name]:
            while GAPS in ("fill", "drop") and before is not None and last + step < times[row]:
                last += step
                put(found, table, before, last)
            put(found, table, row)
            before, last = row, times[row]
        for _ in range(BEYOND if steps else 0):
            last += step
            put(found, table, before, last)
        arranged.append(range(start, len(found[next(iter(found))])))
    return found, arranged


#: put
def put(found, table, row, time=None):
    """Appends a row of a table, or a copy of it at another time, where nothing is known of the targets."""
    for name, column in found.items():
        column.append(table[name][row])
        if time is not None and (name == TIME or name in TARGETS):
            column[-1] = time.isoformat(" ") if name == TIME else None


#: windows series forward filled_forward single cells
def windows(table):
    """Windows of the rows of a table, [windows, LENGTH, width], and the row that each one's last prediction is of."""
    table, groups = series(table)
    past = [[cell if cell is None else float(cell) for cell in cells(table, name)] for name in TARGETS]
    known = numpy.array([[value is not None for value in column] for column in past])
    if GAPS == "fill":
        past = [forward(column, groups) for column in past]
    scaled = []
    for column, scaling in zip(past, SCALINGS):
        x = numpy.array([numpy.nan if value is None else value for value in column], numpy.float64)
        scaled.append(single(scaling(x)))
    now, later = columns(table, groups)
    rows = numpy.concatenate([numpy.stack(scaled, 1), now], 1)
    found, places = [], []
    for group in groups:
        for start in range(group.start, group.stop - LENGTH - HORIZON + 1, STRIDE):
            window = slice(start, start + LENGTH)
            parts = [rows[window], *(later[start + ahead : start + ahead + LENGTH] for ahead in OFFSETS)]
            x = numpy.concatenate(parts, 1)
            whole = GAPS == "fill" or known[:, window].all()
            if whole and numpy.isfinite(x).all():
                found.append(x)
                places.append(start + LENGTH + HORIZON - 1)
    if not found:
        raise SystemExit(f"no window of {LENGTH} rows, of which none is missing, can be cut from this table")
    names = [name for name in (TIME, GROUP) if name]
    said = {name: [table[name][place] for place in places] for name in names}
    return numpy.array(found, numpy.float32).reshape(-1, LENGTH, rows.shape[1] + len(OFFSETS) * later.shape[1]), said


#: read_table
def read_table(path):
    """The columns of a CSV file by name, as texts."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        head, *lines = list(csv.reader(file)) or [[]]
    for number, line in enumerate(lines, 2):
        if line and len(line) != len(head):
            raise SystemExit(f"{path}: line {number} has {len(line)} cells, and there are {len(head)} columns")
    return {name: [line[at] for line in lines if line] for at, name in enumerate(head)}


#: Position
class Position(nn.Module):
    """Adds a vector for each step."""

    def __init__(self, steps, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(steps, width))

    def forward(self, x):
        return x + self.weight


#: Waves
class Waves(nn.Module):
    """Adds sines and cosines of the position."""

    def __init__(self, steps, width):
        super().__init__()
        at, feature = numpy.arange(steps)[:, None], numpy.arange(width)[None, :]
        angle = at / 10000.0 ** (feature // 2 * 2 / width)
        waves = numpy.where(feature % 2 == 0, numpy.sin(angle), numpy.cos(angle))
        self.register_buffer("waves", torch.tensor(waves, dtype=torch.float32), persistent=False)

    def forward(self, x):
        return x + self.waves


#: Tokens
class Tokens(nn.Module):
    """A vector for each number of a row."""

    def __init__(self, features, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features, width))
        self.bias = nn.Parameter(torch.zeros(features, width))

    def forward(self, x):
        return x[:, :, None] * self.weight + self.bias


#: Residual
class Residual(nn.Module):
    """Convolutions with batch normalisation, whose result is added to their input."""

    def __init__(self, inputs, sizes, stride, shortcut, shortcut_norm):
        super().__init__()
        self.count = len(sizes)
        outputs = inputs
        for at, (channels, taps, step) in enumerate(sizes, 1):
            self.add_module(f"conv{at}", nn.Conv2d(outputs, channels, taps, step, taps // 2, bias=False))
            self.add_module(f"bn{at}", nn.BatchNorm2d(channels))
            outputs = channels
        norm = [nn.BatchNorm2d(outputs)] if shortcut_norm else []
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), *norm) if shortcut else None

    def forward(self, x):
        h = x
        for at in range(1, self.count + 1):
            h = getattr(self, f"bn{at}")(getattr(self, f"conv{at}")(h))
            if at < self.count:
                h = functional.relu(h)
        return functional.relu(h + (x if self.downsample is None else self.downsample(x)))


#: TemporalBlock
class TemporalBlock(nn.Module):
    """Two causal convolutions over steps, whose result is added to their input."""

    def __init__(self, inputs, outputs, kernel, dilation, normed):
        super().__init__()
        made = [nn.Conv1d(width, outputs, kernel, dilation=dilation) for width in (inputs, outputs)]
        self.conv1, self.conv2 = [nn.utils.weight_norm(conv) for conv in made] if normed else made
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None
        self.before = (kernel - 1) * dilation

    def forward(self, x):
        x = x.transpose(1, 2)
        h = x
        for conv in (self.conv1, self.conv2):
            h = functional.relu(conv(functional.pad(h, (self.before, 0))))
        return functional.relu(h + (x if self.downsample is None else self.downsample(x))).transpose(1, 2)


#: add_within
def add_within(parent, name, module):
    """Adds a module whose name has dots."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(parent, part):
            parent.add_module(part, nn.Module())
        parent = getattr(parent, part)
    parent.add_module(last, module)


#: load
def load(path=WEIGHTS):
    """The trained network, from a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    state = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            values = numpy.frombuffer(data[first:last], "<f4").reshape(entry["shape"])
            state[RENAMED.get(name, name)] = torch.from_numpy(values.copy())
    model = Model()
    # Only the count of batches that a batch norm has seen is no part of the file.
    unknown = model.load_state_dict(state, strict=False)
    missing = [name for name in unknown.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or unknown.unexpected_keys:
        raise SystemExit(f"{path} is of another model: {missing}, {unknown.unexpected_keys}")
    return model.eval()


#: run
def run(model, *inputs, batch=512):
    """The network's outputs, [rows, outputs], batch by batch."""
    parts = [torch.from_numpy(numpy.ascontiguousarray(x)) for x in inputs]
    with torch.no_grad():
        found = [model(*(part[at : at + batch] for part in parts)) for at in range(0, len(parts[0]), batch)]
    return torch.cat(found).double().numpy() if found else numpy.zeros((0, OUTPUTS))


#: probabilities
def probabilities(raw):
    """The probability of each class, [rows, classes]."""
    if raw.shape[1] == 1:
        positive = 1 / (1 + numpy.exp(-raw))
        return numpy.concatenate([1 / (1 + numpy.exp(raw)), positive], 1)
    powers = numpy.exp(raw - raw.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
