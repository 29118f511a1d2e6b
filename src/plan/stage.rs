//! Geometry of single dispatches: merges dimensions, and splits long reductions and products into ordered
//! parts.

use super::draft::{Draft, Place};
use super::emit::{Product, Prologue};
use super::view;
use crate::base::target::{Family, Target};
use crate::base::tensor::{Shape, elements};
use crate::kernels::Kernel;
use crate::kernels::matmul::{Left, MatMul, Sums};
use crate::kernels::pointwise::Pointwise;
use crate::kernels::reduce::Reduce;
use crate::scalar::ReduceKind;
use crate::scalar::{Body, Inst, View};

/// Longer reductions are split into chunks of [`CHUNK`]. The same on every device, so that the order of
/// additions depends on the plan, not on the device.
const LONGEST_REDUCTION: usize = 2048;
const CHUNK: usize = 1024;
/// Maximum length of a dot product in one part, on devices that limit loops.
const LONGEST_PRODUCT: usize = 4096;
/// Part of a long dot product that justifies a thread where the result is small.
const LONG_FOR_THREADS: usize = 1024;
/// With fewer tiles, a GPU's compute units would idle, so a long dot product is worth splitting.
const FEW_TILES: usize = 16;
const TILE: usize = 32;

/// What a device requires of the splitting.
pub(super) struct Limits {
    family: Family,
    exact: bool,
}

impl Limits {
    pub fn of(target: &Target) -> Self {
        Self { family: target.family, exact: target.exact }
    }

    fn splits(&self, product: &Product) -> usize {
        let tiles = product.batch * product.m.div_ceil(TILE) * product.n.div_ceil(TILE);
        match self.family {
            // The same parts everywhere.
            _ if self.exact => product.k.div_ceil(LONGEST_PRODUCT).max(1),
            Family::Native => match product.a {
                Left::Windows(windows) if windows.swapped => image_parts(product, windows.images),
                // Threads that share rows would each pack all of B.
                Left::Matrix(_) if product.batch * product.m * product.n <= 1 << 14 => {
                    (product.k / LONG_FOR_THREADS).clamp(1, 8)
                }
                _ => 1,
            },
            Family::Workgroup if tiles < FEW_TILES && product.k >= 1024 => {
                (4 * FEW_TILES).div_ceil(tiles).min(product.k / 256).max(product.k.div_ceil(LONGEST_PRODUCT))
            }
            _ => product.k.div_ceil(LONGEST_PRODUCT).max(1),
        }
    }

    /// In how many ordered parts sums along a product are cut.
    fn sum_parts(&self, product: &Product, splits: usize) -> usize {
        match product.a {
            Left::Matrix(_) => splits,
            Left::Windows(_) if self.family == Family::Native && !self.exact => splits,
            Left::Windows(_) => product.k.div_ceil(SUMMED_AT_ONCE),
        }
    }
}

/// Positions per part of the sums that go along with a convolution, on devices whose single invocations are
/// slow. Each part has one invocation per channel.
const SUMMED_AT_ONCE: usize = 256;

/// Number of parts, of whole images, into which threads split the gradient of a convolution's weights. Each
/// reads its images once, and the parts are small in comparison.
fn image_parts(product: &Product, images: usize) -> usize {
    const MOST: usize = 8;
    const MOST_WORDS: usize = 1 << 20;
    const WORTH: usize = 1 << 22;
    let words = product.batch * product.m * product.n;
    let parts = (words * product.k / WORTH).min(MOST).min(MOST_WORDS / words).min(images);
    // Parts of equal numbers of images.
    (1..=parts).rev().find(|parts| images.is_multiple_of(*parts)).unwrap_or(1)
}

/// An elementwise dispatch over as few dimensions as its views allow.
pub(super) fn pointwise(
    mut shape: Shape,
    mut body: Body,
    reads: Vec<Place>,
    writes: Vec<Place>,
    label: String,
) -> Draft {
    let mut views = views_of(&mut body);
    view::collapse(&mut shape, &mut views, 0);
    Draft { kernel: Kernel::new(Pointwise { shape, body }), reads, writes, label }
}

