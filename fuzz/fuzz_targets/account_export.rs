//! What is asserted: `messageu_proptests::target::ACCOUNT_EXPORT`.
#![no_main]

use messageu_proptests::target::ACCOUNT_EXPORT;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&ACCOUNT_EXPORT, input));
