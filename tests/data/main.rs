//! Files to numbers: tables, images, series, and files that are damaged or hostile.

mod hostile;
mod images;
#[path = "../common/interruptions.rs"]
mod interruptions;
#[path = "../common/mutate.rs"]
mod mutate;
mod parquet_table;
#[path = "../common/synthetic.rs"]
mod synthetic;
mod tables;
mod windows;
