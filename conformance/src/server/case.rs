//! What a case is.

use std::fmt;

use messageu_wire::dialect::Dialect;

use super::stage::Stage;
use crate::outcome::Outcome;

/// What a case is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Category {
    /// Requests in pieces, several at once, and peers that take their time.
    Segmentation,
    /// Sizes, numbers, and abuse.
    Limits,
    /// Versions and codes that there are not.
    Versions,
    /// What each operation does.
    Operations,
    /// Each field with what does not belong in it.
    Fields,
    /// Input with several faults.
    Precedence,
    /// What may follow what.
    States,
    /// What comes after an error.
    Survival,
    /// Pulls that arrive, and pulls that do not.
    Delivery,
    /// Many at once.
    Concurrency,
    /// A server that only forwards.
    Blindness,
    /// Several dialects on one port.
    Dialects,
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Segmentation => "segmentation and slow peers",
            Self::Limits => "limits and abuse of resources",
            Self::Versions => "versions and unknown codes",
            Self::Operations => "each operation",
            Self::Fields => "each field, wrong",
            Self::Precedence => "precedence of errors",
            Self::States => "order of states",
            Self::Survival => "survival after an error",
            Self::Delivery => "delivery with lost acknowledgements",
            Self::Concurrency => "concurrency",
            Self::Blindness => "blindness of the server",
            Self::Dialects => "several dialects on one port",
        })
    }
}

/// One thing that a server has to do.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name: stable, and the only one of that name.
    pub id: &'static str,
    /// What it is about.
    pub category: Category,
    /// The requirements of spec.md that it holds a server to.
    pub requirements: &'static [&'static str],
    /// What a server does that passes.
    pub meaning: &'static str,
    /// Whether a server that fails it breaks something that binds it only under `--strict`: what SHOULD be.
    pub strict: bool,
    /// In which dialects there is something to try.
    pub(crate) applies: fn(Dialect) -> bool,
    /// Tries it.
    pub(crate) run: fn(&Stage) -> Outcome,
}

impl Case {
    /// Whether there is something to try in a dialect.
    #[must_use]
    pub fn applies_to(&self, dialect: Dialect) -> bool {
        (self.applies)(dialect)
    }

    /// A case of every dialect.
    pub(crate) const fn new(
        id: &'static str,
        category: Category,
        requirements: &'static [&'static str],
        meaning: &'static str,
        run: fn(&Stage) -> Outcome,
    ) -> Self {
        Self { id, category, requirements, meaning, strict: false, applies: |_| true, run }
    }

    /// The same, of some dialects.
    pub(crate) const fn when(mut self, applies: fn(Dialect) -> bool) -> Self {
        self.applies = applies;
        self
    }

    /// The same, under `--strict` alone.
    pub(crate) const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.id)
    }
}

/// Dialects whose servers keep a connection open.
pub(crate) fn stays_open(dialect: Dialect) -> bool {
    !dialect.profile.closes
}

/// Dialects whose servers close after each answer.
pub(crate) fn closes(dialect: Dialect) -> bool {
    dialect.profile.closes
}

/// Dialects in which the header of a send says its size.
pub(crate) fn sizes_sends(dialect: Dialect) -> bool {
    dialect.profile.fixed_send.is_none()
}

/// The same, where the connection stays open.
pub(crate) fn sizes_sends_and_stays_open(dialect: Dialect) -> bool {
    sizes_sends(dialect) && stays_open(dialect)
}

/// Dialects with ids as they are.
pub(crate) fn shows_ids(dialect: Dialect) -> bool {
    !dialect.profile.printable_ids
}
