//! The shader files, embedded in the binary.

/// Text of `shaders/<name>.wgsl` or `shaders/shared/<name>.wgsl`.
pub(super) fn find(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Every template, by name, with its imports and no directive carried out.
pub fn as_written() -> impl Iterator<Item = (&'static str, String)> {
    let templates = FILES.iter().filter(|(name, _)| !name.starts_with("shared/"));
    templates.map(|(name, text)| {
        let needs =
            |line| Option::or(str::strip_prefix(line, "//@import "), str::strip_prefix(line, "//@include "));
        let imports = text.lines().filter_map(needs);
        let shared: String =
            imports.filter_map(|import| find(&format!("shared/{}", import.trim()))).collect();
        (*name, shared + text)
    })
}

/// Every shader file, by name.
pub const FILES: &[(&str, &str)] = &[
    ("augment", include_str!("../../shaders/augment.wgsl")),
    ("batch", include_str!("../../shaders/batch.wgsl")),
    ("cross_entropy", include_str!("../../shaders/cross_entropy.wgsl")),
    ("gather", include_str!("../../shaders/gather.wgsl")),
    ("gather_grad", include_str!("../../shaders/gather_grad.wgsl")),
    ("gradient_norm", include_str!("../../shaders/gradient_norm.wgsl")),
    ("matmul_registers", include_str!("../../shaders/matmul_registers.wgsl")),
    ("matmul_tiles", include_str!("../../shaders/matmul_tiles.wgsl")),
    ("optimizer", include_str!("../../shaders/optimizer.wgsl")),
    ("pointwise", include_str!("../../shaders/pointwise.wgsl")),
    ("pool", include_str!("../../shaders/pool.wgsl")),
    ("pool_grad", include_str!("../../shaders/pool_grad.wgsl")),
    ("recurrence", include_str!("../../shaders/recurrence.wgsl")),
    ("recurrence_grad", include_str!("../../shaders/recurrence_grad.wgsl")),
    ("reduce", include_str!("../../shaders/reduce.wgsl")),
    ("reduce_tree", include_str!("../../shaders/reduce_tree.wgsl")),
    ("softmax", include_str!("../../shaders/softmax.wgsl")),
    ("store", include_str!("../../shaders/store.wgsl")),
    ("shared/arithmetic", include_str!("../../shaders/shared/arithmetic.wgsl")),
    ("shared/exact", include_str!("../../shaders/shared/exact.wgsl")),
    ("shared/gates", include_str!("../../shaders/shared/gates.wgsl")),
    ("shared/numerics", include_str!("../../shaders/shared/numerics.wgsl")),
    ("shared/pooling", include_str!("../../shaders/shared/pooling.wgsl")),
    ("shared/random", include_str!("../../shaders/shared/random.wgsl")),
    ("shared/windows", include_str!("../../shaders/shared/windows.wgsl")),
    ("shared/step", include_str!("../../shaders/shared/step.wgsl")),
    ("shared/vectors", include_str!("../../shaders/shared/vectors.wgsl")),
];
