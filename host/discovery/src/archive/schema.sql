-- The archive of one run. Times are milliseconds since 1970 and never influence a result.

-- Everything that changes results, as it was when the run began.
CREATE TABLE IF NOT EXISTS settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- One row for each time that a process worked on the run.
CREATE TABLE IF NOT EXISTS sessions (
    session INTEGER PRIMARY KEY,
    began   INTEGER NOT NULL,
    workers INTEGER NOT NULL
) STRICT;

-- Slots count baselines first, then proposals. `reply` is what the proposer sent, where that was not understood.
CREATE TABLE IF NOT EXISTS candidates (
    slot      INTEGER PRIMARY KEY,
    id        TEXT NOT NULL,
    name      TEXT NOT NULL,
    origin    TEXT NOT NULL,
    thought   TEXT NOT NULL,
    source    TEXT NOT NULL,
    parents   TEXT NOT NULL,
    genotype  TEXT,
    reply     TEXT
) STRICT;

-- Gates that a candidate passed.
CREATE TABLE IF NOT EXISTS passed (
    slot  INTEGER NOT NULL REFERENCES candidates (slot),
    stage TEXT NOT NULL,
    PRIMARY KEY (slot, stage)
) STRICT;

-- One training: its result or its rejection, as JSON.
CREATE TABLE IF NOT EXISTS trainings (
    slot       INTEGER NOT NULL REFERENCES candidates (slot),
    seed_index INTEGER NOT NULL,
    result     TEXT,
    rejection  TEXT,
    PRIMARY KEY (slot, seed_index),
    CHECK ((result IS NULL) <> (rejection IS NULL))
) STRICT;

-- What became of a candidate, once and for all, as JSON.
CREATE TABLE IF NOT EXISTS outcomes (
    slot      INTEGER PRIMARY KEY REFERENCES candidates (slot),
    fitness   TEXT,
    rejection TEXT,
    CHECK ((fitness IS NULL) <> (rejection IS NULL))
) STRICT;

-- The same story in the order in which it happened.
CREATE TABLE IF NOT EXISTS events (
    event   INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (session),
    at      INTEGER NOT NULL,
    slot    INTEGER,
    what    TEXT NOT NULL
) STRICT;
