// The width of an invocation: four adjacent elements, or one.
//@if FOUR
//| alias Floats = vec4<f32>;
//| alias Words = vec4<u32>;
//| alias Flags = vec4<bool>;
//|
//| fn add_each(a: Floats, b: Floats) -> Floats {
//|     return Floats(add_(a.x, b.x), add_(a.y, b.y), add_(a.z, b.z), add_(a.w, b.w));
//| }
//|
//| fn scale_each(a: Floats, b: f32) -> Floats {
//|     return Floats(mul_(a.x, b), mul_(a.y, b), mul_(a.z, b), mul_(a.w, b));
//| }
//@else
alias Floats = f32;
alias Words = u32;
alias Flags = bool;

fn add_each(a: Floats, b: Floats) -> Floats {
    return add_(a, b);
}

fn scale_each(a: Floats, b: f32) -> Floats {
    return mul_(a, b);
}
//@end
