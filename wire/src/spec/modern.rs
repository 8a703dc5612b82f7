//! Version 3: its table, with the layouts of every row.

use super::{ByteOrder, Declarations, Modern, ModernOperation, Payload, WireSpec, hex, size};
use crate::modern::frame::{RequestHeader, ResponseHeader};
use crate::modern::limits::UNKNOWN_REQUEST_MAX;
use crate::modern::operation::{
    Payload as _, acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys,
    fetch_succession, hello, look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity,
    send_envelope, verify_registration,
};
use crate::modern::{Operation, Refusal, VERSION, transport};
use crate::operations::REFUSAL_CODE;

macro_rules! rows {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        fn operations(declarations: &mut Declarations) -> Vec<ModernOperation> {
            vec![$({
                let request = $module::Request::refer(declarations).name().to_owned();
                let response = $module::Response::refer(declarations).name().to_owned();
                row(Operation::$operation, request, response)
            }),*]
        }
    };
}

crate::operations!(rows);

fn row(operation: Operation, request: String, response: String) -> ModernOperation {
    let codes = operation.codes();
    ModernOperation {
        name: operation.name().into(),
        meaning: operation.meaning().into(),
        for_clients: operation.is_for_clients(),
        request: Payload { code: codes.request, r#type: request, max: size(operation.request_max()) },
        response: Payload { code: codes.response, r#type: response, max: size(operation.response_max()) },
    }
}

pub(super) fn modern(declarations: &mut Declarations) -> Modern {
    Modern {
        version: VERSION,
        byte_order: ByteOrder::Little,
        alpn: String::from_utf8_lossy(transport::ALPN).into_owned(),
        record_start: hex(&transport::RECORD_START),
        exporter_label: String::from_utf8_lossy(transport::EXPORTER_LABEL).into_owned(),
        request_header: RequestHeader::refer(declarations).name().to_owned(),
        response_header: ResponseHeader::refer(declarations).name().to_owned(),
        unknown_request_max: size(UNKNOWN_REQUEST_MAX),
        refusal: Payload {
            code: REFUSAL_CODE,
            r#type: Refusal::refer(declarations).name().to_owned(),
            max: size(Refusal::MAX_SIZE),
        },
        operations: operations(declarations),
    }
}
