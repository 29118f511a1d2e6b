//! The graph whose backward pass computes parts of the forward pass once more.

use crate::graph::{Graph, GraphError, ValueId};
use crate::plan::forward::{Cuts, Forward, Sort, is_drawn};

/// What a node of the old graph is in the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Of the forward pass, or without operands.
    Forward,
    /// Of the backward pass, but computed from values of the forward pass alone, some of them once more.
    Late,
    /// Of the backward pass.
    Backward,
}

struct Rewriting<'a> {
    old: &'a Graph,
    forward: &'a Forward,
    cuts: &'a Cuts,
    again: usize,
    keeps_dear: bool,
    new: Graph,
    /// The place of each node in the new graph.
    places: Vec<ValueId>,
    /// The place of the node as it is computed once more.
    repeated: Vec<Option<ValueId>>,
}

/// `graph` with the first `again` parts of its forward pass computed once more by the backward pass, and the places of
/// the old values in it.
///
/// # Errors
/// If a node is ill-typed, which is a bug.
pub(super) fn repeated(
    graph: &Graph,
    forward: &Forward,
    cuts: &Cuts,
    again: usize,
    keeps_dear: bool,
) -> Result<(Graph, Vec<ValueId>), GraphError> {
    let count = graph.nodes.len();
    let (new, places, repeated) = (Graph::new(), vec![], vec![None; count]);
    let mut rewriting = Rewriting { old: graph, forward, cuts, again, keeps_dear, new, places, repeated };
    let mut standings: Vec<Standing> = vec![];
    for (at, node) in graph.nodes.iter().enumerate() {
        if forward.is[at] || node.inputs.is_empty() {
            let inputs: Vec<ValueId> = node.inputs.iter().map(|i| rewriting.places[i.index()]).collect();
            rewriting.push(at, &inputs, 0)?;
            standings.push(Standing::Forward);
            continue;
        }
        for input in &node.inputs {
            if standings[input.index()] == Standing::Forward {
                rewriting.repeat(input.index())?;
            }
        }
        let inputs: Vec<ValueId> = node.inputs.iter().map(|input| rewriting.reads(input.index())).collect();
        let round = inputs.iter().map(|&input| rewriting.new.node(input).round).max().unwrap_or(0);
        let is_early = node.inputs.iter().all(|input| standings[input.index()] != Standing::Backward);
        let is_late = is_early && round > 0;
        rewriting.push(at, &inputs, if is_late { round } else { 0 })?;
        standings.push(if is_late { Standing::Late } else { Standing::Backward });
    }
    Ok((rewriting.new, rewriting.places))
}

impl Rewriting<'_> {
    /// Appends node `at` of the old graph.
    fn push(&mut self, at: usize, inputs: &[ValueId], round: u32) -> Result<(), GraphError> {
        let value = self.append(at, inputs, round)?;
        self.places.push(value);
        Ok(())
    }

    fn append(&mut self, at: usize, inputs: &[ValueId], round: u32) -> Result<ValueId, GraphError> {
        let node = &self.old.nodes[at];
        self.new.set_layer(node.layer.clone());
        self.new.set_round(round);
        self.new.push(node.op.clone(), inputs)
    }

    /// Whether the backward pass reads the value of a node as the forward pass left it.
    fn stays(&self, at: usize) -> bool {
        let drawn = is_drawn(&self.old.nodes[at].op);
        !self.forward.is[at]
            || (self.forward.sorts[at] == Sort::Leaf && !drawn)
            || self.cuts.part(at) >= self.again
            || (!drawn && self.forward.is_kept(at, self.cuts, self.keeps_dear))
    }

    /// What the backward pass reads in the place of a node's value.
    fn reads(&self, at: usize) -> ValueId {
        self.repeated[at].unwrap_or(self.places[at])
    }

    /// Appends what it takes to have the value of node `at` once more.
    fn repeat(&mut self, at: usize) -> Result<(), GraphError> {
        let (mut missing, mut stack) = (vec![], vec![at]);
        while let Some(at) = stack.pop() {
            if self.repeated[at].is_none() && !self.stays(at) && !missing.contains(&at) {
                missing.push(at);
                stack.extend(self.old.nodes[at].inputs.iter().map(|input| input.index()));
            }
        }
        missing.sort_unstable();
        for at in missing {
            let inputs = &self.old.nodes[at].inputs;
            let new: Vec<ValueId> = inputs.iter().map(|input| self.reads(input.index())).collect();
            let same = inputs.iter().all(|input| self.reads(input.index()) == self.places[input.index()]);
            self.repeated[at] = Some(match self.forward.sorts[at] {
                // Another reading of a value that is still there.
                Sort::View if same => self.places[at],
                _ => self.append(at, &new, self.cuts.part(at) as u32 + 1)?,
            });
        }
        Ok(())
    }
}
