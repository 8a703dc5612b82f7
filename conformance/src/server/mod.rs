//! The kit as a client: a black box test of servers.

mod case;
pub mod cases;
mod link;
mod run;
mod stage;

pub use case::{Case, Category};
pub use run::{Finding, Report, Target, Verdict, run};
