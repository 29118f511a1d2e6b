//! From files to numbers: tables, images, series, and damaged or malicious files.

mod as_written;
mod attack;
mod bad_tables;
mod blocks;
mod calendar_steps;
mod doubts;
mod given;
mod graph_rows;
mod graphs;
mod hostile;
mod hostile_images;
mod hostile_models;
mod images;
#[path = "../common/interruptions.rs"]
mod interruptions;
#[path = "../common/mutate.rs"]
mod mutate;
mod nested_parquet;
mod parquet_table;
mod pictures;
mod resampled;
mod series_scales;
mod small_table;
mod splits;
#[path = "../common/synthetic.rs"]
mod synthetic;
mod tables;
mod windows;
