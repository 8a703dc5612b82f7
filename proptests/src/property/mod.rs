//! The properties: each takes bytes or values, and panics where what it names does not hold.

mod field;
mod request;
mod response;

pub use field::{check_client_id, check_id_text, check_name, check_name_field};
pub use request::{
    check_conversation, check_declared_size, check_recognition, check_request, check_request_bytes,
    check_request_cuts, check_request_split, check_zeros_between,
};
pub use response::{check_response, check_response_bytes, check_response_cuts, check_response_payload};
