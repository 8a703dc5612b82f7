//! Any bytes, to a client. What is asserted: `check_response_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_proptests::target::parse_response(input));
