//! What users of version 3 send each other: bundles, INIT, MSG, OFFER, sessions with everything that a network and a thief do, files.
//!
//! Any bytes, true ones that were changed, and contents that were changed before they were sealed. RSA takes as long as
//! a thousand other executions: keys and envelopes are made once, and what needs a private key is done rarely.

mod bundle;
mod file;
mod init;
mod msg;
mod offer;
mod ratchet;
mod ratchet_model;
pub(super) mod users;

pub use bundle::{check_any_bundle, true_bundle};
pub use file::{check_any_file, true_manifest};
pub use init::{check_any_init, true_inits};
pub use msg::{check_any_msg, true_msgs};
pub use offer::{check_any_offer, true_offer};
pub use ratchet::{check_any_ratchet, stored_session};
