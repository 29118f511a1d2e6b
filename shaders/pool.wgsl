// Pooling: read 0 images [.., HEIGHT, WIDTH, CHANNELS], write 0 (and 1)
// [.., POSITIONS_Y, POSITIONS_X, CHANNELS]. One invocation computes one vector of channels of one window:
//   MAX: the largest element and its tap, the first of equal ones, the last NaN; each is stored if bound
//   PICK: the element whose tap read 1 names
//   neither: the average
//@import step, arithmetic
//@include one or four if FOUR
//@include pooling
@group(0) @binding(0) var<storage, read_write> write_0: array<Floats>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<Floats>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<Words>; //@insert nothing
const MAX: bool = false; //@param
const PICK: bool = false; //@param
const VALUES: bool = true; //@param
const INSIDE: bool = false; //@param
const RESULTS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let result = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (result >= RESULTS) {
        return;
    }
    let channel = result % CHANNELS;
    let q = result / CHANNELS % POSITIONS_X;
    let p = result / (CHANNELS * POSITIONS_X) % POSITIONS_Y;
    let image = result / (CHANNELS * POSITIONS_X * POSITIONS_Y);
    var value = Floats(0.0);
    var chosen = Words(0u);
    if (PICK) {
        chosen = read_1[result];
    }
    var found = false;
    for (var s = 0u; s < TAPS_Y; s++) {
        for (var t = 0u; t < TAPS_X; t++) {
            // Before the first line these wrap around and are large.
            let y = p * STRIDE_Y + s * DILATION_Y - BEFORE_Y;
            let x = q * STRIDE_X + t * DILATION_X - BEFORE_X;
            var inside = true;
            var pixel = (image * HEIGHT + y) * WIDTH + x;
            if (!INSIDE) {
                inside = (y < HEIGHT) & (x < WIDTH);
                pixel = (image * HEIGHT + min(y, HEIGHT - 1u)) * WIDTH + min(x, WIDTH - 1u);
            }
            let element = read_0[pixel * CHANNELS + channel];
            if (MAX) {
                let nan = (bitcast<Words>(element) & Words(0x7fffffffu)) > Words(0x7f800000u);
                let better = Flags(inside) & (Flags(!found) | (element > value) | nan);
                value = select(value, element, better);
                chosen = select(chosen, Words(s * TAPS_X + t), better);
                found = found | inside;
            } else if (PICK) {
                value = select(value, element, Flags(inside) & (chosen == Words(s * TAPS_X + t)));
            } else {
                value = add_each(value, select(Floats(0.0), element, Flags(inside)));
            }
        }
    }
    if (MAX) {
        if (VALUES) {
            write_0[result] = value;
        }
    } else if (PICK) {
        write_0[result] = value;
    } else {
        write_0[result] = scale_each(value, share(p, q));
    }
    // The taps, if they are wanted. //@insert store_taps
}
