-- The queue and its clients. Each statement creates only what is missing: it runs again when a table went missing.

CREATE TABLE IF NOT EXISTS clients (
    -- The order of registration; never used twice, so that pages of the roster stay apart.
    Position  INTEGER PRIMARY KEY AUTOINCREMENT,
    ID        BLOB NOT NULL UNIQUE,    -- 16 bytes, of which the first 8 are unique too
    UserName  TEXT NOT NULL UNIQUE,    -- without a NUL
    PublicKey BLOB NOT NULL,           -- 160 bytes
    LastSeen  TEXT,                    -- 'YYYY-MM-DD HH:MM:SS' in UTC; NULL when unknown
    Profile   TEXT NOT NULL DEFAULT ''
);

CREATE TABLE IF NOT EXISTS messages (
    -- The sequence. AUTOINCREMENT, as a number must not come back after the newest message was deleted.
    ID         INTEGER PRIMARY KEY AUTOINCREMENT,
    ToClient   BLOB NOT NULL,
    FromClient BLOB NOT NULL,          -- may have been deleted since
    Type       INTEGER NOT NULL,
    Size       INTEGER NOT NULL,       -- bytes of content
    Upload     INTEGER,                -- whose chunks are the content; NULL when it is in Content
    Content    BLOB NOT NULL           -- last, as SQLite would read through it for any column behind
);
-- Covers counting and adding up what waits for one recipient.
CREATE INDEX IF NOT EXISTS messages_by_recipient ON messages (ToClient, ID, Size);
CREATE INDEX IF NOT EXISTS messages_by_pair ON messages (ToClient, FromClient);

-- Contents that no message owns: being uploaded, or doomed to be swept.
CREATE TABLE IF NOT EXISTS uploads (
    ID        INTEGER PRIMARY KEY AUTOINCREMENT,
    Announced INTEGER NOT NULL,        -- bytes that it will have
    Size      INTEGER NOT NULL,        -- bytes that it has
    Doomed    INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS chunks (
    ID    INTEGER PRIMARY KEY,         -- the upload's ID * 65536 + the chunk's number
    Bytes BLOB NOT NULL                -- 65536, but for the last
);

-- Messages that were taken over from a classic server's database, so that they are not taken twice.
CREATE TABLE IF NOT EXISTS imports (
    Digest BLOB PRIMARY KEY            -- SHA-256 of the message and its place
) WITHOUT ROWID;
