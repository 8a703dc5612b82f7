//! Bytes that differ from what belongs there, field by field.

use std::fmt::Write as _;

use messageu_wire::dialect::{Dialect, HeaderLayout};
use messageu_wire::fields::{CLIENT_ID_SIZE, NAME_FIELD_SIZE, PUBLIC_KEY_SIZE};
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operation::pull_messages::EntryLayout;
use messageu_wire::operations::{Operation, REFUSAL_CODE, Response};

use crate::outcome::Difference;

/// Most bytes of a field that are shown.
const SHOWN: usize = 32;

/// The fields of a response, in their order: names and sizes.
#[must_use]
pub fn fields(
    dialect: Dialect,
    operation: Operation,
    response: Option<&Response>,
) -> Vec<(&'static str, usize)> {
    let profile = dialect.profile;
    let mut fields = match profile.header {
        HeaderLayout::Packed => vec![("version", 1), ("code", 2), ("size", 4)],
        HeaderLayout::Aligned => vec![("version", 1), ("gap", 1), ("code", 2), ("size", 4)],
    };
    let code = match response {
        Some(_) => operation.codes(dialect.family).map_or(REFUSAL_CODE, |codes| codes.response),
        None => REFUSAL_CODE,
    };
    if profile.echoes_asker(code) {
        fields.push(("asker, uncounted", CLIENT_ID_SIZE));
    }
    match response {
        None | Some(Response::DeleteClient(_)) => {}
        Some(Response::Register(_)) => fields.push(("client id", CLIENT_ID_SIZE)),
        Some(Response::ListClients(list)) => {
            fields.extend(
                list.clients.iter().flat_map(|_| [("client id", CLIENT_ID_SIZE), ("name", NAME_FIELD_SIZE)]),
            );
        }
        Some(Response::FetchKey(_)) => {
            match profile.key {
                KeyLayout::OwnersId => fields.push(("the owner's id", CLIENT_ID_SIZE)),
                KeyLayout::AskersId => fields.push(("the asker's id", CLIENT_ID_SIZE)),
                KeyLayout::Bare => {}
            }
            fields.push(("public key", PUBLIC_KEY_SIZE));
        }
        Some(Response::SendMessage(_)) => fields.extend([("to", CLIENT_ID_SIZE), ("message id", 4)]),
        Some(Response::PullMessages(pull)) => {
            for message in &pull.messages {
                fields.push(("from", CLIENT_ID_SIZE));
                match profile.entry {
                    EntryLayout::Packed => fields.extend([("message id", 4), ("type", 1)]),
                    EntryLayout::Aligned => fields.extend([("message id", 4), ("type", 1), ("gap", 3)]),
                    EntryLayout::NoMessageId => fields.push(("type", 1)),
                }
                fields.extend([("content size", 4), ("content", message.content.len())]);
            }
        }
    }
    fields
}

/// A difference for people: a line a field, those marked that differ.
#[must_use]
pub fn annotate(difference: &Difference) -> String {
    let Difference { expected, found, fields } = difference;
    let mut text = String::new();
    let mut at = 0;
    let whole = fields.iter().map(|(_, size)| size).sum::<usize>();
    let rest = expected.len().max(found.len()).saturating_sub(whole);
    let behind = [("behind it", rest)];
    let all = fields.iter().chain(behind.iter().filter(|(_, size)| *size > 0));
    for (name, size) in all {
        let part = |bytes: &[u8]| {
            let from = at.min(bytes.len());
            bytes.get(from..(at + size).min(bytes.len())).unwrap_or_default().to_vec()
        };
        let (wanted, came) = (part(expected), part(found));
        if wanted.is_empty() && came.is_empty() {
            at += size;
            continue;
        }
        let from = wanted.iter().zip(&came).position(|(wanted, came)| wanted != came);
        let from = from.unwrap_or(wanted.len().min(came.len()));
        if wanted == came {
            let _ = writeln!(text, "  {at:>6}  {name:<16}   {}", hex(&wanted, 0));
        } else {
            let _ = writeln!(text, "  {at:>6}  {name:<16} - {}", hex(&wanted, from));
            let _ = writeln!(text, "  {at:>6}  {name:<16} + {}", hex(&came, from));
        }
        at += size;
    }
    text
}

/// Some bytes as digits, those around `at` among them.
fn hex(bytes: &[u8], at: usize) -> String {
    let begin = if at < SHOWN { 0 } else { at - SHOWN / 2 };
    let shown = bytes.get(begin..).unwrap_or_default();
    let mut text = String::new();
    if begin > 0 {
        let _ = write!(text, "({begin} bytes) ");
    }
    shown.iter().take(SHOWN).for_each(|byte| {
        let _ = write!(text, "{byte:02x}");
    });
    if shown.len() > SHOWN {
        let _ = write!(text, " ({} more)", shown.len() - SHOWN);
    }
    if bytes.is_empty() {
        text.push_str("nothing");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::annotate;
    use crate::outcome::Difference;

    #[test]
    fn a_difference_names_the_field_that_differs() {
        let fields = vec![("version", 1), ("code", 2), ("size", 4)];
        let difference = Difference {
            expected: vec![2, 0x28, 0x23, 0, 0, 0, 0],
            found: vec![2, 0x28, 0x23, 1, 0, 0, 0, 9],
            fields,
        };
        let text = annotate(&difference);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "0  version            02",
                "1  code               2823",
                "3  size             - 00000000",
                "3  size             + 01000000",
                "7  behind it        - nothing",
                "7  behind it        + 09",
            ]
        );
    }
}
