//! Each vector of `codec/` is judged by the wire as it says, and written again to the same bytes if it is accepted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use std::collections::{BTreeSet, HashMap};

use messageu_vectors::codec::{CodecFile, Expectation, Fields, Reading, Source, Stage, codec_files};
use messageu_vectors::{Hex, codec};
use messageu_wire::dialect::Dialect;
use messageu_wire::operations::Operation;
use serde_json::to_value;

fn operation(name: &str) -> Operation {
    *Operation::ALL.iter().find(|operation| operation.name() == name).unwrap()
}

#[test]
fn each_is_judged_as_it_says() {
    for file in codec_files() {
        for (vector, bytes) in file.with_bytes() {
            let found = vector.read.of(&file.dialect, &bytes);
            assert_eq!(to_value(found).unwrap(), to_value(&vector.expect).unwrap(), "{}", vector.id);
        }
    }
}

#[test]
fn what_is_accepted_is_written_to_the_same_bytes() {
    let mut count = 0;
    for file in codec_files().iter().filter(|file| file.dialect != "3") {
        let dialect: Dialect = file.dialect.parse().unwrap();
        for (vector, bytes) in file.with_bytes() {
            let Expectation::Accept { fields } = &vector.expect else { continue };
            let written = match (&vector.read, fields) {
                (Reading::Request(name), Fields::Request(fields)) => fields.encode(dialect, operation(name)),
                (Reading::Response { operation: name, asker }, Fields::Response(fields)) => {
                    fields.encode(dialect, operation(name), asker.as_ref().unwrap().client_id())
                }
                _ => continue,
            };
            assert_eq!(Hex(written), Hex(bytes), "{}", vector.id);
            count += 1;
        }
    }
    assert!(count > 300, "{count}");
}

/// What a negative vector is a patch of.
fn base<'a>(file: &'a CodecFile, patched: &codec::Patched) -> &'a codec::CodecVector {
    file.vectors.iter().find(|vector| vector.id == patched.base).unwrap()
}

#[test]
fn a_fault_is_a_patch_on_what_is_accepted() {
    for file in codec_files() {
        for vector in &file.vectors {
            match (&vector.bytes, &vector.expect) {
                (Source::Patched(patched), _) => {
                    let base = base(&file, patched);
                    assert!(matches!(base.bytes, Source::Whole(_)), "{}", vector.id);
                    assert!(matches!(base.expect, Expectation::Accept { .. }), "{}", vector.id);
                    assert_eq!(base.read, vector.read, "{}", vector.id);
                }
                (Source::Whole(_), expect) => {
                    assert!(matches!(expect, Expectation::Accept { .. }), "{}", vector.id);
                }
            }
        }
    }
}

#[test]
fn there_are_six_hundred_at_least_half_of_them_negative() {
    let mut ids = BTreeSet::new();
    let mut stages: HashMap<Stage, usize> = HashMap::new();
    let (mut accepted, mut negative, mut waits) = (0, 0, 0);
    for file in codec_files() {
        for vector in file.vectors {
            assert!(!vector.requirements.is_empty(), "{}", vector.id);
            match &vector.expect {
                Expectation::Accept { .. } => accepted += 1,
                Expectation::Wait => waits += 1,
                Expectation::Reject { stage, .. } => {
                    negative += 1;
                    *stages.entry(*stage).or_default() += 1;
                }
            }
            assert!(ids.insert(vector.id));
        }
    }
    println!(
        "figure: {} codec vectors: {accepted} accepted, {negative} rejected, {waits} not whole",
        ids.len()
    );
    assert!(ids.len() >= 600 && 2 * (negative + waits) >= ids.len(), "{accepted} {negative} {waits}");
    assert_eq!(stages.len(), 5, "{stages:?}");
}

#[test]
fn the_rules_that_they_name_are_in_the_specification() {
    let specification = include_str!("../../spec.md");
    for file in codec_files() {
        for vector in file.vectors {
            for rule in vector.requirements {
                assert!(specification.contains(&format!("[{rule}]")), "{}: {rule}", vector.id);
            }
        }
    }
}
