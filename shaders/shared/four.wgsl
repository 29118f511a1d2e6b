// What one invocation computes at once: four neighbouring elements; see one.wgsl.
alias Floats = vec4<f32>;
alias Words = vec4<u32>;
alias Flags = vec4<bool>;

fn add_each(a: Floats, b: Floats) -> Floats {
    return Floats(add_(a.x, b.x), add_(a.y, b.y), add_(a.z, b.z), add_(a.w, b.w));
}

fn sub_each(a: Floats, b: Floats) -> Floats {
    return Floats(sub_(a.x, b.x), sub_(a.y, b.y), sub_(a.z, b.z), sub_(a.w, b.w));
}

fn mul_each(a: Floats, b: Floats) -> Floats {
    return Floats(mul_(a.x, b.x), mul_(a.y, b.y), mul_(a.z, b.z), mul_(a.w, b.w));
}

fn scale_each(a: Floats, b: f32) -> Floats {
    return Floats(mul_(a.x, b), mul_(a.y, b), mul_(a.z, b), mul_(a.w, b));
}
