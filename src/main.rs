//! The `gridlight` command.

fn main() {}
