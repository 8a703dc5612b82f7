//! The machine's own limits, measured bare: what no server here can go beyond.

pub mod disk;
pub mod echo;
pub mod loopback;
pub mod sqlite;
