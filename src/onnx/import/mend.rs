//! Shapes in which a number of rows is written out, put right for any number.
//!
//! A model that was exported with a fixed number of rows has it in the shapes of its reshapes. Where it is found by
//! building the model with a prime number of rows: extents that this divides hold the rows. In row-major order the
//! rows are a digit with a certain stride, and the axis of the new shape in which that digit lies is the one to
//! change. Of a single row the digit has no width: it is an axis of extent 1, or the one that is `-1`; else each axis
//! within which a digit of that stride can lie may hold it, and [`super::free`] tries them.

use std::collections::BTreeMap;

/// A number of rows in place of that with which the model was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freed {
    /// Rows with which it was exported.
    pub exported: usize,
    /// Rows now.
    pub rows: usize,
}

/// Rows with which a model is tried: a prime that extents hardly have as a factor.
pub const PROBE: usize = 1009;

/// A message of a model that is tried, with `N` for the number of rows.
pub fn with_rows(message: &str) -> String {
    let mut shown = String::new();
    let mut rest = message;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        shown += before;
        shown += match digits[..end].parse() {
            Ok(PROBE) => "N",
            _ => &digits[..end],
        };
        rest = &digits[end..];
    }
    shown + rest
}

/// Most rows with which a model was exported.
const MOST: usize = 1 << 24;

/// What is done to the shapes of reshapes.
#[derive(Clone, Debug, Default)]
pub struct Mends {
    /// By number of node: the new shape with the number of rows left out of the axis, and the axis; none where the
    /// shape does not hold it.
    known: BTreeMap<usize, Option<(Vec<usize>, usize)>>,
    /// Whether they are being found out.
    pub probing: bool,
    /// By number of node: which of the axes that may hold the rows is tried, if not the first.
    tried: BTreeMap<usize, usize>,
    /// The nodes of which several axes may hold the rows, in order, and how many.
    open: Vec<(usize, usize)>,
    /// Whether something else than a shape may hold the rows, so that a check must show that it does not.
    doubtful: bool,
}

/// Where rows lie in a new shape.
#[derive(Debug, PartialEq)]
enum Place {
    /// Nowhere.
    Nowhere,
    /// In one of these axes of the shape, the likeliest first.
    Among(Vec<usize>),
}

impl Mends {
    /// Those that the next build finds out.
    pub fn probing() -> Self {
        Self { probing: true, ..Self::default() }
    }

    /// Whether shapes left a choice.
    pub fn is_choice(&self) -> bool {
        !self.open.is_empty()
    }

    /// Says that a check must show that rows are free.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Whether a check must show that rows are free.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful || self.is_choice()
    }

    /// Turns to the next way to choose: the last choice changes first. Whether there is one.
    pub fn next_way(&mut self) -> bool {
        for (at, count) in std::mem::take(&mut self.open).into_iter().rev() {
            let tried = self.tried.entry(at).or_insert(0);
            if *tried + 1 < count {
                *tried += 1;
                self.known.clear();
                return true;
            }
            self.tried.remove(&at);
        }
        false
    }

    /// The extents that a value of extents `from` is reshaped to, where the file says `wanted`.
    ///
    /// # Errors
    /// If elements are left over, or it cannot be told where rows lie.
    pub fn reshape(
        &mut self,
        at: usize,
        from: &[usize],
        wanted: &[i64],
        allow_zero: bool,
        freed: Option<Freed>,
    ) -> Result<Vec<usize>, String> {
        let Some(freed) =
            freed.filter(|freed| (1..=MOST).contains(&freed.exported) && freed.exported != freed.rows)
        else {
            return resolve(from, wanted, allow_zero);
        };
        if self.probing {
            let (shape, place) = find(from, wanted, allow_zero, freed)?;
            let axis = match place {
                Place::Nowhere => None,
                Place::Among(axes) if axes.len() > 1 => {
                    self.open.push((at, axes.len()));
                    axes.get(self.tried.get(&at).copied().unwrap_or(0)).copied()
                }
                Place::Among(axes) => axes.first().copied(),
            };
            let held = axis.map(|axis| {
                let mut shape = shape;
                shape[axis] /= freed.exported;
                (shape, axis)
            });
            self.known.insert(at, held);
        }
        match self.known.get(&at) {
            Some(Some((shape, axis))) => {
                let mut shape = shape.clone();
                shape[*axis] *= freed.rows;
                Ok(shape)
            }
            _ => resolve(from, wanted, allow_zero),
        }
    }
}

