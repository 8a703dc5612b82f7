//! README.md says what is tried, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};

const TWIN: &str = "_succeeds_against_the_classic_dialect";

/// The promises in the order of the table, each with the tests that attack it.
const PROMISES: &[(&str, &str)] = &[
    ("secrecy", include_str!("secrecy.rs")),
    ("authenticity", include_str!("authenticity.rs")),
    ("no man in the middle", include_str!("man_in_the_middle.rs")),
    ("forward secrecy and recovery", include_str!("forward_secrecy.rs")),
    ("delivery", include_str!("replay.rs")),
    ("nothing is tampered with", include_str!("tampering.rs")),
    ("the queue", include_str!("queue.rs")),
    ("registration codes", include_str!("registration.rs")),
    ("files", include_str!("files.rs")),
    ("separation of the dialects", include_str!("separation.rs")),
    ("the server knows nothing", include_str!("server_knows_nothing.rs")),
];

/// The sources of tests that are elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[
    ("envelope/tests/init.rs", include_str!("../../../envelope/tests/init.rs")),
    ("envelope/tests/session.rs", include_str!("../../../envelope/tests/session.rs")),
    ("envelope/tests/identity.rs", include_str!("../../../envelope/tests/identity.rs")),
    ("server/tests/modern_auth.rs", include_str!("../../../server/tests/modern_auth.rs")),
    ("server/tests/modern_hostile.rs", include_str!("../../../server/tests/modern_hostile.rs")),
    ("server/tests/modern_registration.rs", include_str!("../../../server/tests/modern_registration.rs")),
    ("server/tests/tls.rs", include_str!("../../../server/tests/tls.rs")),
    ("server/tests/canary.rs", include_str!("../../../server/tests/canary.rs")),
];

/// The names of the tests in a source.
fn tests(source: &str) -> BTreeSet<&str> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let after = lines.windows(2).filter(|pair| pair[0].starts_with("#[tokio::test") || pair[0] == "#[test]");
    let names = after.map(|pair| pair[1].trim_start_matches("async ").strip_prefix("fn ").unwrap());
    names.map(|name| name.split_once('(').unwrap().0).collect()
}

/// The rows of the tables: their cells.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = include_str!("README.md").lines().filter(|line| line.starts_with("| "));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// A cell that is a test's name.
fn name(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn the_table_has_the_tests_and_the_tests_are_at_least_sixty() {
    let mut told: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    let mut promise = "";
    for row in rows().into_iter().filter(|row| row.len() == 3) {
        if let Some(heading) = row[0].strip_prefix("**").and_then(|cell| cell.strip_suffix("**")) {
            promise = heading;
        } else if let Some(attack) = name(row[0]) {
            assert!(!row[1].is_empty() && !row[2].is_empty(), "{attack} does not say what comes of it");
            let before = told.entry(promise).or_default().insert(attack, row[2] == "succeeds");
            assert_eq!(before, None, "{attack} is told twice");
        }
    }
    let mut there: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for (promise, source) in PROMISES {
        let tests = tests(source);
        let attacks = tests.iter().filter(|test| !test.ends_with(TWIN));
        let attacks = attacks.map(|attack| (*attack, tests.contains(format!("{attack}{TWIN}").as_str())));
        there.insert(promise, attacks.collect());
        for twin in tests.iter().filter_map(|test| test.strip_suffix(TWIN)) {
            assert!(tests.contains(twin), "{twin} is tried against the classic dialect alone");
        }
    }
    assert_eq!(told, there);
    assert!(there.values().map(BTreeMap::len).sum::<usize>() >= 60);
}

#[test]
fn attacks_that_are_tests_elsewhere_are_there() {
    let mut found = 0;
    for row in rows().into_iter().filter(|row| row.len() == 2) {
        let (Some(attack), Some(path)) = (name(row[0]), name(row[1])) else { continue };
        let (_, source) = ELSEWHERE.iter().find(|(other, _)| *other == path).unwrap();
        assert!(tests(source).contains(attack), "{attack} is not in {path}");
        found += 1;
    }
    assert!(found >= ELSEWHERE.len(), "only {found}");
}
