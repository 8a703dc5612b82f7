//! What is asserted: `messageu_proptests::target::FILE_STREAM`.
#![no_main]

use messageu_proptests::target::FILE_STREAM;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&FILE_STREAM, input));