/// The new shape as it was when the model was exported, and where rows lie in it.
fn find(
    from: &[usize],
    wanted: &[i64],
    allow_zero: bool,
    Freed { exported, rows }: Freed,
) -> Result<(Vec<usize>, Place), String> {
    let holding: Vec<usize> = (0..from.len()).filter(|&axis| from[axis].is_multiple_of(rows)).collect();
    let unknown = || {
        let shown = format!("{wanted:?}");
        format!(
            "the shape {shown:.80} holds the {exported} rows with which the model was exported, and it is not clear \
             where; export it with a dynamic batch (`dynamic_axes` or `dynamic_shapes` of torch.onnx.export)"
        )
    };
    let axis = match holding[..] {
        [] => return Ok((resolve(from, wanted, allow_zero)?, Place::Nowhere)),
        [axis] => axis,
        _ => return Err(unknown()),
    };
    // As it was when it was exported.
    let mut before = from.to_vec();
    before[axis] = before[axis] / rows * exported;
    let shape = resolve(&before, wanted, allow_zero)?;
    let within: usize = from[axis + 1..].iter().product();
    // Elements from one row to the next: rows are the outer or the inner part of their axis.
    let outer = before[axis] / exported * within;
    let after = |axis: usize| shape[axis + 1..].iter().product::<usize>();
    // How many elements of an axis lie within a row, if rows can lie in that axis.
    let inner = |axis: usize, stride: usize| {
        let inner =
            stride.checked_div(after(axis)).filter(|inner| inner * after(axis) == stride && *inner > 0);
        inner.filter(|inner| shape[axis].is_multiple_of(exported * inner))
    };
    // Rather the axis that rows were in before.
    let axes = || std::iter::once(axis).chain((0..shape.len()).filter(move |&other| other != axis));
    let axes = || axes().filter(|&axis| axis < shape.len());
    if axis == 0 || outer == within {
        let exact = |axis: usize| shape[axis] == exported && after(axis) == outer;
        let rest = |axis: usize| wanted.get(axis) == Some(&-1);
        let found = axes().find(|&axis| exact(axis));
        let fits = |axis: usize| inner(axis, outer).is_some() && (exported > 1 || rest(axis));
        if let Some(axis) = found.or_else(|| axes().find(|&axis| fits(axis))) {
            return Ok((shape, Place::Among(vec![axis])));
        }
    }
    // Rather an axis of which they are the outer part.
    let is_outer =
        |axis: usize, stride: usize| inner(axis, stride).is_some_and(|inner| inner * exported == shape[axis]);
    let strides = if outer == within { vec![outer] } else { vec![outer, within] };
    let mut found: Vec<usize> = vec![];
    for outermost in [true, false] {
        for &stride in &strides {
            let fits =
                axes().filter(|&axis| inner(axis, stride).is_some() && is_outer(axis, stride) == outermost);
            found.extend(fits);
        }
    }
    let mut axes: Vec<usize> = vec![];
    found.into_iter().for_each(|axis| {
        if !axes.contains(&axis) {
            axes.push(axis)
        }
    });
    if axes.is_empty() { Err(unknown()) } else { Ok((shape, Place::Among(axes))) }
}

