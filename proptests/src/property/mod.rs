//! The properties: each takes bytes or values, and panics where what it names does not hold.

mod account_export;
mod damage;
mod end_to_end;
mod envelope;
mod field;
mod identity_file;
mod import;
mod key_file;
mod modern;
mod modern_connection;
mod modern_session;
mod request;
mod response;
mod sealed;
mod sealed_key_file;
mod session;
mod stream;

pub use account_export::{check_any_account_export, true_account_export};
pub use damage::{
    check_request_changes, check_request_cut_in_two, check_request_extension, check_response_changes,
    check_response_cut_in_two, check_response_extension,
};
pub use end_to_end::{
    check_any_bundle, check_any_file, check_any_init, check_any_msg, check_any_offer, check_any_ratchet,
    stored_session, true_bundle, true_inits, true_manifest, true_msgs, true_offer,
};
pub use envelope::{check_any_envelope, key_pair_der};
pub use field::{check_client_id, check_id_text, check_name, check_name_field};
pub use identity_file::{check_identity_bytes, check_identity_file};
pub use import::{check_any_import, true_database};
pub use key_file::check_any_key_file;
pub use modern::{
    End, REFUSAL, REQUEST, RESPONSE, Recode, check_any_frames, check_frame_bytes, check_frame_changes,
    check_frame_cuts, check_frames, check_modern_payload, check_payload_ends,
};
pub use modern_connection::check_any_connections;
pub use modern_session::{check_any_modern_session, check_modern_session};
pub use request::{
    check_conversation, check_declared_size, check_recognition, check_request, check_request_bytes,
    check_request_cuts, check_request_payload, check_request_split, check_zeros_between,
};
pub use response::{check_response, check_response_bytes, check_response_cuts, check_response_payload};
pub use sealed::{check_bit_flips, check_seal, check_sealed_bytes, check_wrapped_flips};
pub use sealed_key_file::{check_any_sealed_key_file, true_key_file};
pub use session::check_any_session;
pub use stream::check_any_stream;
