// Windows of images [.., HEIGHT, WIDTH, CHANNELS]: tap (s, t) of the window at (p, q) reads the element (p *
// STRIDE_Y + s * DILATION_Y - BEFORE_Y, q * STRIDE_X + t * DILATION_X - BEFORE_X). CHANNELS counts vectors.
const HEIGHT: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const CHANNELS: u32 = 1u; //@param
const POSITIONS_Y: u32 = 1u; //@param
const POSITIONS_X: u32 = 1u; //@param
const TAPS_Y: u32 = 1u; //@param
const TAPS_X: u32 = 1u; //@param
const STRIDE_Y: u32 = 1u; //@param
const STRIDE_X: u32 = 1u; //@param
const DILATION_Y: u32 = 1u; //@param
const DILATION_X: u32 = 1u; //@param
const BEFORE_Y: u32 = 0u; //@param
const BEFORE_X: u32 = 0u; //@param
// Lines that count towards an average, from the first line of padding on.
const LOW_Y: u32 = 0u; //@param
const LOW_X: u32 = 0u; //@param
const HIGH_Y: u32 = 1u; //@param
const HIGH_X: u32 = 1u; //@param
// The fixed divisor of averages; 0 to divide by the number of lines that count.
const DIVISOR: u32 = 0u; //@param

// The number of taps that precede `line`, of those starting at line `start`.
fn taps_before(line: u32, start: u32, taps: u32, dilation: u32) -> u32 {
    return min((max(line, start) - start + dilation - 1u) / dilation, taps);
}

// The reciprocal of the divisor of the window at (p, q).
fn share(p: u32, q: u32) -> f32 {
    if (DIVISOR > 0u) {
        return div_(1.0, f32(DIVISOR));
    }
    let y = p * STRIDE_Y;
    let x = q * STRIDE_X;
    let down = taps_before(HIGH_Y, y, TAPS_Y, DILATION_Y) - taps_before(LOW_Y, y, TAPS_Y, DILATION_Y);
    let along = taps_before(HIGH_X, x, TAPS_X, DILATION_X) - taps_before(LOW_X, x, TAPS_X, DILATION_X);
    return div_(1.0, f32(down * along));
}
