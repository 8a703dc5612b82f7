-- Who waits for what, apart from the messages: these are only added to at their end, and their place here is noted later,
-- many at a time. It runs again when a table went missing.

DROP INDEX IF EXISTS messages_by_recipient;
DROP INDEX IF EXISTS messages_by_pair;

CREATE TABLE IF NOT EXISTS queue (
    ToClient   BLOB NOT NULL,
    ID         INTEGER NOT NULL,       -- of the message; one that is not there any more counts for nothing
    FromClient BLOB NOT NULL,
    Size       INTEGER NOT NULL,
    PRIMARY KEY (ToClient, ID)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS queue_end (
    ID INTEGER NOT NULL                -- messages up to this one are in the queue; of those behind it, some may be
);

DELETE FROM queue;
INSERT INTO queue SELECT ToClient, ID, FromClient, Size FROM messages;
DELETE FROM queue_end;
INSERT INTO queue_end SELECT coalesce(max(ID), 0) FROM messages;
