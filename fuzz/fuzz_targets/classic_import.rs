//! What is asserted: `messageu_proptests::target::CLASSIC_IMPORT`.
#![no_main]

use messageu_proptests::target::CLASSIC_IMPORT;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&CLASSIC_IMPORT, input));
