//! Tensors of a file in a graph: parameters, running statistics, constants.

use std::sync::Arc;

use super::build::Builder;
use super::known::{Kind, Known};
use super::model::{Node, Stored};
use super::value::{Fail, Outcome, Value};
use crate::graph::{Graph, GraphError, Op, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;

impl Builder<'_, '_, '_> {
    /// A weight of a layer: a parameter, unless it is computed.
    pub fn trained(&mut self, node: &Node, at: usize) -> Outcome<ValueId> {
        match self.value(node, at)? {
            Value::Stored(name) => self.weight(&name, true),
            other => {
                let held = self.hold(&other)?;
                self.first(&held)
            }
        }
    }

    /// As [`Builder::trained`], if it is given.
    pub fn trained_if(&mut self, node: &Node, at: usize) -> Outcome<Option<ValueId>> {
        match self.operand(node, at)? {
            Some(_) => self.trained(node, at).map(Some),
            None => Ok(None),
        }
    }

    /// A constant of the graph.
    pub fn constant(&mut self, known: &Known) -> Outcome<ValueId> {
        if known.data.is_empty() {
            return Err("it computes with a tensor without elements".into());
        }
        let data = known.floats();
        let inexact = |(x, f): (&f64, &f32)| f64::from(*f) != *x && !x.is_nan();
        if known.kind == Kind::Int && known.data.iter().zip(&data).any(inexact) {
            return Err("it computes with integers that single precision does not have".into());
        }
        let graph: &mut Graph = self.net.graph;
        let first = data[0].to_bits();
        if data.iter().all(|x| x.to_bits() == first) {
            let scalar = graph.scalar(known.data[0])?;
            return Ok(graph.broadcast(scalar, &known.shape)?);
        }
        Ok(graph.constant(&known.shape, &data)?)
    }

    /// Indices of the graph.
    pub fn indices(&mut self, shape: &[usize], data: &[usize]) -> Outcome<ValueId> {
        let ty = crate::base::tensor::TensorType::u32(shape);
        let data = data.iter().map(|&i| i as u32).collect();
        Ok(self.net.graph.push(Op::Constant(crate::graph::ops::Constant { data, ty }), &[])?)
    }

    /// A tensor of the file: a parameter. Where it is not the weight of a layer, single numbers and what is not
    /// finite, as masks are, are constants.
    pub fn weight(&mut self, name: &str, of_layer: bool) -> Outcome<ValueId> {
        if let Some(&known) = self.declared.get(name) {
            return Ok(known);
        }
        let (shape, data) = self.weights(name)?;
        let finite = data.iter().all(|x| x.is_finite());
        let id = if finite && (of_layer || data.len() > 1) {
            // Files hold equal tensors once, be one a parameter and the other a statistic.
            let own =
                if self.statistics.contains(name) { format!("{name}.trained") } else { name.to_string() };
            self.net.given.push((own.clone(), data.clone()));
            self.net.parameter(own, &shape, Init::Constant(0.0), shape.len() > 1)?
        } else {
            let data = data.iter().map(|&x| f64::from(x)).collect();
            self.constant(&Known { kind: Kind::Float, shape, data })?
        };
        self.declared.insert(name.to_string(), id);
        Ok(id)
    }

    /// Shape and elements of a tensor of the file.
    pub fn weights(&self, name: &str) -> Outcome<(Vec<usize>, Arc<Vec<f32>>)> {
        match self.tensor(name) {
            Some(Stored::Weights { shape, data }) if !data.is_empty() => Ok((shape.clone(), data.clone())),
            Some(Stored::Weights { .. }) => Err(format!("its tensor `{name:.80}` has no elements").into()),
            Some(Stored::Refused(reason)) => Err(format!("its tensor `{name:.80}`: {reason}").into()),
            Some(Stored::Texts { .. }) => Err(format!("its tensor `{name:.80}` holds texts").into()),
            _ => Err(Fail::Follows),
        }
    }

    /// The weights of a convolution, which are read in the order of `arrangement`, with the shape in memory
    /// `lying`; `turn` does the same to weights that are computed, or read elsewhere too.
    pub fn arranged(
        &mut self,
        node: &Node,
        at: usize,
        arrangement: Arrangement,
        turn: impl FnOnce(&mut Graph, ValueId) -> Result<ValueId, GraphError>,
    ) -> Outcome<ValueId> {
        if let Value::Stored(name) = self.value(node, at)?
            && self.uses.get(&name) == Some(&1)
            && !self.declared.contains_key(&name)
        {
            let (shape, data) = self.weights(&name)?;
            if data.iter().all(|x| x.is_finite()) {
                self.net.given.push((name.clone(), data));
                return Ok(self.net.arranged(name, &shape, Init::Constant(0.0), arrangement)?);
            }
        }
        let weight = self.trained(node, at)?;
        Ok(turn(self.net.graph, weight)?)
    }

    /// A running statistic of the file.
    pub fn statistic(&mut self, node: &Node, at: usize) -> Outcome<(String, ValueId)> {
        let Value::Stored(name) = self.value(node, at)? else {
            return Err(format!("its operand {} is computed; it must be a tensor of the file", at + 1).into());
        };
        // Each of several norms has statistics of its own, even if they are equal in the file.
        let own = match self.declared.contains_key(&name) || self.statistics.contains(&name) {
            true => format!("{name}.statistic.{}.{at}", self.at),
            false => name.clone(),
        };
        let (shape, data) = self.weights(&name)?;
        self.net.given.push((own.clone(), data));
        let id = self.net.state(own.clone(), &shape, 0.0)?;
        self.statistics.insert(name);
        Ok((own, id))
    }
}
