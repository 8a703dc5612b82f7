//! Nothing that decides on bytes is missing from `generated/wire.json`, and what it says of itself is consistent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use messageu_wire::spec::{Content, Counted, Field, Kind, Spec, Type};
use messageu_wire::{modern, operations};

/// Read by hand, and written where they are used instead of having a name.
const WITHOUT_NAME: [&str; 3] = ["AtMost", "BoundedBytes", "Envelope"];

fn committed() -> Spec {
    serde_json::from_str(include_str!("../../generated/wire.json")).unwrap()
}

/// The sources of the wire, with the paths of their modules.
fn sources() -> Vec<(String, String)> {
    fn add(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { add(&path, found) } else { found.push(path) }
        }
    }
    let root = xtask::root().join("wire/src");
    let mut found = Vec::new();
    add(&root, &mut found);
    let sources = found.iter().map(|path| {
        let module = path.strip_prefix(&root).unwrap().with_extension("");
        let module = module.to_str().unwrap().replace('/', "::");
        let module = module.strip_suffix("::mod").unwrap_or(&module).to_owned();
        (module, fs::read_to_string(path).unwrap())
    });
    sources.filter(|(module, _)| !module.starts_with("spec")).collect()
}

/// The name that follows `keyword` in a line.
fn name_after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
    let rest = rest.trim_start_matches("pub ").strip_prefix(keyword)?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|name| !name.is_empty())
}

#[test]
fn what_is_committed_is_what_the_declarations_make() {
    assert_eq!(xtask::stale().unwrap(), [], "run `cargo xtask spec`");
}

#[test]
fn every_type_that_binrw_reads_is_there() {
    let spec = committed();
    let there: BTreeSet<&str> = spec.types.iter().map(|declaration| declaration.rust.as_str()).collect();
    let mut count = 0;
    let mut is_there = |module: &str, name: &str| {
        let path = format!("{module}::{name}");
        assert!(there.contains(path.as_str()) || WITHOUT_NAME.contains(&name), "{path} is in no form");
        count += 1;
    };
    for (module, source) in sources() {
        let mut is_read = false;
        let mut in_fields = false;
        for line in source.lines() {
            let text = line.trim();
            if text == "#[binrw]" || (text.starts_with("#[derive(") && text.contains("BinRead")) {
                is_read = true;
            } else if let Some(name) = name_after(line, "struct ") {
                if is_read {
                    is_there(&module, name);
                }
                is_read = false;
            }
            // In the lists of fields, a line is one.
            match text {
                "bytes_fields! {" | "number_fields! {" => in_fields = true,
                "}" => in_fields = false,
                row if in_fields && !row.starts_with(['/', '#']) => {
                    is_there(&module, row.split(':').next().unwrap());
                }
                _ => {}
            }
            if let Some((_, name)) = text.split_once("BinRead for ")
                && text.starts_with("impl")
            {
                is_there(&module, name.split(['<', ' ']).next().unwrap());
            }
        }
    }
    assert!(count > 85, "{count}");
}

#[test]
fn every_operation_is_there() {
    let spec = committed();
    let modern: Vec<_> = spec.modern.operations.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(modern, modern::Operation::ALL.iter().map(|operation| operation.name()).collect::<Vec<_>>());
    let classic: Vec<_> = spec.classic.operations.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        classic,
        operations::Operation::ALL.iter().map(|operation| operation.name()).collect::<Vec<_>>()
    );
}

