-- What version 3 keeps, apart from all that is classic. Each statement creates only what is missing: it runs again when a
-- table went missing.

CREATE TABLE IF NOT EXISTS modern_accounts (
    Number      INTEGER PRIMARY KEY,
    ID          BLOB NOT NULL UNIQUE,      -- 16 bytes, follows from the fingerprint
    Fingerprint BLOB NOT NULL,             -- 32 bytes
    Name        TEXT UNIQUE,               -- NULL once the account has given way
    Phone       BLOB UNIQUE,               -- HMAC of the number under a secret that is not in here
    Registered  INTEGER NOT NULL,          -- minutes since 1970
    LastOneTime INTEGER NOT NULL DEFAULT 0, -- the highest id of a one-time key that was published
    Bundle      BLOB NOT NULL              -- 1,294 bytes, the identity among them
);

CREATE TABLE IF NOT EXISTS modern_one_time_keys (
    Account BLOB NOT NULL,
    ID      INTEGER NOT NULL,
    Key     BLOB NOT NULL,                 -- 32 bytes
    PRIMARY KEY (Account, ID)
) WITHOUT ROWID;

-- Who gave way to whom, as it was signed.
CREATE TABLE IF NOT EXISTS modern_successions (
    Number         INTEGER PRIMARY KEY,
    Old            BLOB NOT NULL UNIQUE,
    New            BLOB NOT NULL UNIQUE,
    Moved          INTEGER NOT NULL,       -- minutes since 1970
    Issued         INTEGER NOT NULL,       -- seconds since 1970, unsigned
    OldIdentity    BLOB NOT NULL,          -- 422 bytes
    NewFingerprint BLOB NOT NULL,
    NewBundle      BLOB NOT NULL,          -- the first one
    Rotation       BLOB NOT NULL,          -- 384 bytes
    Succession     BLOB NOT NULL           -- 384 bytes
);

-- Envelopes that wait. No sender: who has sent how much is counted by a tag under a secret that is in memory alone.
CREATE TABLE IF NOT EXISTS modern_messages (
    -- The sequence. AUTOINCREMENT, as a number must not come back after the newest message was deleted.
    ID        INTEGER PRIMARY KEY AUTOINCREMENT,
    ToAccount BLOB NOT NULL,
    Sender    INTEGER NOT NULL,            -- the tag: of both, so that it is another one for each recipient
    Tag       BLOB NOT NULL,               -- 16 bytes, by which a retry is known
    Minute    INTEGER NOT NULL,            -- since 1970
    Kind      INTEGER NOT NULL,
    Size      INTEGER NOT NULL,
    Content   INTEGER,                     -- the row of a large envelope; NULL when it is in Envelope
    Envelope  BLOB NOT NULL                -- last, as SQLite would read through it for any column behind
);

-- Who waits for what. The newest messages are noted later, many at a time.
CREATE TABLE IF NOT EXISTS modern_queue (
    ToAccount BLOB NOT NULL,
    ID        INTEGER NOT NULL,
    Sender    INTEGER NOT NULL,
    Tag       BLOB NOT NULL,
    Size      INTEGER NOT NULL,
    PRIMARY KEY (ToAccount, ID)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS modern_queue_tags ON modern_queue (ToAccount, Tag);

CREATE TABLE IF NOT EXISTS modern_queue_end (
    ID INTEGER NOT NULL                    -- messages up to this one are in the queue; of those behind it, some may be
);

-- Large envelopes, and those of them that nobody will read any more.
CREATE TABLE IF NOT EXISTS modern_contents (
    ID    INTEGER PRIMARY KEY AUTOINCREMENT,
    Bytes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS modern_doomed (
    ID INTEGER PRIMARY KEY
);

-- The tags of messages that are gone, so that a late retry is known.
CREATE TABLE IF NOT EXISTS modern_taken (
    ID  INTEGER PRIMARY KEY AUTOINCREMENT,
    Tag BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS modern_files (
    ID        INTEGER PRIMARY KEY AUTOINCREMENT,
    ToAccount BLOB,                        -- NULL, as File, when its chunks are to be swept
    File      BLOB,                        -- 16 bytes
    Sender    INTEGER NOT NULL,            -- the tag of who began it
    Chunks    INTEGER NOT NULL,            -- that it will have
    Held      INTEGER NOT NULL,            -- that it has
    Bytes     INTEGER NOT NULL,            -- of those, a small one counted as 4,096
    UNIQUE (ToAccount, File)
);
CREATE TABLE IF NOT EXISTS modern_chunks (
    ID    INTEGER PRIMARY KEY,             -- the file's ID * 1048576 + the chunk's number
    Bytes BLOB NOT NULL
);

-- Registrations that wait for a code. The code is an HMAC under a secret that is not in here.
CREATE TABLE IF NOT EXISTS modern_registrations (
    ID          BLOB PRIMARY KEY,          -- 16 bytes
    Account     BLOB NOT NULL UNIQUE,
    Fingerprint BLOB NOT NULL,
    Name        TEXT NOT NULL,
    Phone       BLOB NOT NULL,
    Code        BLOB NOT NULL,
    Expires     INTEGER NOT NULL,          -- seconds since 1970
    Attempts    INTEGER NOT NULL DEFAULT 0,
    Bundle      BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS modern_codes (
    ID    INTEGER PRIMARY KEY AUTOINCREMENT,
    Phone BLOB NOT NULL,
    Sent  INTEGER NOT NULL                 -- seconds since 1970
);
CREATE INDEX IF NOT EXISTS modern_codes_by_phone ON modern_codes (Phone, Sent);

-- Who wants a phone number that somebody else has.
CREATE TABLE IF NOT EXISTS modern_claims (
    Phone   BLOB PRIMARY KEY,
    Account BLOB NOT NULL,
    Since   INTEGER NOT NULL               -- seconds since 1970
);

-- How far the sequences had come at which time.
CREATE TABLE IF NOT EXISTS modern_times (
    Reached  INTEGER PRIMARY KEY,          -- seconds since 1970
    Messages INTEGER NOT NULL,
    Taken    INTEGER NOT NULL,
    Files    INTEGER NOT NULL
);

DELETE FROM modern_queue;
INSERT INTO modern_queue SELECT ToAccount, ID, Sender, Tag, Size FROM modern_messages;
DELETE FROM modern_queue_end;
INSERT INTO modern_queue_end SELECT coalesce(max(ID), 0) FROM modern_messages;
