//! Fusion: which nodes are computed together, and which are only ever computed inside their consumers.
//!
//! 1. A scalar function whose every use is elementwise is *inlined* into its consumers, if it has one
//!    consumer or is cheap; random numbers are always regenerated rather than stored.
//! 2. The remaining values are stored. Each stored scalar function (a *root*) joins the group of an operand
//!    that it reads elementwise, as the epilogue of a matrix product or reduction or as a further output of
//!    an elementwise kernel, unless that would create a dependency cycle between groups or bind too many
//!    buffers.
//! 3. A sum over the gradient that a matrix product or the gradient of a convolution's weights reads is
//!    computed along with it (bias gradients).

use std::collections::BTreeSet;

use super::access::Nodes;
use super::emit::{self, Emitted};
use super::groups::{Anchor, Fusion, Group, Operand};
use crate::base::order::Order;
use crate::base::rng::RandomKind;
use crate::base::tensor::elements;
use crate::graph::ValueId;
use crate::graph::ops::Lowering;
use crate::kernels::matmul::Left;
use crate::scalar::Inst;
use crate::scalar::ReduceKind;

/// Maximum instructions of a scalar function that is recomputed in each of several consumers.
const CHEAP: usize = 3;
/// Maximum stored values that an inlined expression may read, so that kernels stay within 8 bindings.
const MAX_LEAVES: usize = 5;

impl<'n, 'g> Fusion<'n, 'g> {
    /// Groups the needed nodes; `outputs` must be stored.
    pub fn new(nodes: &'n Nodes<'g>, outputs: &[ValueId], max_bindings: usize) -> Self {
        let count = nodes.graph.nodes.len();
        let mut fusion = Self {
            nodes,
            groups: vec![],
            inlined: vec![false; count],
            group_of: vec![None; count],
            outputs: outputs.iter().copied().collect(),
            max_bindings,
            operands: vec![vec![]; count],
            users: vec![vec![]; count],
        };
        for value in fusion.computed() {
            let operands = fusion.find_operands(value);
            for (access, _) in &operands {
                fusion.users[access.base.index()].push(value);
            }
            fusion.operands[value.index()] = operands;
        }
        fusion.choose_inlined();
        fusion.form_groups();
        fusion.attach_sums();
        fusion
    }

    fn find_operands(&self, value: ValueId) -> Vec<Operand> {
        if self.nodes.copies.contains(&value) {
            return vec![(self.nodes.copied_from(value), self.nodes.graph.shape(value).clone())];
        }
        let inputs = &self.nodes.graph.node(value).inputs;
        inputs.iter().map(|&i| (self.nodes.access(i), self.nodes.graph.shape(i).clone())).collect()
    }

    fn computed(&self) -> Vec<ValueId> {
        let is_leaf = |v: &ValueId| {
            matches!(self.nodes.lowering(*v), Lowering::Leaf)
                || (self.nodes.is_view(*v) && !self.nodes.copies.contains(v))
        };
        self.nodes.iter().filter(|v| !is_leaf(v)).collect()
    }

    fn choose_inlined(&mut self) {
        let count = self.nodes.graph.nodes.len();
        let computed = self.computed();
        let (mut uses, mut must_store) = (vec![0usize; count], vec![false; count]);
        for &value in &computed {
            let elementwise_consumer = matches!(self.nodes.lowering(value), Lowering::Scalar(_))
                || self.nodes.copies.contains(&value)
                || matches!(self.nodes.lowering(value), Lowering::Reduce { .. });
            let reduces = matches!(self.nodes.lowering(value), Lowering::Reduce { .. });
            for (access, shape) in self.operands(value) {
                if self.is_uniform(access) {
                    continue;
                }
                uses[access.base.index()] += 1;
                let elementwise = elementwise_consumer && self.is_elementwise(access, shape);
                // What a later round begins with is kept for it, or its own operands would have to be.
                let kept =
                    self.round(access.base) < self.round(value) && self.random_kind(access.base).is_none();
                if !elementwise || kept || (reduces && self.draws_random(access.base)) {
                    must_store[access.base.index()] = true;
                }
            }
        }
        let mut cost = vec![0usize; count];
        let mut leaves: Vec<BTreeSet<ValueId>> = vec![BTreeSet::new(); count];
        for &value in &computed {
            if !self.nodes.is_pointwise(value) {
                continue;
            }
            let i = value.index();
            cost[i] = 1;
            let operands: Vec<ValueId> = self
                .operands(value)
                .iter()
                .filter(|(a, _)| !self.is_uniform(a))
                .map(|(a, _)| a.base)
                .collect();
            loop {
                let mut read = BTreeSet::new();
                for &base in &operands {
                    if self.inlined[base.index()] {
                        read.extend(leaves[base.index()].iter().copied())
                    } else {
                        read.extend([base])
                    }
                }
                let inlined = operands.iter().filter(|b| self.inlined[b.index()]);
                let widest = inlined.max_by_key(|b| leaves[b.index()].len()).copied();
                match widest {
                    Some(base) if read.len() > MAX_LEAVES => self.inlined[base.index()] = false,
                    _ => {
                        leaves[i] = read;
                        break;
                    }
                }
            }
            cost[i] +=
                operands.iter().filter(|b| self.inlined[b.index()]).map(|b| cost[b.index()]).sum::<usize>();
            let random = self.random_kind(value).is_some();
            let cheap = uses[i] == 1 || (cost[i] <= CHEAP && leaves[i].len() <= 2) || random;
            self.inlined[i] = cheap && uses[i] > 0 && !must_store[i] && !self.outputs.contains(&value);
        }
    }

