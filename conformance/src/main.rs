//! The program `messageu-conformance`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    messageu_conformance::cli::main()
}
