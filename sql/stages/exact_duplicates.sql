-- Keep one document of each text: the same in lower case, without punctuation and with single spaces. Documents
-- without text are kept. Plain SQL gives no warning when a source loses much; the ledger has the numbers.
-- :priority  VARCHAR  NULL  sources to keep documents of first, separated by commas; the others follow by name
WITH named AS (
    SELECT list_transform(string_split(coalesce($priority, ''), ','), lambda name: trim(name)) AS sources
),
texts AS (
    SELECT
        c.corpus,
        c.id,
        nullif(normalised(c.text), '') AS words,
        coalesce(list_position(n.sources, c.source), len(n.sources) + 1) AS place
    FROM candidates AS c
    CROSS JOIN named AS n
),
kept AS (
    SELECT words, corpus, id
    FROM texts
    WHERE words IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY words ORDER BY place, corpus, id) = 1
),
joined AS (
    SELECT
        t.corpus,
        t.id,
        k.corpus AS partner_corpus,
        k.id AS partner_id,
        k.words IS NOT NULL AND (k.corpus <> t.corpus OR k.id <> t.id) AS is_copy
    FROM texts AS t
    LEFT JOIN kept AS k ON k.words = t.words
)
SELECT
    corpus,
    id,
    NOT is_copy AS keep,
    CASE WHEN is_copy THEN 'same text' END AS rule,
    CASE WHEN is_copy THEN partner_corpus END AS partner_corpus,
    CASE WHEN is_copy THEN partner_id END AS partner_id
FROM joined
