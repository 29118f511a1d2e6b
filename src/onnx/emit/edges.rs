//! Sums over neighbours and softmax over the edges of each node. ONNX has no sparse products; every row's edges are
//! gathered into as many places as the longest row has, and what is left over reads a value that changes nothing.

use super::{Emitted, Emitter, Held};
use crate::graph::ValueId;
use crate::graph::ops::{EdgeSoftmax, Links, NeighbourSum};
use crate::onnx::builder::int;
use crate::onnx::trace::{Dim, refusal};

/// Places that the edges of all rows may take together, padding included.
const MOST_PLACES: usize = 1 << 24;
/// Below every score.
const LOWEST: f32 = -3.402_823_4e38;

impl Emitter<'_> {
    /// For each row as many places as the longest has, row by row, where `number` says what the edge at a place has, and
    /// `other` stands where there is none.
    fn places(
        &self,
        value: ValueId,
        links: &Links,
        number: impl Fn(usize) -> i64,
        other: usize,
    ) -> Emitted<(Vec<i64>, usize)> {
        let ends = &links.by_row;
        let (rows, longest) = (links.extents()[0], ends.longest.max(1));
        if rows.saturating_mul(longest) > MOST_PLACES {
            let reason = format!(
                "has {rows} nodes with up to {longest} edges each, which ONNX has no form for that would not be padded to \
                 more than {MOST_PLACES} places;"
            );
            return Err(refusal(self.trace.graph(), value, &reason));
        }
        let mut places = Vec::with_capacity(rows * longest);
        for row in 0..rows {
            let of = ends.of(row);
            let rest = longest - of.len();
            places.extend(of.map(&number));
            places.extend(std::iter::repeat_n(other as i64, rest));
        }
        Ok((places, longest))
    }

    /// What stands at these places of axis 1 of `x` `[B, count, width]`, after which there is one more of `rest`:
    /// `[B, rows, longest, width]`.
    fn gathered(&mut self, x: &Held, places: &[i64], longest: usize, rest: f32) -> Option<Held> {
        let [batch, _, width] = x.dims[..] else { return None };
        let pads = self.builder.integers(&[0, 0, 0, 0, 1, 0]);
        let rest = self.builder.number(rest);
        let padded = self.builder.node("Pad", &[&x.name, &pads, &rest], vec![]);
        let places_name = self.builder.integers(places);
        let name = self.builder.node("Gather", &[&padded, &places_name], vec![int("axis", 1)]);
        let from = [batch, Dim::fixed(places.len()), width];
        let dims = vec![batch, Dim::fixed(places.len() / longest), Dim::fixed(longest), width];
        let name = self.reshaped(&name, &from, &dims)?;
        Some(Held::new(name, dims))
    }

    /// The weighted sum over the edges of each row.
    pub(super) fn neighbour_sum(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        op: &NeighbourSum,
    ) -> Emitted<Held> {
        let refused = |emitter: &Self| {
            refusal(emitter.trace.graph(), value, "sums over neighbours in a form that ONNX has not;")
        };
        let (links, ends) = (&op.links, &op.links.by_row);
        let x = self.whole(inputs[0])?;
        let dims = self.dims(value)?;
        let columns = links.extents()[1];
        let (places, longest) = self.places(value, links, |at| i64::from(ends.others[at]), columns)?;
        let mut terms = self.gathered(&x, &places, longest, 0.0).ok_or_else(|| refused(self))?;
        if op.weighted {
            let weights = self.whole(inputs[3])?;
            let heads = weights.dims[2].known().ok_or_else(|| refused(self))?;
            let width = dims[2].known().ok_or_else(|| refused(self))?;
            let (places, longest) = self.places(value, links, |at| ends.number(at) as i64, links.edges())?;
            let weights = self.gathered(&weights, &places, longest, 0.0).ok_or_else(|| refused(self))?;
            // A head has a weight for all of its columns.
            let parts = |emitter: &mut Self, held: &Held, last: usize| {
                let mut dims = held.dims[..3].to_vec();
                dims.extend([Dim::fixed(heads), Dim::fixed(last)]);
                emitter.reshaped(&held.name, &held.dims, &dims).map(|name| (name, dims))
            };
            let (a, from) = parts(self, &terms, width / heads).ok_or_else(|| refused(self))?;
            let (b, _) = parts(self, &weights, 1).ok_or_else(|| refused(self))?;
            let product = self.builder.node("Mul", &[&a, &b], vec![]);
            let name = self.reshaped(&product, &from, &terms.dims).ok_or_else(|| refused(self))?;
            terms = Held::new(name, terms.dims);
        }
        let axes = self.builder.integers(&[2]);
        let name = self.builder.node("ReduceSum", &[&terms.name, &axes], vec![int("keepdims", 0)]);
        Ok(Held::new(name, dims))
    }

    /// The softmax over the edges of each row.
    pub(super) fn edge_softmax(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        op: &EdgeSoftmax,
    ) -> Emitted<Held> {
        let refused = |emitter: &Self| {
            refusal(emitter.trace.graph(), value, "weighs edges in a form that ONNX has not;")
        };
        let links = &op.links;
        let x = self.whole(inputs[0])?;
        let (dims, edges) = (self.dims(value)?, links.edges());
        let (places, longest) = self.places(value, links, |at| at as i64, edges)?;
        let scores = self.gathered(&x, &places, longest, LOWEST).ok_or_else(|| refused(self))?;
        let softmax = self.builder.node("Softmax", &[&scores.name], vec![int("axis", 2)]);
        let flat = [scores.dims[0], Dim::fixed(places.len()), scores.dims[3]];
        let name = self.reshaped(&softmax, &scores.dims, &flat).ok_or_else(|| refused(self))?;
        let mut back = vec![0; edges];
        for (at, &edge) in places.iter().enumerate().filter(|(_, edge)| (**edge as usize) < edges) {
            back[edge as usize] = at as i64;
        }
        let back = self.builder.integers(&back);
        let name = self.builder.node("Gather", &[&name, &back], vec![int("axis", 1)]);
        Ok(Held::new(name, dims))
    }
}
