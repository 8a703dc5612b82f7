//! What is asserted: `messageu_proptests::target::SERVER_SESSION`.
#![no_main]

use messageu_proptests::target::SERVER_SESSION;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&SERVER_SESSION, input));
