//! The program `messageu`.
#![forbid(unsafe_code)]

mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    ui::cli::main()
}
