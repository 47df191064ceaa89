-- Keep the test and dev documents, and their near copies, out of the mix. A fixed cosine means a different thing for
-- each encoder: look at the pairs just under the threshold before trusting it; fpr = 1e-6 instead is the one that of a
-- million random pairs of a pool and a test document one reaches. Every row names its nearest test or dev
-- document; that score is there for the ledger, and choosing by it would be choosing by the test set. Because one
-- changed word can move a short text far, a text that shares most of its words with its nearest document is a copy too.
-- reads: test
-- fpr: max_similarity of pool and test
-- :max_similarity  FLOAT  0.9  cosine to a test or dev document at which a candidate is a near copy, −1 to 1
-- :max_overlap     FLOAT  0.6  share of common words (Jaccard) with that document at which it is a copy, 0 to 1
WITH held_out AS (
    SELECT 'test' AS part, corpus, id, normalised(text) AS words, embedding FROM test
    UNION ALL
    SELECT 'dev' AS part, corpus, id, normalised(text) AS words, embedding FROM dev
    ORDER BY part DESC, corpus, id
),
copies AS (
    SELECT
        c.corpus,
        c.id,
        h.part,
        h.corpus AS partner_corpus,
        h.id AS partner_id,
        array_inner_product(c.embedding, h.embedding) AS similarity
    FROM candidates AS c
    JOIN held_out AS h ON normalised(c.text) = h.words
),
same_text AS (
    SELECT *, 'same text as ' || part AS rule
    FROM copies
    QUALIFY row_number() OVER (
        PARTITION BY corpus, id ORDER BY part DESC, similarity DESC, partner_corpus, partner_id
    ) = 1
),
nearest AS (
    SELECT
        c.corpus,
        c.id,
        h.part,
        h.corpus AS partner_corpus,
        h.id AS partner_id,
        array_inner_product(c.embedding, h.embedding) AS similarity,
        word_overlap(normalised(c.text), h.words) AS overlap
    FROM candidates AS c
    LEFT JOIN held_out AS h EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, h.embedding)
),
near_copy AS (
    SELECT
        *,
        CASE
            WHEN similarity >= $max_similarity THEN 'near copy of ' || part
            WHEN overlap >= $max_overlap THEN 'same words as ' || part
        END AS rule
    FROM nearest
)
SELECT
    n.corpus,
    n.id,
    s.rule IS NULL AND n.rule IS NULL AS keep,
    coalesce(s.rule, n.rule) AS rule,
    CASE WHEN s.rule IS NULL AND n.rule LIKE 'same words%' THEN n.overlap ELSE coalesce(s.similarity, n.similarity) END
        AS score,
    CASE WHEN s.rule IS NULL AND n.rule LIKE 'same words%' THEN $max_overlap ELSE $max_similarity END AS threshold,
    coalesce(s.partner_corpus, n.partner_corpus) AS partner_corpus,
    coalesce(s.partner_id, n.partner_id) AS partner_id
FROM near_copy AS n
LEFT JOIN same_text AS s ON s.corpus = n.corpus AND s.id = n.id
