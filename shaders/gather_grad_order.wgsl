// The positions of indices in the order of the rows that they name, those of equal rows in ascending order;
// an index outside the table names row VOCABULARY. Merges FAN neighbouring runs of RUN positions, each in
// that order: read 0 indices [COUNT], read 1 positions [COUNT] (FIRST: runs of one, not read), write 0
// positions [COUNT].
//@import step
@group(0) @binding(0) var<storage, read_write> write_0: array<u32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>; //@if not FIRST
const FIRST: bool = false; //@param
const VOCABULARY: u32 = 1u; //@param
const COUNT: u32 = 1u; //@param
const RUN: u32 = 1u; //@param
const RUNS: u32 = 1u; //@param
const FAN: u32 = 16u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

fn position(at: u32) -> u32 {
    var found = at;
    if (!FIRST) {
        found = read_1[at];
    }
    return found;
}

fn row_of(position: u32) -> u32 {
    return min(read_0[position], VOCABULARY);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= COUNT) {
        return;
    }
    let own = position(i);
    let row = row_of(own);
    let run = i / RUN;
    let first = run / FAN * FAN;
    var rank = i - run * RUN;
    for (var other = first; other < min(first + FAN, RUNS); other++) {
        let begin = other * RUN;
        var low = begin;
        var high = min(begin + RUN, COUNT);
        if (other == run) {
            high = low;
        }
        // How many come before: of an earlier run, those of the same row too.
        for (; low < high;) {
            let middle = low + (high - low) / 2u;
            let found = row_of(position(middle));
            if (found < row || (found == row && other < run)) {
                low = middle + 1u;
            } else {
                high = middle;
            }
        }
        rank += low - begin;
    }
    write_0[first * RUN + rank] = own;
}
