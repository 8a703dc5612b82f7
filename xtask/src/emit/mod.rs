//! The readings of the form, a file each.

mod kaitai;
mod lua;
mod python;
mod tables;

use anyhow::Result;
use messageu_wire::spec::Spec;

use crate::File;

/// All readings.
///
/// # Errors
/// When the form says something that a reading has no words for.
pub fn all(spec: &Spec) -> Result<Vec<File>> {
    Ok(vec![
        File { path: "generated/spec-tables.md", content: tables::emit(spec) },
        File { path: "generated/messageu.lua", content: lua::emit(spec)? },
        File { path: "generated/messageu_wire.py", content: python::emit(spec)? },
        File { path: "generated/messageu.ksy", content: kaitai::emit(spec, kaitai::Part::Modern) },
        File {
            path: "generated/messageu_classic_le.ksy",
            content: kaitai::emit(spec, kaitai::Part::ClassicLittle),
        },
        File {
            path: "generated/messageu_classic_be.ksy",
            content: kaitai::emit(spec, kaitai::Part::ClassicBig),
        },
    ])
}
