//! What a checkpoint keeps of an engine: weights, running statistics, optimizer state and carried states.

use std::collections::HashMap;
use std::ops::Range;

use super::Engine;
use crate::device::Session;
use crate::nn::tensors::Parameter;
use crate::plan::{BufferId, Layout, SetLayout, Slice};
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

/// A slot of the optimizer's state.
pub(super) struct Slot {
    set: usize,
    number: usize,
    /// Words of all parameters of the set.
    words: usize,
    /// Those that are kept here, and the buffer that has nothing else.
    own: Slice,
    /// Those of each process.
    parts: Vec<Range<usize>>,
}

impl Engine {
    /// Sets the carried states of training to 0: its next batch does not follow the one before.
    ///
    /// # Errors
    /// If the device fails.
    pub fn begin_streams(&mut self) -> Result<(), TrainError> {
        self.begin_anew(0)
    }

    pub(super) fn begin_anew(&mut self, phase: usize) -> Result<(), TrainError> {
        for state in self.carried[phase].clone() {
            self.set(&state.name, &vec![state.initial; state.shape.iter().product()])?;
        }
        Ok(())
    }

    /// States of recurrent layers that the next training step goes on from, by name.
    ///
    /// # Errors
    /// If the device fails.
    pub fn carried(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let mut tensors = vec![];
        for state in self.carried[0].clone() {
            let places = &self.compiled.layout.states;
            let Some((_, slice)) = places.iter().find(|(name, _)| *name == state.name).cloned() else {
                continue;
            };
            tensors.push((state.name, state.shape, self.read(slice)?));
        }
        Ok(tensors)
    }

