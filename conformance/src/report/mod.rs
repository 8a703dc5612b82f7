//! What a run came to, for people and for programs.

pub mod human;
pub mod json;
pub mod junit;
