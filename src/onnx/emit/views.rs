//! Other readings of the same elements: shapes, orders, parts, sides.

use super::super::builder::int;
use super::super::trace::{Dim, refusal};
use super::{Constant, Emitted, Emitter, Held, Value};
use crate::base::tensor::{contiguous_strides, elements};
use crate::graph::ValueId;

impl Constant {
    /// Axis `i` of the result is axis `permutation[i]`.
    pub(super) fn permuted(&self, permutation: &[usize]) -> Self {
        let strides = contiguous_strides(&self.shape);
        let shape: Vec<usize> = permutation.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = permutation.iter().map(|&axis| strides[axis]).collect();
        let element = |mut linear: usize| {
            let mut at = 0;
            for (extent, step) in shape.iter().zip(&steps).rev() {
                at += linear % extent * step;
                linear /= extent;
            }
            self.data[at]
        };
        let data = (0..elements(&shape)).map(element).collect();
        Self { name: self.name.clone(), shape, data }
    }
}

impl Emitter<'_> {
    pub(super) fn reshape(&mut self, value: ValueId, x: ValueId) -> Emitted<Value> {
        let to = self.dims(value)?;
        if let Value::Constant(constant) = self.known(x)? {
            let shape: Option<Vec<usize>> = to.iter().map(|dim| dim.known()).collect();
            if let Some(shape) = shape.filter(|shape| elements(shape) == constant.data.len()) {
                return Ok(Value::Constant(Constant { shape, ..constant.clone() }));
            }
            if constant.data.len() == 1 {
                return Ok(Value::Constant(Constant { shape: vec![1; to.len()], ..constant.clone() }));
            }
        }
        let held = self.complete(x)?;
        let turned = held.turned();
        let wide = |dims: &[Dim]| dims.iter().copied().filter(|dim| !dim.is_one()).collect::<Vec<_>>();
        let mut places: Vec<usize> = held.order.clone();
        places.retain(|&place| !held.dims[place].is_one());
        // Where only axes of extent 1 come or go, the others may lie as they do.
        let held = if places.is_sorted() {
            held
        } else if wide(&turned) == wide(&to) {
            return self.regroup(value, &held, &to).map(Value::Held);
        } else {
            self.turn_to_order(&held)
        };
        let name = self.reshaped(&held.name, &held.dims, &to);
        let name = name.ok_or_else(|| refusal(self.trace.graph(), value, "groups rows in a way"))?;
        Ok(Value::Held(Held::new(name, to)))
    }

    /// A reshape in which only axes of extent 1 come or go, of a value whose axes lie in another order.
    fn regroup(&mut self, value: ValueId, held: &Held, to: &[Dim]) -> Emitted<Held> {
        let mut lies = held.order.iter().copied().filter(|&place| !held.dims[place].is_one());
        // The place of each axis of the result among those that are wide; the others come last.
        let places: Vec<Option<usize>> =
            to.iter().map(|dim| if dim.is_one() { None } else { lies.next() }).collect();
        let mut sorted: Vec<usize> = places.iter().copied().flatten().collect();
        sorted.sort_unstable();
        let wide = sorted.len();
        let mut ones = wide..;
        let order: Vec<usize> = (places.iter())
            .map(|place| match place {
                Some(place) => sorted.binary_search(place).unwrap_or(0),
                None => ones.next().unwrap_or(wide),
            })
            .collect();
        let mut dims: Vec<Dim> = sorted.iter().map(|&place| held.dims[place]).collect();
        dims.resize(to.len(), Dim::fixed(1));
        let name = self.reshaped(&held.name, &held.dims, &dims);
        let name = name.ok_or_else(|| refusal(self.trace.graph(), value, "groups rows in a way"))?;
        Ok(Held { name, dims, order, truth: None })
    }

    /// A value in another shape; `None` if two extents cannot be said.
    pub fn reshaped(&mut self, name: &str, from: &[Dim], to: &[Dim]) -> Option<String> {
        if from == to {
            return Some(name.to_string());
        }
        // What a reshape was made of does as well as the reshape.
        let (name, from) = self.before_reshape(name, from);
        if from == to {
            return Some(name);
        }
        let mut open = 0;
        let extent = |(at, dim): (usize, &Dim)| match dim.known() {
            Some(extent) => Some(extent as i64),
            None if from.get(at) == Some(dim) => Some(0),
            None => {
                open += 1;
                Some(-1)
            }
        };
        let shape: Option<Vec<i64>> = to.iter().enumerate().map(extent).collect();
        let shape = shape.filter(|_| open <= 1)?;
        let result = self.builder.reshape(&name, &shape);
        self.reshapes.insert(result.clone(), (name, from));
        Some(result)
    }

    fn before_reshape(&self, name: &str, dims: &[Dim]) -> (String, Vec<Dim>) {
        self.reshapes.get(name).cloned().unwrap_or_else(|| (name.to_string(), dims.to_vec()))
    }

    pub(super) fn permute(&mut self, x: ValueId, permutation: &[usize]) -> Emitted<Value> {
        if let Value::Constant(constant) = self.known(x)?
            && constant.shape.len() == permutation.len()
        {
            return Ok(Value::Constant(constant.permuted(permutation)));
        }
        let held = self.held(x)?;
        let held = if held.order.len() == permutation.len() { held } else { self.whole(x)? };
        let order = permutation.iter().map(|&axis| held.order[axis]).collect();
        Ok(Value::Held(Held { order, truth: None, ..held }))
    }

    /// Repetition waits until an operator needs the elements.
    pub(super) fn broadcast(&mut self, value: ValueId, x: ValueId) -> Emitted<Value> {
        let rank = self.trace.graph().shape(value).len();
        let found = self.known(x)?.clone();
        let Value::Held(held) = &found else { return Ok(found) };
        let in_order = held.order.iter().enumerate().all(|(axis, &place)| axis == place);
        // Leading axes are missing from what lies in order alone.
        Ok(if held.order.len() == rank || in_order { found } else { Value::Held(self.turn_to_order(held)) })
    }

    pub(super) fn slice(&mut self, value: ValueId, x: ValueId, starts: &[usize]) -> Emitted<Held> {
        let x_dims = self.dims(x)?;
        let to = self.dims(value)?;
        let held = self.complete(x)?;
        let cut: Vec<usize> = (0..to.len()).filter(|&axis| to[axis] != x_dims[axis]).collect();
        let mut dims = held.dims.clone();
        let (mut first, mut last, mut places) = (vec![], vec![], vec![]);
        for axis in cut {
            let refuse = || refusal(self.trace.graph(), value, "takes some of the rows");
            let (extent, _) = to[axis].known().zip(x_dims[axis].known()).ok_or_else(refuse)?;
            first.push(starts[axis] as i64);
            last.push((starts[axis] + extent) as i64);
            places.push(held.order[axis] as i64);
            dims[held.order[axis]] = to[axis];
        }
        let [first, last, places] = [first, last, places].map(|list| self.builder.integers(&list));
        let name = self.builder.node("Slice", &[&held.name, &first, &last, &places], vec![]);
        Ok(Held { name, dims, truth: None, ..held })
    }

    pub(super) fn pad(
        &mut self,
        value: ValueId,
        x: ValueId,
        before: &[usize],
        after: &[usize],
    ) -> Emitted<Held> {
        let held = self.whole(x)?;
        let zeros: Vec<i64> = before.iter().chain(after).map(|&n| n as i64).collect();
        let zeros = self.builder.integers(&zeros);
        let name = self.builder.node("Pad", &[&held.name, &zeros], vec![]);
        Ok(Held::new(name, self.dims(value)?))
    }

    pub(super) fn concat(&mut self, value: ValueId, parts: &[ValueId], axis: usize) -> Emitted<Held> {
        let parts: Vec<Held> = parts.iter().map(|&part| self.whole(part)).collect::<Emitted<_>>()?;
        let names: Vec<&str> = parts.iter().map(|held| held.name.as_str()).collect();
        let name = self.builder.node("Concat", &names, vec![int("axis", axis as i64)]);
        Ok(Held::new(name, self.dims(value)?))
    }

    pub(super) fn gather(&mut self, value: ValueId, [table, indices]: [ValueId; 2]) -> Emitted<Held> {
        let (table, indices) = (self.operand(table)?, self.whole(indices)?);
        let name = self.builder.node("Gather", &[&table, &indices.name], vec![int("axis", 0)]);
        Ok(Held::new(name, self.dims(value)?))
    }
}
