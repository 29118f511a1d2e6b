//! Optimizers: update rules as scalar bodies.
