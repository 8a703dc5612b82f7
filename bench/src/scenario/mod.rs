//! What is measured of the server: a file a scenario.

pub mod compare;
pub mod file;
pub mod idle;
pub mod latency;
pub mod limits;
pub mod mix;
pub mod overload;
pub mod pull;
pub mod send;
