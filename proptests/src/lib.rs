//! What holds for the MessageU wire, whatever the bytes and values: properties, and strategies for what they hold for.
//!
//! [`property`] has the properties: functions that take bytes or values and panic where something does not hold. The
//! tests of this crate feed them from [`strategy`], the fuzz targets (`fuzz/`) from what libFuzzer thinks up.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed property should stop"
)]

pub mod answer;
mod disk;
pub mod hearing;
pub mod model;
pub mod modern;
pub mod modern_model;
pub mod pieces;
pub mod property;
pub mod rarely;
pub mod run;
pub mod speech;
pub mod strategy;
pub mod target;
pub mod unstructured;

use messageu_wire::dialect::Dialect;
use messageu_wire::operations::Operation;

/// Every operation in every dialect that has it.
pub fn everything() -> impl Iterator<Item = (Dialect, Operation)> {
    Dialect::all().flat_map(|dialect| {
        let has = move |operation: &&Operation| operation.codes(dialect.family).is_some();
        Operation::ALL.iter().filter(has).map(move |operation| (dialect, *operation))
    })
}
