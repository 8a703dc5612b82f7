//! What spec.md requires, against its matrix: every rule has an id, a row, tests that are there, and vectors that are
//! there or a reason why it has none.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

pub use sources::{Tests, workspace};

/// Words that bind, in capitals.
const BINDING: [&str; 4] = ["MUST", "SHALL", "REQUIRED", "SHOULD"];
/// The section that says what these words mean.
const MEANING: &str = "1.1";
/// Who a rule can bind.
const BOUND: [&str; 4] = ["server", "client", "both", "peer"];
const MARKER: &str = "<!-- table: requirements -->";
/// How a cell says that a rule is without a test.
const UNTESTED: &str = "none yet";
const UNTESTED_COUNT: &str = "Rules without a test: ";
/// Vectors that name the rules that they are about.
const NAMING_RULES: &str = "vectors/codec";
/// The tests of this check, which cite rules of specifications that they make.
const EXAMPLES: &str = "xtask/tests/matrix.rs";

/// A line of a document that is neither in a block of code nor empty, with its number and its section.
struct Line<'a> {
    number: usize,
    section: &'a str,
    text: &'a str,
}

/// The lines of a document outside its blocks of code.
fn prose(text: &str) -> Vec<Line<'_>> {
    let (mut inside, mut section, mut lines) = (false, "", Vec::new());
    for (at, text) in text.lines().enumerate() {
        if text.starts_with("```") {
            inside = !inside;
        } else if !inside && !text.is_empty() {
            section = heading(text).unwrap_or(section);
            lines.push(Line { number: at + 1, section, text });
        }
    }
    lines
}

/// The number of the section that a line opens.
fn heading(line: &str) -> Option<&str> {
    let (number, _) = line.strip_prefix("##")?.trim_start_matches('#').trim_start().split_once(' ')?;
    number.chars().all(|letter| letter.is_ascii_digit() || letter == '.').then_some(number)
}

/// All sections of a document, and those that have an example: a block that is neither Python nor notation.
fn sections(text: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut inside, mut section) = (false, "");
    let (mut all, mut with_example) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(opened) = line.strip_prefix("```") {
            inside = !inside;
            if inside && ["session", "given", "hex", "identity"].iter().any(|kind| opened.starts_with(kind)) {
                with_example.insert(section);
            }
        } else if let Some(number) = heading(line).filter(|_| !inside) {
            section = number;
            all.insert(number);
        }
    }
    (all, with_example)
}

/// The ids that are named in a line, as `FRAME-3`, in brackets or not.
fn cited(line: &str) -> impl Iterator<Item = &str> {
    line.split("REQ-").skip(1).filter_map(|behind| {
        let end = behind.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
        let id = behind.get(..end.unwrap_or(behind.len()))?;
        let is_id = |(group, number): (&str, &str)| !group.is_empty() && number.parse::<u32>().is_ok();
        // `REQ-…` alone speaks of ids, not of one.
        id.split_once('-').is_some_and(is_id).then_some(id)
    })
}

/// The numbers behind the word *section* in a line, but for those of an RFC.
fn sections_cited(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let lower = line.to_ascii_lowercase();
    for (at, word) in lower.match_indices("section") {
        let before = line.get(..at).unwrap_or_default();
        if before.split_whitespace().rev().nth(1).is_some_and(|word| word.ends_with("RFC")) {
            continue;
        }
        let behind = line.get(at + word.len()..).unwrap_or_default();
        for word in behind.strip_prefix('s').unwrap_or(behind).split_whitespace() {
            let number = word.trim_end_matches(|letter: char| !letter.is_ascii_digit());
            let end = word.get(number.len()..).unwrap_or_default();
            if !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
                found.push(number);
                if !matches!(end, "" | ",") {
                    break;
                }
            } else if !matches!(word, "to" | "and") {
                break;
            }
        }
    }
    found
}

/// The rules of a specification, each with the line that begins it; and what is wrong with how they stand there.
fn rules<'a>(spec: &'a str, faults: &mut Vec<String>) -> BTreeMap<&'a str, usize> {
    let mut rules = BTreeMap::new();
    let mut inside_rule = false;
    for Line { number, section, text } in prose(spec) {
        if let Some(behind) = text.strip_prefix("- [REQ-") {
            let id = behind.split(']').next().unwrap_or_default();
            if let Some(first) = rules.insert(id, number) {
                faults.push(format!("line {number}: REQ-{id} stands in line {first} already"));
            }
            inside_rule = true;
        } else if !text.starts_with("  ") {
            inside_rule = false;
        }
        let binding = text.split(|letter: char| !letter.is_alphabetic()).find(|word| BINDING.contains(word));
        if let Some(word) = binding.filter(|_| !inside_rule && section != MEANING) {
            faults.push(format!("line {number}: {word} without an id"));
        }
    }
    rules
}

