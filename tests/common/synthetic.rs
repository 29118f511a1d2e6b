//! A table whose lowest possible error is known.

use std::fmt::Write;

use gridlight::base::rng;

/// CSV of `y = 3 x1 - 2 x2 + x1 x2 + 0.5 sin(3 x3) + N(0, 0.1)` with standard normal `x`: no model has a mean
/// squared error below 0.01.
pub fn table(rows: u32) -> String {
    let normal = |row: u32, column: u32| f64::from(rng::normal(rng::word([7, 9], column, 0, row)));
    let mut text = String::from("x1,x2,x3,y\n");
    for row in 0..rows {
        let [x1, x2, x3, noise] = [0, 1, 2, 3].map(|column| normal(row, column));
        let y = 3.0 * x1 - 2.0 * x2 + x1 * x2 + 0.5 * (3.0 * x3).sin() + 0.1 * noise;
        writeln!(text, "{x1},{x2},{x3},{y}").unwrap();
    }
    text
}
