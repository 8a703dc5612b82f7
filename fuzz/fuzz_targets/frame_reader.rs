//! What is asserted: `messageu_proptests::target::FRAME_READER`.
#![no_main]

use messageu_proptests::target::FRAME_READER;

libfuzzer_sys::fuzz_target!(|input: &[u8]| messageu_fuzz::try_input(&FRAME_READER, input));
