// Augmentation of images: read 0 is the row order, read 1 images [rows, CHANNELS, HEIGHT, WIDTH], as words or
// as bytes that stand for entries of a table, read 2; write 0 [batch, CHANNELS, HEIGHT, WIDTH] takes the images
// order[batch_start..], each changed by its own random draws:
//   pixel (y, x) is that at R ((y, x) - shift - centre) + centre, mirrored where drawn, FILL beyond the edge,
//   and interpolated bilinearly if ROTATE; times a contrast factor, plus a brightness, 0 in the cut-out
//   square; plus noise.
// One invocation computes one line of one channel. Same bits as src/kernels/augment in exact mode.
//@import step, arithmetic, random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<u32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
const ROTATE: bool = true; //@param
const NOISY: bool = true; //@param
const LINES: u32 = 1u; //@param
const CHANNELS: u32 = 1u; //@param
const HEIGHT: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const STREAM: u32 = 0u; //@param
const FLIP_VERTICAL: u32 = 0u; //@param
const FLIP_HORIZONTAL: u32 = 0u; //@param
const SHIFT: u32 = 0u; //@param
const ROTATION: f32 = 0.0; //@param
const BRIGHTNESS: f32 = 0.0; //@param
const CONTRAST: f32 = 0.0; //@param
const CUTOUT: u32 = 0u; //@param
const NOISE: f32 = 0.0; //@param
const NOISE_STREAM: u32 = 0u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

// A draw from the normal table, which comes with the bindings where there is noise.
fn random_normal(word: u32) -> f32 { return f32(word); } //@insert nothing

// A multiple of 2^-23 in -1..1.
fn signed(word: u32) -> f32 {
    return sub_(mul_(f32(word >> 8u), 1.0 / 8388608.0), 1.0);
}

fn pick(word: u32, below: u32) -> i32 {
    return i32(((word >> 16u) * below) >> 16u);
}

// The value of a channel beyond the edge.
fn fill(channel: u32) -> f32 {
    return 0.0; //@insert fill
}

// Where the values of a channel are: the first word of the image, the channel, the first of its values.
struct Plane {
    image: u32,
    channel: u32,
    first: u32,
}

// Value `at` of the image that begins at word `image`: a word, or a byte that stands for an entry of a table.
fn pixel(image: u32, channel: u32, at: u32) -> f32 {
    return read_1[image + at]; //@insert pixel
}

// The element of a line and column before mirroring.
fn element(plane: Plane, beyond: f32, mirrored: vec2<bool>, y: i32, x: i32) -> f32 {
    let inside = (y >= 0) & (y < i32(HEIGHT)) & (x >= 0) & (x < i32(WIDTH));
    let line = clamp(y, 0, i32(HEIGHT) - 1);
    let column = clamp(x, 0, i32(WIDTH) - 1);
    let from_y = select(line, i32(HEIGHT) - 1 - line, mirrored.y);
    let from_x = select(column, i32(WIDTH) - 1 - column, mirrored.x);
    let found = pixel(plane.image, plane.channel, plane.first + u32(from_y) * WIDTH + u32(from_x));
    return select(beyond, found, inside);
}

// Sine and cosine of an angle of at most pi to either side: Taylor's polynomials of half the angle.
fn sine_and_cosine(angle: f32) -> vec2<f32> {
    let h = mul_(0.5, angle);
    let z = mul_(h, h);
    var p = -2.5052108e-8;
    p = multiply_add(p, z, 2.755732e-6);
    p = multiply_add(p, z, -1.984127e-4);
    p = multiply_add(p, z, 8.333333e-3);
    p = multiply_add(p, z, -1.6666667e-1);
    p = multiply_add(p, z, 1.0);
    let sine = mul_(h, p);
    var q = 2.0876757e-9;
    q = multiply_add(q, z, -2.755732e-7);
    q = multiply_add(q, z, 2.4801587e-5);
    q = multiply_add(q, z, -1.3888889e-3);
    q = multiply_add(q, z, 4.1666668e-2);
    q = multiply_add(q, z, -0.5);
    q = multiply_add(q, z, 1.0);
    let doubled = mul_(2.0, sine);
    return vec2<f32>(mul_(doubled, q), sub_(1.0, mul_(doubled, sine)));
}

