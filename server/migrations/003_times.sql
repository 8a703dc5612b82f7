-- How old messages are, without a column for it: now and then it is noted how far the sequence has come.

CREATE TABLE IF NOT EXISTS times (
    Sequence INTEGER PRIMARY KEY,      -- messages up to this one ...
    Reached  INTEGER NOT NULL          -- ... were there at this time, in seconds since 1970
);