/// A shape in which 0 keeps an extent, unless `allow_zero`, and -1 is what is left.
///
/// # Errors
/// If elements are left over.
pub fn resolve(from: &[usize], wanted: &[i64], allow_zero: bool) -> Result<Vec<usize>, String> {
    let mut shape = vec![];
    let mut rest = None;
    for (axis, &extent) in wanted.iter().enumerate() {
        shape.push(match extent {
            0 if !allow_zero => *from.get(axis).ok_or("its shape has 0 for an axis that there is not")?,
            -1 if rest.is_none() => {
                rest = Some(axis);
                1
            }
            extent => {
                usize::try_from(extent).map_err(|_| format!("its shape {wanted:?} has more than one -1"))?
            }
        });
    }
    let product = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    let (count, known) = (product(from).unwrap_or(0), product(&shape).unwrap_or(0));
    if let Some(axis) = rest
        && known > 0
        && count.is_multiple_of(known)
    {
        shape[axis] = count / known;
        return Ok(shape);
    }
    if count == known { Ok(shape) } else { Err(format!("{from:?} cannot be reshaped to {wanted:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_with_the_rows_is_found() {
        let of = |from: &[usize], wanted: &[i64], exported| {
            let rows = |n| Some(Freed { exported, rows: n });
            let mut mends = Mends { probing: true, ..Mends::default() };
            let probe: Vec<usize> = from.iter().map(|&n| if n == 0 { PROBE } else { n }).collect();
            mends.reshape(1, &probe, wanted, false, rows(PROBE)).ok()?;
            mends.probing = false;
            let now: Vec<usize> = from.iter().map(|&n| if n == 0 { 7 } else { n }).collect();
            mends.reshape(1, &now, wanted, false, rows(7)).ok()
        };
        // 0 stands for the rows.
        assert_eq!(of(&[0, 3, 4, 4], &[1, 48], 1), Some(vec![7, 48]));
        assert_eq!(of(&[0, 3, 4, 4], &[1, -1], 1), Some(vec![7, 48]));
        assert_eq!(of(&[0, 48], &[1, 1, 48], 1), Some(vec![7, 1, 48]));
        assert_eq!(of(&[0, 5, 8], &[1, 5, 2, 4], 1), Some(vec![7, 5, 2, 4]));
        assert_eq!(of(&[0, 5, 8], &[-1, 8], 1), Some(vec![35, 8]));
        assert_eq!(of(&[0, 5, 8], &[20, 8], 4), Some(vec![35, 8]));
        assert_eq!(of(&[5, 0, 8], &[5, 32], 4), Some(vec![5, 56]));
        assert_eq!(of(&[5, 0, 8], &[5, 1, 2, 4], 1), Some(vec![5, 7, 2, 4]));
        assert_eq!(of(&[6, 8], &[48], 1), Some(vec![48]), "no rows in it");
    }

    #[test]
    fn where_rows_may_lie_in_several_axes_all_are_tried() {
        let freed = Some(Freed { exported: 1, rows: PROBE });
        let ways = |from: &[usize], wanted: &[i64]| {
            let mut mends = Mends::probing();
            let mut found = vec![];
            loop {
                found.push(mends.reshape(1, from, wanted, false, freed).unwrap());
                assert!(mends.is_choice());
                if !mends.next_way() {
                    return found;
                }
            }
        };
        // Heads beside rows, then rows and steps in one, as in attention of a single row.
        assert_eq!(ways(&[5, PROBE, 8], &[5, 2, 4]), [[5, 2 * PROBE, 4], [5 * PROBE, 2, 4]]);
        assert_eq!(ways(&[5, 2 * PROBE, 4], &[5, 8]), [[5, 8 * PROBE], [5 * PROBE, 8]]);
    }

    #[test]
    fn messages_name_rows() {
        assert_eq!(with_rows("[1009, 4] and 10090, of 1009"), "[N, 4] and 10090, of N");
        assert_eq!(with_rows("é 7"), "é 7");
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert_eq!(resolve(&[2, 6], &[0, 3, -1], false), Ok(vec![2, 3, 2]));
        assert!(resolve(&[2, 6], &[-1, -1], false).is_err());
        assert!(resolve(&[2, 6], &[5, -1], false).is_err());
        assert!(resolve(&[2, 6], &[7], false).is_err());
        assert!(resolve(&[2], &[i64::MAX, 3], false).is_err());
    }
}
