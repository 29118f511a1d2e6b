//! Copies of graphs within graphs, with other values in place of some.

use super::{Graph, GraphError, Node, ValueId};

/// What stands in place of a node's value, if not a copy of the node.
pub type Instead<'a> = dyn FnMut(&mut Graph, &Node) -> Result<Option<ValueId>, GraphError> + 'a;

/// The places of a graph's values in the graph that it was copied to.
#[derive(Clone, Debug)]
pub struct Places(Vec<Option<ValueId>>);

impl Places {
    /// The place of a value that the copied roots depend on; of another one, the value itself, which the other
    /// graph rejects or has no use for.
    pub fn of(&self, value: ValueId) -> ValueId {
        self.0.get(value.index()).copied().flatten().unwrap_or(value)
    }
}

impl Graph {
    /// Appends everything of `other` that `roots` depend on, except what `instead` replaces.
    ///
    /// # Errors
    /// If a replacement has another type than an operator accepts.
    pub fn append(
        &mut self,
        other: &Graph,
        roots: &[ValueId],
        instead: &mut Instead,
    ) -> Result<Places, GraphError> {
        let mut needed = vec![false; other.nodes.len()];
        for root in roots {
            needed[root.index()] = true;
        }
        for at in (0..other.nodes.len()).rev() {
            if needed[at] {
                other.nodes[at].inputs.iter().for_each(|input| needed[input.index()] = true);
            }
        }
        let layer = self.layer.clone();
        let mut places = vec![None; other.nodes.len()];
        for (at, node) in other.nodes.iter().enumerate().filter(|(at, _)| needed[*at]) {
            self.set_layer(node.layer.clone());
            places[at] = match instead(self, node)? {
                Some(value) => Some(value),
                None => {
                    let inputs: Vec<ValueId> =
                        node.inputs.iter().filter_map(|input| places[input.index()]).collect();
                    Some(self.push(node.op.clone(), &inputs)?)
                }
            };
        }
        self.set_layer(layer);
        Ok(Places(places))
    }
}
