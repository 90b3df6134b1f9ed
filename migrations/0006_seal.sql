-- Sealed histories: a log of the heads of all hash chains, as a Merkle tree (RFC 9162) whose root is signed from time to time. A run has an entry in
-- it for each time that it was found changed. The log is append-only and is made from the feed; the key that signs is in no table.

-- The log of this database.
CREATE TABLE seal (
    id    smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    log   uuid NOT NULL DEFAULT gen_random_uuid(),  -- its name
    prune_from bigint NOT NULL DEFAULT 0,           -- the tile at which the next look for those of deleted runs begins
    forget     int8multirange NOT NULL DEFAULT '{}' -- when the runs were begun, of which tiles were deleted, and deletions may still name some
);
COMMENT ON TABLE seal IS 'The log in which the heads of all hash chains are sealed.';
INSERT INTO seal DEFAULT VALUES;

-- The entries, 256 in a row; the last row may have fewer.
CREATE TABLE seal_tile (
    n        bigint PRIMARY KEY,     -- its first entry is number 256 * n
    span     int8range NOT NULL,     -- when its runs were begun, as their ids say, in milliseconds since 1970; empty where it has none
    shards   smallint[] NOT NULL,    -- of the run; 0 where it is none
    ids      uuid[] NOT NULL,        -- the run, or what else it is about
    seqs     integer[] NOT NULL,     -- the row of "history", or -3 less that where it closes its run; -1: a row of "tombstone"; -2: of "seal_pruned"
    hashes   bytea[] NOT NULL,       -- that row's hash; of the others SHA-256 over what they say
    CONSTRAINT seal_tile_is_one CHECK (
        cardinality(ids) BETWEEN 1 AND 256 AND cardinality(shards) = cardinality(ids)
        AND cardinality(seqs) = cardinality(ids) AND cardinality(hashes) = cardinality(ids))
);
ALTER TABLE seal_tile
    ALTER ids SET STORAGE EXTERNAL, ALTER hashes SET STORAGE EXTERNAL, -- what is random does not compress
    ALTER shards SET STATISTICS 0, ALTER ids SET STATISTICS 0, ALTER seqs SET STATISTICS 0, ALTER hashes SET STATISTICS 0;
COMMENT ON TABLE seal_tile IS 'The entries of the sealed log: heads of hash chains.';
CREATE INDEX seal_tile_by_span ON seal_tile USING gist (span); -- which tiles may name a run

