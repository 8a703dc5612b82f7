//! What the server's database has of mail and files, value by value.

use std::path::Path;

use rusqlite::types::ValueRef;

/// Tables that are about accounts, in which their keys and numbers belong.
const ABOUT_ACCOUNTS: [&str; 5] = [
    "modern_accounts",
    "modern_one_time_keys",
    "modern_successions",
    "modern_registrations",
    "modern_claims",
];

/// How many values of mail and files there are, and how many of them have one of these in them.
pub(crate) fn values_with(data: &Path, secrets: &[&[u8]]) -> (usize, usize) {
    let database = rusqlite::Connection::open(data.join("messageu.db")).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'modern%'";
    let mut tables = database.prepare(tables).unwrap();
    let (mut looked_at, mut found) = (0, 0);
    for table in tables.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let table = table.unwrap();
        if ABOUT_ACCOUNTS.contains(&table.as_str()) {
            continue;
        }
        let mut select = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                if let ValueRef::Blob(bytes) = row.get_ref(column).unwrap() {
                    looked_at += 1;
                    let has = |secret: &&[u8]| bytes.windows(secret.len()).any(|window| window == *secret);
                    found += usize::from(secrets.iter().any(has));
                }
            }
        }
    }
    (looked_at, found)
}
