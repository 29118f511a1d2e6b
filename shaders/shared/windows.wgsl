// Windows of images as a matrix: a row is a position (image, y, x), a column k a tap and channel (y, x,
// channel). Tap t at position p reads coordinate p * STRIDE + t * STEP + ORIGIN of an image whose lines are
// UP apart; outside the image and between its lines there are zeros (src/kernels/matmul/windows.rs).
const POSITIONS_Y: u32 = 1u; //@param
const POSITIONS_X: u32 = 1u; //@param
const TAPS_X: u32 = 1u; //@param
const CHANNELS: u32 = 1u; //@param
const EXTENT_Y: u32 = 1u; //@param
const EXTENT_X: u32 = 1u; //@param
const STRIDE_Y: u32 = 1u; //@param
const STRIDE_X: u32 = 1u; //@param
const STEP_Y: i32 = 1i; //@param
const STEP_X: i32 = 1i; //@param
const ORIGIN_Y: i32 = 0i; //@param
const ORIGIN_X: i32 = 0i; //@param
const UP_Y: u32 = 1u; //@param
const UP_X: u32 = 1u; //@param
const IMAGES_START: u32 = 0u; //@param
const PER_GROUP: u32 = 0u; //@param
const PER_IMAGE: u32 = 1u; //@param
const PER_LINE: u32 = 1u; //@param
const PER_COLUMN: u32 = 1u; //@param
const PER_CHANNEL: u32 = 1u; //@param

// Part of a location in an image: elements from the start, and coordinates. A position and a tap add up to a
// location.
struct Place {
    start: u32,
    y: i32,
    x: i32,
}

struct Element {
    at: u32,
    inside: bool,
}

fn position(z: u32, row: u32) -> Place {
    let image = row / (POSITIONS_X * POSITIONS_Y);
    let y = (row / POSITIONS_X) % POSITIONS_Y;
    let x = row % POSITIONS_X;
    let start = IMAGES_START + z * PER_GROUP + image * PER_IMAGE;
    return Place(start, i32(y * STRIDE_Y) + ORIGIN_Y, i32(x * STRIDE_X) + ORIGIN_X);
}

fn tap(column: u32) -> Place {
    let t = column / CHANNELS;
    return Place((column % CHANNELS) * PER_CHANNEL, i32(t / TAPS_X) * STEP_Y, i32(t % TAPS_X) * STEP_X);
}

fn element(a: Place, b: Place) -> Element {
    // A negative coordinate wraps around to a large number, beyond any image.
    let y = u32(a.y + b.y);
    let x = u32(a.x + b.x);
    let line = y / UP_Y;
    let column = x / UP_X;
    // Not `&&`, whose branches, repeated for every element of a tile, take software drivers minutes and gigabytes to
    // compile.
    let inside = (line * UP_Y == y) & (line < EXTENT_Y) & (column * UP_X == x) & (column < EXTENT_X);
    let at = a.start + b.start + line * PER_LINE + column * PER_COLUMN;
    return Element(select(0u, at, inside), inside);
}
