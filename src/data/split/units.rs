//! What is drawn when rows are split at random: single rows, or groups that stay together; from all at once, or from
//! each class in turn.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::base::rng::{self, streams};
use crate::data::table::Table;

/// Rows that stay together, and the class they are counted for.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Ascending.
    rows: Vec<usize>,
    class: usize,
}

/// The units of `rows`, in the order of their first rows. `group` is the column that names groups, `class` that of
/// the classes; both are optional. A group belongs to its commonest class.
pub fn units(table: &Table, rows: &[usize], group: Option<usize>, class: Option<usize>) -> Vec<Unit> {
    let mut classes = BTreeMap::<Cow<'_, str>, usize>::new();
    let mut class_of = |row: usize| {
        class.map_or(0, |at| {
            let next = classes.len();
            *classes.entry(table.cell(at, row)).or_insert(next)
        })
    };
    let Some(group) = group else {
        return rows.iter().map(|&row| Unit { rows: vec![row], class: class_of(row) }).collect();
    };
    let mut units: Vec<Unit> = vec![];
    let mut position = BTreeMap::<Cow<'_, str>, usize>::new();
    for &row in rows {
        let at = *position.entry(table.cell(group, row)).or_insert(units.len());
        if at == units.len() {
            units.push(Unit { rows: vec![], class: 0 });
        }
        units[at].rows.push(row);
    }
    for unit in &mut units {
        let mut counts = BTreeMap::<usize, usize>::new();
        for &row in &unit.rows {
            *counts.entry(class_of(row)).or_default() += 1;
        }
        let most = counts.iter().max_by_key(|(class, count)| (**count, std::cmp::Reverse(**class)));
        unit.class = most.map_or(0, |(class, _)| *class);
    }
    units
}

/// Draws a part of the units of each class; returns them and the rest. Numbers are rounded so that the parts of all
/// classes together are right; a class of one unit is never drawn.
pub fn draw(units: Vec<Unit>, part: f64, seed: [u32; 2], round: u32) -> (Vec<Unit>, Vec<Unit>) {
    let mut order: Vec<u32> = (0..units.len() as u32).collect();
    rng::shuffle(&mut order, seed, streams::SPLIT, round);
    let mut by_class = BTreeMap::<usize, Vec<usize>>::new();
    for at in order {
        by_class.entry(units[at as usize].class).or_default().push(at as usize);
    }
    let mut chosen = vec![false; units.len()];
    let (mut wanted, mut taken) = (0.0, 0);
    for members in by_class.values() {
        wanted += part * members.len() as f64;
        let most = members.len().saturating_sub(1);
        let count = (wanted.round() as usize).saturating_sub(taken).min(most);
        taken += count;
        for &at in &members[..count] {
            chosen[at] = true;
        }
    }
    divide(units, &chosen)
}

/// The units of one of `folds` test sets, and the rest: of each class, every `folds`-th unit, in the order of the file
/// or, with a seed, in a random one.
pub fn fold(units: Vec<Unit>, folds: usize, fold: usize, seed: [u32; 2]) -> (Vec<Unit>, Vec<Unit>) {
    let mut order: Vec<u32> = (0..units.len() as u32).collect();
    if seed != [0, 0] {
        rng::shuffle(&mut order, seed, streams::SPLIT, 2);
    }
    let mut seen = BTreeMap::<usize, usize>::new();
    let mut in_fold = vec![false; units.len()];
    // The classes take turns where one ends and the next begins, so that small ones do not all test in fold 0.
    let classes: Vec<usize> = units.iter().map(|unit| unit.class).collect();
    let mut counts = BTreeMap::<usize, usize>::new();
    for class in &classes {
        *counts.entry(*class).or_default() += 1;
    }
    let mut first = 0;
    for (&class, &count) in &counts {
        seen.insert(class, first);
        first += count;
    }
    for at in order {
        let number = seen.entry(classes[at as usize]).or_default();
        let alone = counts.get(&classes[at as usize]) == Some(&1);
        in_fold[at as usize] = *number % folds == fold && !alone;
        *number += 1;
    }
    divide(units, &in_fold)
}

/// The chosen units, and the rest.
fn divide(units: Vec<Unit>, chosen: &[bool]) -> (Vec<Unit>, Vec<Unit>) {
    let (mut drawn, mut rest) = (vec![], vec![]);
    for (unit, chosen) in units.into_iter().zip(chosen) {
        if *chosen { drawn.push(unit) } else { rest.push(unit) }
    }
    (drawn, rest)
}

/// All rows of units, ascending.
pub fn rows(units: &[Unit]) -> Vec<usize> {
    let mut rows: Vec<usize> = units.iter().flat_map(|unit| unit.rows.iter().copied()).collect();
    rows.sort_unstable();
    rows
}
