// What the cells of recurrences are made of, for one row or four at once.
//@if FOUR
//| fn sub_each(a: Floats, b: Floats) -> Floats {
//|     return Floats(sub_(a.x, b.x), sub_(a.y, b.y), sub_(a.z, b.z), sub_(a.w, b.w));
//| }
//|
//| fn mul_each(a: Floats, b: Floats) -> Floats {
//|     return Floats(mul_(a.x, b.x), mul_(a.y, b.y), mul_(a.z, b.z), mul_(a.w, b.w));
//| }
//|
//| fn tanh_each(a: Floats) -> Floats {
//|     return Floats(tanh_(a.x), tanh_(a.y), tanh_(a.z), tanh_(a.w));
//| }
//|
//| fn sigmoid_each(a: Floats) -> Floats {
//|     return Floats(sigmoid_(a.x), sigmoid_(a.y), sigmoid_(a.z), sigmoid_(a.w));
//| }
//|
//| fn relu_each(a: Floats) -> Floats {
//|     return Floats(relu_(a.x), relu_(a.y), relu_(a.z), relu_(a.w));
//| }
//@else
fn sub_each(a: Floats, b: Floats) -> Floats {
    return sub_(a, b);
}

fn mul_each(a: Floats, b: Floats) -> Floats {
    return mul_(a, b);
}

fn tanh_each(a: Floats) -> Floats {
    return tanh_(a);
}

fn sigmoid_each(a: Floats) -> Floats {
    return sigmoid_(a);
}

fn relu_each(a: Floats) -> Floats {
    return relu_(a);
}
//@end

// a b + c
fn multiply_add_each(a: Floats, b: Floats, c: Floats) -> Floats {
    return add_each(mul_each(a, b), c);
}

// d y (1 - y): through a logistic function that gave y.
fn through_sigmoid(d: Floats, y: Floats) -> Floats {
    return mul_each(d, mul_each(y, sub_each(Floats(1.0), y)));
}

// d (1 - y^2): through a hyperbolic tangent that gave y.
fn through_tanh(d: Floats, y: Floats) -> Floats {
    return mul_each(d, sub_each(Floats(1.0), mul_each(y, y)));
}
