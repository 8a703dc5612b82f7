//! What is asserted: `messageu_proptests::target::KEY_FILES`.
#![no_main]

use messageu_proptests::target::KEY_FILES;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&KEY_FILES, input));
