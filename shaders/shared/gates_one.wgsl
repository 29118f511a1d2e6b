// The functions of recurrent cells for one row; see one.wgsl.
fn tanh_each(a: Floats) -> Floats {
    return tanh_(a);
}

fn sigmoid_each(a: Floats) -> Floats {
    return sigmoid_(a);
}

fn relu_each(a: Floats) -> Floats {
    return relu_(a);
}
