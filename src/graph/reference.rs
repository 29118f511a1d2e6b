//! The reference: evaluates a graph node by node in `f64`, with no fusion.
