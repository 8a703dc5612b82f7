//! What is asserted: `messageu_proptests::target::MODERN_CONNECTION`.
#![no_main]

use messageu_proptests::target::MODERN_CONNECTION;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&MODERN_CONNECTION, input));