/// A matrix product. Split ones are followed by the ordered sum of their parts, which takes the epilogue.
pub(super) fn matmul(
    product: &Product,
    mut epilogue: Body,
    sums: Option<usize>,
    reads: Vec<Place>,
    mut writes: Vec<Place>,
    label: String,
    limits: &Limits,
    temporaries: &mut Vec<usize>,
) -> Vec<Draft> {
    let splits = limits.splits(product);
    let Product { batch, m, n, k, a, b, .. } = *product;
    let parts = limits.sum_parts(product, splits);
    let kernel = |epilogue, sums: Option<usize>, splits| {
        let sums = sums.map(|output| Sums { output, parts });
        Kernel::new(MatMul { batch, m, n, k, a, b, epilogue, sums, splits })
    };
    let mut temporary = |words| {
        temporaries.push(words);
        Place::Temporary(temporaries.len() - 1)
    };
    let many = a.sums_len(batch, m, n);
    let add_sums = |partial, output, label| {
        let strides = vec![1, many as isize];
        add_up(vec![many], parts, strides, accumulator_only(), partial, &[], vec![output], label)
    };
    if splits == 1 {
        let mut added = None;
        if let Some(output) = sums.filter(|_| parts > 1) {
            let partial = temporary(parts * many);
            let place = std::mem::replace(&mut writes[output], partial);
            added = Some(add_sums(partial, place, label.clone()));
        }
        let product = Draft { kernel: kernel(epilogue, sums, 1), reads, writes, label };
        return std::iter::once(product).chain(added).collect();
    }
    let size = batch * m * n;
    let partial = temporary(splits * size);
    let mut first_writes = vec![partial];
    let mut partial_sums = None;
    if let Some(output) = sums {
        let place = temporary(parts * many);
        first_writes.push(place);
        partial_sums = Some((place, writes.remove(output)));
        // The stores of the summation move up: every operand of a dispatch must be one that its kernel has.
        let previous = epilogue.insts.iter_mut().filter_map(|inst| match inst {
            Inst::Previous { output } => Some(output),
            _ => None,
        });
        for store in epilogue.stores.iter_mut().map(|store| &mut store.1).chain(previous) {
            *store -= usize::from(*store > output);
        }
    }
    let shape = vec![batch, m, n];
    let first = Draft {
        kernel: kernel(accumulator_only(), partial_sums.map(|_| 1), splits),
        reads: reads[..2].to_vec(),
        writes: first_writes,
        label: label.clone(),
    };
    let strides = vec![(m * n) as isize, n as isize, 1, size as isize];
    let mut drafts =
        vec![first, add_up(shape, splits, strides, epilogue, partial, &reads, writes, label.clone())];
    drafts.extend(partial_sums.map(|(partial, output)| add_sums(partial, output, label)));
    drafts
}

/// Sums `parts` partial results per element of `kept`, then applies the epilogue over `kept`.
fn add_up(
    kept: Shape,
    parts: usize,
    strides: Vec<isize>,
    epilogue: Body,
    partial: Place,
    reads: &[Place],
    writes: Vec<Place>,
    label: String,
) -> Draft {
    let mut prologue = Body::default();
    let value = prologue.push(Inst::Load { operand: 0, view: View { offset: 0, strides, guards: vec![] } });
    let mut epilogue = epilogue;
    let mut all = vec![partial];
    for inst in &mut epilogue.insts {
        if let Inst::Load { operand, .. } = inst {
            *operand = position(&mut all, reads[*operand]);
        }
    }
    let (kind, chunk) = (ReduceKind::Sum, None);
    finish_reduce(
        Reduce { kind, kept, reduced: vec![parts], prologue, value, chunk, epilogue },
        all,
        writes,
        label,
    )
}

