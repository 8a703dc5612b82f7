//! What is asserted: `messageu_proptests::target::SEALED_KEY_FILE`.
#![no_main]

use messageu_proptests::target::SEALED_KEY_FILE;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&SEALED_KEY_FILE, input));
