//! The conformance kit of MessageU: it looks at somebody else's program from outside, by what crosses the wire and
//! nothing else, and says which requirements of spec.md it breaks.
//!
//! Begin with [`server::cases`]: the table of all cases.
#![forbid(unsafe_code)]

pub mod cli;
pub mod codec;
pub mod difference;
pub mod outcome;
pub mod pcap;
pub mod report;
pub mod server;
pub mod spec;
pub mod tape;