/// The rows of the matrix, with their lines: four cells each.
fn rows<'a>(spec: &'a str, faults: &mut Vec<String>) -> Vec<(usize, [&'a str; 4])> {
    let lines = spec.lines().zip(1..).skip_while(|(line, _)| *line != MARKER).skip(1);
    let table = lines.take_while(|(line, _)| line.starts_with('|')).skip(2);
    let rows = table.filter_map(|(line, number)| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let cells = <[&str; 4]>::try_from(cells);
        if cells.is_err() {
            faults.push(format!("line {number}: a row of the matrix has four cells"));
        }
        Some((number, cells.ok()?))
    });
    rows.collect()
}

/// What a cell names between back quotes.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(", ")
        .map(|name| name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name))
}

/// What is wrong with the rules of a specification and with its matrix; `has` says whether the repository has a file or
/// folder with a vector for a rule.
#[must_use]
pub fn faults(spec: &str, tests: &Tests, has: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    let rules = rules(spec, &mut faults);
    let rows = rows(spec, &mut faults);
    let (_, with_example) = sections(spec);
    let (mut seen, mut untested) = (BTreeSet::new(), 0);
    for (number, [id, who, by, vectors]) in rows {
        let mut fault = |what: String| faults.push(format!("line {number}: {id}: {what}"));
        match id.strip_prefix("REQ-") {
            Some(id) if !rules.contains_key(id) => fault("no rule has this id".into()),
            Some(id) if !seen.insert(id) => fault("a second row".into()),
            Some(_) => {}
            None => fault("this is no id".into()),
        }
        if !BOUND.contains(&who) {
            fault(format!("`{who}` is none of {}", BOUND.join(", ")));
        }
        if by == UNTESTED {
            untested += 1;
        } else {
            named(by).filter_map(|name| tests.why_not_one(name)).for_each(&mut fault);
        }
        match vectors.strip_prefix("none: ") {
            Some(reason) if reason.len() > 3 => {}
            Some(_) => fault("no reason why it has no vector".into()),
            None => {
                for place in named(vectors) {
                    let there = match place.strip_prefix("section ") {
                        Some(section) => with_example.contains(section),
                        None => place.starts_with("vectors/") && has(place, id),
                    };
                    if !there {
                        fault(format!("no vector for it and no section with an example is `{place}`"));
                    }
                }
            }
        }
    }
    for (id, line) in rules.iter().filter(|(id, _)| !seen.contains(*id)) {
        faults.push(format!("line {line}: REQ-{id} has no row in the matrix"));
    }
    let said = spec.split_once(UNTESTED_COUNT).and_then(|(_, behind)| behind.split('.').next());
    if said != Some(untested.to_string().as_str()) {
        faults.push(format!("{untested} rules are without a test, and the text says {said:?}"));
    }
    faults
}

/// What of a specification others can cite.
#[derive(Debug)]
pub struct Citable<'a> {
    rules: BTreeMap<&'a str, usize>,
    sections: BTreeSet<&'a str>,
}

impl<'a> Citable<'a> {
    /// The rules and sections of this specification.
    #[must_use]
    pub fn of(spec: &'a str) -> Self {
        Self { rules: rules(spec, &mut Vec::new()), sections: sections(spec).0 }
    }

    /// The rules and sections that a document cites and that are not there.
    #[must_use]
    pub fn missing_for(&self, document: &str) -> Vec<String> {
        let mut missing = Vec::new();
        for (number, line) in (1..).zip(document.lines()) {
            let ids = cited(line).filter(|id| !self.rules.contains_key(id)).map(|id| format!("REQ-{id}"));
            let sections =
                sections_cited(line).into_iter().filter(|section| !self.sections.contains(section));
            let both = ids.chain(sections.map(|section| format!("section {section}")));
            missing.extend(both.map(|what| format!("line {number}: {what} is not in spec.md")));
        }
        missing
    }
}

/// What is wrong with the specification of this workspace, its matrix, and what the workspace cites of it.
///
/// # Errors
/// When a file cannot be read.
pub fn faults_here(root: &Path) -> Result<Vec<String>> {
    let files = workspace(root)?;
    let spec = files.get("spec.md").context("there is no spec.md")?;
    // Where vectors name their rules, one has to name this one.
    let has = |place: &str, rule: &str| match place.strip_prefix(NAMING_RULES) {
        Some(_) => {
            let name = format!("\"{rule}\"");
            files.iter().any(|(path, text)| path.starts_with(place) && text.contains(&name))
        }
        None => root.join(place).exists(),
    };
    let own = faults(spec, &Tests::of(&files), has).into_iter().map(|fault| ("spec.md", fault));
    let citable = Citable::of(spec);
    let documents = files.iter().filter(|(path, _)| *path != EXAMPLES);
    let missing = documents.flat_map(|(path, text)| {
        citable.missing_for(text).into_iter().map(move |what| (path.as_str(), what))
    });
    Ok(own.chain(missing).map(|(path, fault)| format!("{path}: {fault}")).collect())
}
