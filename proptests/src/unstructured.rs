//! Values of the wire's own types out of a fuzzer's bytes: any bytes make one, and those near make one near.

use arbitrary::{Arbitrary, Result, Unstructured};
use messageu_wire::dialect::Dialect;
use messageu_wire::fields::ClientId;
use messageu_wire::operation::pull_messages::{EntryHead, Message};
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations;
use messageu_wire::operations::{Operation, Request, Response};

use crate::speech::Speech;

/// One of these, as a byte chooses it; there are some, and no more than a byte can choose from.
pub fn choose<T, I: Iterator<Item = T>>(all: impl Fn() -> I, byte: u8) -> T {
    let count = all().count();
    assert!((1..=256).contains(&count), "a byte cannot choose from {count}");
    all().nth(usize::from(byte) % count).expect("one of them")
}

macro_rules! rows {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        fn request(operation: Operation, bytes: &mut Unstructured<'_>) -> Result<Request> {
            match operation {
                $(Operation::$operation => $module::Request::arbitrary(bytes).map(Request::from),)*
            }
        }

        fn plain_response(operation: Operation, bytes: &mut Unstructured<'_>) -> Result<Response> {
            match operation {
                $(Operation::$operation => $module::Response::arbitrary(bytes).map(Response::from),)*
            }
        }
    };
}

operations!(rows);

/// A request as a client sends it in a dialect.
pub fn speech(dialect: Dialect, bytes: &mut Unstructured<'_>) -> Result<Speech> {
    let spoken = || Operation::ALL.iter().filter(|operation| operation.codes(dialect.family).is_some());
    let operation = *choose(spoken, bytes.arbitrary()?);
    let version = 1 + u8::from(bytes.arbitrary::<bool>()?);
    let client_id = client_id(bytes)?;
    let request = request(operation, bytes)?;
    let content = match operation {
        Operation::SendMessage => content(bytes)?,
        _ => Vec::new(),
    };
    Ok(Speech::new(dialect, version, client_id, request, content))
}

/// A response of an operation.
pub fn response(operation: Operation, bytes: &mut Unstructured<'_>) -> Result<Response> {
    match operation {
        Operation::PullMessages => {
            let messages = (0..bytes.int_in_range(0..=3)?).map(|_| {
                let EntryHead { from, message_id, kind, .. } = bytes.arbitrary()?;
                Ok(Message { from, message_id, kind, content: content(bytes)? })
            });
            Ok(pull_messages::Response { messages: messages.collect::<Result<_>>()? }.into())
        }
        _ => plain_response(operation, bytes),
    }
}

/// An id: nobody's, one byte over and over, which may be printable, or any.
pub fn client_id(bytes: &mut Unstructured<'_>) -> Result<ClientId> {
    Ok(match bytes.arbitrary::<u8>()? {
        byte @ 0..0x80 => ClientId([byte; 16]),
        _ => bytes.arbitrary()?,
    })
}

/// A content: a few bytes stand for many, most are small, and some are near the sizes at which a dialect shows.
pub fn content(bytes: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let [size, more, seed] = bytes.arbitrary::<[u8; 3]>()?;
    let more = usize::from(more);
    let size = match size {
        0..=63 => 0,
        64..=223 => usize::from(size) - 63,
        224..=247 => 900 + 5 * more,
        248..=254 => 9_900 + more,
        255 => 65_300 + 5 * more,
    };
    Ok((0..size).map(|at| (at as u8).wrapping_mul(7) ^ seed).collect())
}

/// Writes a few bytes over others, or none; says whether any is another now.
pub fn change(target: &mut [u8], bytes: &mut Unstructured<'_>) -> Result<bool> {
    let mut changed = false;
    for _ in 0..bytes.int_in_range(0..=3)? {
        let (at, byte) = bytes.arbitrary::<(u16, u8)>()?;
        if let Some(size) = target.len().checked_sub(1) {
            let old = &mut target[usize::from(at).min(size)];
            changed |= *old != byte;
            *old = byte;
        }
    }
    Ok(changed)
}

/// Sizes of the pieces that a stream comes in; what is left behind them comes at once.
pub fn piece_sizes(bytes: &mut Unstructured<'_>) -> Result<[usize; 6]> {
    Ok(bytes.arbitrary::<[u8; 6]>()?.map(|size| match size {
        0..0xc0 => 1 + usize::from(size),
        _ => 32 * usize::from(size - 0xb0),
    }))
}
