// Gradient of pooling: write 0 [.., HEIGHT, WIDTH, CHANNELS]; each element adds, in row-major order, what the
// windows that contain it send: CHOSEN, the gradient read 1 of those whose tap (read 0) it is; else its share
// of the gradient read 0 of all. No more than OVERLAP_Y x OVERLAP_X windows contain an element.
//
// One invocation computes one vector of channels: of a cell, the STRIDE_Y x STRIDE_X elements that the same
// windows contain (CELLS), or of one element.
//@import step, arithmetic
//@include one or four if FOUR
//@include pooling
@group(0) @binding(0) var<storage, read_write> write_0: array<Floats>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<Words>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<Floats>; //@insert nothing
const CHOSEN: bool = true; //@param
const CELLS: bool = false; //@param
const OVERLAP_Y: u32 = 1u; //@param
const OVERLAP_X: u32 = 1u; //@param
const CELLS_Y: u32 = 1u; //@param
const CELLS_X: u32 = 1u; //@param
const FIRST_Y: u32 = 0u; //@param
const FIRST_X: u32 = 0u; //@param
const RESULTS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param
const NO_TAP: u32 = 0xffffffffu;
const down: u32 = 0u; //@index
const along: u32 = 0u; //@index
const row: u32 = 0u; //@index
const column: u32 = 0u; //@index

// The tap of a window whose element was chosen.
fn chosen_by(window: u32) -> Words {
    return read_0[window]; //@insert chosen_by
}

// The gradient of a window.
fn gradient_of(window: u32) -> Floats {
    return read_1[window]; //@insert gradient_of
}

// The tap that looks at an element so many lines behind the window's first, if there is one.
fn tap_at(y: u32, x: u32) -> u32 {
    let s = y / DILATION_Y;
    let t = x / DILATION_X;
    let hit = (y % DILATION_Y == 0u) & (x % DILATION_X == 0u) & (s < TAPS_Y) & (t < TAPS_X);
    return select(NO_TAP, s * TAPS_X + t, hit);
}

// Where the window at (p, q) lies, or the nearest one if there is none.
fn window_at(image: u32, p: u32, q: u32, channel: u32) -> u32 {
    let y = min(p, POSITIONS_Y - 1u);
    return ((image * POSITIONS_Y + y) * POSITIONS_X + min(q, POSITIONS_X - 1u)) * CHANNELS + channel;
}

// What the window at (p, q) has to send; nothing if there is none.
fn sent_by(window: u32, p: u32, q: u32) -> Floats {
    let there = (p < POSITIONS_Y) & (q < POSITIONS_X);
    var sent = gradient_of(window);
    if (!CHOSEN) {
        sent = scale_each(sent, share(min(p, POSITIONS_Y - 1u), min(q, POSITIONS_X - 1u)));
    }
    return select(Floats(0.0), sent, Flags(there));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let result = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (result >= RESULTS) {
        return;
    }
    let channel = result % CHANNELS;
    let image = result / (CHANNELS * CELLS_X * CELLS_Y);
    let cell_y = result / (CHANNELS * CELLS_X) % CELLS_Y;
    let cell_x = result / CHANNELS % CELLS_X;
    if (CELLS) {
        let y = (cell_y + FIRST_Y) * STRIDE_Y - BEFORE_Y;
        let x = (cell_x + FIRST_X) * STRIDE_X - BEFORE_X;
//@for down in OVERLAP_Y, along in OVERLAP_X
        let p_down_along = cell_y + FIRST_Y + down - (OVERLAP_Y - 1u);
        let q_down_along = cell_x + FIRST_X + along - (OVERLAP_X - 1u);
        let window_down_along = window_at(image, p_down_along, q_down_along, channel);
        let sent_down_along = sent_by(window_down_along, p_down_along, q_down_along);
        let chosen_down_along = chosen_by(window_down_along);
//@end
//@for row in STRIDE_Y, column in STRIDE_X
        if ((y + row < HEIGHT) & (x + column < WIDTH)) {
            var total = Floats(0.0);
//@for down in OVERLAP_Y, along in OVERLAP_X
            {
                let tap = tap_at(
                    row + (OVERLAP_Y - 1u - down) * STRIDE_Y,
                    column + (OVERLAP_X - 1u - along) * STRIDE_X,
                );
                var hit = Flags(tap != NO_TAP);
                if (CHOSEN) {
                    hit = chosen_down_along == Words(tap);
                }
                total = add_each(total, select(Floats(0.0), sent_down_along, hit));
            }
//@end
            write_0[((image * HEIGHT + y + row) * WIDTH + x + column) * CHANNELS + channel] = total;
        }
//@end
    } else {
        // A cell is an element.
        let y = cell_y + BEFORE_Y;
        let x = cell_x + BEFORE_X;
        var total = Floats(0.0);
        for (var i = 0u; i < OVERLAP_Y; i++) {
            for (var j = 0u; j < OVERLAP_X; j++) {
                // Before the first window these wrap around and are large.
                let p = y / STRIDE_Y + i - (OVERLAP_Y - 1u);
                let q = x / STRIDE_X + j - (OVERLAP_X - 1u);
                let window = window_at(image, p, q, channel);
                let tap = tap_at(y - p * STRIDE_Y, x - q * STRIDE_X);
                var hit = Flags(tap != NO_TAP);
                if (CHOSEN) {
                    hit = hit & (chosen_by(window) == Words(tap));
                }
                total = add_each(total, select(Floats(0.0), sent_by(window, p, q), hit));
            }
        }
        write_0[result] = total;
    }
}
