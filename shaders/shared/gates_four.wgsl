// The functions of recurrent cells for four rows at once; see four.wgsl.
fn tanh_each(a: Floats) -> Floats {
    return Floats(tanh_(a.x), tanh_(a.y), tanh_(a.z), tanh_(a.w));
}

fn sigmoid_each(a: Floats) -> Floats {
    return Floats(sigmoid_(a.x), sigmoid_(a.y), sigmoid_(a.z), sigmoid_(a.w));
}

fn relu_each(a: Floats) -> Floats {
    return Floats(relu_(a.x), relu_(a.y), relu_(a.z), relu_(a.w));
}
