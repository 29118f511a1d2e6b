// What one invocation computes at once: one element; see four.wgsl.
alias Floats = f32;
alias Words = u32;
alias Flags = bool;

fn add_each(a: Floats, b: Floats) -> Floats {
    return add_(a, b);
}

fn sub_each(a: Floats, b: Floats) -> Floats {
    return sub_(a, b);
}

fn mul_each(a: Floats, b: Floats) -> Floats {
    return mul_(a, b);
}

fn scale_each(a: Floats, b: f32) -> Floats {
    return mul_(a, b);
}
