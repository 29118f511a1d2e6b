//! Updates whose steps are scaled, tensor by tensor, to the size of the weights: the norms of both, their ratio, and
//! the descent. Norms are summed as that of the gradient is, in a fixed order.

use super::builder::Builder;
use super::draft::{Draft, Place};
use super::spec::Entry;
use super::{BufferClass, Slice, stage};
use crate::kernels::Kernel;
use crate::kernels::norm::GradientNorm;
use crate::kernels::optimizer::Optimizer;
use crate::optim;
use crate::scalar::{BinaryFn, Body, Inst, View};

/// A tensor that is updated.
pub(super) struct Adapting {
    pub name: String,
    /// Its words among the parameters, up to the next tensor.
    pub place: Slice,
    /// Its words among the steps.
    pub step: Slice,
    /// Whether its step has a trust ratio.
    pub adapts: bool,
    /// A factor of its learning rate, if tensors have any.
    pub rate: Option<f32>,
}

/// Words of a norm: itself, and what clips a gradient.
const NORM: usize = 2;

impl Builder<'_> {
    /// The dispatches that move each tensor along its step.
    pub(super) fn descend(&mut self, tensors: &[Adapting], suffix: &str, drafts: &mut Vec<Draft>) {
        let adapting: Vec<&Adapting> = tensors.iter().filter(|tensor| tensor.adapts).collect();
        let ratios = match adapting.is_empty() {
            true => vec![],
            false => self.ratios(&adapting, suffix, drafts),
        };
        let mut ratios = ratios.into_iter();
        for tensor in tensors {
            let place = tensor.place;
            // Decay is part of the step, so the mask is not looked at.
            let mask = self.place_constant(&vec![1f32.to_bits(); place.words / Optimizer::BLOCK]);
            let mut reads = vec![Place::Fixed(tensor.step), Place::Fixed(mask)];
            reads.extend(tensor.adapts.then(|| ratios.next()).flatten().map(Place::Fixed));
            let (len, clipped, grouped) = (place.words, reads.len() > 2, tensor.rate.is_some());
            if let Some(rate) = tensor.rate {
                let rates = vec![rate.to_bits(); place.words / Optimizer::BLOCK];
                reads.push(Place::Fixed(self.place_constant(&rates)));
            }
            let (body, cuts) = (optim::descent(), vec![]);
            let kernel = Kernel::new(Optimizer { len, slots: 0, clipped, grouped, body, cuts });
            drafts.push(Draft {
                kernel,
                reads,
                writes: vec![Place::Fixed(place)],
                label: tensor.name.clone(),
            });
        }
    }

    /// The dispatches of the ratios of some tensors, and their places: each in the second of two words.
    fn ratios(&mut self, tensors: &[&Adapting], suffix: &str, drafts: &mut Vec<Draft>) -> Vec<Slice> {
        let norm = |len, stage| GradientNorm { len, stage, max_norm: 1f32.to_bits() };
        let class = BufferClass::Gradients;
        // Those of the weights, then those of the step.
        let both = |words: fn(&Slice) -> usize| -> Vec<Entry> {
            let entry = |tensor: &&Adapting| Entry {
                name: tensor.name.clone(),
                words: words(&tensor.place),
                decay: false,
            };
            tensors.iter().flat_map(|tensor| [entry(tensor), entry(tensor)]).collect()
        };
        let partials = |place: &Slice| GradientNorm { len: place.words, stage: 0, max_norm: 0 }.partials();
        let squares = self.add_region(&format!("squares{suffix}"), class, &both(partials));
        let norms = self.add_region(&format!("norms{suffix}"), class, &both(|_| NORM));
        let each: Vec<Entry> = both(|_| NORM).into_iter().step_by(2).collect();
        let ratios = self.add_region(&format!("trust ratios{suffix}"), class, &each);
        let places = |places: &[(String, Slice)]| places.iter().map(|(_, place)| *place).collect::<Vec<_>>();
        let (squares, norms, ratios) = (places(&squares), places(&norms), places(&ratios));
        let label = |tensor: &Adapting| format!("trust ratio of {}", tensor.name);
        for stage in [0, 1] {
            for (at, tensor) in tensors.iter().enumerate() {
                let place = tensor.place;
                for (of, words) in [place, tensor.step].into_iter().enumerate() {
                    let at = 2 * at + of;
                    let (read, write) =
                        if stage == 0 { (words, squares[at]) } else { (squares[at], norms[at]) };
                    drafts.push(Draft {
                        kernel: Kernel::new(norm(place.words, stage)),
                        reads: vec![Place::Fixed(read)],
                        writes: vec![Place::Fixed(write)],
                        label: label(tensor),
                    });
                }
            }
        }
        for (at, tensor) in tensors.iter().enumerate() {
            let reads = [norms[2 * at], norms[2 * at + 1]].map(Place::Fixed).to_vec();
            let write = vec![Place::Fixed(ratios[at])];
            drafts.push(stage::pointwise(vec![NORM], ratio(), reads, write, label(tensor)));
        }
        ratios
    }
}

/// `|weights| / |step|`, or 1 where one of them is 0, in both words.
fn ratio() -> Body {
    let mut body = Body::default();
    let view = View { offset: 0, strides: vec![0], guards: vec![] };
    let [weights, step] = [0, 1].map(|operand| body.push(Inst::Load { operand, view: view.clone() }));
    let (zero, one) = (body.constant(0.0), body.constant(1.0));
    let ratio = body.push(Inst::Binary(BinaryFn::Div, weights, step));
    let mut chosen = ratio;
    for norm in [weights, step] {
        let positive = body.push(Inst::Binary(BinaryFn::Less, zero, norm));
        chosen = body.push(Inst::Select(positive, chosen, one));
    }
    body.stores.push((chosen, 0));
    body
}
