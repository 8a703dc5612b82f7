//! What is asserted: `messageu_proptests::target::BUNDLE`.
#![no_main]

use messageu_proptests::target::BUNDLE;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&BUNDLE, input));
