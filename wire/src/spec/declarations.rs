//! The types that were referred to so far.

use std::collections::BTreeMap;

use super::sizes::with_sizes;
use super::{Declaration, Kind, Named, SizeRange, Type, tidy};

/// The types that were referred to so far, by where they are declared.
#[derive(Debug, Default)]
pub struct Declarations {
    by_path: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    doc: String,
    /// `None` while it is being made.
    kind: Option<Kind>,
}

impl Declarations {
    /// A reference to the type that is declared at `path`, which `content` describes, unless it did already.
    pub fn declare(
        &mut self,
        path: &str,
        name: Option<&str>,
        doc: &str,
        content: impl FnOnce(&mut Self) -> Kind,
    ) -> Type {
        let path = path.strip_prefix("messageu_wire::").unwrap_or(path);
        let name = name.map_or_else(|| name_of(path), str::to_owned);
        if !self.by_path.contains_key(path) {
            let entry = Entry { name: name.clone(), doc: tidy(doc), kind: None };
            self.by_path.insert(path.to_owned(), entry);
            let kind = content(self);
            if let Some(entry) = self.by_path.get_mut(path) {
                entry.kind = Some(kind);
            }
        }
        Type::Named(Named { name, arguments: Vec::new() })
    }

    /// The fields of a structure that was declared.
    pub(crate) fn fields_of(&self, reference: &Type) -> Vec<super::Field> {
        let entry = self.by_path.values().find(|entry| entry.name == reference.name());
        match entry.and_then(|entry| entry.kind.as_ref()) {
            Some(Kind::Structure(structure)) => structure.fields.clone(),
            _ => Vec::new(),
        }
    }

    /// All of them, by name.
    pub(crate) fn finish(self) -> Vec<Declaration> {
        let declared = self.by_path.into_iter().filter_map(|(rust, entry)| {
            let Entry { name, doc, kind } = entry;
            Some(Declaration { name, rust, doc, size: SizeRange { min: 0, max: None }, kind: kind? })
        });
        let mut types: Vec<Declaration> = declared.collect();
        types.sort_by(|one, other| one.name.cmp(&other.name));
        with_sizes(&types)
    }
}

/// The name of what is declared at a path: its own, and for what an operation has of its own, the operation's before it.
fn name_of(path: &str) -> String {
    let mut parts = path.rsplit("::");
    let own = parts.next().unwrap_or_default();
    let module: String = parts.next().unwrap_or_default().split('_').map(capitalised).collect();
    if path.starts_with("modern::operation::") && matches!(own, "Request" | "Response") {
        format!("{module}{own}")
    } else if path.starts_with("operation::") || path.starts_with("dialect::") {
        format!("Classic{module}{own}")
    } else {
        own.to_owned()
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