// The value at column u, counted from the centre, of line v after a turn by an angle of that sine and cosine.
fn turned(plane: Plane, beyond: f32, mirrored: vec2<bool>, turn: vec2<f32>, v: f32, u: f32) -> f32 {
    let centre_y = 0.5 * (f32(HEIGHT) - 1.0);
    let centre_x = 0.5 * (f32(WIDTH) - 1.0);
    let source_x = add_(add_(mul_(turn.y, u), mul_(turn.x, v)), centre_x);
    let source_y = add_(sub_(mul_(turn.y, v), mul_(turn.x, u)), centre_y);
    let part_x = sub_(source_x, floor(source_x));
    let part_y = sub_(source_y, floor(source_y));
    let x0 = i32(floor(source_x));
    let y0 = i32(floor(source_y));
    let upper = add_(
        mul_(element(plane, beyond, mirrored, y0, x0), sub_(1.0, part_x)),
        mul_(element(plane, beyond, mirrored, y0, x0 + 1), part_x)
    );
    let lower = add_(
        mul_(element(plane, beyond, mirrored, y0 + 1, x0), sub_(1.0, part_x)),
        mul_(element(plane, beyond, mirrored, y0 + 1, x0 + 1), part_x)
    );
    return add_(mul_(upper, sub_(1.0, part_y)), mul_(lower, part_y));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let result = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (result >= LINES) {
        return;
    }
    let y = i32(result % HEIGHT);
    let channel = result / HEIGHT % CHANNELS;
    let image = result / (HEIGHT * CHANNELS);
    let row = read_0[step.batch_start + image];
    let start = row * (CHANNELS * HEIGHT * WIDTH); //@insert image
    let plane = Plane(start, channel, channel * (HEIGHT * WIDTH));
    let beyond = fill(channel);
    // The draws of an image are elements 8 * drawn and on.
    let drawn = step.micro_batch * (LINES / (HEIGHT * CHANNELS)) + image;
    let first = random_pair(STREAM, 4u * drawn);
    let second = random_pair(STREAM, 4u * drawn + 1u);
    let third = random_pair(STREAM, 4u * drawn + 2u);
    let fourth = random_pair(STREAM, 4u * drawn + 3u);
    let mirrored = vec2<bool>((first.x & FLIP_HORIZONTAL) == 1u, ((first.x >> 1u) & FLIP_VERTICAL) == 1u);
    let down = pick(first.y, 2u * SHIFT + 1u) - i32(SHIFT);
    let right = pick(second.x, 2u * SHIFT + 1u) - i32(SHIFT);
    let offset = mul_(signed(third.x), BRIGHTNESS);
    let factor = add_(1.0, mul_(signed(third.y), CONTRAST));
    let cut_y = pick(fourth.x, HEIGHT) - i32(CUTOUT / 2u);
    let cut_x = pick(fourth.y, WIDTH) - i32(CUTOUT / 2u);
    var turn = vec2<f32>(0.0, 1.0);
    if (ROTATE) {
        turn = sine_and_cosine(mul_(signed(second.y), ROTATION));
    }
    for (var i = 0u; i < WIDTH; i++) {
        let x = i32(i);
        var value: f32;
        if (ROTATE) {
            let v = f32(y - down) - 0.5 * (f32(HEIGHT) - 1.0);
            let u = f32(x - right) - 0.5 * (f32(WIDTH) - 1.0);
            value = turned(plane, beyond, mirrored, turn, v, u);
        } else {
            value = element(plane, beyond, mirrored, y - down, x - right);
        }
        if (CONTRAST != 0.0) {
            value = mul_(value, factor);
        }
        if (BRIGHTNESS != 0.0) {
            value = add_(value, offset);
        }
        if ((y >= cut_y) & (y < cut_y + i32(CUTOUT)) & (x >= cut_x) & (x < cut_x + i32(CUTOUT))) {
            value = 0.0;
        }
        if (NOISY) {
            let element = (step.micro_batch * LINES + result) * WIDTH + i;
            let noise = random_normal(random_word(NOISE_STREAM, element));
            value = add_(value, mul_(NOISE, noise));
        }
        write_0[result * WIDTH + i] = value;
    }
}
