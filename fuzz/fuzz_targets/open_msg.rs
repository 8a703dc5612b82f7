//! What is asserted: `messageu_proptests::target::OPEN_MSG`.
#![no_main]

use messageu_proptests::target::OPEN_MSG;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&OPEN_MSG, input));