    /// The distribution, if `value` is a random draw.
    fn random_kind(&self, value: ValueId) -> Option<RandomKind> {
        match self.nodes.lowering(value) {
            Lowering::Scalar(make) if self.nodes.graph.node(value).inputs.is_empty() => match make(&[]) {
                Inst::Random { kind, .. } => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether computing `value` from its elementwise operands draws random numbers.
    fn draws_random(&self, value: ValueId) -> bool {
        if !self.nodes.is_pointwise(value) {
            return false;
        }
        self.random_kind(value).is_some()
            || self.operands(value).iter().any(|(a, _)| self.draws_random(a.base))
    }

    fn form_groups(&mut self) {
        for value in self.computed() {
            let index = value.index();
            match self.nodes.lowering(value) {
                Lowering::MatMul { .. } | Lowering::Conv { .. } => {
                    self.add_group(Group::around(Anchor::MatMul { value, sums: None }, vec![]));
                }
                Lowering::Reduce { .. } => self.add_group(Group::around(Anchor::Reduce(value), vec![])),
                Lowering::Kernel { .. } => self.add_kernel(value),
                _ if self.inlined[index] || self.is_free_scalar(value) => {}
                _ => {
                    let joined = self.candidates(value).into_iter().find(|&g| self.try_join(value, g));
                    if joined.is_none() {
                        self.add_group(Group::around(Anchor::None, vec![value]));
                    }
                }
            }
        }
    }

    /// Whether `value` is a step scalar that is not needed in memory.
    fn is_free_scalar(&self, value: ValueId) -> bool {
        self.nodes.uniform_inst(value).is_some() && !self.outputs.contains(&value)
    }

    fn add_group(&mut self, group: Group) {
        let at = self.groups.len();
        for value in group.values() {
            self.group_of[value.index()] = Some(at);
        }
        self.groups.push(group);
        self.groups[at].dependencies = self.find_dependencies(at);
    }

    /// Merges equal kernels with equal operands (such as loss and gradient of one cross-entropy), as far as one
    /// dispatch may bind them.
    fn add_kernel(&mut self, value: ValueId) {
        let Lowering::Kernel { kernel, output } = self.nodes.lowering(value) else { return };
        let bases = |v: ValueId| self.operands(v).iter().map(|(a, _)| a.base).collect::<Vec<_>>();
        let wanted = bases(value);
        let same = self.groups.iter().position(|group| match &group.anchor {
            Anchor::Kernel(outputs) => {
                let first = outputs[0].0;
                matches!(self.nodes.lowering(first), Lowering::Kernel { kernel: k, .. } if k == kernel)
                    && self.round(first) == self.round(value)
                    && bases(first) == wanted
                    && outputs.iter().all(|o| o.1 != *output)
                    && wanted.len() + outputs.len() < self.max_bindings
            }
            _ => false,
        });
        match same {
            Some(at) => {
                if let Anchor::Kernel(outputs) = &mut self.groups[at].anchor {
                    outputs.push((value, *output));
                    outputs.order_by_key(|o| o.1);
                }
                self.group_of[value.index()] = Some(at);
            }
            None => {
                let output = *output;
                self.add_group(Group::around(Anchor::Kernel(vec![(value, output)]), vec![]));
            }
        }
    }

    /// Groups whose values `root` reads element by element, be it in another shape; latest first.
    fn candidates(&self, root: ValueId) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut stack = vec![root];
        while let Some(value) = stack.pop() {
            if !self.nodes.is_pointwise(value)
                || matches!(self.nodes.lowering(value), Lowering::Concat { .. })
            {
                continue;
            }
            for (access, shape) in self.operands(value) {
                if self.is_uniform(access) || !self.is_in_order(access, shape) {
                    continue;
                }
                if self.inlined[access.base.index()] {
                    if self.is_elementwise(access, shape) {
                        stack.push(access.base);
                    }
                } else if let Some(group) = self.group_of(access.base)
                    && self.round(access.base) == self.round(root)
                    && !matches!(self.groups[group].anchor, Anchor::Kernel(_))
                {
                    found.insert(group);
                }
            }
        }
        found.into_iter().rev().collect()
    }

    fn try_join(&mut self, root: ValueId, group: usize) -> bool {
        self.groups[group].roots.push(root);
        self.group_of[root.index()] = Some(group);
        let fits = self.emit(group).is_some_and(|emitted| {
            let reads = &emitted.reads;
            let writes = self.stored_estimate(group);
            let table = usize::from(emitted.draws_normal());
            reads.len() + writes + table <= self.max_bindings
                && reads
                    .iter()
                    .filter_map(|&r| self.group_of(r))
                    .all(|g| g != group && !self.depends(g, group))
        });
        if fits {
            self.groups[group].dependencies = self.find_dependencies(group);
        } else {
            self.groups[group].roots.pop();
            self.group_of[root.index()] = None;
        }
        fits
    }

    /// Upper bound on the number of the group's values that will be stored.
    fn stored_estimate(&self, group: usize) -> usize {
        let members: BTreeSet<ValueId> = self.groups[group].values().into_iter().collect();
        let last = self.groups[group].roots.last();
        let stored =
            |v: &&ValueId| last == Some(*v) || self.outputs.contains(v) || self.used_outside(**v, &members);
        members.iter().filter(stored).count()
    }

    /// Whether `value` is used outside `members` and the values inlined only into them.
    fn used_outside(&self, value: ValueId, members: &BTreeSet<ValueId>) -> bool {
        self.users[value.index()].iter().any(|user| {
            let inside =
                members.contains(user) || (self.inlined[user.index()] && !self.used_outside(*user, members));
            !inside
        })
    }

    fn find_dependencies(&self, group: usize) -> BTreeSet<usize> {
        let reads = self.emit(group).map(|e| e.reads).unwrap_or_default();
        reads.iter().filter_map(|&r| self.group_of(r)).filter(|&g| g != group).collect()
    }

    /// The group's bodies and their operands; `None` if they cannot be expressed over a single iteration
    /// shape.
    pub fn emit(&self, group: usize) -> Option<Emitted> {
        emit::emit(self, group)
    }

    fn attach_sums(&mut self) {
        for at in 0..self.groups.len() {
            let Anchor::Reduce(sum) = self.groups[at].anchor else { continue };
            if !self.groups[at].roots.is_empty() {
                continue;
            }
            let Some(carrier) = (0..self.groups.len()).find(|&g| self.carries(g, sum)) else { continue };
            if self.depends(carrier, at) {
                continue;
            }
            if let Anchor::MatMul { sums, .. } = &mut self.groups[carrier].anchor {
                *sums = Some(sum);
            }
            self.group_of[sum.index()] = Some(carrier);
            self.groups[at] = Group::around(Anchor::None, vec![]);
            // Who reads the sum waits for the product now.
            for group in &mut self.groups {
                if group.dependencies.remove(&at) {
                    group.dependencies.insert(carrier);
                }
            }
        }
    }

    /// Whether product `group` can compute `sum` along with itself ([`crate::kernels::matmul::Sums`]).
    fn carries(&self, group: usize, sum: ValueId) -> bool {
        let Anchor::MatMul { value, sums: None } = self.groups[group].anchor else { return false };
        let Lowering::Reduce { kind: ReduceKind::Sum, axes } = self.nodes.lowering(sum) else { return false };
        if self.round(value) != self.round(sum) {
            return false;
        }
        let (access, shape) = &self.operands(sum)[0];
        if self.inlined[access.base.index()] || self.is_uniform(access) {
            return false;
        }
        let Some(product) = emit::matrix_product(self, value) else { return false };
        let a = match product.a {
            // All but the last axis of the result's gradient, which lies in order.
            Left::Windows(windows) => {
                return windows.swapped
                    && product.b_base == access.base
                    && self.is_in_order(access, shape)
                    && elements(shape) == product.k * product.batch * product.n
                    && axes.iter().copied().eq(0..shape.len() - 1)
                    && shape.last() == Some(&(product.batch * product.n));
            }
            Left::Matrix(a) => a,
        };
        if shape.len() != 2 || axes.len() != 1 {
            return false;
        }
        let (kept, reduced) = (1 - axes[0], axes[0]);
        let stride = |d: usize| usize::try_from(access.view.strides[d]).ok();
        product.a_base == access.base
            && product.batch == 1
            && access.view.guards.is_empty()
            && usize::try_from(access.view.offset) == Ok(a.offset)
            && (shape[kept], shape[reduced]) == (product.m, product.k)
            && (product.m == 1 || stride(kept) == Some(a.row))
            && (product.k == 1 || stride(reduced) == Some(a.col))
            && elements(self.nodes.graph.shape(sum)) == product.m
    }
}
