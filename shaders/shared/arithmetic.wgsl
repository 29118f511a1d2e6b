// Arithmetic as the device does it; exact.wgsl has the version with the same bits everywhere.
fn add_(a: f32, b: f32) -> f32 {
    return a + b;
}

fn sub_(a: f32, b: f32) -> f32 {
    return a - b;
}

fn mul_(a: f32, b: f32) -> f32 {
    return a * b;
}

fn div_(a: f32, b: f32) -> f32 {
    return a / b;
}

fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    return a * b + c;
}

fn sqrt_(x: f32) -> f32 {
    return sqrt(x);
}

fn log_(x: f32) -> f32 {
    return log(x);
}
