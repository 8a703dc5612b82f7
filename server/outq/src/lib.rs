//! How many bytes of a TCP connection its peer has not acknowledged.