    /// Sets parameters and running statistics to their first values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn initialise(&mut self, seed: [u32; 2]) -> Result<(), TrainError> {
        let parameters = self.graph.parameters.clone();
        for (number, parameter) in parameters.iter().enumerate() {
            let data = parameter.init.elements(seed, number, parameter.shape.iter().product());
            self.set(&parameter.name, &parameter.arrangement.to_memory(data))?;
        }
        for state in self.graph.states.clone() {
            self.set(&state.name, &vec![state.initial; state.shape.iter().product()])?;
        }
        for (name, data) in self.graph.given.clone() {
            let arrangement = self.graph.arrangement(&name);
            self.set(&name, &arrangement.to_memory(data.to_vec()))?;
        }
        self.begin_streams()
    }

    fn set(&mut self, name: &str, data: &[f32]) -> Result<(), TrainError> {
        self.weights_were_set();
        let layout = &self.compiled.layout;
        let mut places = layout.parameters().chain(&layout.states);
        if let Some((_, slice)) = places.find(|(n, _)| n == name) {
            let words: Vec<u32> = data.iter().map(|x| x.to_bits()).collect();
            self.session.write(slice.buffer, slice.start, &words)?;
        }
        Ok(())
    }

    /// Weights and running statistics by name.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let layout = &self.compiled.layout;
        let places: HashMap<String, Slice> = layout.parameters().chain(&layout.states).cloned().collect();
        let parameters = self.graph.parameters.clone().into_iter();
        let parameters = parameters.map(|p| (p.name, p.shape, p.arrangement));
        let states = self.graph.states.clone().into_iter().map(|s| (s.name, s.shape, s.arrangement));
        let mut tensors = vec![];
        for (name, shape, arrangement) in parameters.chain(states) {
            let Some(&slice) = places.get(&name) else { continue };
            tensors.push((name, shape, arrangement.from_memory(self.read(slice)?)));
        }
        Ok(tensors)
    }

    /// Gradients of the last training step by parameter, before they are clipped, as they lie in memory.
    ///
    /// # Errors
    /// If the device fails.
    pub fn last_gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
        let mut found = vec![];
        for set in self.compiled.layout.sets.clone() {
            let Some(range) = set.gradient_range() else { continue };
            let all = self.read(range)?;
            for (name, slice) in set.beside(range.buffer) {
                found.push((name.to_string(), all[slice.start..slice.start + slice.words].to_vec()));
            }
        }
        Ok(found)
    }

    fn read(&mut self, slice: Slice) -> Result<Vec<f32>, TrainError> {
        let words = self.session.read(slice.buffer, slice.start, slice.words)?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// Optimizer state by name (`optimizer.<slot>.<parameter>`), those of all processes.
    ///
    /// # Errors
    /// If the device fails.
    pub fn optimizer_state(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let slots = self.slots();
        if slots.iter().any(|slot| slot.parts.len() > 1) {
            self.ask_for_state()?;
        }
        let mut tensors = vec![];
        for (at, slot) in slots.iter().enumerate() {
            let words = self.whole_slot(at)?;
            for (name, parameter, range) in self.tensors_of(slot) {
                let data = words[range].iter().copied().map(f32::from_bits).collect();
                tensors.push((name, parameter.shape, parameter.arrangement.from_memory(data)));
            }
        }
        Ok(tensors)
    }

    /// Where the optimizer's state is, and how it lies there.
    fn keeper(&mut self) -> (&Layout, &mut dyn Session) {
        match &mut self.host {
            Some(host) => (&host.compiled.layout, &mut *host.session),
            None => (&self.compiled.layout, &mut *self.session),
        }
    }

    /// The slots of the optimizer's state, of all sets of parameters.
    pub(super) fn slots(&mut self) -> Vec<Slot> {
        let (layout, _) = self.keeper();
        let of = |(at, set): (usize, &SetLayout)| {
            let slot = |(number, &buffer): (usize, &BufferId)| Slot {
                set: at,
                number,
                words: set.words,
                own: Slice { buffer, start: set.updated.start, words: set.updated.len() },
                parts: set.parts.clone(),
            };
            set.optimizer_state.iter().enumerate().map(slot).collect::<Vec<_>>()
        };
        layout.sets.iter().enumerate().flat_map(of).collect()
    }

    /// A slot of the optimizer's state, of all parameters of its set.
    pub(super) fn whole_slot(&mut self, at: usize) -> Result<Vec<u32>, TrainError> {
        let Some(slot) = self.slots().into_iter().nth(at) else { return Ok(vec![]) };
        let mut words = vec![0; slot.words];
        let own = slot.own;
        self.keeper().1.read_into(own.buffer, 0, &mut words[own.start..own.start + own.words])?;
        self.share(&mut words, &slot.parts)?;
        Ok(words)
    }

    /// Sets what is kept here of a slot of the optimizer's state, which is given for all parameters.
    pub(super) fn put_slot(&mut self, at: usize, words: &[u32]) -> Result<(), TrainError> {
        let Some(slot) = self.slots().into_iter().nth(at) else { return Ok(()) };
        let own = slot.own;
        let words = words.get(own.start..own.start + own.words).unwrap_or_default();
        Ok(self.keeper().1.write(own.buffer, 0, words)?)
    }

    /// The tensors of a slot: their names, parameters and words.
    fn tensors_of(&self, slot: &Slot) -> Vec<(String, Parameter, Range<usize>)> {
        let parameters: HashMap<&str, &Parameter> =
            self.graph.parameters.iter().map(|p| (p.name.as_str(), p)).collect();
        let tensor = |(name, place): &(String, Slice)| {
            let parameter = (*parameters.get(name.as_str())?).clone();
            let number = slot.number;
            Some((format!("optimizer.{number}.{name}"), parameter, place.start..place.start + place.words))
        };
        self.compiled.layout.sets[slot.set].parameters.iter().filter_map(tensor).collect()
    }

    /// To be called when parameters on the device are set.
    pub(super) fn weights_were_set(&mut self) {
        if let Some(host) = &mut self.host {
            host.is_behind = true;
        }
    }

    /// Sets weights, running statistics and (if `whole`) optimizer state and carried states from named
    /// tensors.
    ///
    /// # Errors
    /// If one is missing or has another shape, or the device fails.
    pub fn restore(&mut self, tensors: &[NamedTensor], whole: bool) -> Result<(), TrainError> {
        let find = |name: &str, shape: &[usize]| {
            let found = tensors.iter().find(|(n, _, _)| n == name);
            match found {
                Some((_, s, data)) if s == shape => Ok(data.clone()),
                other => Err(TrainError::Tensor {
                    name: name.into(),
                    found: other.map(|(_, shape, _)| shape.clone()),
                    expected: shape.to_vec(),
                }),
            }
        };
        for parameter in self.graph.parameters.clone() {
            let data = find(&parameter.name, &parameter.shape)?;
            self.set(&parameter.name, &parameter.arrangement.to_memory(data))?;
        }
        for state in self.graph.states.clone() {
            let data = find(&state.name, &state.shape)?;
            self.set(&state.name, &state.arrangement.to_memory(data))?;
        }
        if whole {
            for state in self.carried[0].clone() {
                let data = find(&state.name, &state.shape)?;
                self.set(&state.name, &data)?;
            }
            for (at, slot) in self.slots().iter().enumerate() {
                let mut words = vec![0; slot.words];
                for (name, parameter, range) in self.tensors_of(slot) {
                    let data = parameter.arrangement.to_memory(find(&name, &parameter.shape)?);
                    words[range].copy_from_slice(bytemuck::cast_slice(&data));
                }
                self.put_slot(at, &words)?;
                self.tell_slot(at, words)?;
            }
        }
        self.tell_weights()
    }
}
