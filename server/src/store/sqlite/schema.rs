//! Whose file it is, and bringing its tables up to date.

use rusqlite::types::FromSql;
use rusqlite::{Connection, TransactionBehavior};

use super::OpenProblem;

/// Marks a file as ours: "MsgU".
pub(crate) const APPLICATION_ID: i32 = 0x4d73_6755;

/// What was done to the tables over time, oldest first; `user_version` counts those that a file has behind it.
///
/// Add to the end, never edit. Each may run again when a table went missing, so it creates only what is not there.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../../migrations/001_initial.sql"),
    include_str!("../../../migrations/002_queue.sql"),
    include_str!("../../../migrations/003_times.sql"),
    include_str!("../../../migrations/004_modern.sql"),
];

/// All tables that the migrations make.
const TABLES: [&str; 23] = [
    "clients",
    "messages",
    "uploads",
    "chunks",
    "imports",
    "queue",
    "queue_end",
    "times",
    "modern_accounts",
    "modern_one_time_keys",
    "modern_successions",
    "modern_messages",
    "modern_queue",
    "modern_queue_end",
    "modern_contents",
    "modern_doomed",
    "modern_taken",
    "modern_files",
    "modern_chunks",
    "modern_registrations",
    "modern_codes",
    "modern_claims",
    "modern_times",
];

/// Refuses a file that is not ours to write to, before anything in it is changed.
pub(super) fn check_owner(connection: &Connection) -> Result<(), OpenProblem> {
    let application: i32 = pragma(connection, "application_id")?;
    if application == APPLICATION_ID {
        let found: usize = pragma(connection, "user_version")?;
        if found > MIGRATIONS.len() {
            return Err(OpenProblem::Newer { found, known: MIGRATIONS.len() });
        }
        return Ok(());
    }
    if has_table(connection, "clients")? || has_table(connection, "messages")? {
        return Err(OpenProblem::Classic);
    }
    let tables: u64 = connection.query_one("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && tables == 0 { Ok(()) } else { Err(OpenProblem::Foreign) }
}

/// Applies the migrations that the file does not have behind it, all of them if a table is missing.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut applied: usize = pragma(&transaction, "user_version")?;
    for table in TABLES {
        if !has_table(&transaction, table)? {
            applied = 0;
        }
    }
    for migration in MIGRATIONS.iter().skip(applied) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()
}

/// Whether there is such a table, its name in any case.
pub(crate) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_one(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)",
        [name],
        |row| row.get(0),
    )
}

/// The value of a setting that is kept in the file.
pub(crate) fn pragma<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