-- The roots of full tiles (level 1), of 256 of these (2), and so on: what the root of the whole is computed from, and proofs.
CREATE TABLE seal_node (
    level smallint NOT NULL CHECK (level > 0),
    n     bigint NOT NULL,           -- counts those of the level from 0
    hash  bytea NOT NULL,
    PRIMARY KEY (level, n),
    CONSTRAINT seal_node_is_sha256 CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE seal_node IS 'Inner nodes of the Merkle tree over the sealed log.';

CREATE TABLE checkpoint (
    n              bigint PRIMARY KEY,       -- counts from 0
    size           bigint NOT NULL,          -- how many entries the log had
    root           bytea NOT NULL,           -- the root of the tree over them
    at             timestamptz NOT NULL,
    complete_until timestamptz,              -- all that was committed before is in it; NULL where the log was behind
    note           text NOT NULL,            -- what says so, with its signatures (C2SP tlog-checkpoint); the columns before it are from there
    CONSTRAINT checkpoint_root_is_sha256 CHECK (octet_length(root) = 32)
);
COMMENT ON TABLE checkpoint IS 'Signed states of the sealed log.';
CREATE INDEX checkpoint_by_size ON checkpoint (size);
CREATE INDEX checkpoint_by_time ON checkpoint (complete_until) WHERE complete_until IS NOT NULL; -- about where in the log something is
CREATE INDEX checkpoint_of_rotation ON checkpoint (n) WHERE strpos(note, chr(10) || 'next-key ') > 0; -- by which one key was followed by another

-- Tiles that were deleted because all their runs were. Their roots are still in "seal_node".
CREATE TABLE seal_pruned (
    id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    tiles bigint[] NOT NULL,
    leaf  bigint NOT NULL            -- which entry of the log says so
);
COMMENT ON TABLE seal_pruned IS 'Tiles of the sealed log that were deleted, because all their runs are.';

-- Which row of "history" an entry is of; NULL where it is of none.
CREATE FUNCTION sealed_row(number integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN number >= 0 THEN number WHEN number <= -3 THEN -3 - number END
$$;
COMMENT ON FUNCTION sealed_row IS 'Which row of history an entry of the sealed log is of.';

-- Where in the log the entries of runs are, as far as they are in these tiles and in front of a place.
--
-- Here and below ids are joined as sets, by hash: the sessions that seal and archive have no joins but loops, which suits what brings the lists forward.
CREATE FUNCTION sealed_places(runs uuid[], tiles bigint[], before_place bigint) RETURNS TABLE (id uuid, seq integer, place bigint)
LANGUAGE sql STABLE SET enable_hashjoin = on SET enable_nestloop = off AS $$
    SELECT e.id, sealed_row(e.seq), e.place
    FROM (
        SELECT u.id, u.seq, 256 * t.n + u.n - 1 AS place
        FROM seal_tile t
        CROSS JOIN LATERAL unnest(t.ids, t.seqs) WITH ORDINALITY AS u (id, seq, n)
        WHERE t.n = ANY (tiles)
    ) AS e
    JOIN unnest(runs) AS x (id) ON x.id = e.id
    WHERE e.place < before_place AND sealed_row(e.seq) IS NOT NULL
$$;
COMMENT ON FUNCTION sealed_places IS 'Where in the sealed log the entries of runs are, as far as they are in certain tiles.';

-- Returns tiles all of whose runs are deleted, and sealed as such: of the next few that are full and older than a given one, as far as no checkpoint ends
-- inside of them (it could not be proved any more that the log was only appended to since). None, where they are too few to be worth an
-- entry. Who deletes them sees for himself that it is so: what this returns may be what somebody has made of it.
CREATE FUNCTION prunable_tiles(before_tile bigint, looked_at integer, fewest integer, OUT gone bigint[])
LANGUAGE plpgsql SET enable_hashjoin = on SET enable_nestloop = off AS $$
DECLARE
    looked bigint[];
    spans int8multirange;
BEGIN
    SELECT array_agg(x.n) INTO looked
    FROM (
        SELECT t.n FROM seal_tile t
        WHERE t.n >= (SELECT s.prune_from FROM seal s) AND t.n < before_tile
        ORDER BY t.n
        LIMIT looked_at
    ) AS x;
    -- From the front again, when the end is reached.
    UPDATE seal SET prune_from = CASE WHEN cardinality(looked) = looked_at THEN looked[looked_at] + 1 ELSE 0 END;
    -- Those of which a run is left are out with the first one that is; mostly that is the last one of the tile, or the next.
    SELECT array_agg(t.n), range_agg(t.span) INTO gone, spans
    FROM seal_tile t
    WHERE t.n = ANY (looked) AND cardinality(t.ids) = 256 AND -1 <> ALL (t.seqs) AND -2 <> ALL (t.seqs)
      AND NOT EXISTS (SELECT FROM checkpoint c WHERE c.size > 256 * t.n AND c.size < 256 * (t.n + 1) OFFSET 0)
      AND NOT EXISTS (SELECT FROM execution e WHERE e.shard = t.shards[256] AND e.run_id = t.ids[256] OFFSET 0)
      AND NOT EXISTS (
          SELECT FROM unnest(t.shards, t.ids) AS u (shard, id)
          CROSS JOIN LATERAL (SELECT FROM execution e WHERE e.shard = u.shard AND e.run_id = u.id OFFSET 0) AS e);
    SELECT array_agg(g.n ORDER BY g.n) INTO gone
    FROM unnest(gone) AS g (n)
    WHERE g.n NOT IN (
        SELECT t.n FROM (SELECT x.n, unnest(x.ids) AS id FROM seal_tile x WHERE x.n = ANY (gone)) AS t
        WHERE NOT EXISTS (
            SELECT FROM (
                SELECT unnest(b.run_ids) AS id FROM tombstone b
                WHERE b.run_ids IS NOT NULL AND b.leaf IS NOT NULL AND spans && b.span
            ) AS d
            WHERE d.id = t.id));
    IF gone IS NULL OR cardinality(gone) < fewest THEN
        gone := '{}';
    END IF;
END
$$;
COMMENT ON FUNCTION prunable_tiles IS 'Tiles of the sealed log all of whose runs are deleted.';

-- Whoever verifies the log needs to know which runs were deleted only as long as it names them: of deletions that were sealed in front of a tile, and of
-- none of whose runs there is an entry left, that is taken away. Tiles that were deleted just now are looked at once more the next time, when the deletions are
-- in front of it that were sealed with them.
CREATE FUNCTION forget_deleted_runs(before_tile bigint, just_now int8multirange) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = on SET enable_nestloop = off AS $$
DECLARE
    begun int8multirange;
    forgotten uuid[];
BEGIN
    SELECT s.forget INTO begun FROM seal s;
    IF isempty(begun) THEN
        RETURN;
    END IF;
    WITH told AS MATERIALIZED (
        SELECT b.id, b.run_ids FROM tombstone b WHERE b.run_ids IS NOT NULL AND b.leaf < 256 * before_tile AND begun && b.span
    ),
    run AS MATERIALIZED (
        SELECT t.id AS tombstone, unnest(t.run_ids) AS id FROM told t
    ),
    -- When they were begun, and not when any between the first and the last of a deletion was: one old run would have all of the log read.
    at AS MATERIALIZED (
        SELECT range_agg(int8range(x.at, x.at, '[]')) AS all FROM (SELECT DISTINCT run_milliseconds(r.id) AS at FROM run r) AS x
    ),
    named AS (
        SELECT DISTINCT r.tombstone
        FROM run r
        JOIN (SELECT unnest(t.ids) AS id FROM seal_tile t WHERE t.span && (SELECT a.all FROM at a)) AS n ON n.id = r.id
    )
    SELECT array_agg(t.id) INTO forgotten FROM told t WHERE NOT EXISTS (SELECT FROM named n WHERE n.tombstone = t.id);
    UPDATE tombstone b SET run_ids = NULL WHERE b.id = ANY (forgotten);
    UPDATE seal SET forget = coalesce(just_now, '{}');
END
$$;
COMMENT ON FUNCTION forget_deleted_runs IS 'Takes away which runs were deleted, where the sealed log names none of them any more.';
