-- Keep what the target documents take in turn: in each round every one of them, in order of corpus and id, takes its
-- nearest candidate that none has taken yet, until the budget is full. So each target document gets its share, and no
-- candidate counts twice. (As in Ivison et al., Large-Scale Data Selection for Instruction Tuning, 2025.)
-- A document that was left has the cosine to its nearest target document, and as threshold the last that this one took.
-- :budget      INTEGER  NULL  [1, inf)  documents to keep; NULL keeps all that have a target document to be taken by
-- :same_label  BOOLEAN  true  whether a target document takes candidates of its own label only
WITH targets AS (
    SELECT corpus, id, pairing_label(label, $same_label) AS kind, embedding
    FROM target
    WHERE array_inner_product(embedding, embedding) > 0
    ORDER BY corpus, id
),
taken AS (
    SELECT corpus, id, rank, round, partner_corpus, partner_id, similarity
    FROM round_robin('target', 'candidates', $budget, same_label := $same_label)
),
lasts AS (
    SELECT partner_corpus, partner_id, min(similarity) AS similarity FROM taken GROUP BY partner_corpus, partner_id
),
nearest AS (
    SELECT
        c.corpus, c.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(c.embedding, t.embedding) AS similarity
    FROM candidates AS c
    JOIN (SELECT * FROM targets AS o WHERE o.kind = pairing_label(c.label, $same_label)) AS t
        EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, t.embedding)
),
directions AS (
    SELECT corpus, id, label, array_inner_product(embedding, embedding) > 0 AS has_direction FROM candidates
),
joined AS (
    SELECT
        c.*,
        t.rank,
        t.round,
        coalesce(t.similarity, n.similarity) AS similarity,
        coalesce(t.partner_corpus, n.partner_corpus) AS partner_corpus,
        coalesce(t.partner_id, n.partner_id) AS partner_id
    FROM directions AS c
    LEFT JOIN taken AS t ON t.corpus = c.corpus AND t.id = c.id
    LEFT JOIN nearest AS n ON n.corpus = c.corpus AND n.id = c.id AND c.has_direction
)
SELECT
    j.corpus,
    j.id,
    j.rank IS NOT NULL AS keep,
    CASE WHEN j.rank IS NULL THEN 'not taken' END AS rule,
    j.similarity AS score,
    l.similarity AS threshold,
    j.partner_corpus,
    j.partner_id,
    j.rank,
    CASE
        WHEN j.rank IS NOT NULL THEN format('taken in round {}', j.round)
        WHEN NOT j.has_direction THEN 'its vector has no direction'
        WHEN $same_label AND j.label IS NULL THEN 'it has no label'
        WHEN j.partner_id IS NULL AND $same_label THEN 'no target document has its label'
        WHEN j.partner_id IS NULL THEN 'there is no target document'
        WHEN l.similarity IS NULL THEN 'the budget was full before that target document had its turn'
    END AS reason
FROM joined AS j
LEFT JOIN lasts AS l ON l.partner_corpus = j.partner_corpus AND l.partner_id = j.partner_id
