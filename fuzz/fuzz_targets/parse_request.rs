//! Any bytes, to a server. What is asserted: `check_request_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_proptests::target::parse_request(input));
