//! What an attacker would do, and gets: end to end, with a real server and real clients. README.md has the table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod authenticity;
mod files;
mod forward_secrecy;
mod harness;
mod man_in_the_middle;
mod queue;
mod registration;
mod replay;
mod secrecy;
mod separation;
mod server_knows_nothing;
mod table;
mod tampering;

// What other crates' tests have of a peer that keeps to no rule, and of a thief.
#[path = "../../../server/tests/support/modern.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod modern;
#[path = "../../../envelope/tests/common/primitives.rs"]
#[allow(dead_code, unreachable_pub, reason = "others use the rest")]
mod primitives;
#[path = "../../../envelope/tests/common/thief.rs"]
#[allow(dead_code, unreachable_pub, reason = "others use the rest")]
mod thief;
#[path = "../../../server/tests/support/tls.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod tls;
#[path = "../../../server/tests/support/values.rs"]
mod values;
