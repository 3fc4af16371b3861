//! What the fuzz targets share: the [`promises`] that they hold, and the [`input`] that they make of a fuzzer's bytes.

pub mod input;
pub mod promises;
