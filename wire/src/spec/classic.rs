//! The classic dialects: their table, profiles, and which profile has which layout.

use super::{
    ByteOrder, Classic, ClassicOperation, Declarations, Dialect, Family, FamilyCodes, Layout, Profile, Type,
    size,
};
use crate::dialect::{self, PADDING_BLOCK};
use crate::message::MessageType;
use crate::operation::{
    RequestPayload, ResponsePayload, delete_client, fetch_key, list_clients, pull_messages, register,
    send_message,
};
use crate::operations::{Operation, REFUSAL_CODE};

macro_rules! rows {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        fn operations(declarations: &mut Declarations) -> Vec<ClassicOperation> {
            vec![$({
                let operation = Operation::$operation;
                let request = layouts(operation, |profile| {
                    <$module::Request as RequestPayload>::layout(profile, declarations)
                });
                let response = layouts(operation, |profile| {
                    <$module::Response as ResponsePayload>::layout(profile, declarations)
                });
                let instead = <$module::Response as ResponsePayload>::instead(declarations);
                ClassicOperation {
                    name: operation.name().into(),
                    meaning: operation.meaning().into(),
                    codes: codes(operation),
                    request,
                    content_size: <$module::Request as RequestPayload>::CONTENT_SIZE.map(Into::into),
                    response,
                    response_instead: instead.iter().map(|layout| layout.name().to_owned()).collect(),
                }
            }),*]
        }
    };
}

crate::operations!(rows);

/// The layouts of an operation, with the profiles of each.
fn layouts(operation: Operation, mut of: impl FnMut(&dialect::Profile) -> Type) -> Vec<Layout> {
    let mut layouts: Vec<Layout> = Vec::new();
    let has_it = |profile: &&dialect::Profile| {
        profile.families.iter().any(|family| operation.codes(*family).is_some())
    };
    for profile in dialect::Profile::ALL.iter().filter(has_it) {
        let r#type = of(profile).name().to_owned();
        match layouts.iter_mut().find(|layout| layout.r#type == r#type) {
            Some(layout) => layout.profiles.push(profile.name.into()),
            None => layouts.push(Layout { r#type, profiles: vec![profile.name.into()] }),
        }
    }
    layouts
}

fn codes(operation: Operation) -> Vec<FamilyCodes> {
    let of_family = |family: dialect::Family| {
        let codes = operation.codes(family)?;
        Some(FamilyCodes { family: family.to_string(), request: codes.request, response: codes.response })
    };
    dialect::Family::ALL.into_iter().filter_map(of_family).collect()
}

fn profile(profile: &dialect::Profile) -> Profile {
    let version = |version| match profile.families {
        [family, ..] => {
            let profile = dialect::Profile::named(profile.name).unwrap_or(&dialect::Profile::CLASSIC);
            dialect::Dialect { family: *family, profile }.request_version(version)
        }
        [] => version,
    };
    // A type of 0 is written as what is added to it.
    let offset = |coding: dialect::TypeCoding| coding.to_wire(MessageType(0)).0;
    Profile {
        name: profile.name.into(),
        families: profile.families.iter().map(ToString::to_string).collect(),
        recognised_by: format!("{:?}", profile.recognised_by).to_lowercase(),
        byte_order: match profile.byte_order {
            dialect::ByteOrder::Little => ByteOrder::Little,
            dialect::ByteOrder::Big => ByteOrder::Big,
        },
        request_versions: vec![version(1), version(2)],
        answer_version: profile.answer_version,
        block: if profile.padded { PADDING_BLOCK } else { 1 },
        stray: size(profile.stray),
        fixed_send: profile.fixed_send,
        sent_type_offset: offset(profile.sent_types),
        pulled_type_offset: offset(profile.pulled_types),
        entry_counted: profile.entry_counted,
        printable_ids: profile.printable_ids,
        echoes: profile.echoes.to_vec(),
        closes: profile.closes,
        key_request_filler: profile.key_request_filler,
        deletable: profile.deletable,
        doc: super::constants::doc_of_profile(profile.name),
    }
}

pub(super) fn classic(declarations: &mut Declarations) -> Classic {
    let families = dialect::Family::ALL.iter().map(|family| Family {
        name: family.to_string(),
        code_size: if family.code_width() == 1 { 1 } else { 2 },
    });
    let dialects = dialect::Dialect::all().map(|dialect| Dialect {
        name: dialect.to_string(),
        family: dialect.family.to_string(),
        profile: dialect.profile.name.into(),
        request_header: dialect.profile.header.of_requests(dialect.family, declarations).name().into(),
        response_header: dialect.profile.header.of_responses(declarations).name().into(),
    });
    let dialects = dialects.collect();
    Classic {
        families: families.collect(),
        profiles: dialect::Profile::ALL.iter().map(profile).collect(),
        dialects,
        refusal: REFUSAL_CODE,
        operations: operations(declarations),
    }
}