/// A reduction; long ones in stages of ordered partial results.
pub(super) fn reduce(
    prologue: Prologue,
    epilogue: Body,
    reads: Vec<Place>,
    writes: Vec<Place>,
    label: String,
    temporaries: &mut Vec<usize>,
) -> Vec<Draft> {
    let Prologue { mut body, mut value, kind, kept, mut reduced } = prologue;
    let mut drafts = vec![];
    // Operands of the current stage's prologue; the epilogue keeps indexing `reads`.
    let mut inputs = reads.clone();
    while elements(&reduced) > LONGEST_REDUCTION {
        let chunks = elements(&reduced).div_ceil(CHUNK);
        let mut shape = kept.clone();
        shape.push(chunks);
        temporaries.push(elements(&shape));
        let partial = Place::Temporary(temporaries.len() - 1);
        let stage = Reduce {
            kind,
            kept: kept.clone(),
            reduced,
            prologue: body,
            value,
            chunk: Some(CHUNK),
            epilogue: accumulator_only(),
        };
        drafts.push(finish_reduce(stage, inputs, vec![partial], label.clone()));
        body = Body::default();
        value = body.push(Inst::Load { operand: 0, view: View::contiguous(&shape) });
        inputs = vec![partial];
        reduced = vec![chunks];
    }
    let mut epilogue = epilogue;
    if !drafts.is_empty() {
        for inst in &mut epilogue.insts {
            if let Inst::Load { operand, .. } = inst {
                *operand = position(&mut inputs, reads[*operand]);
            }
        }
    }
    let last = Reduce { kind, kept, reduced, prologue: body, value, chunk: None, epilogue };
    drafts.push(finish_reduce(last, inputs, writes, label));
    drafts
}

/// Drops operands that no body uses, and merges dimensions.
fn finish_reduce(mut kernel: Reduce, reads: Vec<Place>, writes: Vec<Place>, label: String) -> Draft {
    let mut used: Vec<Place> = vec![];
    for body in [&mut kernel.prologue, &mut kernel.epilogue] {
        for inst in &mut body.insts {
            if let Inst::Load { operand, .. } = inst {
                *operand = position(&mut used, reads[*operand]);
            }
        }
    }
    if kernel.chunk.is_none() {
        merge_dimensions(&mut kernel);
    }
    Draft { kernel: Kernel::new(kernel), reads: used, writes, label }
}

/// Merges kept dimensions with each other, and reduced dimensions with each other.
fn merge_dimensions(kernel: &mut Reduce) {
    let extra = kernel.reduced.len();
    let mut shape = kernel.input_shape();
    // Epilogue views do not move along reduced dimensions.
    for view in views_of(&mut kernel.epilogue) {
        view.strides.extend(std::iter::repeat_n(0, extra));
    }
    let mut views = views_of(&mut kernel.prologue);
    views.extend(views_of(&mut kernel.epilogue));
    let boundary = view::collapse(&mut shape, &mut views, kernel.kept.len());
    kernel.reduced = shape.split_off(boundary);
    kernel.kept = shape;
    for view in views_of(&mut kernel.epilogue) {
        view.strides.truncate(boundary);
    }
}

fn views_of(body: &mut Body) -> Vec<&mut View> {
    let loads = body.insts.iter_mut().filter_map(|inst| match inst {
        Inst::Load { view, .. } => Some(view),
        _ => None,
    });
    loads.collect()
}

/// A body that stores the accumulator unchanged.
fn accumulator_only() -> Body {
    let mut body = Body::default();
    let register = body.push(Inst::Accumulator);
    body.stores.push((register, 0));
    body
}

/// Position of `place` in `list`, appended if missing.
fn position(list: &mut Vec<Place>, place: Place) -> usize {
    list.iter().position(|p| *p == place).unwrap_or_else(|| {
        list.push(place);
        list.len() - 1
    })
}
