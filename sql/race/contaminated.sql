-- The evaluation documents of which there is a copy, or a near one, among what an arm can learn from: what decontaminate
-- looks for, seen from the other side. A ledger names one partner for each pool document, and one pool document can hold
-- several of the test set, so that the partners in a ledger are not all of them.
-- ``held_out`` has id, text and embedding of the evaluation documents, without labels; ``teaching`` corpus, id, text and
-- embedding of all documents that may train. Words are compared with the nearest document, from either side.
-- :max_similarity  FLOAT    0.9  [-1, inf)  as decontaminate has it, and so the others
-- :max_overlap     FLOAT    0.6  [0, inf)
-- :ngram           INTEGER  13   [0, inf)
-- :min_words       INTEGER  5    [0, inf)
-- :max_runs        FLOAT    0    [0, 1]
WITH same_text AS (
    SELECT id FROM held_out WHERE normalised(text) IN (SELECT normalised(text) FROM teaching)
),
runs AS (
    SELECT partner_id AS id
    FROM shared_runs(
        'teaching', (SELECT id, text FROM held_out WHERE $ngram > 0),
        ngram := greatest($ngram, 1), min_words := $min_words, every := true
    )
    WHERE share > $max_runs
),
nearest AS (
    SELECT
        h.id,
        array_inner_product(h.embedding, t.embedding) AS similarity,
        word_overlap(normalised(h.text), normalised(t.text)) AS overlap
    FROM held_out AS h
    JOIN teaching AS t EXACT NEAREST 1 BY SIMILARITY array_inner_product(h.embedding, t.embedding)
),
nearest_of_teaching AS (
    SELECT h.id, word_overlap(normalised(t.text), normalised(h.text)) AS overlap
    FROM teaching AS t
    JOIN held_out AS h EXACT NEAREST 1 BY SIMILARITY array_inner_product(t.embedding, h.embedding)
)
SELECT id FROM same_text
UNION
SELECT id FROM runs
UNION
SELECT id FROM nearest WHERE similarity >= $max_similarity OR overlap >= $max_overlap
UNION
SELECT id FROM nearest_of_teaching WHERE overlap >= $max_overlap
ORDER BY id
