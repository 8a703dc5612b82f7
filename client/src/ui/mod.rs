//! What people and scripts see. Only here anything is printed.

pub(crate) mod cli;
mod input;
mod menu;
mod modern;
mod output;
mod progress;
mod render;
