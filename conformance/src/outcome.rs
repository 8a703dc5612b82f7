//! What becomes of a case.

/// What a step of a case gives, or why the case ends with it.
pub type Outcome<T = ()> = Result<T, Box<Failure>>;

/// What the program under test did that it must not do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What was seen, and what belongs there, in a sentence.
    pub what: String,
    /// The bytes that should have come, and those that did, where that is the difference.
    pub bytes: Option<Difference>,
}

/// Bytes that are not what they have to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What should have come.
    pub expected: Vec<u8>,
    /// What came.
    pub found: Vec<u8>,
    /// The parts of what should have come, in their order: name and size.
    pub fields: Vec<(&'static str, usize)>,
}

impl Failure {
    /// A failure that no bytes show.
    pub fn new(what: impl Into<String>) -> Box<Self> {
        Box::new(Self { what: what.into(), bytes: None })
    }
}

/// Ends the case, unless something holds.
///
/// # Errors
/// What is `otherwise` the matter.
pub fn need(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::new(otherwise())) }
}

/// Ends the case, unless two values are the same.
///
/// # Errors
/// Says what was found, and what belongs there.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    need(found == expected, || format!("{what}: found {}, expected {}", short(found), short(expected)))
}

/// A value as text of bounded size: a peer decides how large it is.
fn short(value: &impl std::fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    if text.len() > 400 {
        let end = (0..=400).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
