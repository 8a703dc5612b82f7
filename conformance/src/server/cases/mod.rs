//! The table of all cases, a file a category.

mod blindness;
mod concurrency;
mod delivery;
mod dialects;
mod fields;
mod limits;
mod operations;
mod precedence;
mod segmentation;
mod states;
mod survival;
mod versions;

use super::case::Case;

/// All cases, by category.
const TABLE: [&[Case]; 12] = [
    // First, while few are registered: these look through many lists.
    dialects::CASES,
    segmentation::CASES,
    limits::CASES,
    versions::CASES,
    operations::CASES,
    fields::CASES,
    precedence::CASES,
    states::CASES,
    survival::CASES,
    delivery::CASES,
    concurrency::CASES,
    blindness::CASES,
];

/// All cases, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Case> {
    TABLE.into_iter().flatten()
}

/// The case of this name.
#[must_use]
pub fn named(id: &str) -> Option<&'static Case> {
    all().find(|case| case.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use messageu_wire::dialect::Dialect;

    use super::all;
    use crate::spec::requirement;

    #[test]
    fn each_case_has_a_name_of_its_own() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.id), "{} is there twice", case.id);
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(case.id.bytes().all(is_plain), "{}", case.id);
        }
    }

    #[test]
    fn each_case_names_requirements_that_there_are() {
        for case in all() {
            assert!(!case.requirements.is_empty(), "{} names none", case.id);
            for id in case.requirements {
                assert!(requirement(id).is_some(), "{} names {id}, which is not in spec.md", case.id);
            }
        }
    }

    #[test]
    fn each_case_has_a_dialect_to_be_tried_in() {
        for case in all() {
            assert!(Dialect::all().any(|dialect| case.applies_to(dialect)), "{}", case.id);
        }
    }
}
