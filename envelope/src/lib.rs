//! MessageU's end-to-end cryptography: seal and open, and the formats of the key files.
#![forbid(unsafe_code)]
