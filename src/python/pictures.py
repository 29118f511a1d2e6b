#: along
def along(plane, axis, wanted):
    """A plane resized along an axis, with a triangle filter as wide as an old pixel or a new one, whichever is wider."""
    plane = plane if axis == 0 else plane.T
    scale, found = len(plane) / wanted, []
    reach = max(scale, 1.0)
    for new in range(wanted):
        centre = (new + 0.5) * scale
        first, end = max(math.floor(centre - reach), 0), min(math.ceil(centre + reach), len(plane))
        weights = [max(1.0 - abs((old + 0.5 - centre) / reach), 0.0) for old in range(first, end)]
        total, line = sum(weights), numpy.zeros(plane.shape[1], numpy.float32)
        for at, weight in enumerate(weights):
            line = line + numpy.float32(weight / total) * plane[first + at]
        found.append(line)
    found = numpy.array(found)
    return found if axis == 0 else found.T


#: inside
def inside(size, bounds):
    """The largest height and width within bounds with the ratio of a size."""
    share = lambda whole, part, of: max(math.floor(whole * part / of + 0.5), 1)
    if size[1] * bounds[0] > size[0] * bounds[1]:
        return min(share(bounds[1], *size), bounds[0]), bounds[1]
    return bounds[0], min(share(bounds[0], size[1], size[0]), bounds[1])


#: placed along inside
def placed(plane, wanted, fit, rounds):
    """A plane brought to a height and width: "squash", or "pad" and "crop", which keep its ratio."""
    plane, size = numpy.asarray(plane, numpy.float32), plane.shape
    if size == wanted:
        return plane
    inner = {"squash": wanted, "pad": inside(size, wanted), "crop": wanted}[fit]
    if fit == "crop":
        kept = inside(wanted, size)
        top, left = ((size[axis] - kept[axis]) // 2 for axis in (0, 1))
        plane = plane[top : top + kept[0], left : left + kept[1]]
    plane = along(along(plane, 1, inner[1]), 0, inner[0])
    plane = numpy.floor(numpy.clip(plane + numpy.float32(0.5), 0, 255)) if rounds else plane
    whole = numpy.full(wanted, 255, numpy.float32)
    top, left = ((wanted[axis] - inner[axis]) // 2 for axis in (0, 1))
    whole[top : top + inner[0], left : left + inner[1]] = plane
    return whole


#: picture placed
def picture(path, shape, fit):
    """A picture as viewers show it, turned as it says and on white, as an image [channels, height, width]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            shown = ImageOps.exif_transpose(file)
    except (OSError, SyntaxError) as error:
        raise SystemExit(f"{path}: not a picture that Pillow reads: {error}")
    start = pathlib.Path(path).read_bytes()[:26]
    deep = start[1:4] == b"PNG" and start[24:25] == b"\x10"
    if shown.mode.startswith("I;16") or (deep and shown.mode == "I"):
        plane = numpy.asarray(shown).astype(numpy.float32) / numpy.float32(257)
        return numpy.stack([placed(plane, shape[1:], fit, False)] * shape[0])
    if deep or shown.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise SystemExit(f"{path}: pictures of the mode {shown.mode}, or with colours of 16 bits, are not read here")
    values = numpy.asarray(shown.convert("RGBA")).astype(numpy.int64)
    alpha = values[:, :, 3:]
    values = (values[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    if shape[0] == 1:
        values = (values @ numpy.array([299, 587, 114]) + 500)[:, :, None] // 1000
    return numpy.stack([placed(values[:, :, at], shape[1:], fit, True) for at in range(shape[0])])


#: pictures picture
def pictures(path, shape, fit):
    """Names and images of the pictures of a folder, or of its folders of classes, or of a single file."""
    ignored = ("Thumbs.db", "desktop.ini", "__MACOSX")
    inner = lambda folder: sorted(x for x in folder.iterdir() if x.name[0] != "." and x.name not in ignored)
    if path.is_file():
        return [path.name], numpy.stack([picture(path, shape, fit)])
    files = [file for x in inner(path) for file in (inner(x) if x.is_dir() else [x])]
    if not files:
        raise SystemExit(f"{path}: there are no pictures in it")
    return [str(file.relative_to(path)) for file in files], numpy.stack([picture(file, shape, fit) for file in files])


#: images pictures
def images(path, shape, fit):
    """Images [rows, channels, height, width] of a file of NumPy or IDX, or of pictures, after the names of these."""
    path = pathlib.Path(path)
    if not path.exists():
        raise SystemExit(f"{path}: there is no such file or folder")
    start = path.open("rb").read(4) if path.is_file() else b""
    if start == b"\x93NUM":
        return {}, numpy.load(path)
    if start[:3] == b"\0\0\x08":
        data, axes = path.read_bytes(), start[3]
        extents = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
        return {}, numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * axes).reshape(extents)
    if shape[0] not in (1, 3):
        raise SystemExit(f"{path}: pictures have 1 channel or 3, and the model reads {shape[0]}; give an array (.npy)")
    names, found = pictures(path, shape, fit)
    return {"image": names}, found