#[test]
fn every_named_value_is_there() {
    let spec = committed();
    let mut count = 0;
    for (module, source) in sources() {
        let mut of = "";
        for line in source.lines() {
            of = name_after(line, "impl ").unwrap_or(of);
            let Some(name) = name_after(line, "const ").filter(|_| line.contains(": Self = Self(")) else {
                continue;
            };
            let path = format!("{module}::{of}");
            let declared = spec.types.iter().find(|declaration| declaration.rust == path);
            if let Some(Kind::Integer(integer)) = declared.map(|declaration| &declaration.kind) {
                assert!(integer.values.iter().any(|value| value.name == name), "{path}::{name} is missing");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn every_limit_is_there() {
    let spec = committed();
    let mut count = 0;
    for (module, source) in sources() {
        for line in source.lines().filter(|line| line.starts_with("pub const ")) {
            let name = name_after(line, "const ").unwrap();
            let of = line.split(": ").nth(1).unwrap_or_default();
            if ["usize", "u64", "u32", "u16"].iter().any(|number| of.starts_with(number)) {
                let constant = spec.constants.iter().find(|constant| constant.name == name);
                assert!(constant.is_some(), "{module}::{name} is missing in wire/src/spec/constants.rs");
                count += 1;
            }
        }
    }
    assert_eq!(count, spec.constants.len());
    let without = spec.constants.iter().find(|constant| constant.doc.is_empty());
    assert_eq!(without, None, "what it is stands nowhere");
}

#[test]
fn names_are_of_one_type_each_and_of_one_that_is_there() {
    fn named<'a>(r#type: &'a Type, into: &mut Vec<&'a str>) {
        match r#type {
            Type::Named(named) => into.push(&named.name),
            Type::Repeated(item) => named(item, into),
            Type::Counted(Counted { of, .. }) => match of {
                Content::Items(item) => named(item, into),
                Content::Text(name) | Content::TextOrNone(name) => into.push(name),
                Content::BytesBeginningWith(beginning) => into.push(&beginning.name),
                Content::Bytes => {}
            },
            Type::Integer(_) | Type::Bytes(_) => {}
        }
    }
    let spec = committed();
    let names: Vec<_> = spec.types.iter().map(|declaration| declaration.name.as_str()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let mut used =
        vec![spec.modern.request_header.as_str(), &spec.modern.response_header, &spec.modern.refusal.r#type];
    for row in &spec.modern.operations {
        used.extend([row.request.r#type.as_str(), &row.response.r#type]);
    }
    for row in &spec.classic.operations {
        used.extend(row.request.iter().chain(&row.response).map(|layout| layout.r#type.as_str()));
        used.extend(row.response_instead.iter().map(String::as_str));
    }
    used.extend(spec.formats.iter().map(|format| format.r#type.as_str()));
    used.extend(spec.statements.iter().flat_map(|statement| statement.types.iter().map(String::as_str)));
    for declaration in &spec.types {
        if let Kind::Structure(structure) = &declaration.kind {
            structure.fields.iter().for_each(|field| named(&field.r#type, &mut used));
        }
    }
    let unknown: Vec<_> = used.iter().filter(|name| !names.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn offsets_in_comments_are_where_the_fields_are() {
    let spec = committed();
    let mut count = 0;
    for declaration in &spec.types {
        let Kind::Structure(structure) = &declaration.kind else { continue };
        for Field { name, doc, offset, size, .. } in &structure.fields {
            let Some((said, _)) = doc.split_once(": ") else { continue };
            let (from, to) = said.split_once(" to ").map_or((said, None), |(from, to)| (from, Some(to)));
            let Ok(from) = from.parse::<u64>() else { continue };
            assert_eq!(Some(from), *offset, "{}.{name}", declaration.name);
            if let Some(to) = to {
                assert_eq!(Some(to.parse::<u64>().unwrap() - from), size.max, "{}.{name}", declaration.name);
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn the_largest_payload_is_as_large_as_its_layout_lets_it_be() {
    let spec = committed();
    let rows = spec.modern.operations.iter();
    for payload in rows.flat_map(|row| [&row.request, &row.response]).chain([&spec.modern.refusal]) {
        let declaration = spec.types.iter().find(|declaration| declaration.name == payload.r#type).unwrap();
        // A list to the end of the payload is bounded by that alone.
        if let Some(max) = declaration.size.max {
            assert_eq!(max, payload.max, "{}", payload.r#type);
        }
        assert!(declaration.size.min <= payload.max, "{}", payload.r#type);
    }
}

#[test]
fn the_form_is_as_its_schema_says() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../generated/wire.schema.json")).unwrap();
    let form: serde_json::Value = serde_json::from_str(include_str!("../../generated/wire.json")).unwrap();
    // The schema is that of the type, and the type refuses what it does not name.
    assert_eq!(schema["required"].as_array().unwrap().len(), form.as_object().unwrap().len());
    let mut more = form;
    more["types"][0].as_object_mut().unwrap().insert("more".into(), 1.into());
    assert!(serde_json::from_value::<Spec>(more).is_err());
}

#[test]
fn every_field_says_what_it_is() {
    let spec = committed();
    for declaration in &spec.types {
        let Kind::Structure(structure) = &declaration.kind else { continue };
        for field in structure.fields.iter().filter(|field| !field.name.is_empty()) {
            assert!(!field.doc.is_empty(), "{}.{}", declaration.name, field.name);
        }
    }
}
