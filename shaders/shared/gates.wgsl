// What the cells of recurrences are made of, for one row or four at once.

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
