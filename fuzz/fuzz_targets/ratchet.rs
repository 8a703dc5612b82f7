//! What is asserted: `messageu_proptests::target::RATCHET`.
#![no_main]

use messageu_proptests::target::RATCHET;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&RATCHET, input));
