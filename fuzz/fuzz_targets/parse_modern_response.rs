//! What is asserted: `messageu_proptests::target::PARSE_MODERN_RESPONSE`.
#![no_main]

use messageu_proptests::target::PARSE_MODERN_RESPONSE;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&PARSE_MODERN_RESPONSE, input));
