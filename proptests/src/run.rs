//! How tests run a property.

use std::panic::Location;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestError, TestRunner};

/// Milliseconds in which a case that fails is made smaller: some take a second each.
const SHRINKING: u32 = 30_000;

/// Runs a property for this many values, times `MESSAGEU_TEST_TIMES` if that is set; or for as many as `PROPTEST_CASES` says.
///
/// What fails is kept beside the tests, and tried first from then on.
///
/// # Panics
/// When the property does not hold, with the smallest value found for which it does not, or when a variable is no number.
#[track_caller]
pub fn check<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value)) {
    let times = std::env::var("MESSAGEU_TEST_TIMES")
        .map_or(1, |times| times.parse().expect("how many times as many"));
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if is_set { Config::default().cases } else { cases.saturating_mul(times) };
    let config = Config {
        cases,
        max_shrink_iters: 1024,
        max_shrink_time: SHRINKING,
        source_file: Some(Location::caller().file()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        property(value);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => panic!("{reason}\nminimal: {value:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
