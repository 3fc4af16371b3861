//! Shared by the fuzz targets: the [`properties`] that they check, and the [`input`] that they make from a fuzzer's
//! bytes.

pub mod input;
// The tests of linechat check the same properties on random input. This crate is not in their workspace.
#[path = "../../tests/support/properties.rs"]
pub mod properties;
