//! What MessageU's server does in a second, beside what the machine and other systems do in the same run.
//!
//! [`scenario`] has what is measured, [`mod@reference`] the machine's own limits, [`peer`] other systems on the same job,
//! [`report`] what it all comes to.
#![forbid(unsafe_code)]
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "figures are floating point, and a bench that goes wrong should stop"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test should stop"))]

pub mod account;
pub mod bench;
pub mod load;
pub mod modern;
pub mod peer;
pub mod place;
pub mod process;
pub mod record;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod server;
pub mod statistics;
